use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{FusionInput, FusionWidths};
use crate::error::{check_count, check_dropout, check_heads};
use crate::layers::{Activation, CrossAttention, ForwardInF32, Mlp, mean_of_kept};
use crate::{Error, Macs};

/// Configuration of [`CrossAttentionFusion`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `width` | 384 | width of a token | ≥ 1, a multiple of `heads` |
/// | `layers` | 2 | layers | ≥ 1 |
/// | `heads` | 8 | attention heads | ≥ 1 |
/// | `dropout` | 0.1 | dropout in training, of attention weights too | [0, 1) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossAttentionFusionConfig {
    /// Width of a token.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout in training, of attention weights too, in [0, 1).
    pub dropout: f64,
}

impl Default for CrossAttentionFusionConfig {
    fn default() -> Self {
        Self { width: 384, layers: 2, heads: 8, dropout: 0.1 }
    }
}

impl CrossAttentionFusionConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check_count("cross_attention.width", self.width, 1, "at least 1")?;
        check_count("cross_attention.layers", self.layers, 1, "at least 1")?;
        check_count("cross_attention.heads", self.heads, 1, "at least 1")?;
        check_dropout(self.dropout)?;
        check_heads(self.width, self.heads)
    }

    pub(super) fn init(&self, widths: FusionWidths, device: &Device) -> CrossAttentionFusion {
        let project = |width: usize| LinearConfig::new(width, self.width).init(device);
        let norm = || LayerNormConfig::new(self.width).init(device);
        CrossAttentionFusion {
            image: project(widths.image),
            pixels: widths.image_map.map(project),
            answers: widths.answers.map(project),
            text: widths.text.map(project),
            layers: (0..self.layers).map(|_| CoAttention::new(self, device)).collect(),
            image_norm: norm(),
            beside_norm: norm(),
            dropout: DropoutConfig::new(self.dropout).init(),
            width: self.width,
        }
    }
}

/// Image and text (or answers) attend to each other.
///
/// Two sequences, each projected to one width: the pooled image features followed by the pixels of the last feature
/// map, and the embedded answers followed by the text's tokens. In each layer every token of the one sequence looks
/// at the other one, `x ← x + attention(norm x, norm y)`, then `x ← x + mlp(norm x)`; both sequences read the
/// other's state from before the layer. The fused vector holds the first token of the image's sequence and the mean
/// over the other sequence without padding, each after a last norm.
///
/// Text positions are known to the text encoder; pixels carry what the image encoder wrote into them, and no
/// position of their own.
///
/// # Source
/// Co-attention as in Lu et al. 2019 (`ViLBERT`), with the norms before the branches.
#[derive(Module, Debug)]
pub struct CrossAttentionFusion {
    image: Linear,
    pixels: Option<Linear>,
    answers: Option<Linear>,
    text: Option<Linear>,
    layers: Vec<CoAttention>,
    image_norm: LayerNorm,
    beside_norm: LayerNorm,
    dropout: Dropout,
    width: usize,
}

impl CrossAttentionFusion {
    pub(super) fn forward(&self, input: &FusionInput) -> Tensor<2> {
        let built_for = [self.pixels.is_some(), self.answers.is_some(), self.text.is_some()];
        let given = [input.image_map.is_some(), input.answers.is_some(), input.text.is_some()];
        assert_eq!(
            given, built_for,
            "feature map, answers and text given, and those that the fusion was built for"
        );
        let mut image = self.image_tokens(input);
        let (mut beside, padding) = self.beside_tokens(input);
        for layer in &self.layers {
            (image, beside) = layer.forward(image, beside, &padding);
        }
        let first: Tensor<2> = self.image_norm.forward_in_f32(image.narrow(1, 0, 1)).squeeze_dim(1);
        let beside = self.beside_norm.forward_in_f32(beside);
        Tensor::cat(vec![first, mean_of_kept(beside, &padding)], 1)
    }

    /// [B, 1 + H·W, width].
    fn image_tokens(&self, input: &FusionInput) -> Tensor<3> {
        let pooled = self.image.forward(input.image.clone()).unsqueeze_dim::<3>(1);
        let pixels = self.pixels.as_ref().zip(input.image_map.as_ref()).map(|(layer, map)| {
            let [batch, channels, height, width] = map.dims();
            layer.forward(map.clone().reshape([batch, channels, height * width]).swap_dims(1, 2))
        });
        self.dropout.forward(Tensor::cat(std::iter::once(pooled).chain(pixels).collect(), 1))
    }

    /// [B, S, width] and which of them are padding [B, S].
    fn beside_tokens(&self, input: &FusionInput) -> (Tensor<3>, Tensor<2, Bool>) {
        let [batch, _] = input.image.dims();
        let answers = self.answers.as_ref().zip(input.answers.as_ref()).map(|(layer, answers)| {
            let none = Tensor::<2, Bool>::zeros([batch, 1], &answers.device());
            (layer.forward(answers.clone()).unsqueeze_dim::<3>(1), none)
        });
        let text = self.text.as_ref().zip(input.text.as_ref());
        let text = text.map(|(layer, text)| (layer.forward(text.tokens.clone()), text.padding.clone()));
        let (tokens, padding) = answers.into_iter().chain(text).unzip();
        (self.dropout.forward(Tensor::cat(tokens, 1)), Tensor::cat(padding, 1))
    }

    /// Width of the fused vector: two tokens.
    pub fn width(&self) -> usize {
        2 * self.width
    }

    pub(super) fn macs(&self, pixels: usize, tokens: usize) -> Macs {
        let elements = |layer: &Linear| layer.weight.lazy_shape().num_elements();
        let image = 1 + if self.pixels.is_some() { pixels } else { 0 };
        let text = if self.text.is_some() { tokens } else { 0 };
        let beside = usize::from(self.answers.is_some()) + text;
        let projections = elements(&self.image)
            + self.pixels.as_ref().map_or(0, elements) * pixels
            + self.answers.as_ref().map_or(0, elements)
            + self.text.as_ref().map_or(0, elements) * tokens;
        let layers = self.layers.iter().map(|layer| layer.macs(image, beside));
        let start = Macs { conv_and_linear: projections as u64, attention: 0 };
        layers.fold(start, |sum, macs| sum + macs)
    }
}

/// One layer over both sequences.
#[derive(Module, Debug)]
struct CoAttention {
    image: Branch,
    beside: Branch,
}

impl CoAttention {
    fn new(config: &CrossAttentionFusionConfig, device: &Device) -> Self {
        Self { image: Branch::new(config, device), beside: Branch::new(config, device) }
    }

    fn forward(
        &self,
        image: Tensor<3>,
        beside: Tensor<3>,
        padding: &Tensor<2, Bool>,
    ) -> (Tensor<3>, Tensor<3>) {
        let (image_in, beside_in) =
            (self.image.norm.forward_in_f32(image.clone()), self.beside.norm.forward_in_f32(beside.clone()));
        let looked = self.image.attention.forward(image_in.clone(), beside_in.clone(), Some(padding));
        let answered = self.beside.attention.forward(beside_in, image_in, None);
        (self.image.finish(image, looked), self.beside.finish(beside, answered))
    }

    fn macs(&self, image: usize, beside: usize) -> Macs {
        self.image.macs(image, beside) + self.beside.macs(beside, image)
    }
}

/// What one sequence does in a layer.
#[derive(Module, Debug)]
struct Branch {
    norm: LayerNorm,
    attention: CrossAttention,
    mlp_norm: LayerNorm,
    mlp: Mlp,
    dropout: Dropout,
}

impl Branch {
    fn new(config: &CrossAttentionFusionConfig, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.width).init(device);
        Self {
            norm: norm(),
            attention: CrossAttention::new(config.width, config.heads, config.dropout, device),
            mlp_norm: norm(),
            mlp: Mlp::new(config.width, 4 * config.width, Activation::Gelu, config.dropout, device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    fn finish(&self, tokens: Tensor<3>, looked: Tensor<3>) -> Tensor<3> {
        let tokens = tokens + self.dropout.forward(looked);
        let branch = self.mlp.forward(self.mlp_norm.forward_in_f32(tokens.clone()));
        tokens + branch
    }

    fn macs(&self, tokens: usize, context: usize) -> Macs {
        self.attention.macs(tokens, context) + Macs { conv_and_linear: self.mlp.macs(tokens), attention: 0 }
    }
}
