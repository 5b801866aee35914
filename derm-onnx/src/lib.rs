#![doc = include_str!("../README.md")]

mod error;
mod export;

pub use burn_onnx::export::OnnxModel;
pub use error::Error;
pub use export::{BatchAxis, export, export_network};
