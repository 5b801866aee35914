use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, Taps};
use serde::{Deserialize, Serialize};

use crate::blocks::{average_pool, forward_blocks};
use crate::error::check_multiplier;
use crate::layers::{
    Activation, InvertedResidualTrunk, InvertedResidualTrunkConfig, TrunkStage, round_channels,
};
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs};

/// Channels of the stem at width 1.
const STEM: f64 = 32.0;
/// Channels of the last convolution at width 1 and below.
const HEAD: f64 = 1280.0;
/// Expansion, channels at width 1, blocks and stride of each stage: table 2 of the paper.
const STAGES: [(usize, f64, usize, usize); 7] = [
    (1, 16.0, 1, 1),
    (6, 24.0, 2, 2),
    (6, 32.0, 3, 2),
    (6, 64.0, 4, 2),
    (6, 96.0, 3, 1),
    (6, 160.0, 3, 2),
    (6, 320.0, 1, 1),
];

/// A `MobileNetV2`, as data.
///
/// | field | purpose | range |
/// |---|---|---|
/// | `width_multiplier` | factor of all channels, which are rounded to multiples of 8 | (0, 8] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2Config {
    /// Factor of all channels, which are rounded to multiples of 8. The last convolution keeps 1280 channels below
    /// a factor of 1.
    pub width_multiplier: f64,
}

impl MobileNetV2Config {
    /// The network of this width: 1.0 is torchvision's `mobilenet_v2` and timm's `mobilenetv2_100`.
    pub fn new(width_multiplier: f64) -> Self {
        Self { width_multiplier }
    }

    /// Dropout before the last layer as torchvision trains it: a value for
    /// [`HeadConfig::dropout`](crate::HeadConfig::dropout).
    pub fn published_dropout(&self) -> f64 {
        0.2
    }

    /// The architecture's name as timm writes it: `mobilenetv2_` and the width in percent.
    pub fn architecture(&self) -> String {
        format!("mobilenetv2_{:03.0}", self.width_multiplier * 100.0)
    }

    /// Checks the width.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn validate(&self) -> Result<(), Error> {
        check_multiplier("width_multiplier", self.width_multiplier)
    }

    fn trunk(&self) -> InvertedResidualTrunkConfig {
        let width = self.width_multiplier;
        let stages = STAGES.map(|(expansion, channels, depth, stride)| {
            let channels = round_channels(channels * width);
            TrunkStage { expansion, kernel: 3, stride, channels, depth }
        });
        InvertedResidualTrunkConfig {
            stem: round_channels(STEM * width),
            stages: stages.to_vec(),
            head: round_channels(HEAD * width.max(1.0)),
            activation: Activation::Relu6,
            squeeze: None,
            stochastic_depth: 0.0,
        }
    }

    /// The encoder's description, without building it: 224 of 256 pixels, bilinear, as torchvision's first weights
    /// (`IMAGENET1K_V1`) expect them. Its second weights want 224 of 232, timm's bicubic interpolation.
    ///
    /// # Errors
    /// As [`MobileNetV2Config::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let trunk = self.trunk();
        let input = ImageInput {
            size: 224,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bilinear,
            crop_pct: 0.875,
        };
        Ok(BackboneSpec::new(self.architecture(), trunk.head, trunk.stage_specs(), input))
    }

    /// The encoder with fresh weights: convolutions Kaiming-normal over the fan out with gain √2, norms 1 and 0. The
    /// fan out of a depthwise convolution is that of one channel, as in timm; torchvision takes all channels
    /// together. The weights follow from the device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`MobileNetV2Config::validate`].
    pub fn init(&self, device: &Device) -> Result<MobileNetV2, Error> {
        let spec = self.spec()?;
        Ok(MobileNetV2 { trunk: self.trunk().init(device), spec })
    }
}

/// `MobileNetV2` encoder: stem, stages of inverted residual blocks, a last 1×1 convolution, global average pooling;
/// `ReLU6` throughout.
///
/// Stages are tapped by timm's names: `bn1` is the stem behind norm and activation, `blocks.0` to `blocks.6` are the
/// stages, `bn2` is the last convolution behind norm and activation.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::MobileNetV2Config;
/// use derm_core::{Backbone, Taps};
///
/// let device = Device::default();
/// let network = MobileNetV2Config::new(0.25).init(&device)?;
/// let features = network.forward_features(Tensor::zeros([2, 3, 32, 32], &device), &Taps::stages(["blocks.2"]));
/// assert_eq!(features.pooled.dims(), [2, 1280]);
/// assert_eq!(features.map("blocks.2").unwrap().dims(), [2, 8, 4, 4]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Sandler et al. 2018, "`MobileNetV2`: inverted residuals and linear bottlenecks"; torchvision `mobilenetv2.py` and
/// timm `mobilenetv2_100`, whose outputs the tests compare with.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    trunk: InvertedResidualTrunk,
    #[module(skip)]
    spec: BackboneSpec,
}

impl MobileNetV2 {
    pub(crate) fn trunk(&self) -> &InvertedResidualTrunk {
        &self.trunk
    }
}

impl Backbone for MobileNetV2 {
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
impl Blocks for MobileNetV2 {
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

impl CountMacs for MobileNetV2 {
    fn macs(&self, image: [usize; 2]) -> Macs {
        self.trunk.macs(image)
    }
}

/// `conv_stem`, then every block under timm's name, such as `blocks.1.0`, then `conv_head`.
impl LayerGroups for MobileNetV2 {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        self.trunk.layer_groups("trunk")
    }
}
