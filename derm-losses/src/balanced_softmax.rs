use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::reduction::Reduction;
use crate::{Error, LogitAdjustedLoss, LogitAdjustedLossConfig};

/// Configuration of [`BalancedSoftmaxLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `counts` | | samples of each class in the training split | ≥ 1, one a class |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalancedSoftmaxLossConfig {
    /// Samples of each class in the training split.
    pub counts: Vec<usize>,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for BalancedSoftmaxLossConfig {
    fn default() -> Self {
        Self { counts: Vec::new(), reduction: Reduction::BatchMean }
    }
}

impl BalancedSoftmaxLossConfig {
    fn logit_adjusted(&self) -> LogitAdjustedLossConfig {
        LogitAdjustedLossConfig { counts: self.counts.clone(), tau: 1.0, reduction: self.reduction }
    }

    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        self.logit_adjusted().validate(num_classes)
    }

    /// The loss, with its counts on `device`.
    ///
    /// # Errors
    /// As [`BalancedSoftmaxLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<BalancedSoftmaxLoss, Error> {
        Ok(BalancedSoftmaxLoss(self.logit_adjusted().init(num_classes, device)?))
    }
}

/// Cross-entropy of `z + log n_c`: the softmax in which every class counts as often as it occurs. It is
/// [`LogitAdjustedLoss`] at τ = 1, because the softmax does not see the constant `log Σ n`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::BalancedSoftmaxLossConfig;
///
/// let device = Device::default();
/// let loss = BalancedSoftmaxLossConfig { counts: vec![3, 1], ..Default::default() }.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[1], 2, &device).unwrap();
/// // −log(1 / (3 + 1))
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - 4.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Ren et al. 2020, "Balanced meta-softmax for long-tailed visual recognition", equation 4.
#[derive(Debug, Clone)]
pub struct BalancedSoftmaxLoss(LogitAdjustedLoss);

impl Criterion for BalancedSoftmaxLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.0.per_sample(logits, targets)
    }

    /// Reduced by the configured [`Reduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.0.forward(logits, targets)
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.0.share(part, parts)
    }

    fn at(&self, progress: f64) -> Self {
        Self(self.0.at(progress))
    }
}
