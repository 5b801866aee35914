use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{BatchNorm2d, Conv2d};

/// A convolution without bias and the batch norm behind it; folded, a convolution with bias.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    /// None once it is folded.
    norm: Option<BatchNorm2d>,
    /// What folding leaves of the norm, beside the scaled weights.
    folded_bias: Option<Param<Tensor<1>>>,
}

impl ConvNorm {
    /// `conv` must have no bias.
    pub(crate) fn new(conv: Conv2d, device: &Device) -> Self {
        let norm = BatchNorm2d::new(conv.channels_out(), device);
        Self { conv, norm: Some(norm), folded_bias: None }
    }

    /// [B, C, H, W] → [B, C', H', W'].
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            Some(norm) => norm.forward(self.conv.forward(images)),
            None => self.conv.forward_with_bias(images, self.folded_bias.as_ref().map(Param::val)),
        }
    }

    /// `γ (W x − μ) / √(σ² + ε) + β = (s W) x + (β − μ s)` with `s = γ / √(σ² + ε)`.
    pub(crate) fn fold(self) -> Self {
        let Some(norm) = &self.norm else { return self };
        let (scale, shift) = norm.affine();
        let shift = Param::from_tensor(shift).set_require_grad(false);
        Self { conv: self.conv.scaled(scale), norm: None, folded_bias: Some(shift) }
    }

    /// Multiply-accumulates, and the size after it.
    pub(crate) fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        self.conv.macs(image)
    }

    /// Output channels.
    pub(crate) fn channels_out(&self) -> usize {
        self.conv.channels_out()
    }
}
