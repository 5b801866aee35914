#![doc = include_str!("../README.md")]

mod attention_transfer;
mod class_weights;
mod classification;
mod cross_entropy;
mod error;
mod focal;
mod kd;
mod log_probability;
mod reduction;
mod target_expectation;

pub use attention_transfer::{AttentionMode, AttentionPool, AttentionTransferLoss};
pub use class_weights::{WeightNormalization, WeightScheme, class_weights};
pub use classification::{ClassificationLoss, ClassificationLossConfig};
pub use cross_entropy::{CrossEntropyLoss, CrossEntropyLossConfig};
pub use error::Error;
pub use focal::{FocalForm, FocalLoss, FocalLossConfig};
pub use kd::{KdLoss, KdLossConfig, KdScale};
pub use reduction::Reduction;
