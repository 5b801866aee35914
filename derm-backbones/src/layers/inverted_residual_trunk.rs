use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_core::StageSpec;

use super::{Activation, Conv2d, ConvNorm, InvertedResidual, InvertedResidualConfig};
use crate::{LayerGroup, Macs};

/// A stage of an [`InvertedResidualTrunk`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrunkStage {
    /// Factor of the channels between the two 1×1 convolutions of a block.
    pub(crate) expansion: usize,
    /// Side of the depthwise kernel.
    pub(crate) kernel: usize,
    /// Stride of the first block.
    pub(crate) stride: usize,
    pub(crate) channels: usize,
    pub(crate) depth: usize,
}

/// Configuration of an [`InvertedResidualTrunk`].
#[derive(Debug, Clone)]
pub(crate) struct InvertedResidualTrunkConfig {
    /// Channels of the stem.
    pub(crate) stem: usize,
    pub(crate) stages: Vec<TrunkStage>,
    /// Channels of the last convolution.
    pub(crate) head: usize,
    pub(crate) activation: Activation,
    /// Squeeze-excitation to this part of a block's input channels; none without it.
    pub(crate) squeeze: Option<usize>,
    /// Probability that a branch is dropped grows from 0 by this over the number of all blocks, block by block.
    pub(crate) stochastic_depth: f64,
}

/// The trunk that `MobileNetV2` and `EfficientNet` share: a 3×3 stem of stride 2, stages of inverted residual blocks,
/// a last 1×1 convolution.
///
/// Stages and layer groups have timm's names: `bn1` is the stem behind norm and activation, `blocks.0` and on are the
/// stages, `bn2` is the last convolution behind norm and activation.
#[derive(Module, Debug)]
pub(crate) struct InvertedResidualTrunk {
    stem: ConvNorm,
    stages: Vec<Vec<InvertedResidual>>,
    head: ConvNorm,
    #[module(skip)]
    activation: Activation,
}

impl InvertedResidualTrunkConfig {
    /// The taps, in forward order.
    pub(crate) fn stage_specs(&self) -> Vec<StageSpec> {
        let mut stride = 2;
        let mut stages = vec![StageSpec { name: "bn1".to_owned(), channels: self.stem, stride }];
        for (index, stage) in self.stages.iter().enumerate() {
            stride *= stage.stride;
            stages.push(StageSpec { name: format!("blocks.{index}"), channels: stage.channels, stride });
        }
        stages.push(StageSpec { name: "bn2".to_owned(), channels: self.head, stride });
        stages
    }

    pub(crate) fn init(&self, device: &Device) -> InvertedResidualTrunk {
        let count: usize = self.stages.iter().map(|stage| stage.depth).sum();
        let mut channels = self.stem;
        let mut index = 0_usize;
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let mut blocks = Vec::with_capacity(stage.depth);
            for block in 0..stage.depth {
                let config = InvertedResidualConfig {
                    channels_in: channels,
                    hidden: channels * stage.expansion,
                    channels_out: stage.channels,
                    kernel: stage.kernel,
                    stride: if block == 0 { stage.stride } else { 1 },
                    squeezed: self.squeeze.map(|part| (channels / part).max(1)),
                    activation: self.activation,
                    drop_path: self.stochastic_depth * index as f64 / count as f64,
                };
                blocks.push(config.init(device));
                channels = stage.channels;
                index += 1;
            }
            stages.push(blocks);
        }
        InvertedResidualTrunk {
            stem: ConvNorm::new(Conv2d::new(3, self.stem, 3, 2, device), device),
            stages,
            head: ConvNorm::new(Conv2d::new(channels, self.head, 1, 1, device), device),
            activation: self.activation,
        }
    }
}

impl InvertedResidualTrunk {
    fn blocks(&self) -> impl Iterator<Item = &InvertedResidual> {
        self.stages.iter().flatten()
    }

    /// Whether this block begins with a 1×1 convolution.
    pub(crate) fn expands(&self, stage: usize, block: usize) -> bool {
        self.stages.get(stage).and_then(|blocks| blocks.get(block)).is_some_and(InvertedResidual::expands)
    }

    /// Blocks of the stages before this one.
    pub(crate) fn blocks_before(&self, stage: usize) -> usize {
        self.stages.iter().take(stage).map(Vec::len).sum()
    }

    /// Number of stages.
    pub(crate) fn num_stages(&self) -> usize {
        self.stages.len()
    }

    /// Stem, blocks of all stages, last convolution.
    pub(crate) fn num_blocks(&self) -> usize {
        self.blocks().count() + 2
    }

    /// Block `index` of the chain.
    pub(crate) fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        match index.checked_sub(1).map(|index| self.blocks().nth(index)) {
            None => self.activation.apply(self.stem.forward(state)),
            Some(Some(block)) => block.forward(state),
            Some(None) => self.activation.apply(self.head.forward(state)),
        }
    }

    /// The block behind which the map of this stage of the spec lies.
    pub(crate) fn stage_block(&self, stage: usize) -> usize {
        self.blocks_before(stage) + usize::from(stage > self.stages.len())
    }

    pub(crate) fn fold(self) -> Self {
        let stages = self.stages.into_iter();
        let stages = stages.map(|blocks| blocks.into_iter().map(InvertedResidual::fold).collect());
        Self { stem: self.stem.fold(), stages: stages.collect(), head: self.head.fold(), ..self }
    }

    /// Multiply-accumulates of one image.
    pub(crate) fn macs(&self, image: [usize; 2]) -> Macs {
        let (mut total, mut size) = self.stem.macs(image);
        for block in self.blocks() {
            let (macs, after) = block.macs(size);
            total += macs;
            size = after;
        }
        Macs { conv_and_linear: total + self.head.macs(size).0, attention: 0 }
    }

    /// `conv_stem`, every block such as `blocks.1.0`, `conv_head`; `prefix` is the trunk's path in the network.
    pub(crate) fn layer_groups(&self, prefix: &str) -> Vec<LayerGroup> {
        let blocks = self.stages.iter().enumerate().flat_map(|(stage, blocks)| {
            (0..blocks.len()).map(move |block| {
                let name = format!("blocks.{stage}.{block}");
                LayerGroup::new(name, [format!("{prefix}.stages.{stage}.{block}")])
            })
        });
        let stem = LayerGroup::new("conv_stem", [format!("{prefix}.stem")]);
        let head = LayerGroup::new("conv_head", [format!("{prefix}.head")]);
        std::iter::once(stem).chain(blocks).chain([head]).collect()
    }
}
