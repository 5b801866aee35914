use burn::tensor::Tensor;
use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use burn::tensor::activation::{gelu, relu, sigmoid, silu};

/// An element-wise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · σ(x)`, also called swish.
    Silu,
    /// `x · Φ(x)` through erf: torch's default.
    Gelu,
    /// GELU with tanh in place of erf, as `SigLIP` has it (`gelu_pytorch_tanh`).
    GeluTanh,
}

impl Activation {
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
        }
    }
}

/// `x/2 · (1 + tanh y) = x · σ(2y)` with `y = √(2/π) (x + 0.044715 x³)`, in fewer passes than Burn's
/// `gelu_approximate`, which takes a power for the cube.
fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    // 2 √(2/π)
    let slope = SQRT_2 * FRAC_2_SQRT_PI;
    let square = x.clone() * x.clone();
    let twice = (square * (slope * 0.044_715) + slope) * x.clone();
    x * sigmoid(twice)
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::gelu_approximate;
    use burn::tensor::{Device, Tensor};

    use super::Activation;

    /// Rounding of a handful of operations on values up to 8.
    const F32_NOISE: f32 = 2e-6;

    #[test]
    fn gelu_with_tanh_is_burns() {
        let values: Vec<f32> = (-400..=400).map(|i| i as f32 / 50.0).collect();
        let x = Tensor::<1>::from_floats(values.as_slice(), &Device::default());
        let expected = gelu_approximate(x.clone());
        let difference = (Activation::GeluTanh.apply(x) - expected).abs().max().into_scalar::<f32>();
        assert!(difference < F32_NOISE, "{difference}");
    }
}
