use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use derm_core::{
    Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Taps,
};
use serde::{Deserialize, Serialize};

use crate::blocks::{average_pool, forward_blocks};
use crate::error::check_stages;
use crate::layers::{Activation, Conv2d, ConvNorm, max_pool_of_relu};
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs};

/// The residual block that a `ResNet` repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Two 3×3 convolutions (`ResNet`-18 and -34).
    Basic,
    /// 1×1, 3×3 and 1×1 to four times the width; the stride sits on the 3×3 (`ResNet`-50 and deeper, "v1.5").
    Bottleneck,
}

impl BlockKind {
    /// Output channels a unit of width.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// What comes before the first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// 7×7 convolution of stride 2 and 3×3 max pooling of stride 2: a quarter of the size. torchvision.
    Conv7x7,
    /// 3×3 convolution of stride 1 without pooling, for small images. `MedMNIST`.
    Conv3x3,
}

impl Stem {
    fn stride(self) -> usize {
        match self {
            Self::Conv7x7 => 4,
            Self::Conv3x3 => 1,
        }
    }

    /// 224 pixels with `ImageNet`'s statistics as torchvision's weights expect them; 28 pixels with mean and
    /// deviation ½ as `MedMNIST`'s do.
    fn input(self) -> ImageInput {
        let interpolation = Interpolation::Bilinear;
        match self {
            Self::Conv7x7 => ImageInput {
                size: 224,
                normalization: Normalization::IMAGENET,
                interpolation,
                crop_pct: 0.875,
            },
            Self::Conv3x3 => {
                ImageInput { size: 28, normalization: Normalization::HALF, interpolation, crop_pct: 1.0 }
            }
        }
    }
}

/// A `ResNet`, as data. The named variants are torchvision's and `MedMNIST`'s.
///
/// | field | purpose | range |
/// |---|---|---|
/// | `block` | residual block | |
/// | `depths` | blocks a stage | one entry or more, each ≥ 1 |
/// | `widths` | width a stage; the first is the stem's too | as many as depths, each ≥ 1 |
/// | `stem` | what comes before the first stage | |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Residual block.
    pub block: BlockKind,
    /// Blocks of each stage. The first stage keeps the size, every other one halves it.
    pub depths: Vec<usize>,
    /// Width of each stage; its channels are the width times [`BlockKind::expansion`]. The stem has the first.
    pub widths: Vec<usize>,
    /// What comes before the first stage.
    pub stem: Stem,
}

impl ResNetConfig {
    fn published(block: BlockKind, depths: [usize; 4], stem: Stem) -> Self {
        Self { block, depths: depths.to_vec(), widths: vec![64, 128, 256, 512], stem }
    }

    /// `ResNet`-18 with this stem.
    pub fn resnet18(stem: Stem) -> Self {
        Self::published(BlockKind::Basic, [2, 2, 2, 2], stem)
    }

    /// `ResNet`-34 with this stem.
    pub fn resnet34(stem: Stem) -> Self {
        Self::published(BlockKind::Basic, [3, 4, 6, 3], stem)
    }

    /// `ResNet`-50 with this stem.
    pub fn resnet50(stem: Stem) -> Self {
        Self::published(BlockKind::Bottleneck, [3, 4, 6, 3], stem)
    }

    /// `ResNet`-101 with this stem.
    pub fn resnet101(stem: Stem) -> Self {
        Self::published(BlockKind::Bottleneck, [3, 4, 23, 3], stem)
    }

    /// The architecture's name: the published one, or block, depths and widths.
    pub fn architecture(&self) -> String {
        let named = [
            ("resnet18", Self::resnet18(self.stem)),
            ("resnet34", Self::resnet34(self.stem)),
            ("resnet50", Self::resnet50(self.stem)),
            ("resnet101", Self::resnet101(self.stem)),
        ];
        let base = named.iter().find(|(_, config)| config == self).map_or_else(
            || {
                let block = match self.block {
                    BlockKind::Basic => "basic",
                    BlockKind::Bottleneck => "bottleneck",
                };
                let list =
                    |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
                format!("resnet_{block}_{}_{}", list(&self.depths), list(&self.widths))
            },
            |(name, _)| (*name).to_owned(),
        );
        match self.stem {
            Stem::Conv7x7 => base,
            Stem::Conv3x3 => format!("{base}_28"),
        }
    }

    /// Checks depths and widths.
    ///
    /// # Errors
    /// [`Error::Sizes`] for an empty list or a 0, [`Error::Stages`] for lists of different lengths.
    pub fn validate(&self) -> Result<(), Error> {
        check_stages(&self.depths, &self.widths)
    }

    /// The encoder's description, without building it.
    ///
    /// # Errors
    /// As [`ResNetConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let channels = |width: usize| width * self.block.expansion();
        let stages = self.widths.iter().enumerate().map(|(i, &width)| StageSpec {
            name: format!("layer{}", i + 1),
            channels: channels(width),
            stride: self.stem.stride() << i,
        });
        let embedding = self.widths.last().map_or(0, |&width| channels(width));
        Ok(BackboneSpec::new(self.architecture(), embedding, stages.collect(), self.stem.input()))
    }

    /// The encoder with fresh weights: convolutions Kaiming-normal over the fan out with gain √2, norms 1 and 0,
    /// as torchvision. The weights follow from the device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`ResNetConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<ResNet, Error> {
        let spec = self.spec()?;
        let stem_width = self.widths.first().copied().unwrap_or_default();
        let (kernel, stride) = match self.stem {
            Stem::Conv7x7 => (7, 2),
            Stem::Conv3x3 => (3, 1),
        };
        let max_pool = matches!(self.stem, Stem::Conv7x7).then(|| {
            MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init()
        });
        let mut channels = stem_width;
        let mut stages = Vec::with_capacity(self.depths.len());
        for (index, (&depth, &width)) in self.depths.iter().zip(&self.widths).enumerate() {
            let mut blocks = Vec::with_capacity(depth);
            for block in 0..depth {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Block::new(self.block, channels, width, stride, device));
                channels = width * self.block.expansion();
            }
            stages.push(Stage { blocks });
        }
        let network = ResNet {
            conv1: ConvNorm::new(Conv2d::new(3, stem_width, kernel, stride, device), device),
            max_pool,
            stages,
            stem: self.stem,
            spec,
        };
        Ok(network)
    }
}

/// `ResNet` encoder: stem, stages of residual blocks, global average pooling.
///
/// Stages are tapped by their published names, `layer1`, `layer2`, …
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{BlockKind, ResNetConfig, Stem};
/// use derm_core::{Backbone, Taps};
///
/// let device = Device::default();
/// let small = ResNetConfig {
///     block: BlockKind::Basic, depths: vec![1, 1], widths: vec![8, 16], stem: Stem::Conv3x3,
/// };
/// let network = small.init(&device)?;
/// let features = network.forward_features(Tensor::zeros([2, 3, 16, 16], &device), &Taps::stages(["layer2"]));
/// assert_eq!(features.pooled.dims(), [2, 16]);
/// assert_eq!(features.map("layer2").unwrap().dims(), [2, 16, 8, 8]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// He et al. 2016, "Deep residual learning for image recognition"; torchvision `resnet.py` and `MedMNIST`'s
/// `models.py`, whose outputs the tests compare with.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: ConvNorm,
    max_pool: Option<MaxPool2d>,
    stages: Vec<Stage>,
    #[module(skip)]
    stem: Stem,
    #[module(skip)]
    spec: BackboneSpec,
}

impl ResNet {
    /// What comes before the first stage; it also decides how the weights are named.
    pub fn stem(&self) -> Stem {
        self.stem
    }

    fn residual_blocks(&self) -> impl Iterator<Item = &Block> {
        self.stages.iter().flat_map(|stage| &stage.blocks)
    }

    fn map_convolutions(self, fold: fn(ConvNorm) -> ConvNorm) -> Self {
        let blocks =
            |stage: Stage| stage.blocks.into_iter().map(|block| block.map_convolutions(fold)).collect();
        let stages = self.stages.into_iter().map(|stage| Stage { blocks: blocks(stage) }).collect();
        Self { conv1: fold(self.conv1), stages, ..self }
    }
}

impl Backbone for ResNet {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }

    fn fold_batch_norm(self) -> Self {
        self.map_convolutions(ConvNorm::fold_channels_last)
    }

    fn fold_for_export(self) -> Self {
        self.map_convolutions(ConvNorm::fold)
    }
}

/// Stem, then the residual blocks of all stages.
impl Blocks for ResNet {
    fn num_blocks(&self) -> usize {
        1 + self.residual_blocks().count()
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        match index.checked_sub(1).map(|index| self.residual_blocks().nth(index)) {
            None => {
                let map = self.conv1.forward_activated(state, Activation::Relu);
                match &self.max_pool {
                    None => map,
                    Some(_) if self.conv1.is_channels_last() => max_pool_of_relu(map),
                    Some(max_pool) => max_pool.forward(map),
                }
            }
            Some(None) => state,
            Some(Some(block)) => block.forward(state),
        }
    }

    fn stage_block(&self, stage: usize) -> usize {
        self.stages.iter().take(stage + 1).map(|stage| stage.blocks.len()).sum()
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(average_pool(state))
    }
}

impl CountMacs for ResNet {
    fn macs(&self, image: [usize; 2]) -> Macs {
        let (mut total, mut size) = self.conv1.macs(image);
        if self.max_pool.is_some() {
            size = size.map(|side| side.div_ceil(2));
        }
        for block in self.residual_blocks() {
            let (macs, after) = block.macs(size);
            total += macs;
            size = after;
        }
        Macs { conv_and_linear: total, attention: 0 }
    }
}

/// `stem`, then every residual block under its published name, such as `layer1.0`.
impl LayerGroups for ResNet {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let blocks = self.stages.iter().enumerate().flat_map(|(stage, blocks)| {
            (0..blocks.blocks.len()).map(move |block| {
                LayerGroup::new(
                    format!("layer{}.{block}", stage + 1),
                    [format!("stages.{stage}.blocks.{block}")],
                )
            })
        });
        std::iter::once(LayerGroup::new("stem", ["conv1"])).chain(blocks).collect()
    }
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
}

/// A residual block: `relu(F(x) + shortcut(x))`.
#[derive(Module, Debug)]
struct Block {
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv3: Option<ConvNorm>,
    /// Where the block changes size or channels: a strided 1×1 convolution.
    downsample: Option<ConvNorm>,
}

impl Block {
    fn new(kind: BlockKind, channels_in: usize, width: usize, stride: usize, device: &Device) -> Self {
        let channels_out = width * kind.expansion();
        let conv = |channels_in, channels_out, kernel, stride| {
            ConvNorm::new(Conv2d::new(channels_in, channels_out, kernel, stride, device), device)
        };
        let downsample =
            (stride != 1 || channels_in != channels_out).then(|| conv(channels_in, channels_out, 1, stride));
        match kind {
            BlockKind::Basic => Self {
                conv1: conv(channels_in, width, 3, stride),
                conv2: conv(width, width, 3, 1),
                conv3: None,
                downsample,
            },
            BlockKind::Bottleneck => Self {
                conv1: conv(channels_in, width, 1, 1),
                conv2: conv(width, width, 3, stride),
                conv3: Some(conv(width, channels_out, 1, 1)),
                downsample,
            },
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            None => map.clone(),
            Some(downsample) => downsample.forward(map.clone()),
        };
        let map = self.conv1.forward_activated(map, Activation::Relu);
        let map = match &self.conv3 {
            None => self.conv2.forward(map),
            Some(conv3) => conv3.forward(self.conv2.forward_activated(map, Activation::Relu)),
        };
        if self.conv1.is_channels_last() {
            // in the order of the memory
            let [map, shortcut] = [map, shortcut].map(|map| map.permute([0, 2, 3, 1]));
            relu(map + shortcut).permute([0, 3, 1, 2])
        } else {
            relu(map + shortcut)
        }
    }

    fn map_convolutions(self, fold: fn(ConvNorm) -> ConvNorm) -> Self {
        Self {
            conv1: fold(self.conv1),
            conv2: fold(self.conv2),
            conv3: self.conv3.map(fold),
            downsample: self.downsample.map(fold),
        }
    }

    fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        let shortcut = self.downsample.as_ref().map_or(0, |downsample| downsample.macs(image).0);
        let chain = [Some(&self.conv1), Some(&self.conv2), self.conv3.as_ref()];
        chain.into_iter().flatten().fold((shortcut, image), |(total, size), conv| {
            let (macs, size) = conv.macs(size);
            (total + macs, size)
        })
    }
}
