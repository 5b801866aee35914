use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::module::batch_norm_train;
use burn::tensor::{Device, Tensor};

use super::norm_in_f32;

/// torch's default: running ← (1 − m) running + m batch.
const MOMENTUM: f64 = 0.1;
/// torch's default, added to the variance.
const EPSILON: f64 = 1e-5;

/// Batch normalisation of images as torch has it: `y = γ (x − μ) / √(σ² + ε) + β` for each channel.
///
/// On an autodiff device μ and σ² are the batch's, and the running statistics follow with momentum 0.1; without
/// autodiff, or frozen, they are the running ones. So they are for a single value a channel (one image of one pixel),
/// which has no variance: torch refuses it, here the running statistics stay as they were.
///
/// Two things differ from `burn::nn::BatchNorm`: the running variance takes the **unbiased** batch variance, as
/// torch's does (Burn stores the biased one, so that weights trained here would normalise a little differently
/// in torch); and the running statistics are current after every forward pass, where Burn's lag by one until
/// the next, so that a checkpoint written between two steps holds all of the past.
///
/// # Shapes
/// [B, C, H, W] → [B, C, H, W].
///
/// # Source
/// Ioffe and Szegedy 2015; torch `BatchNorm2d`.
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
    training: Param<Flag>,
}

impl BatchNorm2d {
    /// γ = 1, β = 0, running mean 0 and variance 1 for `channels` channels.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            training: Param::from_bool(true),
        }
    }

    /// Normalises [B, C, H, W].
    ///
    /// # Panics
    /// When the channels are not the layer's.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = images.dims();
        let several = batch * height * width > 1;
        norm_in_f32(images, |images| self.normalize(images, several))
    }

    fn normalize(&self, images: Tensor<4>, several: bool) -> Tensor<4> {
        if images.device().is_autodiff() && self.training.is_enabled() && several {
            self.forward_train(images)
        } else {
            self.forward_running(images)
        }
    }

    /// Two passes over the images instead of four.
    fn forward_running(&self, images: Tensor<4>) -> Tensor<4> {
        let (scale, shift) = self.affine();
        let channels = scale.dims()[0];
        images * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1])
    }

    /// The layer with its running statistics as `x · s + t`: `s = γ / √(σ² + ε)` and `t = β − μ s`, both [C].
    pub(crate) fn affine(&self) -> (Tensor<1>, Tensor<1>) {
        let weight = self.weight.val();
        let device = weight.device();
        let mean = self.running_mean.value().to_device(&device);
        let variance = self.running_var.value().to_device(&device);
        let scale = weight / (variance + EPSILON).sqrt();
        let shift = self.bias.val() - mean * scale.clone();
        (scale, shift)
    }

    fn forward_train(&self, images: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = images.dims();
        let values = (batch * height * width) as f64;
        let unbiased = values / (values - 1.0);
        let normalized = batch_norm_train(images, self.weight.val(), self.bias.val(), EPSILON);
        follow(&self.running_mean, normalized.mean, 1.0);
        follow(&self.running_var, normalized.variance, unbiased);
        normalized.output
    }
}

/// running ← (1 − m) running + m · factor · batch, at once.
fn follow(running: &RunningState<Tensor<1>>, batch: Tensor<1>, factor: f64) {
    let batch = batch.detach() * (MOMENTUM * factor);
    running.update((running.value_sync() * (1.0 - MOMENTUM) + batch).detach());
    // Burn keeps an update aside until the next read on this thread; reading now makes it the value.
    let _ = running.value_sync();
}
