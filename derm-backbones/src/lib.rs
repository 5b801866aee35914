#![doc = include_str!("../README.md")]

mod any_backbone;
mod batch_norm;
mod classifier;
mod conv;
mod error;
mod keys;
mod parameter_count;
mod questionnaire;
mod resnet;
pub mod weights;

pub use any_backbone::{AnyBackbone, BackboneConfig};
pub use batch_norm::BatchNorm2d;
pub use classifier::{Classifier, ClassifierConfig, ClassifierOutput, HeadConfig};
pub use error::{Error, ShapeMismatch};
pub use keys::PublishedKeys;
pub use parameter_count::{ParameterCount, count_parameters};
pub use questionnaire::{QuestionnaireEncoder, QuestionnaireEncoderConfig};
pub use resnet::{BlockKind, ResNet, ResNetConfig, Stem};
