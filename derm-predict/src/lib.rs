#![doc = include_str!("../README.md")]

mod bundle;
mod config;
mod decision;
mod ensemble;
mod error;
mod image_limits;
mod jsonl;
mod judge;
mod manifest;
mod network;
mod predictor;
mod request;
mod task;
mod weight_format;

pub use bundle::Bundle;
pub use config::BundleConfig;
pub use decision::{ClassProbability, ConformalSet, Decision};
pub use ensemble::{Ensemble, EnsembleBundle, EnsembleConfig, EnsembleMember, load};
pub use error::Error;
pub use image_limits::ImageLimits;
pub use jsonl::{JsonlOptions, JsonlSummary, serve_jsonl};
pub use manifest::{FORMAT_VERSION, FileDigest, Manifest, Provenance};
pub use predictor::Predictor;
pub use request::{Picture, Request, Serve};
pub use task::{BundleTask, TaskProbabilities};
pub use weight_format::WeightFormat;
