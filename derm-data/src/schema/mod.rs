//! Questionnaires: which questions there are, which answers are allowed, and how answers become numbers.

mod answer;
mod block;
mod builder;
mod columns;
mod comparison;
mod feature;
mod feature_schema;
mod file;
mod ready;
mod scaling;
mod site;
mod spelling;
mod trimming;

pub use answer::{NONE, SEPARATOR};
pub use block::{Block, Excluded};
pub use builder::SchemaBuilder;
pub use columns::ColumnGroup;
pub use comparison::{ChangedFeature, SchemaComparison, SharedColumn};
pub use feature::{Feature, FeatureKind, MissingPolicy, OutsidePolicy, UnknownPolicy};
pub use feature_schema::FeatureSchema;
pub use ready::{
    NAMES, derm7pt, ham10000, isic, pad_ufes_20, ready, scin, synthetic, teledermatology, uci_dermatology,
};
pub use site::Site;
