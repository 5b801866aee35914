use burn::tensor::Tensor;

use crate::Targets;

/// A loss over class logits.
///
/// The class axis is the last; any leading axes ([B, C], [B, T, V], …) flatten, in row-major order, to the
/// N samples of the targets.
///
/// ```
/// use burn::tensor::{Tensor, activation::log_softmax};
/// use derm_core::{Criterion, Targets};
///
/// /// −log p_t, the plain cross-entropy.
/// struct NegativeLogLikelihood;
///
/// impl Criterion for NegativeLogLikelihood {
///     fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
///         let num_classes = logits.dims()[D - 1];
///         let logits: Tensor<2> = logits.reshape([-1, num_classes as i32]);
///         let picked = log_softmax(logits, 1) * targets.to_distributions(num_classes);
///         picked.sum_dim(1).squeeze_dim::<1>(1).neg()
///     }
///     fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
///         self.per_sample(logits, targets).mean()
///     }
///     fn at(&self, _progress: f64) -> Self {
///         Self
///     }
/// }
/// ```
pub trait Criterion {
    /// The loss of each sample, with class weights applied where there are any: logits `[.., C]` → `[N]`.
    ///
    /// # Panics
    /// May panic, as Burn's layers do, when shapes disagree.
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1>;

    /// The reduced loss: logits `[.., C]` → `[1]`. The implementation states its normaliser.
    ///
    /// # Panics
    /// As [`Criterion::per_sample`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1>;

    /// The factor by which the reduced loss of a part enters that of a larger batch → `[1]`: `parts` are the targets
    /// of all parts of that batch, `part` is one of them, and `Σ share(part) · forward(part) = forward(whole)`.
    ///
    /// By default the share of its samples, which is right for a mean over the batch. A criterion with another
    /// normaliser (the sum of class weights, or none) says its own.
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        part.share_of(parts)
    }

    /// The criterion at a point of training, for schedules of γ or deferred re-weighting. `progress` is the
    /// share of the optimizer steps that are done, in [0, 1]. A criterion without a schedule returns itself.
    fn at(&self, progress: f64) -> Self
    where
        Self: Sized;
}
