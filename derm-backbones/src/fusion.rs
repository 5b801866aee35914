//! How image features, answers and text become one vector.

mod concatenation;
mod cross_attention;
mod gated;
mod meta_block;

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Macs};

pub use concatenation::Concatenation;
pub use cross_attention::{CrossAttentionFusion, CrossAttentionFusionConfig};
pub use gated::{GatedFusion, GatedFusionConfig};
pub use meta_block::{MetaBlock, MetaBlockConfig};

/// What is fused. An image is always there; answers, text or both stand beside it, the same ones in every batch.
#[derive(Debug, Clone)]
pub struct FusionInput {
    /// Pooled image features [B, D].
    pub image: Tensor<2>,
    /// The last feature map [B, C, H, W], whose pixels cross-attention looks at.
    pub image_map: Option<Tensor<4>>,
    /// Embedded answers [B, E].
    pub answers: Option<Tensor<2>>,
    /// The encoded text.
    pub text: Option<FusionText>,
}

/// An encoded text.
#[derive(Debug, Clone)]
pub struct FusionText {
    /// One vector [B, D] a text.
    pub pooled: Tensor<2>,
    /// Its tokens [B, T, D].
    pub tokens: Tensor<3>,
    /// Whether a place [B, T] is padding.
    pub padding: Tensor<2, Bool>,
}

/// Widths of what is fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FusionWidths {
    /// Of the pooled image features.
    pub image: usize,
    /// Channels of the last feature map; none where the encoder has no stages.
    pub image_map: Option<usize>,
    /// Of the embedded answers; none without answers.
    pub answers: Option<usize>,
    /// Of the text's tokens; none without text.
    pub text: Option<usize>,
}

impl FusionWidths {
    /// Width of all that stands beside the image.
    fn beside(self) -> usize {
        self.answers.unwrap_or(0) + self.text.unwrap_or(0)
    }
}

impl FusionInput {
    /// [answers, text], whichever there are.
    fn beside(&self) -> Tensor<2> {
        let text = self.text.as_ref().map(|text| text.pooled.clone());
        Tensor::cat(self.answers.clone().into_iter().chain(text).collect(), 1)
    }
}

/// A fusion by name, as a file writes it: `concatenation`, `meta_block: {}`, `gated: {width: 256}`,
/// `cross_attention: {width: 384, layers: 2, heads: 8}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionConfig {
    /// [`Concatenation`].
    #[default]
    Concatenation,
    /// [`MetaBlock`].
    MetaBlock(MetaBlockConfig),
    /// [`GatedFusion`].
    Gated(GatedFusionConfig),
    /// [`CrossAttentionFusion`].
    CrossAttention(CrossAttentionFusionConfig),
}

impl FusionConfig {
    /// Checks every value against the widths of what is fused.
    ///
    /// # Errors
    /// [`Error::NothingToFuse`] where neither answers nor text stand beside the image, and as the fusion's own
    /// config.
    pub fn validate(&self, widths: FusionWidths) -> Result<(), Error> {
        if widths.answers.is_none() && widths.text.is_none() {
            return Err(Error::NothingToFuse);
        }
        match self {
            Self::Concatenation => Ok(()),
            Self::MetaBlock(config) => config.validate(widths),
            Self::Gated(config) => config.validate(),
            Self::CrossAttention(config) => config.validate(),
        }
    }

    /// The fusion with fresh weights.
    ///
    /// # Errors
    /// As [`FusionConfig::validate`].
    pub fn init(&self, widths: FusionWidths, device: &Device) -> Result<Fusion, Error> {
        self.validate(widths)?;
        let fusion = match self {
            Self::Concatenation => Fusion::Concatenation(Concatenation::new(widths)),
            Self::MetaBlock(config) => Fusion::MetaBlock(config.init(widths, device)),
            Self::Gated(config) => Fusion::Gated(config.init(widths, device)),
            Self::CrossAttention(config) => Fusion::CrossAttention(config.init(widths, device)),
        };
        Ok(fusion)
    }
}

/// Image features beside answers, text or both → one vector [B, F].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{FusionConfig, FusionInput, FusionWidths, MetaBlockConfig};
///
/// let device = Device::default();
/// let widths = FusionWidths { image: 64, image_map: None, answers: Some(8), text: None };
/// let fusion = FusionConfig::MetaBlock(MetaBlockConfig::default()).init(widths, &device)?;
/// let input = FusionInput {
///     image: Tensor::ones([2, 64], &device),
///     image_map: None,
///     answers: Some(Tensor::ones([2, 8], &device)),
///     text: None,
/// };
/// assert_eq!(fusion.forward(&input).dims(), [2, fusion.width()]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
#[derive(Module, Debug)]
pub enum Fusion {
    /// Everything side by side.
    Concatenation(Concatenation),
    /// Answers and text scale and shift image features.
    MetaBlock(MetaBlock),
    /// Gates weigh the modalities.
    Gated(GatedFusion),
    /// Image and the others attend to each other.
    CrossAttention(CrossAttentionFusion),
}

impl Fusion {
    /// The fused vector [B, F].
    ///
    /// # Panics
    /// When the input has other modalities or widths than the fusion was built for.
    pub fn forward(&self, input: &FusionInput) -> Tensor<2> {
        match self {
            Self::Concatenation(concatenation) => {
                let fused = Tensor::cat(vec![input.image.clone(), input.beside()], 1);
                assert_eq!(fused.dims()[1], concatenation.width(), "the width that the fusion was built for");
                fused
            }
            Self::MetaBlock(block) => block.forward(input),
            Self::Gated(gated) => gated.forward(input),
            Self::CrossAttention(attention) => attention.forward(input),
        }
    }

    /// Width F of the fused vector.
    pub fn width(&self) -> usize {
        match self {
            Self::Concatenation(concatenation) => concatenation.width(),
            Self::MetaBlock(block) => block.width(),
            Self::Gated(gated) => gated.width(),
            Self::CrossAttention(attention) => attention.width(),
        }
    }

    /// Multiply-accumulates for a feature map of `pixels` pixels and a text of `tokens` tokens.
    pub fn macs(&self, pixels: usize, tokens: usize) -> Macs {
        match self {
            Self::Concatenation(_) => Macs::default(),
            Self::MetaBlock(block) => block.macs(),
            Self::Gated(gated) => gated.macs(),
            Self::CrossAttention(attention) => attention.macs(pixels, tokens),
        }
    }
}
