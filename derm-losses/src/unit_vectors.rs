use burn::tensor::Tensor;

use crate::log_probability::widened;

/// The square root of sums of squares, with gradient 0 at 0 as torch's `norm`.
pub(crate) fn norm<const D: usize>(squares: Tensor<D>) -> Tensor<D> {
    let zero = squares.clone().equal_scalar(0.0);
    squares.mask_fill(zero.clone(), 1.0).sqrt().mask_fill(zero, 0.0)
}

/// `x / max(‖x‖₂, epsilon)` along `dim`, as torch's `normalize`, except that a zero vector has gradient 0.
pub(crate) fn unit_vectors<const D: usize>(x: Tensor<D>, dim: usize, epsilon: f64) -> Tensor<D> {
    let norm = norm(x.clone().square().sum_dim(dim));
    let zero = norm.clone().equal_scalar(0.0).expand(x.shape());
    (x / norm.clamp_min(epsilon)).mask_fill(zero, 0.0)
}

/// Features [B, ..] of any rank as one vector a sample, [B, D].
pub(crate) fn flattened<const D: usize>(features: Tensor<D>) -> Tensor<2> {
    let batch = features.dims()[0];
    let width = features.shape().num_elements() / batch.max(1);
    widened(features.reshape([batch, width]))
}
