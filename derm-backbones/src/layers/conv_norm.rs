use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Activation, BatchNorm2d, ChannelsLastConv, Conv2d};
use crate::host_memory::computes_in_host_memory;

/// A convolution without bias and the batch norm behind it; folded, a convolution with bias.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network holds a hundred; their weights are the memory")]
pub(crate) enum ConvNorm {
    /// As it trains and saves.
    Separate(Separate),
    /// The norm folded into the convolution.
    Folded(Folded),
    /// The same over channels-last memory.
    ChannelsLast(ChannelsLastConv),
}

#[derive(Module, Debug)]
pub(crate) struct Separate {
    conv: Conv2d,
    norm: BatchNorm2d,
}

#[derive(Module, Debug)]
pub(crate) struct Folded {
    conv: Conv2d,
    folded_bias: Param<Tensor<1>>,
}

impl ConvNorm {
    /// `conv` must have no bias.
    pub(crate) fn new(conv: Conv2d, device: &Device) -> Self {
        let norm = BatchNorm2d::new(conv.channels_out(), device);
        Self::Separate(Separate { conv, norm })
    }

    /// [B, C, H, W] → [B, C', H', W'].
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Separate(layer) => layer.norm.forward(layer.conv.forward(images)),
            Self::Folded(layer) => layer.conv.forward_with_bias(images, Some(layer.folded_bias.val())),
            Self::ChannelsLast(conv) => conv.forward(images, None),
        }
    }

    /// As [`ConvNorm::forward`] with an activation behind it.
    pub(crate) fn forward_activated(&self, images: Tensor<4>, activation: Activation) -> Tensor<4> {
        match self {
            Self::ChannelsLast(conv) => conv.forward(images, Some(activation)),
            _ => activation.apply(self.forward(images)),
        }
    }

    /// `γ (W x − μ) / √(σ² + ε) + β = (s W) x + (β − μ s)` with `s = γ / √(σ² + ε)`.
    pub(crate) fn fold(self) -> Self {
        match self {
            Self::Separate(Separate { conv, norm }) => {
                let (scale, shift) = norm.affine();
                let folded_bias = Param::from_tensor(shift).set_require_grad(false);
                Self::Folded(Folded { conv: conv.scaled(scale), folded_bias })
            }
            folded => folded,
        }
    }

    /// As [`ConvNorm::fold`], for channels-last memory where `device` computes in the host's memory.
    pub(crate) fn fold_channels_last(self) -> Self {
        match self.fold() {
            Self::Folded(layer) if computes_in_host_memory(&layer.folded_bias.lazy_device()) => {
                Self::ChannelsLast(ChannelsLastConv::new(&layer.conv, layer.folded_bias))
            }
            folded => folded,
        }
    }

    /// Whether maps go through it with the channels last in memory.
    pub(crate) fn is_channels_last(&self) -> bool {
        matches!(self, Self::ChannelsLast(_))
    }

    /// Multiply-accumulates, and the size after it.
    pub(crate) fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        match self {
            Self::Separate(layer) => layer.conv.macs(image),
            Self::Folded(layer) => layer.conv.macs(image),
            Self::ChannelsLast(conv) => conv.macs(image),
        }
    }
}
