//! What the networks are built of. Module paths follow the field names here; `keys` maps them to published keys.

mod activation;
mod attention;
mod batch_norm;
mod conv;
mod conv_norm;
mod drop_path;
mod initial_weights;
mod mlp;
mod transformer_block;

pub(crate) use activation::Activation;
pub(crate) use attention::Attention;
pub use batch_norm::BatchNorm2d;
pub(crate) use conv::Conv2d;
pub(crate) use conv_norm::ConvNorm;
pub(crate) use drop_path::DropPath;
pub(crate) use initial_weights::normal_linear_weights;
pub(crate) use mlp::Mlp;
pub(crate) use transformer_block::{TransformerBlock, TransformerBlockConfig};
