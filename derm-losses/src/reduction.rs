use burn::tensor::Tensor;
use derm_core::Targets;
use serde::{Deserialize, Serialize};

use crate::target_expectation::target_weights;

/// How the N per-sample losses ℓ become one number. The normaliser is part of the name, because libraries
/// differ in it as soon as classes have weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// `Σ ℓ / Σ_n w(target_n)`: torch's `mean` with class weights, and focal's `alpha_sum`. The weight of a
    /// soft target is `Σ_c q_c w_c`. Without class weights it equals [`Reduction::BatchMean`]. NaN where every
    /// sample of the batch has weight 0, as in torch.
    WeightedMean,
    /// `Σ ℓ / N`, class weights or not.
    BatchMean,
    /// `Σ ℓ`.
    Sum,
}

impl Reduction {
    /// Reduces `per_sample` `[N]`; `target_weights` `[N]` are the class weights of the targets, if there are any.
    pub(crate) fn reduce(self, per_sample: Tensor<1>, target_weights: Option<Tensor<1>>) -> Tensor<1> {
        match (self, target_weights) {
            (Self::WeightedMean, Some(weights)) => per_sample.sum() / weights.sum(),
            (Self::WeightedMean, None) | (Self::BatchMean, _) => per_sample.mean(),
            (Self::Sum, _) => per_sample.sum(),
        }
    }

    /// The factor by which the reduced loss of `part` enters that of the batch that `parts` make up, `[1]`:
    /// the part's normaliser over the whole's. `class_weights` `[C]` are those of the loss, if there are any.
    pub(crate) fn share(
        self,
        class_weights: Option<&Tensor<1>>,
        part: &Targets,
        parts: &[Targets],
    ) -> Tensor<1> {
        match (self, class_weights) {
            (Self::WeightedMean, Some(weights)) => {
                let sum = |targets| target_weights(weights, targets).sum();
                let whole = parts.iter().map(sum).reduce(|sum, part| sum + part);
                let part = sum(part);
                // Without parts there is nothing to share.
                whole.map_or_else(|| part.ones_like(), |whole| part.clone() / whole)
            }
            (Self::WeightedMean, None) | (Self::BatchMean, _) => part.share_of(parts),
            (Self::Sum, _) => part.share_of(parts).ones_like(),
        }
    }
}
