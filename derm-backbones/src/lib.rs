#![doc = include_str!("../README.md")]

mod any_backbone;
mod bert;
mod blocks;
mod classifier;
mod convnext_v2;
#[cfg(feature = "download")]
pub mod download;
mod drawn;
mod efficientnet;
mod error;
mod fusion;
mod half_precision;
mod host_memory;
mod keys;
mod layer_groups;
mod layers;
mod macs;
mod mobilenet_v2;
mod mobilevit;
mod module_path;
mod parameter_count;
mod position_embedding;
mod questionnaire;
#[cfg(feature = "recompute")]
mod recompute;
mod registry;
mod resnet;
mod siglip;
mod spatial_attention;
mod text_encoder;
mod tokenizer;
mod vit;
pub mod weights;

pub use any_backbone::{AnyBackbone, BackboneConfig};
pub use bert::{Bert, BertConfig, BertFamily, TextFeatures, TextPooling, Tokens};
pub use blocks::Blocks;
pub use classifier::{
    Classifier, ClassifierConfig, ClassifierInput, ClassifierOutput, HeadConfig, TaskConfig, TextConfig,
};
pub use convnext_v2::{ConvNextV2, ConvNextV2Config, PointwiseLayers};
pub use drawn::drawn;
pub use efficientnet::{EfficientNet, EfficientNetConfig};
pub use error::{Error, ShapeMismatch};
pub use fusion::{
    Concatenation, CrossAttentionFusion, CrossAttentionFusionConfig, Fusion, FusionConfig, FusionInput,
    FusionText, FusionWidths, GatedFusion, GatedFusionConfig, MetaBlock, MetaBlockConfig,
};
pub use half_precision::HalfPrecision;
pub use keys::{Naming, Published, PublishedKeys};
pub use layer_groups::{LayerGroup, LayerGroups, LayerRate, freeze_layers, layer_rates, unfreeze_layers};
pub use layers::{BatchNorm2d, ForwardInF32};
pub use macs::{CountMacs, Macs};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use mobilevit::{MobileVit, MobileVitConfig};
pub use parameter_count::{ParameterCount, count_parameters};
pub use position_embedding::{PositionResampling, PositionTable, resample_positions};
pub use questionnaire::{AnswerColumns, QuestionnaireEncoder, QuestionnaireEncoderConfig};
#[cfg(feature = "recompute")]
pub use recompute::{Recompute, RecomputedStep};
pub use registry::{KnownArchitecture, KnownWeights, WeightsSource, known_weights, registry};
pub use resnet::{BlockKind, ResNet, ResNetConfig, Stem};
pub use siglip::{Siglip, SiglipConfig};
pub use spatial_attention::spatial_attention;
pub use text_encoder::TextEncoderConfig;
pub use tokenizer::TextTokenizer;
pub use vit::{Vit, VitConfig, VitPooling};
