use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor};

use crate::blocks::average_pool;

/// Scales each channel by what all channels hold on average: `x · σ(W₂ silu(W₁ mean(x) + b₁) + b₂)`.
///
/// # Source
/// Hu et al. 2018, "Squeeze-and-excitation networks", with `EfficientNet`'s `SiLU`; torchvision
/// `SqueezeExcitation`, timm `SqueezeExcite`, which both publish the two layers as 1×1 convolutions.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation {
    reduce: Linear,
    expand: Linear,
}

impl SqueezeExcitation {
    /// Weights Kaiming-normal over the fan out with gain √2 and biases 0, as torchvision and timm.
    pub(crate) fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        Self { reduce: linear(channels, squeezed, device), expand: linear(squeezed, channels, device) }
    }

    /// [B, C, H, W] → [B, C, H, W].
    pub(crate) fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels, ..] = map.dims();
        let squeezed = silu(self.reduce.forward(average_pool(map.clone())));
        let scale = sigmoid(self.expand.forward(squeezed));
        map * scale.reshape([batch, channels, 1, 1])
    }

    /// Multiply-accumulates of one image.
    pub(crate) fn macs(&self) -> u64 {
        2 * self.reduce.weight.lazy_shape().num_elements() as u64
    }
}

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let initializer = Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true };
    let linear = LinearConfig::new(inputs, outputs).with_initializer(initializer).init(device);
    Linear { bias: Some(Initializer::Zeros.init([outputs], device)), ..linear }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    use super::SqueezeExcitation;

    /// f32 arithmetic against f64.
    const F32_NOISE: f64 = 1e-6;

    /// Two channels squeezed to one, by hand.
    #[test]
    fn channels_are_scaled_by_the_formula() {
        let device = Device::default();
        let mut layer = SqueezeExcitation::new(2, 1, &device);
        layer.reduce.weight = Param::from_tensor(Tensor::from_floats([[0.5], [-0.25]], &device));
        layer.reduce.bias = Some(Param::from_tensor(Tensor::from_floats([0.1], &device)));
        layer.expand.weight = Param::from_tensor(Tensor::from_floats([[2.0, -1.0]], &device));
        layer.expand.bias = Some(Param::from_tensor(Tensor::from_floats([0.3, -0.2], &device)));
        let pixels = [[1.0, 2.0, 3.0, 6.0], [-1.0, 0.0, 4.0, 1.0]];
        let map = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 6.0]], [[-1.0, 0.0], [4.0, 1.0]]]], &device);
        let got: Vec<f64> = layer.forward(map).into_data().iter::<f64>().collect();

        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let hidden: f64 = 0.5 * 3.0 - 0.25 * 1.0 + 0.1;
        let hidden = hidden * sigmoid(hidden);
        let scales = [sigmoid(2.0 * hidden + 0.3), sigmoid(-hidden - 0.2)];
        let expected = pixels.iter().zip(scales).flat_map(|(row, scale)| row.map(|x| x * scale));
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < F32_NOISE, "{got} and {expected}");
        }
        assert_eq!(layer.macs(), 4);
    }
}
