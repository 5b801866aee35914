#![doc = include_str!("../README.md")]

mod error;
mod layer_pairs;
mod objective;

pub use error::{Error, Network};
pub use layer_pairs::{LayerPair, LayerPairs};
pub use objective::{
    AttentionConfig, DistillationConfig, DistillationLoss, DistillationObjective, NetworkOutput,
};
