use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, FloatDType, Tensor};

use crate::target_expectation::class_mask;

/// Half-precision values are widened to f32: sums of exponentials need its range and its digits.
pub(crate) fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(FloatDType::F32),
        _ => tensor,
    }
}

/// Logits [.., C] as samples [N, C], in row-major order of the leading axes.
pub(crate) fn samples<const D: usize>(logits: Tensor<D>) -> Tensor<2> {
    let num_classes = logits.dims()[D - 1];
    let num_samples = logits.shape().num_elements() / num_classes.max(1);
    widened(logits.reshape([num_samples, num_classes]))
}

/// `log p` of logits [.., C] → [N, C].
pub(crate) fn log_probabilities<const D: usize>(logits: Tensor<D>) -> Tensor<2> {
    log_softmax(samples(logits), 1)
}

/// `1 − e^{−x}` for x ≥ 0, as `tanh(x/2) (1 + e^{−x})`: without cancellation near 0, where Burn has no `expm1`.
pub(crate) fn one_minus_exp_neg<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (x.clone() * 0.5).tanh() * (x.neg().exp() + 1.0)
}

/// `log(1 − p)` from `log p`, shapes [N, C].
///
/// Only the largest probability of a row can exceed 1/2. For every other class `log1p(−p)` is exact; for the
/// largest one `1 − p` is the sum of the others, so that nothing cancels as p → 1 and the gradient is finite.
pub(crate) fn log_complements(log_p: Tensor<2>) -> Tensor<2> {
    let [num_samples, num_classes] = log_p.dims();
    let constant = log_p.clone().without_autodiff();
    let is_largest = class_mask(constant.clone().argmax(1).squeeze_dim(1), num_classes);

    let shift = constant.mask_fill(is_largest.clone(), f32::NEG_INFINITY).max_dim(1);
    let others = (log_p.clone() - shift.clone()).mask_fill(is_largest.clone(), f32::NEG_INFINITY).exp();
    let of_largest = (others.sum_dim(1).log() + shift).expand([num_samples, num_classes]);

    // The mask keeps p = 1 out of log1p, whose gradient there is infinite.
    let of_others = log_p.exp().mask_fill(is_largest.clone(), 0.0).neg().log1p();
    of_others.mask_where(is_largest, of_largest)
}
