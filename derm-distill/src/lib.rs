#![doc = include_str!("../README.md")]

mod distillation_config;
mod error;
mod layer_pairs;
mod objective;

pub use distillation_config::{AttentionConfig, DistillationConfig};
pub use error::{Error, Network};
pub use layer_pairs::{LayerPair, LayerPairs};
pub use objective::{DistillationLoss, DistillationObjective, NetworkOutput};
