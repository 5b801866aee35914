use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use derm_core::{
    AttentionSpec, Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec,
    Taps,
};
use serde::{Deserialize, Serialize};

use crate::blocks::{forward_blocks, map_of_tokens, state_of_tokens, tokens_of_state};
use crate::error::{check_count, check_heads, check_input, check_range};
use crate::layers::{
    Activation, ForwardInF32, Mlp, PatchEmbedding, TransformerBlock, TransformerBlockConfig,
    attention_weights, lecun_normal, linear_weights,
};
use crate::position_embedding::resample_position_tensor;
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs, PositionResampling, PositionTable};

/// Of all layer norms.
const EPSILON: f64 = 1e-6;

/// The vision tower of a `SigLIP` model, as data. The named variants are Google's.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `input` | required | image that the weights are for; its size gives the table of positions | size ≥ `patch_size` |
/// | `patch_size` | required | side of a patch in pixels | ≥ 1 |
/// | `width` | required | width D of a token | ≥ 1, a multiple of `heads` |
/// | `depth` | required | blocks | ≥ 1 |
/// | `heads` | required | attention heads a block, and of the pooling head | ≥ 1 |
/// | `hidden` | required | width between the two linear layers of a block | ≥ 1 |
/// | `attention_dropout` | 0 | dropout of the blocks' attention weights | [0, 1) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiglipConfig {
    /// The image that the weights are for.
    pub input: ImageInput,
    /// Side P of a patch in pixels.
    pub patch_size: usize,
    /// Width D of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of a block and of the pooling head.
    pub heads: usize,
    /// Width between the two linear layers of a block.
    pub hidden: usize,
    /// Dropout of the blocks' attention weights.
    #[serde(default)]
    pub attention_dropout: f64,
}

impl SiglipConfig {
    /// `google/siglip-base-patch16-224`: width 768, 12 blocks.
    pub fn siglip_base_patch16_224() -> Self {
        Self {
            input: ImageInput {
                size: 224,
                normalization: Normalization::HALF,
                interpolation: Interpolation::Bicubic,
                crop_pct: 1.0,
            },
            patch_size: 16,
            width: 768,
            depth: 12,
            heads: 12,
            hidden: 3072,
            attention_dropout: 0.0,
        }
    }

    /// `google/siglip-so400m-patch14-384`: width 1152, 27 blocks. 384 pixels are 27 patches and 6 pixels over.
    pub fn siglip_so400m_patch14_384() -> Self {
        let base = Self::siglip_base_patch16_224();
        Self {
            input: ImageInput { size: 384, ..base.input },
            patch_size: 14,
            width: 1152,
            depth: 27,
            heads: 16,
            hidden: 4304,
            ..base
        }
    }

    /// `google/medsiglip-448`: the so400m network at 448 pixels; its authors resize bilinearly.
    pub fn medsiglip_448() -> Self {
        let so400m = Self::siglip_so400m_patch14_384();
        let input = ImageInput { size: 448, interpolation: Interpolation::Bilinear, ..so400m.input };
        Self { input, ..so400m }
    }

    /// The architecture's name: the published one, or patch, image size, width, depth, heads and hidden width.
    pub fn architecture(&self) -> String {
        let named = [
            ("siglip_base_patch16_224", Self::siglip_base_patch16_224()),
            ("siglip_so400m_patch14_384", Self::siglip_so400m_patch14_384()),
            ("medsiglip_448", Self::medsiglip_448()),
        ];
        // what only training sees is no part of the name
        let plain = Self { attention_dropout: 0.0, ..self.clone() };
        named.into_iter().find(|(_, config)| *config == plain).map_or_else(
            || {
                let Self { patch_size, width, depth, heads, hidden, .. } = self;
                format!("siglip_patch{patch_size}_{}_{width}-{depth}-{heads}-{hidden}", self.input.size)
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
        let range = "a number in [0, 1)";
        check_range("attention_dropout", self.attention_dropout, range, |v| (0.0..1.0).contains(&v))
    }

    /// The encoder's description, without building it.
    ///
    /// # Errors
    /// As [`SiglipConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let blocks = (0..self.depth).map(|index| format!("blocks.{index}"));
        let stages = blocks.clone().chain(["norm".to_owned()]);
        let stages = stages.map(|name| StageSpec { name, channels: self.width, stride: self.patch_size });
        let attention = blocks.chain(["attn_pool".to_owned()]).map(|name| AttentionSpec {
            name,
            heads: self.heads,
            extra_tokens: 0,
        });
        Ok(BackboneSpec {
            attention: attention.collect(),
            ..BackboneSpec::new(self.architecture(), self.width, stages.collect(), self.input)
        })
    }

    /// What the table of positions holds.
    fn positions(&self) -> PositionTable {
        PositionTable {
            extra_tokens: 0,
            grid: [self.input.size / self.patch_size; 2],
            resampling: PositionResampling::Siglip,
        }
    }

    /// The encoder with fresh weights as transformers draws them: linear layers and probe Xavier-uniform (queries,
    /// keys and values of a block each by itself), patches and the pooling head's output `LeCun`-normal, positions
    /// normal with deviation 1/√D, biases 0 (where transformers draws some with deviation 10⁻⁶). The weights
    /// follow from the device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`SiglipConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<Siglip, Error> {
        let spec = self.spec()?;
        let width = self.width;
        let block = TransformerBlockConfig {
            width,
            heads: self.heads,
            hidden: self.hidden,
            activation: Activation::GeluTanh,
            epsilon: EPSILON,
            attention_dropout: self.attention_dropout,
            dropout: 0.0,
            drop_path: 0.0,
        };
        let fan_in = 3 * self.patch_size * self.patch_size;
        let patches = lecun_normal([width, 3, self.patch_size, self.patch_size], fan_in, device);
        let positions = Initializer::Normal { mean: 0.0, std: 1.0 / (width as f64).sqrt() };
        let network = Siglip {
            patch_embedding: PatchEmbedding::new(self.patch_size, width, device).with_weight(patches),
            position_embedding: positions.init([self.positions().rows(), width], device),
            blocks: (0..self.depth).map(|_| block.init(device)).collect(),
            norm: norm(width, device),
            head: AttentionPooling::new(width, self.heads, self.hidden, device),
            config: self.clone(),
            spec,
        };
        let mut network = linear_weights(network, |path, [inputs, outputs]| {
            let outputs = if path.contains(".qkv.") { outputs / 3 } else { outputs };
            uniform_within((6.0 / (inputs + outputs) as f64).sqrt())
        });
        network.head.out_proj.weight = Param::from_tensor(lecun_normal([width, width], width, device));
        Ok(network)
    }
}

fn uniform_within(bound: f64) -> Initializer {
    Initializer::Uniform { min: -bound, max: bound }
}

fn norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(EPSILON).init(device)
}

/// `SigLIP`'s vision tower: patches and positions, blocks, a norm, and a head that pools by attention.
///
/// Stages and attention are tapped by timm's names: `blocks.0`, `blocks.1`, …, the normalised tokens as `norm`, all
/// as maps [B, D, H / P, W / P]; the attention of a block is [B, heads, T, T], that of the pooling head,
/// `attn_pool`, [B, heads, 1, T]: how much each patch counts. There is no class token.
///
/// Images of another size than the config's are taken as they are: the table of positions is resampled to their
/// grid on the way, as transformers does with `interpolate_pos_encoding`. Pixels at the right and lower border that
/// fill no patch are left out. The published processors squash an image to a square instead of cropping it.
///
/// transformers' `SiglipForImageClassification` reads the mean of the patches and not this head; its files are
/// refused here for their `classifier.*`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::SiglipConfig;
/// use derm_core::{Backbone, ImageInput, Taps};
///
/// let device = Device::default();
/// let base = SiglipConfig::siglip_base_patch16_224();
/// let small = SiglipConfig {
///     input: ImageInput { size: 64, ..base.input }, width: 48, depth: 2, heads: 4, hidden: 96, ..base
/// };
/// let network = small.init(&device)?;
/// let taps = Taps::stages(["norm"]).with_attention(["attn_pool"]);
/// let features = network.forward_features(Tensor::zeros([1, 3, 64, 96], &device), &taps);
/// assert_eq!(features.pooled.dims(), [1, 48]);
/// assert_eq!(features.map("norm").unwrap().dims(), [1, 48, 4, 6]);
/// assert_eq!(features.attention("attn_pool").unwrap().dims(), [1, 4, 1, 24]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Panics
/// The forward pass panics on an image that is smaller than a patch.
///
/// # Source
/// Zhai et al. 2023, "Sigmoid loss for language image pre-training"; transformers `modeling_siglip.py`, whose
/// outputs the tests compare with.
#[derive(Module, Debug)]
pub struct Siglip {
    patch_embedding: PatchEmbedding,
    position_embedding: Param<Tensor<2>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: AttentionPooling,
    #[module(skip)]
    config: SiglipConfig,
    #[module(skip)]
    spec: BackboneSpec,
}

impl Siglip {
    /// What the table of positions holds.
    pub(crate) fn positions(&self) -> PositionTable {
        self.config.positions()
    }

    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [_, _, height, width] = images.dims();
        let grid = self.patch_embedding.grid([height, width]);
        let positions = self.position_embedding.val().unsqueeze_dim(0);
        self.patch_embedding.forward(images) + resample_position_tensor(positions, &self.positions(), grid)
    }
}

impl Backbone for Siglip {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

/// Patches with their positions, the blocks, the norm.
impl Blocks for Siglip {
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

    /// The pooling head's stands with the norm, whose output it looks at.
    fn attention(&self, index: usize, state: Tensor<4>) -> Option<Tensor<4>> {
        match self.blocks.get(index.checked_sub(1)?) {
            Some(block) => Some(block.attention_weights(tokens_of_state(state))),
            None => Some(self.head.weights(tokens_of_state(self.norm.forward_in_f32(state)))),
        }
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(self.head.forward(tokens_of_state(state)))
    }
}

impl CountMacs for Siglip {
    fn macs(&self, image: [usize; 2]) -> Macs {
        let [rows, columns] = self.patch_embedding.grid(image);
        let tokens = rows * columns;
        let patches = Macs { conv_and_linear: self.patch_embedding.macs(image), attention: 0 };
        let blocks = self.blocks.iter().fold(patches, |total, block| total + block.macs(tokens));
        blocks + self.head.macs(tokens)
    }
}

/// `stem` (patches, positions), every block, `norm`, `attn_pool`.
impl LayerGroups for Siglip {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let blocks = (0..self.blocks.len()).map(|index| format!("blocks.{index}"));
        std::iter::once(LayerGroup::new("stem", ["patch_embedding", "position_embedding"]))
            .chain(blocks.map(|name| LayerGroup::new(name.clone(), [name])))
            .chain([LayerGroup::new("norm", ["norm"]), LayerGroup::new("attn_pool", ["head"])])
            .collect()
    }
}

/// One learned query, the probe, looks at all tokens: `p = attention(probe, tokens)`, `p + mlp(norm p)`.
#[derive(Module, Debug)]
struct AttentionPooling {
    probe: Param<Tensor<3>>,
    /// [D, 3D]: the query from the probe; keys and values from the tokens.
    in_proj: Linear,
    out_proj: Linear,
    norm: LayerNorm,
    mlp: Mlp,
    heads: usize,
}

impl AttentionPooling {
    fn new(width: usize, heads: usize, hidden: usize, device: &Device) -> Self {
        Self {
            probe: uniform_within((3.0 / width as f64).sqrt()).init([1, 1, width], device),
            in_proj: LinearConfig::new(width, 3 * width).init(device),
            out_proj: LinearConfig::new(width, width).init(device),
            norm: norm(width, device),
            mlp: Mlp::new(width, hidden, Activation::GeluTanh, 0.0, device),
            heads,
        }
    }

    /// Tokens [B, T, D] → [B, D].
    fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = tokens.dims();
        let [query, key, value] = self.project(tokens);
        let pooled = attention(query, key, value, None, None, AttentionModuleOptions::default());
        let pooled = self.out_proj.forward(pooled.reshape([batch, 1, width]));
        let branch = self.mlp.forward(self.norm.forward_in_f32(pooled.clone()));
        (pooled + branch).squeeze_dim(1)
    }

    /// The attention [B, heads, 1, T] of the probe.
    fn weights(&self, tokens: Tensor<3>) -> Tensor<4> {
        let [query, key, _] = self.project(tokens);
        attention_weights(query, key, None)
    }

    /// The query [B, heads, 1, d], keys and values [B, heads, T, d].
    fn project(&self, tokens: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, count, width] = tokens.dims();
        let (heads, each) = (self.heads, width / self.heads);
        let weight = self.in_proj.weight.val();
        let bias = self.in_proj.bias.as_ref().map(Param::val);
        let part = |input: Tensor<3>, start: usize, parts: usize| {
            let bias = bias.clone().map(|bias| bias.narrow(0, start * width, parts * width));
            linear(input, weight.clone().narrow(1, start * width, parts * width), bias)
        };
        let query = part(self.probe.val(), 0, 1).reshape([1, heads, 1, each]);
        let both = part(tokens, 1, 2).reshape([batch, count, 2 * heads, each]).swap_dims(1, 2);
        let [key, value] = [0, 1].map(|part| both.clone().narrow(1, part * heads, heads));
        [query.expand([batch, heads, 1, each]), key, value]
    }

    /// Multiply-accumulates for `count` tokens.
    fn macs(&self, count: usize) -> Macs {
        let [width, _] = self.out_proj.weight.lazy_shape().dims();
        let projections = (2 + 2 * count) * width * width;
        Macs { conv_and_linear: projections as u64 + self.mlp.macs(1), attention: 2 * (count * width) as u64 }
    }
}
