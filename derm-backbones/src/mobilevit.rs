use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use derm_core::{
    Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Taps,
};
use serde::{Deserialize, Serialize};

use crate::blocks::{average_pool, forward_blocks};
use crate::error::{check_count, check_dropout, check_heads, check_sizes};
use crate::layers::{
    Activation, Conv2d, ConvNorm, ForwardInF32, InvertedResidual, InvertedResidualConfig, TransformerBlock,
    TransformerBlockConfig, bilinear, normal_linear_weights, round_channels,
};
use crate::{Blocks, CountMacs, Error, LayerGroup, LayerGroups, Macs};

/// Channels of the stem.
const STEM: usize = 16;
/// Inverted residual blocks of each stage.
const DEPTHS: [usize; 5] = [1, 3, 1, 1, 1];
/// The first stage that ends in a transformer; all after it do too.
const FIRST_TRANSFORMER: usize = 2;
/// Side of a patch: its pixels are in as many grids of tokens that do not see one another.
const PATCH: usize = 2;
/// Width of a transformer's inner layer a token channel.
const EXPANSION: usize = 2;
/// Of the transformers' layer norms.
const EPSILON: f64 = 1e-5;
/// Deviation of the linear layers' initial weights.
const WEIGHT_STD: f64 = 0.02;

/// A `MobileViT`, as data. The named variants are the authors'.
///
/// | field | purpose | range |
/// |---|---|---|
/// | `widths` | channels of the five stages | each ≥ 1 |
/// | `expansion` | factor of the channels inside inverted residual blocks | ≥ 2 |
/// | `transformer_widths` | token channels of the last three stages | each ≥ 1, multiples of `heads` |
/// | `transformer_depths` | transformer blocks of the last three stages | each ≥ 1 |
/// | `heads` | attention heads | ≥ 1 |
/// | `embedding` | channels of the last convolution | ≥ 1 |
/// | `dropout` | dropout behind the branches of transformer blocks in training | [0, 1) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileVitConfig {
    /// Channels of the five stages, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size.
    pub widths: [usize; 5],
    /// Factor of the channels inside inverted residual blocks, rounded to multiples of 8.
    pub expansion: usize,
    /// Token channels of the transformers in the last three stages.
    pub transformer_widths: [usize; 3],
    /// Transformer blocks in the last three stages.
    pub transformer_depths: [usize; 3],
    /// Attention heads.
    pub heads: usize,
    /// Channels of the last convolution, which are the pooled features'.
    pub embedding: usize,
    /// Dropout behind both branches of every transformer block in training. Published: 0.1, xxs 0.05.
    pub dropout: f64,
}

impl MobileVitConfig {
    fn published(
        widths: [usize; 5],
        expansion: usize,
        transformer_widths: [usize; 3],
        embedding: usize,
        dropout: f64,
    ) -> Self {
        let transformer_depths = [2, 4, 3];
        Self { widths, expansion, transformer_widths, transformer_depths, heads: 4, embedding, dropout }
    }

    /// `MobileViT`-XXS: 1.0 M parameters.
    pub fn xxs() -> Self {
        Self::published([16, 24, 48, 64, 80], 2, [64, 80, 96], 320, 0.05)
    }

    /// `MobileViT`-XS: 1.9 M parameters.
    pub fn xs() -> Self {
        Self::published([32, 48, 64, 80, 96], 4, [96, 120, 144], 384, 0.1)
    }

    /// `MobileViT`-S: 4.9 M parameters.
    pub fn s() -> Self {
        Self::published([32, 64, 96, 128, 160], 4, [144, 192, 240], 640, 0.1)
    }

    /// Dropout before the last layer as the authors train it: a value for
    /// [`HeadConfig::dropout`](crate::HeadConfig::dropout).
    pub fn published_dropout(&self) -> f64 {
        0.1
    }

    /// The architecture's name: the published one, or widths and token channels.
    pub fn architecture(&self) -> String {
        let named =
            [("mobilevit_xxs", Self::xxs()), ("mobilevit_xs", Self::xs()), ("mobilevit_s", Self::s())];
        let same = |config: &Self| Self { dropout: self.dropout, ..config.clone() } == *self;
        named.iter().find(|(_, config)| same(config)).map_or_else(
            || {
                let list =
                    |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
                format!("mobilevit_{}_{}", list(&self.widths), list(&self.transformer_widths))
            },
            |(name, _)| (*name).to_owned(),
        )
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Sizes`] and [`Error::OutOfRange`] naming the parameter, [`Error::Heads`] where the heads do not
    /// divide a transformer's width.
    pub fn validate(&self) -> Result<(), Error> {
        check_sizes("widths", &self.widths)?;
        check_count("expansion", self.expansion, 2, "at least 2")?;
        check_sizes("transformer_widths", &self.transformer_widths)?;
        check_sizes("transformer_depths", &self.transformer_depths)?;
        check_count("heads", self.heads, 1, "at least 1")?;
        check_count("embedding", self.embedding, 1, "at least 1")?;
        check_dropout(self.dropout)?;
        self.transformer_widths.into_iter().try_for_each(|width| check_heads(width, self.heads))
    }

    /// The encoder's description, without building it: 256 of 284 pixels, bicubic, pixels in [0, 1] as they are, as
    /// timm's weights (`cvnets_in1k`) expect them.
    ///
    /// # Errors
    /// As [`MobileVitConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.validate()?;
        let stages = self.widths.iter().enumerate().map(|(stage, &channels)| StageSpec {
            name: format!("stages.{stage}"),
            channels,
            stride: 2 << stage,
        });
        let stem = StageSpec { name: "stem".to_owned(), channels: STEM, stride: 2 };
        let stride = 1 << self.widths.len();
        let last = StageSpec { name: "final_conv".to_owned(), channels: self.embedding, stride };
        let stages = std::iter::once(stem).chain(stages).chain([last]).collect();
        let input = ImageInput {
            size: 256,
            normalization: Normalization { mean: [0.0; 3], std: [1.0; 3] },
            interpolation: Interpolation::Bicubic,
            crop_pct: 0.9,
        };
        Ok(BackboneSpec::new(self.architecture(), self.embedding, stages, input))
    }

    /// The encoder with fresh weights: convolutions Kaiming-normal over the fan out with gain √2, linear layers normal
    /// with deviation 0.02 and biases 0, norms 1 and 0, as in the authors' configuration. The weights follow from the
    /// device's random generator: seed it for a repeatable start.
    ///
    /// # Errors
    /// As [`MobileVitConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<MobileVit, Error> {
        let spec = self.spec()?;
        let mut channels = STEM;
        let mut stages = Vec::with_capacity(DEPTHS.len());
        for (index, (depth, width)) in DEPTHS.into_iter().zip(self.widths).enumerate() {
            let mut residuals = Vec::with_capacity(depth);
            for block in 0..depth {
                let config = InvertedResidualConfig {
                    channels_in: channels,
                    hidden: round_channels((channels * self.expansion) as f64),
                    channels_out: width,
                    kernel: 3,
                    stride: if index > 0 && block == 0 { 2 } else { 1 },
                    squeezed: None,
                    activation: Activation::Silu,
                    drop_path: 0.0,
                };
                residuals.push(config.init(device));
                channels = width;
            }
            let mobile = index.checked_sub(FIRST_TRANSFORMER).map(|transformer| {
                let (width, depth) =
                    (self.transformer_widths[transformer], self.transformer_depths[transformer]);
                MobileBlock::new(channels, width, depth, self, device)
            });
            stages.push(Stage { residuals, mobile });
        }
        let network = MobileVit {
            stem: ConvNorm::new(Conv2d::new(3, STEM, 3, 2, device), device),
            stages,
            final_conv: ConvNorm::new(Conv2d::new(channels, self.embedding, 1, 1, device), device),
            spec,
        };
        Ok(normal_linear_weights(network, WEIGHT_STD))
    }
}

/// `MobileViT` encoder: stem, five stages of inverted residual blocks, of which the last three end in a block that
/// runs a small transformer over patches, a last 1×1 convolution, global average pooling; `SiLU` throughout.
///
/// Stages are tapped by timm's names: `stem`, `stages.0` to `stages.4`, `final_conv`.
///
/// No attention is tapped. Each pixel of a 2×2 patch belongs to another of four grids of tokens, which attend within
/// themselves only, between convolutions that mix them: there are four maps a head, none of which says how much one
/// place of the image takes from another.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::MobileVitConfig;
/// use derm_core::{Backbone, Taps};
///
/// let device = Device::default();
/// let network = MobileVitConfig::xxs().init(&device)?;
/// let features = network.forward_features(Tensor::zeros([1, 3, 64, 32], &device), &Taps::stages(["stages.3"]));
/// assert_eq!(features.pooled.dims(), [1, 320]);
/// assert_eq!(features.map("stages.3").unwrap().dims(), [1, 64, 4, 2]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Mehta and Rastegari 2022, "`MobileViT`: light-weight, general-purpose, and mobile-friendly vision transformer"; timm
/// `mobilevit.py`, whose outputs the tests compare with. Dropout and initial weights are those of the authors' training
/// configurations (`ml-cvnets`); timm has no dropout unless asked and draws linear layers with deviation 0.01.
#[derive(Module, Debug)]
pub struct MobileVit {
    stem: ConvNorm,
    stages: Vec<Stage>,
    final_conv: ConvNorm,
    #[module(skip)]
    spec: BackboneSpec,
}

impl MobileVit {
    /// Stage and number in it of each block, in forward order.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(stage, blocks)| (0..blocks.num_blocks()).map(move |block| (stage, block)))
    }
}

impl Backbone for MobileVit {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        forward_blocks(self, images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }

    fn fold_batch_norm(self) -> Self {
        Self {
            stem: self.stem.fold(),
            stages: self.stages.into_iter().map(Stage::fold).collect(),
            final_conv: self.final_conv.fold(),
            ..self
        }
    }
}

/// Stem, then the blocks of all stages, then the last convolution.
impl Blocks for MobileVit {
    fn num_blocks(&self) -> usize {
        self.places().count() + 2
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        match index.checked_sub(1).map(|index| self.places().nth(index)) {
            None => Activation::Silu.apply(self.stem.forward(state)),
            Some(Some((stage, block))) => self.stages[stage].forward_block(block, state),
            Some(None) => Activation::Silu.apply(self.final_conv.forward(state)),
        }
    }

    fn stage_block(&self, stage: usize) -> usize {
        let last = usize::from(stage > self.stages.len());
        self.stages.iter().take(stage).map(Stage::num_blocks).sum::<usize>() + last
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(average_pool(state))
    }
}

impl CountMacs for MobileVit {
    fn macs(&self, image: [usize; 2]) -> Macs {
        let convolutions = |conv_and_linear| Macs { conv_and_linear, attention: 0 };
        let (macs, mut size) = self.stem.macs(image);
        let mut total = convolutions(macs);
        for stage in &self.stages {
            for block in &stage.residuals {
                let (macs, after) = block.macs(size);
                total += convolutions(macs);
                size = after;
            }
            total += stage.mobile.as_ref().map_or_else(Macs::default, |mobile| mobile.macs(size));
        }
        total + convolutions(self.final_conv.macs(size).0)
    }
}

/// `stem`, every block under timm's name, such as `stages.2.1`, `final_conv`.
impl LayerGroups for MobileVit {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let blocks = self.places().map(|(stage, block)| {
            let path = match self.stages[stage].residuals.get(block) {
                Some(_) => format!("stages.{stage}.residuals.{block}"),
                None => format!("stages.{stage}.mobile"),
            };
            LayerGroup::new(format!("stages.{stage}.{block}"), [path])
        });
        let last = LayerGroup::new("final_conv", ["final_conv"]);
        std::iter::once(LayerGroup::new("stem", ["stem"])).chain(blocks).chain([last]).collect()
    }
}

#[derive(Module, Debug)]
struct Stage {
    residuals: Vec<InvertedResidual>,
    mobile: Option<MobileBlock>,
}

impl Stage {
    fn num_blocks(&self) -> usize {
        self.residuals.len() + usize::from(self.mobile.is_some())
    }

    fn forward_block(&self, index: usize, map: Tensor<4>) -> Tensor<4> {
        match (self.residuals.get(index), &self.mobile) {
            (Some(block), _) => block.forward(map),
            (None, Some(mobile)) => mobile.forward(map),
            (None, None) => map,
        }
    }

    fn fold(self) -> Self {
        Self {
            residuals: self.residuals.into_iter().map(InvertedResidual::fold).collect(),
            mobile: self.mobile.map(MobileBlock::fold),
        }
    }
}

/// Convolutions around a transformer: `fuse([x, project(transformer(embed(local(x))))])`.
#[derive(Module, Debug)]
struct MobileBlock {
    local: ConvNorm,
    /// 1×1, without norm and activation.
    embed: Conv2d,
    transformer: Vec<TransformerBlock>,
    norm: LayerNorm,
    project: ConvNorm,
    fuse: ConvNorm,
}

impl MobileBlock {
    fn new(channels: usize, width: usize, depth: usize, config: &MobileVitConfig, device: &Device) -> Self {
        let conv = |channels_in, channels_out, kernel| {
            ConvNorm::new(Conv2d::new(channels_in, channels_out, kernel, 1, device), device)
        };
        let transformer = TransformerBlockConfig {
            width,
            heads: config.heads,
            hidden: EXPANSION * width,
            activation: Activation::Silu,
            epsilon: EPSILON,
            attention_dropout: 0.0,
            dropout: config.dropout,
            drop_path: 0.0,
        };
        Self {
            local: conv(channels, channels, 3),
            embed: Conv2d::new(channels, width, 1, 1, device),
            transformer: (0..depth).map(|_| transformer.init(device).without_hidden_dropout()).collect(),
            norm: LayerNormConfig::new(width).with_epsilon(EPSILON).init(device),
            project: conv(width, channels, 1),
            fuse: conv(2 * channels, channels, 3),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let local = Activation::Silu.apply(self.local.forward(map.clone()));
        let global = self.forward_transformer(self.embed.forward(local));
        let global = Activation::Silu.apply(self.project.forward(global));
        Activation::Silu.apply(self.fuse.forward(Tensor::cat(vec![map, global], 1)))
    }

    /// [B, C, H, W] → [B, C, H, W], resized to whole patches in between.
    fn forward_transformer(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = map.dims();
        let [rows, columns] = patches([height, width]);
        let even = [rows * PATCH, columns * PATCH];
        let resized = even != [height, width];
        let map = if resized { bilinear(map, even) } else { map };

        let pixels: Tensor<6> = map.reshape([batch, channels, rows, PATCH, columns, PATCH]);
        let tokens = pixels.permute([0, 3, 5, 2, 4, 1]);
        let tokens: Tensor<3> = tokens.reshape([batch * PATCH * PATCH, rows * columns, channels]);
        let tokens = self.transformer.iter().fold(tokens, |tokens, block| block.forward(tokens));
        let tokens = self.norm.forward_in_f32(tokens);
        let pixels: Tensor<6> = tokens.reshape([batch, PATCH, PATCH, rows, columns, channels]);
        let map = pixels.permute([0, 5, 3, 1, 4, 2]).reshape([batch, channels, even[0], even[1]]);

        if resized { bilinear(map, [height, width]) } else { map }
    }

    fn fold(self) -> Self {
        Self { local: self.local.fold(), project: self.project.fold(), fuse: self.fuse.fold(), ..self }
    }

    fn macs(&self, size: [usize; 2]) -> Macs {
        let convs =
            [self.local.macs(size), self.embed.macs(size), self.project.macs(size), self.fuse.macs(size)];
        let mut total = Macs { conv_and_linear: convs.iter().map(|(macs, _)| macs).sum(), attention: 0 };
        let [rows, columns] = patches(size);
        for block in &self.transformer {
            for _ in 0..PATCH * PATCH {
                total += block.macs(rows * columns);
            }
        }
        total
    }
}

/// Rows and columns of patches that cover a map.
fn patches(size: [usize; 2]) -> [usize; 2] {
    size.map(|side| side.div_ceil(PATCH))
}
