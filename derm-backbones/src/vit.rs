use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use derm_core::{
    AttentionSpec, Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec,
    Taps,
};
use serde::{Deserialize, Serialize};

use crate::blocks::{forward_blocks, map_of_tokens, state_of_tokens, tokens_of_state};
use crate::error::{check_count, check_heads, check_input, check_range};
use crate::layers::{
    Activation, DropPath, ForwardInF32, PatchEmbedding, TransformerBlock, TransformerBlockConfig,
    normal_linear_weights,
};
use crate::position_embedding::resample_position_tensor;
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs, PositionResampling, PositionTable};

/// Of all layer norms, in timm, torchvision and the original.
const EPSILON: f64 = 1e-6;
/// Of all layer norms, in the configs of transformers' published networks.
const HUGGING_FACE_EPSILON: f64 = 1e-12;
/// Deviation of the initial weights.
const INITIAL_STD: f64 = 0.02;
/// Deviation of the initial class token.
const CLASS_TOKEN_STD: f64 = 1e-6;

/// What a vision transformer gives a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VitPooling {
    /// The class token.
    #[default]
    ClassToken,
    /// The class token, and beside it a distillation token for a second head: distilled `DeiT`.
    Distilled,
    /// `tanh(W c + b)` of the class token c: `pooler_output` of transformers' `ViTModel`.
    Pooler,
}

/// A vision transformer, as data. The named variants are timm's, torchvision's and transformers'.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `input` | required | image that the weights are for; its size gives the table of positions | size ≥ `patch_size` |
/// | `patch_size` | required | side of a patch in pixels | ≥ 1 |
/// | `width` | required | width D of a token | ≥ 1, a multiple of `heads` |
/// | `depth` | required | blocks | ≥ 1 |
/// | `heads` | required | attention heads a block | ≥ 1 |
/// | `hidden` | required | width between the two linear layers of a block | ≥ 1 |
/// | `pooling` | class token | what a head is given | |
/// | `epsilon` | 10⁻⁶ | added to the variance in all layer norms | (0, 1) |
/// | `position_dropout` | 0 | dropout of tokens with their positions | [0, 1) |
/// | `dropout` | 0 | dropout behind attention and in the linear layers | [0, 1) |
/// | `attention_dropout` | 0 | dropout of attention weights | [0, 1) |
/// | `drop_path` | 0 | stochastic depth of the last block, growing linearly from 0 at the first | [0, 1) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// The image that the weights are for.
    pub input: ImageInput,
    /// Side P of a patch in pixels.
    pub patch_size: usize,
    /// Width D of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Width between the two linear layers of a block.
    pub hidden: usize,
    /// What a head is given.
    #[serde(default)]
    pub pooling: VitPooling,
    /// Added to the variance in all layer norms.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Dropout of tokens with their positions; timm's `pos_drop_rate`, one with `dropout` in torchvision.
    #[serde(default)]
    pub position_dropout: f64,
    /// Dropout behind attention and behind both linear layers of a block; timm's `proj_drop_rate`.
    #[serde(default)]
    pub dropout: f64,
    /// Dropout of attention weights.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Probability that the last block drops a branch of an image in training; it grows linearly from 0.
    #[serde(default)]
    pub drop_path: f64,
}

fn default_epsilon() -> f64 {
    EPSILON
}

/// 224 pixels, nine tenths of the shorter side, bicubic: timm's for `ViT` and `DeiT`.
fn timm_input(normalization: Normalization) -> ImageInput {
    ImageInput { size: 224, normalization, interpolation: Interpolation::Bicubic, crop_pct: 0.9 }
}

impl VitConfig {
    fn patch16(input: ImageInput, width: usize) -> Self {
        Self {
            input,
            patch_size: 16,
            width,
            depth: 12,
            heads: width / 64,
            hidden: 4 * width,
            pooling: VitPooling::ClassToken,
            epsilon: EPSILON,
            position_dropout: 0.0,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.0,
        }
    }

    /// timm's `vit_tiny_patch16_224`: width 192, 3 heads.
    pub fn vit_tiny_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::HALF), 192)
    }

    /// timm's `vit_small_patch16_224`: width 384, 6 heads.
    pub fn vit_small_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::HALF), 384)
    }

    /// timm's `vit_base_patch16_224`: width 768, 12 heads.
    pub fn vit_base_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::HALF), 768)
    }

    /// torchvision's `vit_b_16`: the base network for `ImageNet`'s statistics, 224 of 256 pixels, bilinear.
    pub fn vit_b_16() -> Self {
        let input = ImageInput {
            size: 224,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bilinear,
            crop_pct: 0.875,
        };
        Self::patch16(input, 768)
    }

    /// `google/vit-base-patch16-224-in21k` on Hugging Face: the base network with a pooler, 224 × 224 pixels
    /// without crop, bilinear, `epsilon` 10⁻¹².
    pub fn vit_base_patch16_224_in21k() -> Self {
        let input = ImageInput {
            size: 224,
            normalization: Normalization::HALF,
            interpolation: Interpolation::Bilinear,
            crop_pct: 1.0,
        };
        Self { pooling: VitPooling::Pooler, epsilon: HUGGING_FACE_EPSILON, ..Self::patch16(input, 768) }
    }

    /// `DeiT`-tiny: [`VitConfig::vit_tiny_patch16_224`] for `ImageNet`'s statistics.
    pub fn deit_tiny_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::IMAGENET), 192)
    }

    /// `DeiT`-small: [`VitConfig::vit_small_patch16_224`] for `ImageNet`'s statistics.
    pub fn deit_small_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::IMAGENET), 384)
    }

    /// `DeiT`-base: [`VitConfig::vit_base_patch16_224`] for `ImageNet`'s statistics.
    pub fn deit_base_patch16_224() -> Self {
        Self::patch16(timm_input(Normalization::IMAGENET), 768)
    }

    /// With a distillation token: `deit_tiny_distilled_patch16_224` from `deit_tiny_patch16_224`.
    #[must_use]
    pub fn distilled(self) -> Self {
        Self { pooling: VitPooling::Distilled, ..self }
    }

    /// The architecture's name: the published one, or patch, image size, width, depth, heads and hidden width.
    pub fn architecture(&self) -> String {
        let named = [
            ("vit_tiny_patch16_224", Self::vit_tiny_patch16_224()),
            ("vit_small_patch16_224", Self::vit_small_patch16_224()),
            ("vit_base_patch16_224", Self::vit_base_patch16_224()),
            ("vit_b_16", Self::vit_b_16()),
            ("vit_base_patch16_224_in21k", Self::vit_base_patch16_224_in21k()),
            ("deit_tiny_patch16_224", Self::deit_tiny_patch16_224()),
            ("deit_small_patch16_224", Self::deit_small_patch16_224()),
            ("deit_base_patch16_224", Self::deit_base_patch16_224()),
            ("deit_tiny_distilled_patch16_224", Self::deit_tiny_patch16_224().distilled()),
            ("deit_small_distilled_patch16_224", Self::deit_small_patch16_224().distilled()),
            ("deit_base_distilled_patch16_224", Self::deit_base_patch16_224().distilled()),
        ];
        // what only training sees is no part of the name
        let plain = Self {
            position_dropout: 0.0,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.0,
            ..self.clone()
        };
        named.into_iter().find(|(_, config)| *config == plain).map_or_else(
            || {
                let form = match self.pooling {
                    VitPooling::ClassToken => "",
                    VitPooling::Distilled => "_distilled",
                    VitPooling::Pooler => "_pooler",
                };
                let Self { patch_size, width, depth, heads, hidden, .. } = self;
                let size = self.input.size;
                format!("vit{form}_patch{patch_size}_{size}_{width}-{depth}-{heads}-{hidden}")
            },
            |(name, _)| name.to_owned(),
        )
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the parameter, [`Error::Heads`] where the heads do not divide the width.
    pub fn validate(&self) -> Result<(), Error> {
        let counts = [
            ("patch_size", self.patch_size),
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("hidden", self.hidden),
        ];
        for (parameter, value) in counts {
            check_count(parameter, value, 1, "at least 1")?;
        }
        check_input(&self.input)?;
        check_count("input.size", self.input.size, self.patch_size, "at least the patch size")?;
        check_heads(self.width, self.heads)?;
        check_range("epsilon", self.epsilon, "a number in (0, 1)", |v| v > 0.0 && v < 1.0)?;
        let rates = [
            ("position_dropout", self.position_dropout),
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("drop_path", self.drop_path),
        ];
        for (parameter, value) in rates {
            check_range(parameter, value, "a number in [0, 1)", |v| (0.0..1.0).contains(&v))?;
        }
        Ok(())
    }

    /// The encoder's description, without building it.
    ///
    /// # Errors
    /// As [`VitConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let blocks = (0..self.depth).map(|index| format!("blocks.{index}"));
        let stages = blocks.clone().chain(["norm".to_owned()]);
        let stages = stages.map(|name| StageSpec { name, channels: self.width, stride: self.patch_size });
        let attention =
            blocks.map(|name| AttentionSpec { name, heads: self.heads, extra_tokens: self.extra_tokens() });
        Ok(BackboneSpec {
            attention: attention.collect(),
            distillation: self.pooling == VitPooling::Distilled,
            ..BackboneSpec::new(self.architecture(), self.width, stages.collect(), self.input)
        })
    }

    /// Tokens before those of the patches.
    fn extra_tokens(&self) -> usize {
        match self.pooling {
            VitPooling::ClassToken | VitPooling::Pooler => 1,
            VitPooling::Distilled => 2,
        }
    }

    /// What the table of positions holds.
    fn positions(&self) -> PositionTable {
        PositionTable {
            extra_tokens: self.extra_tokens(),
            grid: [self.input.size / self.patch_size; 2],
            resampling: PositionResampling::Timm,
        }
    }

    /// The encoder with fresh weights as timm draws them: linear layers, positions and distillation token normal
    /// with deviation 0.02, class token with 10⁻⁶, biases 0, the patches' convolution uniform. The weights follow
    /// from the device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`VitConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<Vit, Error> {
        let spec = self.spec()?;
        let normal = |rows: usize, std: f64| -> Param<Tensor<3>> {
            Initializer::Normal { mean: 0.0, std }.init([1, rows, self.width], device)
        };
        let block = |index| {
            let config = TransformerBlockConfig {
                width: self.width,
                heads: self.heads,
                hidden: self.hidden,
                activation: Activation::Gelu,
                epsilon: self.epsilon,
                attention_dropout: self.attention_dropout,
                dropout: self.dropout,
                drop_path: DropPath::linear_rate(self.drop_path, index, self.depth),
            };
            config.init(device)
        };
        let network = Vit {
            class_token: normal(1, CLASS_TOKEN_STD),
            distillation_token: spec.distillation.then(|| normal(1, INITIAL_STD)),
            position_embedding: normal(self.positions().rows(), INITIAL_STD),
            patch_embedding: PatchEmbedding::new(self.patch_size, self.width, device),
            position_dropout: DropoutConfig::new(self.position_dropout).init(),
            blocks: (0..self.depth).map(block).collect(),
            norm: LayerNormConfig::new(self.width).with_epsilon(self.epsilon).init(device),
            pooler: (self.pooling == VitPooling::Pooler)
                .then(|| LinearConfig::new(self.width, self.width).init(device)),
            config: self.clone(),
            spec,
        };
        Ok(normal_linear_weights(network, INITIAL_STD))
    }
}

/// Vision transformer: patches, class token and positions, blocks, a final norm, the class token.
///
/// Blocks are tapped by timm's names, `blocks.0`, `blocks.1`, …, and the normalised tokens as `norm`; a map holds
/// the patches' tokens [B, D, H / P, W / P]. The attention of `blocks.N` is [B, heads, T, T], class token first
/// (and distillation token second); [`spatial_attention`](crate::spatial_attention) makes maps of it.
///
/// Images of another size than the config's are taken as they are: the table of positions is resampled to their
/// grid on the way, as timm does with `dynamic_img_size`. Pixels at the right and lower border that fill no patch
/// are left out.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::VitConfig;
/// use derm_core::{Backbone, ImageInput, Taps};
///
/// let device = Device::default();
/// let tiny = VitConfig::deit_tiny_patch16_224();
/// let small = VitConfig { input: ImageInput { size: 64, ..tiny.input }, depth: 2, ..tiny };
/// let network = small.init(&device)?;
/// let taps = Taps::stages(["blocks.1"]).with_attention(["blocks.1"]);
/// let features = network.forward_features(Tensor::zeros([1, 3, 64, 96], &device), &taps);
/// assert_eq!(features.pooled.dims(), [1, 192]);
/// assert_eq!(features.map("blocks.1").unwrap().dims(), [1, 192, 4, 6]);
/// assert_eq!(features.attention("blocks.1").unwrap().dims(), [1, 3, 25, 25]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Panics
/// The forward pass panics on an image that is smaller than a patch.
///
/// # Source
/// Dosovitskiy et al. 2021, "An image is worth 16×16 words"; Touvron et al. 2021 (`DeiT`); timm
/// `vision_transformer.py` and `deit.py`, torchvision `vision_transformer.py`, transformers `modeling_vit.py`,
/// whose outputs the tests compare with.
#[derive(Module, Debug)]
pub struct Vit {
    class_token: Param<Tensor<3>>,
    distillation_token: Option<Param<Tensor<3>>>,
    position_embedding: Param<Tensor<3>>,
    patch_embedding: PatchEmbedding,
    position_dropout: Dropout,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    pooler: Option<Linear>,
    #[module(skip)]
    config: VitConfig,
    #[module(skip)]
    spec: BackboneSpec,
}

impl Vit {
    /// What a head is given; it also decides how the weights are named.
    pub fn pooling(&self) -> VitPooling {
        self.config.pooling
    }

    /// What the table of positions holds.
    pub(crate) fn positions(&self) -> PositionTable {
        self.config.positions()
    }

    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch, _, height, width] = images.dims();
        let grid = self.patch_embedding.grid([height, width]);
        let extra = std::iter::once(&self.class_token).chain(&self.distillation_token);
        let mut tokens: Vec<Tensor<3>> =
            extra.map(|token| token.val().expand([batch, 1, self.config.width])).collect();
        tokens.push(self.patch_embedding.forward(images));
        let positions = resample_position_tensor(self.position_embedding.val(), &self.positions(), grid);
        self.position_dropout.forward(Tensor::cat(tokens, 1) + positions)
    }
}

impl Backbone for Vit {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

/// Patches with their positions, the blocks, the final norm.
impl Blocks for Vit {
    fn num_blocks(&self) -> usize {
        self.blocks.len() + 2
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        let Some(index) = index.checked_sub(1) else { return state_of_tokens(self.embed(state)) };
        match self.blocks.get(index) {
            Some(block) => state_of_tokens(block.forward(tokens_of_state(state))),
            None => self.norm.forward_in_f32(state),
        }
    }

    fn stage_block(&self, stage: usize) -> usize {
        stage + 1
    }

    fn stage_map(&self, state: Tensor<4>, image: [usize; 2]) -> Tensor<4> {
        map_of_tokens(state, self.patch_embedding.grid(image))
    }

    fn attention_block(&self, attention: usize) -> usize {
        attention + 1
    }

    fn attention(&self, index: usize, state: Tensor<4>) -> Option<Tensor<4>> {
        let block = self.blocks.get(index.checked_sub(1)?)?;
        Some(block.attention_weights(tokens_of_state(state)))
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        let tokens = tokens_of_state(state);
        let token = |index| -> Tensor<2> { tokens.clone().narrow(1, index, 1).squeeze_dim(1) };
        let pooled = match &self.pooler {
            None => token(0),
            Some(pooler) => pooler.forward(token(0)).tanh(),
        };
        Features { distillation: self.spec.distillation.then(|| token(1)), ..Features::new(pooled) }
    }
}

impl CountMacs for Vit {
    fn macs(&self, image: [usize; 2]) -> Macs {
        let [rows, columns] = self.patch_embedding.grid(image);
        let tokens = self.config.extra_tokens() + rows * columns;
        let pooler = self.pooler.as_ref().map_or(0, |pooler| pooler.weight.lazy_shape().num_elements());
        let around = Macs { conv_and_linear: self.patch_embedding.macs(image) + pooler as u64, attention: 0 };
        self.blocks.iter().fold(around, |total, block| total + block.macs(tokens))
    }
}

/// `stem` (patches, tokens, positions), every block, `norm`.
impl LayerGroups for Vit {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let stem = [
            "class_token",
            "distillation_token",
            "position_embedding",
            "patch_embedding",
            "position_dropout",
        ];
        let blocks = (0..self.blocks.len()).map(|index| format!("blocks.{index}"));
        std::iter::once(LayerGroup::new("stem", stem))
            .chain(blocks.map(|name| LayerGroup::new(name.clone(), [name])))
            .chain([LayerGroup::new("norm", ["norm", "pooler"])])
            .collect()
    }
}
