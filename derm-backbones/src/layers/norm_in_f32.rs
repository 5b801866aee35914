use burn::nn::LayerNorm;
use burn::tensor::{DType, FloatDType, Tensor};

/// `norm` of the input in single precision: half-precision input is widened, and what comes out narrowed again. Means
/// and variances of half-precision numbers lose what a norm is for.
pub(crate) fn norm_in_f32<const D: usize>(
    input: Tensor<D>,
    norm: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    match input.dtype() {
        half @ (DType::F16 | DType::BF16) => norm(input.cast(FloatDType::F32)).cast(FloatDType::from(half)),
        _ => norm(input),
    }
}

/// A norm whose weights stay in single precision where the network's are halved, see
/// [`HalfPrecision::copy_of`](crate::HalfPrecision::copy_of).
pub trait ForwardInF32 {
    /// Normalises `[.., D]` in single precision, and gives back the input's type.
    fn forward_in_f32<const D: usize>(&self, input: Tensor<D>) -> Tensor<D>;
}

impl ForwardInF32 for LayerNorm {
    fn forward_in_f32<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        norm_in_f32(input, |input| self.forward(input))
    }
}
