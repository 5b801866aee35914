use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_counts, check_range};
use crate::log_probability::{log_probabilities, samples};
use crate::reduction::Reduction;
use crate::target_expectation::{class_row, constant_weights, expectation};

/// Configuration of [`LogitAdjustedLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `counts` | | samples of each class in the training split | ≥ 1, one a class |
/// | `tau` | 1 (Menon et al. 2021) | strength τ; 0 is cross-entropy | finite, ≥ 0 |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogitAdjustedLossConfig {
    /// Samples of each class in the training split.
    pub counts: Vec<usize>,
    /// Strength τ ≥ 0 of the adjustment.
    pub tau: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for LogitAdjustedLossConfig {
    fn default() -> Self {
        Self { counts: Vec::new(), tau: 1.0, reduction: Reduction::BatchMean }
    }
}

impl LogitAdjustedLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_counts(&self.counts, num_classes)?;
        check_range("tau", self.tau, "a finite number >= 0", |v| v >= 0.0)
    }

    /// The loss, with its adjustment on `device`.
    ///
    /// # Errors
    /// As [`LogitAdjustedLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<LogitAdjustedLoss, Error> {
        self.validate(num_classes)?;
        let total = self.counts.iter().sum::<usize>() as f64;
        let adjustment: Vec<f32> =
            self.counts.iter().map(|&count| (self.tau * (count as f64 / total).ln()) as f32).collect();
        Ok(LogitAdjustedLoss { adjustment: constant_weights(&adjustment, device), reduction: self.reduction })
    }
}

/// Cross-entropy of logits that the class frequencies have shifted: `z + τ log(n_c / Σ n)`.
///
/// Trained with it, the plain logits z minimise the balanced error (τ = 1): nothing is added at inference.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::LogitAdjustedLossConfig;
///
/// let device = Device::default();
/// let loss = LogitAdjustedLossConfig { counts: vec![3, 1], ..Default::default() }.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[1], 2, &device).unwrap();
/// // −log(1 / (3 + 1))
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - 4.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10.
#[derive(Debug, Clone)]
pub struct LogitAdjustedLoss {
    adjustment: Tensor<1>,
    reduction: Reduction,
}

impl Criterion for LogitAdjustedLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let logits = samples(logits);
        let adjustment = class_row(&self.adjustment, &logits);
        expectation(log_probabilities(logits + adjustment).neg(), targets, 0.0)
    }

    /// Reduced by the configured [`Reduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.reduction.reduce(self.per_sample(logits, targets), None)
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.reduction.share(None, part, parts)
    }

    fn at(&self, _progress: f64) -> Self {
        self.clone()
    }
}
