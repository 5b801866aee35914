//! Questionnaires: which questions there are, which answers are allowed, and how answers become numbers.

mod encode;
mod feature;
mod feature_schema;
mod ready;

pub use feature::{Feature, FeatureKind};
pub use feature_schema::FeatureSchema;
pub use ready::{ham10000, synthetic};
