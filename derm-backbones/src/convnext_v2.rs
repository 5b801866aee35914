use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use derm_core::{
    Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Taps,
};
use serde::{Deserialize, Serialize};

use crate::blocks::{average_pool, forward_blocks};
use crate::error::{check_stages, check_stochastic_depth};
use crate::layers::{Activation, Conv2d, DropPath, ForwardInF32, Grn, normal_linear_weights};
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs};

/// Side of the stem's patches.
const PATCH: usize = 4;
/// Width of a block's inner layer a channel.
const EXPANSION: usize = 4;
/// Side of the depthwise kernel.
const KERNEL: usize = 7;
/// Of all layer norms.
const EPSILON: f64 = 1e-6;
/// Standard deviation of the initial weights.
const WEIGHT_STD: f64 = 0.02;

/// How timm publishes the two pointwise layers of a block. What they compute is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointwiseLayers {
    /// As 1×1 convolutions, weights [out, in, 1, 1]: atto, femto, pico, nano.
    Convolution,
    /// As linear layers, weights [out, in]: tiny and larger. transformers and the authors have them so at all sizes.
    Linear,
}

/// A `ConvNeXt` V2, as data. The named variants are the authors'.
///
/// | field | purpose | range |
/// |---|---|---|
/// | `depths` | blocks a stage | one entry or more, each ≥ 1 |
/// | `widths` | channels a stage | as many as depths, each ≥ 1 |
/// | `stochastic_depth` | rate at which the last block's branch is dropped in training | [0, 1) |
/// | `pointwise_layers` | how timm publishes the pointwise layers | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNextV2Config {
    /// Blocks of each stage. The first has a quarter of the image's size, every other one halves it.
    pub depths: Vec<usize>,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// The branch of block i of n is dropped with this probability times i / (n − 1), i from 0.
    pub stochastic_depth: f64,
    /// How timm publishes the pointwise layers.
    pub pointwise_layers: PointwiseLayers,
}

impl ConvNextV2Config {
    fn published(
        depths: [usize; 4],
        width: usize,
        stochastic_depth: f64,
        pointwise_layers: PointwiseLayers,
    ) -> Self {
        let widths = (0..depths.len()).map(|stage| width << stage).collect();
        Self { depths: depths.to_vec(), widths, stochastic_depth, pointwise_layers }
    }

    /// Atto: 3.4 M parameters.
    pub fn atto() -> Self {
        Self::published([2, 2, 6, 2], 40, 0.1, PointwiseLayers::Convolution)
    }

    /// Femto: 4.8 M parameters.
    pub fn femto() -> Self {
        Self::published([2, 2, 6, 2], 48, 0.1, PointwiseLayers::Convolution)
    }

    /// Pico: 8.6 M parameters.
    pub fn pico() -> Self {
        Self::published([2, 2, 6, 2], 64, 0.1, PointwiseLayers::Convolution)
    }

    /// Nano: 15.0 M parameters.
    pub fn nano() -> Self {
        Self::published([2, 2, 8, 2], 80, 0.1, PointwiseLayers::Convolution)
    }

    /// Tiny: 27.9 M parameters.
    pub fn tiny() -> Self {
        Self::published([3, 3, 9, 3], 96, 0.2, PointwiseLayers::Linear)
    }

    /// Base: 87.7 M parameters.
    pub fn base() -> Self {
        Self::published([3, 3, 27, 3], 128, 0.1, PointwiseLayers::Linear)
    }

    /// The architecture's name: the published one, or depths and widths.
    pub fn architecture(&self) -> String {
        let named = [
            ("convnextv2_atto", Self::atto()),
            ("convnextv2_femto", Self::femto()),
            ("convnextv2_pico", Self::pico()),
            ("convnextv2_nano", Self::nano()),
            ("convnextv2_tiny", Self::tiny()),
            ("convnextv2_base", Self::base()),
        ];
        let shape = |config: &Self| (config.depths.clone(), config.widths.clone());
        named.iter().find(|(_, config)| shape(config) == shape(self)).map_or_else(
            || {
                let list =
                    |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
                format!("convnextv2_{}_{}", list(&self.depths), list(&self.widths))
            },
            |(name, _)| (*name).to_owned(),
        )
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Sizes`] for an empty list or a 0, [`Error::Stages`] for lists of different lengths,
    /// [`Error::OutOfRange`] for the stochastic depth.
    pub fn validate(&self) -> Result<(), Error> {
        check_stages(&self.depths, &self.widths)?;
        check_stochastic_depth(self.stochastic_depth)
    }

    /// The encoder's description, without building it: 224 of 256 pixels, bicubic, as timm's and transformers'
    /// weights expect them (`fcmae_ft_in1k` and `fcmae_ft_in22k_in1k` at 224 pixels).
    ///
    /// # Errors
    /// As [`ConvNextV2Config::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let width = |stage: usize| self.widths.get(stage).copied().unwrap_or_default();
        let stem = StageSpec { name: "stem".to_owned(), channels: width(0), stride: PATCH };
        let stages = (0..self.widths.len()).map(|stage| StageSpec {
            name: format!("stages.{stage}"),
            channels: width(stage),
            stride: PATCH << stage,
        });
        let input = ImageInput {
            size: 224,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bicubic,
            crop_pct: 0.875,
        };
        let stages = std::iter::once(stem).chain(stages).collect();
        Ok(BackboneSpec::new(self.architecture(), width(self.widths.len() - 1), stages, input))
    }

    /// The encoder with fresh weights: convolutions and linear layers normal with deviation 0.02 (the authors
    /// truncate at ±2, a hundred deviations), biases 0, layer norms 1 and 0, GRN 0 and 0. The weights follow from the
    /// device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`ConvNextV2Config::validate`].
    pub fn init(&self, device: &Device) -> Result<ConvNextV2, Error> {
        let spec = self.spec()?;
        let count: usize = self.depths.iter().sum();
        let mut channels = self.widths.first().copied().unwrap_or_default();
        let stem = Stem {
            conv: Conv2d::patches(3, channels, PATCH, device).with_normal_weights(WEIGHT_STD, device),
            norm: layer_norm(channels, device),
        };
        let mut index = 0;
        let mut stages = Vec::with_capacity(self.depths.len());
        for (stage, (&depth, &width)) in self.depths.iter().zip(&self.widths).enumerate() {
            let downsample = (stage > 0).then(|| Downsample {
                norm: layer_norm(channels, device),
                conv: Conv2d::patches(channels, width, 2, device).with_normal_weights(WEIGHT_STD, device),
            });
            channels = width;
            let mut blocks = Vec::with_capacity(depth);
            for _ in 0..depth {
                let rate = DropPath::linear_rate(self.stochastic_depth, index, count);
                blocks.push(Block::new(channels, rate, device));
                index += 1;
            }
            stages.push(Stage { downsample, blocks });
        }
        let norm = layer_norm(channels, device);
        let network = ConvNextV2 { stem, stages, norm, pointwise_layers: self.pointwise_layers, spec };
        Ok(normal_linear_weights(network, WEIGHT_STD))
    }
}

/// `ConvNeXt` V2 encoder: a stem of 4×4 patches, stages of blocks with a depthwise 7×7 convolution and global
/// response normalisation, global average pooling and a layer norm, whose output are the pooled features.
///
/// Stages are tapped by timm's names: `stem`, `stages.0` to `stages.3`.
///
/// An image's sides should be multiples of 32: what is left over at the right and the lower edge is not seen.
///
/// # Panics
/// The forward pass and the count of multiply-accumulates panic on an image that is smaller than the stride of the
/// last stage, 32 pixels.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{ConvNextV2Config, PointwiseLayers};
/// use derm_core::{Backbone, Taps};
///
/// let device = Device::default();
/// let small = ConvNextV2Config {
///     depths: vec![1, 1],
///     widths: vec![8, 16],
///     stochastic_depth: 0.0,
///     pointwise_layers: PointwiseLayers::Linear,
/// };
/// let network = small.init(&device)?;
/// let features = network.forward_features(Tensor::zeros([2, 3, 32, 32], &device), &Taps::stages(["stages.1"]));
/// assert_eq!(features.pooled.dims(), [2, 16]);
/// assert_eq!(features.map("stages.1").unwrap().dims(), [2, 16, 4, 4]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Woo et al. 2023, "`ConvNeXt` V2: co-designing and scaling `ConvNets` with masked autoencoders"; timm `convnext.py`,
/// whose outputs the tests compare with. The rates of stochastic depth are those that the authors' `TRAINING.md`
/// gives for fine-tuning atto, tiny and base; femto, pico and nano have atto's. timm has 0 unless asked.
#[derive(Module, Debug)]
pub struct ConvNextV2 {
    stem: Stem,
    stages: Vec<Stage>,
    norm: LayerNorm,
    #[module(skip)]
    pointwise_layers: PointwiseLayers,
    #[module(skip)]
    spec: BackboneSpec,
}

impl ConvNextV2 {
    /// How timm publishes the pointwise layers.
    pub fn pointwise_layers(&self) -> PointwiseLayers {
        self.pointwise_layers
    }

    /// Stage and number in it of each block, in forward order.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(stage, blocks)| (0..blocks.blocks.len()).map(move |block| (stage, block)))
    }
}

impl Backbone for ConvNextV2 {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

/// Stem, then the blocks of all stages; the first of a stage downsamples before it.
impl Blocks for ConvNextV2 {
    fn num_blocks(&self) -> usize {
        1 + self.places().count()
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        match index.checked_sub(1).map(|index| self.places().nth(index)) {
            None => self.stem.forward(state),
            Some(None) => state,
            Some(Some((stage, block))) => self.stages[stage].forward_block(block, state),
        }
    }

    fn stage_block(&self, stage: usize) -> usize {
        self.stages.iter().take(stage).map(|stage| stage.blocks.len()).sum()
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(self.norm.forward_in_f32(average_pool(state)))
    }
}

impl CountMacs for ConvNextV2 {
    fn macs(&self, image: [usize; 2]) -> Macs {
        let (mut total, mut size) = self.stem.conv.macs(image);
        for stage in &self.stages {
            if let Some(downsample) = &stage.downsample {
                let (macs, after) = downsample.conv.macs(size);
                total += macs;
                size = after;
            }
            total += stage.blocks.iter().map(|block| block.macs(size)).sum::<u64>();
        }
        Macs { conv_and_linear: total, attention: 0 }
    }
}

/// `stem`, every block under timm's name, such as `stages.1.blocks.0` with the downsampling before it, `head.norm`.
impl LayerGroups for ConvNextV2 {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let blocks = self.places().map(|(stage, block)| {
            let name = format!("stages.{stage}.blocks.{block}");
            let downsample = (block == 0).then(|| format!("stages.{stage}.downsample"));
            LayerGroup::new(name.clone(), downsample.into_iter().chain([name]))
        });
        let norm = LayerGroup::new("head.norm", ["norm"]);
        std::iter::once(LayerGroup::new("stem", ["stem"])).chain(blocks).chain([norm]).collect()
    }
}

#[derive(Module, Debug)]
struct Stem {
    conv: Conv2d,
    norm: LayerNorm,
}

impl Stem {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        channels_first(self.norm.forward_in_f32(channels_last(self.conv.forward(images))))
    }
}

#[derive(Module, Debug)]
struct Stage {
    downsample: Option<Downsample>,
    blocks: Vec<Block>,
}

impl Stage {
    fn forward_block(&self, index: usize, map: Tensor<4>) -> Tensor<4> {
        let map = match &self.downsample {
            Some(downsample) if index == 0 => downsample.forward(map),
            _ => map,
        };
        self.blocks[index].forward(map)
    }
}

/// Half the size: layer norm over channels, then a convolution of 2×2 patches.
#[derive(Module, Debug)]
struct Downsample {
    norm: LayerNorm,
    conv: Conv2d,
}

impl Downsample {
    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        self.conv.forward(channels_first(self.norm.forward_in_f32(channels_last(map))))
    }
}

/// `x + W₂ grn(gelu(W₁ norm(depthwise(x))))`.
///
/// Behind the depthwise convolution the map lies channels last: layer norm, linear layers and GRN then run over
/// contiguous channels, and the pointwise layers are one matrix product each.
#[derive(Module, Debug)]
struct Block {
    conv_dw: Conv2d,
    norm: LayerNorm,
    fc1: Linear,
    grn: Grn,
    fc2: Linear,
    drop_path: DropPath,
}

impl Block {
    fn new(channels: usize, drop_path: f64, device: &Device) -> Self {
        let hidden = EXPANSION * channels;
        let conv_dw = Conv2d::depthwise(channels, KERNEL, 1, device).with_bias(device);
        Self {
            conv_dw: conv_dw.with_normal_weights(WEIGHT_STD, device),
            norm: layer_norm(channels, device),
            fc1: LinearConfig::new(channels, hidden).init(device),
            grn: Grn::new(hidden, device),
            fc2: LinearConfig::new(hidden, channels).init(device),
            drop_path: DropPath::new(drop_path),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let branch = self.norm.forward_in_f32(channels_last(self.conv_dw.forward(map.clone())));
        let branch = self.grn.forward(Activation::Gelu.apply(self.fc1.forward(branch)));
        let branch = channels_first(self.fc2.forward(branch));
        map + self.drop_path.forward(branch)
    }

    fn macs(&self, size: [usize; 2]) -> u64 {
        let pointwise =
            self.fc1.weight.lazy_shape().num_elements() + self.fc2.weight.lazy_shape().num_elements();
        self.conv_dw.macs(size).0 + (size[0] * size[1] * pointwise) as u64
    }
}

fn layer_norm(channels: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(channels).with_epsilon(EPSILON).init(device)
}

/// [B, C, H, W] → [B, H, W, C].
fn channels_last(map: Tensor<4>) -> Tensor<4> {
    map.permute([0, 2, 3, 1])
}

/// [B, H, W, C] → [B, C, H, W].
fn channels_first(map: Tensor<4>) -> Tensor<4> {
    map.permute([0, 3, 1, 2])
}
