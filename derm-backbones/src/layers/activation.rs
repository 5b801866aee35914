use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu};

use super::rational;
use crate::host_memory::{computes_in_host_memory, records};

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
    /// On an autodiff device and on an accelerator Burn's own; in the host's memory what takes least time there, the
    /// same within rounding.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let device = x.device();
        if device.is_autodiff() || !computes_in_host_memory(&device) { self.burns(x) } else { self.hosts(x) }
    }

    fn burns<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            // what other runtimes' operations are made of; above 6 the rounding of x stays
            Self::Relu6 if records(&x.device()) => relu(x.clone()) - relu(x - 6.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => {
                let twice = gelu_tanh_argument(x.clone()) * 2.0;
                x * sigmoid(twice)
            }
        }
    }

    fn hosts<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            // a clamp to both sides is not vectorised there
            Self::Relu6 => relu(x).clamp_max(6.0),
            Self::Silu => {
                let half = x * 0.5;
                (rational::tanh(half.clone()) + 1.0) * half
            }
            Self::Gelu => (rational::erf(x.clone() * FRAC_1_SQRT_2) + 1.0) * (x * 0.5),
            Self::GeluTanh => (rational::tanh(gelu_tanh_argument(x.clone())) + 1.0) * (x * 0.5),
        }
    }
}

/// y of `x/2 · (1 + tanh y) = x · σ(2y)`: `√(2/π) (x + 0.044715 x³)`, in fewer passes than Burn's
/// `gelu_approximate`, which takes a power for the cube.
fn gelu_tanh_argument<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    // √(2/π)
    let slope = FRAC_1_SQRT_2 * FRAC_2_SQRT_PI;
    let square = x.clone() * x.clone();
    (square * (slope * 0.044_715) + slope) * x
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::gelu_approximate;
    use burn::tensor::{Device, Tensor};

    use super::Activation;

    /// Rounding of a handful of operations on values up to 8.
    const F32_NOISE: f32 = 3e-6;

    fn values() -> Tensor<1> {
        let values: Vec<f32> = (-400..=400).map(|i| i as f32 / 50.0).collect();
        Tensor::from_floats(values.as_slice(), &Device::default())
    }

    fn close(got: Tensor<1>, expected: Tensor<1>) {
        let difference = (got - expected).abs().max().into_scalar::<f32>();
        assert!(difference < F32_NOISE, "{difference}");
    }

    #[test]
    fn gelu_with_tanh_is_burns() {
        close(Activation::GeluTanh.burns(values()), gelu_approximate(values()));
        close(Activation::GeluTanh.apply(values().autodiff()).inner(), gelu_approximate(values()));
    }

    #[test]
    fn in_the_hosts_memory_every_activation_is_the_same() {
        for activation in
            [Activation::Relu, Activation::Relu6, Activation::Silu, Activation::Gelu, Activation::GeluTanh]
        {
            close(activation.hosts(values()), activation.burns(values()));
            close(activation.apply(values()), activation.burns(values()));
        }
    }
}
