#![doc = include_str!("../README.md")]

pub mod atomic;
mod class_index;
mod digest;
mod error;
mod image_spec;
mod label_map;
mod logits;
mod predictions;
mod probabilities;
mod role;

#[cfg(feature = "burn")]
mod backbone;
#[cfg(feature = "burn")]
mod criterion;
#[cfg(feature = "burn")]
mod targets;

pub use class_index::ClassIndex;
pub use digest::{sha256_file, sha256_hex};
pub use error::{FileError, LabelError, PredictionsError, ValueError};
pub use image_spec::{ImageInput, Interpolation, Normalization};
pub use label_map::LabelMap;
pub use logits::Logits;
pub use predictions::{
    FORMAT_VERSION, MeanOver, PredictionColumns, PredictionMetadata, Predictions, ScoreKind, Scores, View,
    mean_log_probabilities,
};
pub use probabilities::{Probabilities, ROW_SUM_TOLERANCE};
pub use role::{Calibration, Role, SplitRole, Test, Train, Validation};

#[cfg(feature = "burn")]
pub use backbone::{AttentionSpec, Backbone, BackboneSpec, Features, StageSpec, TapError, Taps};
#[cfg(feature = "burn")]
pub use criterion::Criterion;
#[cfg(feature = "burn")]
pub use targets::Targets;
