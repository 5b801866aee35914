use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_range};
use crate::log_probability::{log_probabilities, one_minus_exp_neg};
use crate::reduction::Reduction;
use crate::target_expectation::expectation;

/// Configuration of [`GeneralizedCrossEntropyLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `q` | 0.7 (Zhang and Sabuncu 2018) | robustness: towards 0 cross-entropy, at 1 the mean absolute error | (0, 1] |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneralizedCrossEntropyLossConfig {
    /// Exponent q in (0, 1].
    pub q: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for GeneralizedCrossEntropyLossConfig {
    fn default() -> Self {
        Self { q: 0.7, reduction: Reduction::BatchMean }
    }
}

impl GeneralizedCrossEntropyLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_classes(num_classes)?;
        check_range("q", self.q, "a number in (0, 1]", |v| v > 0.0 && v <= 1.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`GeneralizedCrossEntropyLossConfig::validate`].
    pub fn init(&self, num_classes: usize) -> Result<GeneralizedCrossEntropyLoss, Error> {
        self.validate(num_classes)?;
        Ok(GeneralizedCrossEntropyLoss { config: *self })
    }
}

/// Generalised cross-entropy, for noisy labels: `(1 − p_y^q) / q`.
///
/// It lies in [0, 1/q], and the gradient is cross-entropy's times `p_y^q`: samples that the network finds
/// impossible pull little. For a soft target, which the paper does not have, the expectation over the classes.
/// Computed from `log p` without cancellation, so that q → 0 is cross-entropy also in f32.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::GeneralizedCrossEntropyLossConfig;
///
/// let device = Device::default();
/// let loss = GeneralizedCrossEntropyLossConfig { q: 0.5, ..Default::default() }.init(4)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0, 0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[3], 4, &device).unwrap();
/// // (1 − √(1/4)) / (1/2)
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - 1.0).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Zhang and Sabuncu 2018, "Generalized cross entropy loss for training deep neural networks with noisy labels",
/// equation 6, not truncated.
#[derive(Debug, Clone, Copy)]
pub struct GeneralizedCrossEntropyLoss {
    config: GeneralizedCrossEntropyLossConfig,
}

impl Criterion for GeneralizedCrossEntropyLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let q = self.config.q;
        expectation(one_minus_exp_neg(log_probabilities(logits) * -q) / q, targets, 0.0)
    }

    /// Reduced by the configured [`Reduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.config.reduction.reduce(self.per_sample(logits, targets), None)
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.config.reduction.share(None, part, parts)
    }

    fn at(&self, _progress: f64) -> Self {
        *self
    }
}
