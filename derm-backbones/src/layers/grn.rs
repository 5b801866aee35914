use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::norm_in_f32;

/// Added to the mean of the channels' norms.
const EPSILON: f64 = 1e-6;

/// Global response normalisation, which lets the channels of an image compete:
/// `y = x + γ · (x · n) + β` with `n = ‖x‖ / (mean over channels of ‖x‖ + ε)`, where `‖x‖` is the Euclidean norm of
/// a channel over all pixels of an image.
///
/// Where a channel is 0 everywhere, its norm passes no gradient, as in torch.
///
/// # Shapes
/// [B, H, W, C] → [B, H, W, C].
///
/// # Source
/// Woo et al. 2023, "`ConvNeXt` V2", equations 1 to 3 and algorithm 1; timm `GlobalResponseNorm`.
#[derive(Module, Debug)]
pub(crate) struct Grn {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl Grn {
    /// γ = 0 and β = 0: it starts as the identity.
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        let zeros = || Initializer::Zeros.init([channels], device);
        Self { weight: zeros(), bias: zeros() }
    }

    pub(crate) fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        norm_in_f32(map, |map| self.normalize(map))
    }

    fn normalize(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = map.dims();
        let pixels: Tensor<3> = map.reshape([batch, height * width, channels]);
        let squares = (pixels.clone() * pixels.clone()).sum_dim(1);
        // the slope of the root at 0 is infinite
        let norms = squares.clamp_min(f32::MIN_POSITIVE).sqrt();
        let relative = norms.clone() / (norms.mean_dim(2) + EPSILON);
        let scale = self.weight.val().reshape([1, 1, channels]) * relative + 1.0;
        let pixels = pixels * scale + self.bias.val().reshape([1, 1, channels]);
        pixels.reshape([batch, height, width, channels])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Device, Tensor, TensorData};

    use super::Grn;

    /// f32 arithmetic against f64.
    const F32_NOISE: f64 = 1e-6;
    const CHANNELS: usize = 3;
    const PIXELS: usize = 4;

    fn layer(device: &Device) -> Grn {
        Grn {
            weight: Param::from_tensor(Tensor::from_floats([0.5, -1.0, 2.0], device)),
            bias: Param::from_tensor(Tensor::from_floats([0.1, 0.2, -0.3], device)),
        }
    }

    /// Two images whose last channel is 0 in the second.
    fn values() -> Vec<f64> {
        let value = |i: usize| ((i * 37 + 11) % 17) as f64 / 8.0 - 1.0;
        let dead = |i: usize| i >= PIXELS * CHANNELS && i % CHANNELS == 2;
        (0..2 * PIXELS * CHANNELS).map(|i| if dead(i) { 0.0 } else { value(i) }).collect()
    }

    fn map(device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values(), [2, 2, PIXELS / 2, CHANNELS]), device)
    }

    #[test]
    fn channels_compete_by_the_formula() {
        let device = Device::default();
        let got: Vec<f64> = layer(&device).forward(map(&device)).into_data().iter::<f64>().collect();
        let (weight, bias) = ([0.5, -1.0, 2.0], [0.1, 0.2, -0.3]);
        for (image, got) in values().chunks(PIXELS * CHANNELS).zip(got.chunks(PIXELS * CHANNELS)) {
            let norm = |channel: usize| -> f64 {
                (0..PIXELS).map(|pixel| image[pixel * CHANNELS + channel].powi(2)).sum::<f64>().sqrt()
            };
            let mean = (0..CHANNELS).map(norm).sum::<f64>() / CHANNELS as f64;
            for (index, (x, got)) in image.iter().zip(got).enumerate() {
                let channel = index % CHANNELS;
                let relative = norm(channel) / (mean + 1e-6);
                let expected = x + weight[channel] * (x * relative) + bias[channel];
                assert!((got - expected).abs() < F32_NOISE, "{got} and {expected}");
            }
        }
    }

    #[test]
    fn a_dead_channel_has_finite_gradients() {
        let device = Device::default().autodiff();
        for map in [map(&device), Tensor::zeros([1, 2, 2, CHANNELS], &device)] {
            let map = map.require_grad();
            let output = layer(&device).forward(map.clone());
            let gradients = (output.clone() * output).sum().backward();
            let gradient = map.grad(&gradients).unwrap();
            assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
        }
    }

    #[test]
    fn it_starts_as_the_identity() {
        let device = Device::default();
        let got = Grn::new(CHANNELS, &device).forward(map(&device));
        assert_eq!(got.into_data(), map(&device).into_data());
    }
}
