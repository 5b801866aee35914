#![doc = include_str!("../README.md")]

mod comparison;
mod distillation_config;
mod distillation_term;
mod error;
mod layer_pairs;
mod normalization_map;
mod objective;
mod projectors;
mod teacher_cache;
mod weight_schedule;

pub use distillation_config::{AttentionConfig, DistillationConfig};
pub use distillation_term::{
    AttentionTerm, CosineFeatureTerm, DistillationTerm, HintTerm, Projection, RkdTerm,
    SimilarityPreservingTerm, TermLoss,
};
pub use error::{Error, Network};
pub use layer_pairs::{LayerPair, LayerPairs};
pub use normalization_map::NormalizationMap;
pub use objective::{DistillationLoss, DistillationObjective, NetworkOutput, TermValue};
pub use projectors::Projectors;
pub use teacher_cache::{CacheKey, TeacherCache};
pub use weight_schedule::WeightSchedule;
