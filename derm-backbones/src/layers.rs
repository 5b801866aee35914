//! What the networks are built of. Module paths follow the field names here; `keys` maps them to published keys.

mod activation;
mod attention;
mod batch_norm;
mod bilinear;
mod conv;
mod conv_norm;
mod drop_path;
mod grn;
mod initial_weights;
mod inverted_residual;
mod inverted_residual_trunk;
mod mlp;
mod patch_embedding;
mod round_channels;
mod squeeze_excitation;
mod transformer_block;

pub(crate) use activation::Activation;
pub(crate) use attention::Attention;
pub use batch_norm::BatchNorm2d;
pub(crate) use bilinear::bilinear;
pub(crate) use conv::Conv2d;
pub(crate) use conv_norm::ConvNorm;
pub(crate) use drop_path::DropPath;
pub(crate) use grn::Grn;
pub(crate) use initial_weights::normal_linear_weights;
pub(crate) use inverted_residual::{InvertedResidual, InvertedResidualConfig};
pub(crate) use inverted_residual_trunk::{InvertedResidualTrunk, InvertedResidualTrunkConfig, TrunkStage};
pub(crate) use mlp::Mlp;
pub(crate) use patch_embedding::PatchEmbedding;
pub(crate) use round_channels::round_channels;
pub(crate) use squeeze_excitation::SqueezeExcitation;
pub(crate) use transformer_block::{TransformerBlock, TransformerBlockConfig};
