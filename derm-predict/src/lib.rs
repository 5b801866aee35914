#![doc = include_str!("../README.md")]

mod bundle;
mod config;
mod decision;
mod error;
mod manifest;
mod predictor;

pub use bundle::Bundle;
pub use config::BundleConfig;
pub use decision::{ClassProbability, Decision};
pub use error::Error;
pub use manifest::{FORMAT_VERSION, FileDigest, Manifest, Provenance};
pub use predictor::Predictor;
