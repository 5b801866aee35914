use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, Taps};
use serde::{Deserialize, Serialize};

use crate::blocks::{average_pool, forward_blocks};
use crate::error::{check_input, check_multiplier, check_stochastic_depth};
use crate::layers::{
    Activation, InvertedResidualTrunk, InvertedResidualTrunkConfig, TrunkStage, round_channels,
};
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs};

/// Channels of the stem at width 1.
const STEM: f64 = 32.0;
/// Expansion, kernel, channels at width 1, blocks at depth 1 and stride of each stage: table 1 of the paper.
const STAGES: [(usize, usize, f64, f64, usize); 7] = [
    (1, 3, 16.0, 1.0, 1),
    (6, 3, 24.0, 2.0, 2),
    (6, 5, 40.0, 2.0, 2),
    (6, 3, 80.0, 3.0, 2),
    (6, 5, 112.0, 3.0, 1),
    (6, 5, 192.0, 4.0, 2),
    (6, 3, 320.0, 1.0, 1),
];
/// Channels of the last convolution a channel of the last stage.
const HEAD: usize = 4;
/// Squeeze-excitation squeezes to this part of a block's input channels.
const SQUEEZE: usize = 4;

/// An `EfficientNet`, as data: one network scaled in width, depth and image size together. The named variants are
/// torchvision's.
///
/// | field | purpose | range |
/// |---|---|---|
/// | `width_multiplier` | factor of all channels, which are rounded to multiples of 8 | (0, 8] |
/// | `depth_multiplier` | factor of the blocks of each stage, rounded up | (0, 8] |
/// | `stochastic_depth` | rate at which the last blocks' branches are dropped in training | [0, 1) |
/// | `input` | the image it expects | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetConfig {
    /// Factor of all channels, which are rounded to multiples of 8.
    pub width_multiplier: f64,
    /// Factor of the blocks of each stage, rounded up.
    pub depth_multiplier: f64,
    /// The branch of block i of n is dropped with this probability times i / n, i from 0. Published: 0.2.
    pub stochastic_depth: f64,
    /// The image it expects.
    pub input: ImageInput,
}

impl EfficientNetConfig {
    fn published(width_multiplier: f64, depth_multiplier: f64, size: usize, resize: usize) -> Self {
        let input = ImageInput {
            size,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bicubic,
            crop_pct: size as f32 / resize as f32,
        };
        Self { width_multiplier, depth_multiplier, stochastic_depth: 0.2, input }
    }

    /// `EfficientNet`-B0 at 224 of 256 pixels.
    pub fn b0() -> Self {
        Self::published(1.0, 1.0, 224, 256)
    }

    /// `EfficientNet`-B1 at 240 of 256 pixels.
    pub fn b1() -> Self {
        Self::published(1.0, 1.1, 240, 256)
    }

    /// `EfficientNet`-B2 at 288 of 288 pixels.
    pub fn b2() -> Self {
        Self::published(1.1, 1.2, 288, 288)
    }

    /// `EfficientNet`-B3 at 300 of 320 pixels.
    pub fn b3() -> Self {
        Self::published(1.2, 1.4, 300, 320)
    }

    /// The published name of these multipliers and its dropout.
    fn variant(&self) -> Option<(&'static str, f64)> {
        let named = [
            ("efficientnet_b0", 0.2, Self::b0()),
            ("efficientnet_b1", 0.2, Self::b1()),
            ("efficientnet_b2", 0.3, Self::b2()),
            ("efficientnet_b3", 0.3, Self::b3()),
        ];
        let scale = |config: &Self| (config.width_multiplier, config.depth_multiplier);
        let (name, dropout, _) = named.into_iter().find(|(.., config)| scale(config) == scale(self))?;
        Some((name, dropout))
    }

    /// Dropout before the last layer as torchvision trains it: a value for
    /// [`HeadConfig::dropout`](crate::HeadConfig::dropout). None where the multipliers are no published network's.
    pub fn published_dropout(&self) -> Option<f64> {
        self.variant().map(|(_, dropout)| dropout)
    }

    /// The architecture's name: the published one, or both multipliers.
    pub fn architecture(&self) -> String {
        self.variant().map_or_else(
            || format!("efficientnet_{}_{}", self.width_multiplier, self.depth_multiplier),
            |(name, _)| name.to_owned(),
        )
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the parameter.
    pub fn validate(&self) -> Result<(), Error> {
        check_multiplier("width_multiplier", self.width_multiplier)?;
        check_multiplier("depth_multiplier", self.depth_multiplier)?;
        check_stochastic_depth(self.stochastic_depth)?;
        check_input(&self.input)
    }

    fn trunk(&self) -> InvertedResidualTrunkConfig {
        let stages = STAGES.map(|(expansion, kernel, channels, depth, stride)| TrunkStage {
            expansion,
            kernel,
            stride,
            channels: round_channels(channels * self.width_multiplier),
            depth: (depth * self.depth_multiplier).ceil() as usize,
        });
        InvertedResidualTrunkConfig {
            stem: round_channels(STEM * self.width_multiplier),
            head: stages.last().map_or(0, |stage| HEAD * stage.channels),
            stages: stages.to_vec(),
            activation: Activation::Silu,
            squeeze: Some(SQUEEZE),
            stochastic_depth: self.stochastic_depth,
        }
    }

    /// The encoder's description, without building it. The input of a named variant is that of torchvision's first
    /// weights (`IMAGENET1K_V1`), bicubic. Others differ: torchvision's second B1 weights want 240 of 255 pixels,
    /// bilinear; timm's B0 weights the same as torchvision's, timm's B1 to B3 other sizes, and its B1 other statistics.
    ///
    /// # Errors
    /// As [`EfficientNetConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let trunk = self.trunk();
        Ok(BackboneSpec::new(self.architecture(), trunk.head, trunk.stage_specs(), self.input))
    }

    /// The encoder with fresh weights: convolutions Kaiming-normal over the fan out with gain √2, norms 1 and 0. The
    /// fan out of a depthwise convolution is that of one channel, as in timm; torchvision takes all channels
    /// together. The weights follow from the device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`EfficientNetConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<EfficientNet, Error> {
        let spec = self.spec()?;
        Ok(EfficientNet { trunk: self.trunk().init(device), spec })
    }
}

/// `EfficientNet` encoder: stem, stages of inverted residual blocks with squeeze-excitation, a last 1×1 convolution,
/// global average pooling; `SiLU` throughout.
///
/// Stages are tapped by timm's names: `bn1` is the stem behind norm and activation, `blocks.0` to `blocks.6` are the
/// stages, `bn2` is the last convolution behind norm and activation.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::EfficientNetConfig;
/// use derm_core::{Backbone, Taps};
///
/// let device = Device::default();
/// let small = EfficientNetConfig { width_multiplier: 0.25, depth_multiplier: 0.3, ..EfficientNetConfig::b0() };
/// let network = small.init(&device)?;
/// let features = network.forward_features(Tensor::zeros([2, 3, 32, 32], &device), &Taps::stages(["blocks.2"]));
/// assert_eq!(features.pooled.dims(), [2, 320]);
/// assert_eq!(features.map("blocks.2").unwrap().dims(), [2, 16, 4, 4]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Tan and Le 2019, "`EfficientNet`: rethinking model scaling for convolutional neural networks"; torchvision
/// `efficientnet.py` and timm `efficientnet_b0`, whose outputs the tests compare with. The norms' ε is torch's 1e-5
/// there; networks converted from TensorFlow (`tf_efficientnet_*`) have 1e-3 and another padding and are not meant.
#[derive(Module, Debug)]
pub struct EfficientNet {
    trunk: InvertedResidualTrunk,
    #[module(skip)]
    spec: BackboneSpec,
}

impl EfficientNet {
    pub(crate) fn trunk(&self) -> &InvertedResidualTrunk {
        &self.trunk
    }
}

impl Backbone for EfficientNet {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }

    fn fold_batch_norm(self) -> Self {
        Self { trunk: self.trunk.fold(), ..self }
    }
}

/// Stem, then the inverted residual blocks of all stages, then the last convolution.
impl Blocks for EfficientNet {
    fn num_blocks(&self) -> usize {
        self.trunk.num_blocks()
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        self.trunk.block(index, state)
    }

    fn stage_block(&self, stage: usize) -> usize {
        self.trunk.stage_block(stage)
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(average_pool(state))
    }
}

impl CountMacs for EfficientNet {
    fn macs(&self, image: [usize; 2]) -> Macs {
        self.trunk.macs(image)
    }
}

/// `conv_stem`, then every block under timm's name, such as `blocks.1.0`, then `conv_head`.
impl LayerGroups for EfficientNet {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        self.trunk.layer_groups("trunk")
    }
}
