use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Conv2d, ConvNorm, DropPath, SqueezeExcitation};

/// Configuration of an [`InvertedResidual`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct InvertedResidualConfig {
    pub(crate) channels_in: usize,
    /// Channels between the two 1×1 convolutions; the first one is left out where they are `channels_in`.
    pub(crate) hidden: usize,
    pub(crate) channels_out: usize,
    /// Side of the depthwise kernel.
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Channels that squeeze-excitation squeezes to; none without it.
    pub(crate) squeezed: Option<usize>,
    pub(crate) activation: Activation,
    /// Probability that the branch is dropped in training.
    pub(crate) drop_path: f64,
}

/// A narrow residual block that is wide inside: 1×1 convolution, depthwise convolution, squeeze-excitation where it
/// has it, 1×1 convolution without activation; added to its input where size and channels stay.
///
/// # Source
/// Sandler et al. 2018, "`MobileNetV2`: inverted residuals and linear bottlenecks".
#[derive(Module, Debug)]
pub(crate) struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze_excitation: Option<SqueezeExcitation>,
    project: ConvNorm,
    drop_path: DropPath,
    residual: bool,
    #[module(skip)]
    activation: Activation,
}

impl InvertedResidualConfig {
    pub(crate) fn init(self, device: &Device) -> InvertedResidual {
        let Self { channels_in, hidden, channels_out, kernel, stride, .. } = self;
        let pointwise = |channels_in, channels_out| {
            ConvNorm::new(Conv2d::new(channels_in, channels_out, 1, 1, device), device)
        };
        InvertedResidual {
            expand: (hidden != channels_in).then(|| pointwise(channels_in, hidden)),
            depthwise: ConvNorm::new(Conv2d::depthwise(hidden, kernel, stride, device), device),
            squeeze_excitation: self
                .squeezed
                .map(|squeezed| SqueezeExcitation::new(hidden, squeezed, device)),
            project: pointwise(hidden, channels_out),
            drop_path: DropPath::new(self.drop_path),
            residual: stride == 1 && channels_in == channels_out,
            activation: self.activation,
        }
    }
}

impl InvertedResidual {
    /// [B, C, H, W] → [B, C', ⌈H / stride⌉, ⌈W / stride⌉].
    pub(crate) fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let mut branch = map.clone();
        if let Some(expand) = &self.expand {
            branch = self.activation.apply(expand.forward(branch));
        }
        branch = self.activation.apply(self.depthwise.forward(branch));
        if let Some(squeeze_excitation) = &self.squeeze_excitation {
            branch = squeeze_excitation.forward(branch);
        }
        branch = self.project.forward(branch);
        if self.residual { map + self.drop_path.forward(branch) } else { branch }
    }

    /// Whether it begins with a 1×1 convolution.
    pub(crate) fn expands(&self) -> bool {
        self.expand.is_some()
    }

    pub(crate) fn fold(self) -> Self {
        Self {
            expand: self.expand.map(ConvNorm::fold),
            depthwise: self.depthwise.fold(),
            project: self.project.fold(),
            ..self
        }
    }

    /// Multiply-accumulates, and the size after it.
    pub(crate) fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        let expand = self.expand.as_ref().map_or(0, |expand| expand.macs(image).0);
        let (depthwise, size) = self.depthwise.macs(image);
        let squeeze = self.squeeze_excitation.as_ref().map_or(0, SqueezeExcitation::macs);
        (expand + depthwise + squeeze + self.project.macs(size).0, size)
    }
}
