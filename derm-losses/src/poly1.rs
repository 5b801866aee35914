use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_range};
use crate::log_probability::{log_complements, log_probabilities};
use crate::reduction::Reduction;
use crate::target_expectation::expectation;

/// Configuration of [`Poly1Loss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `epsilon` | 2 (Leng et al. 2022, their `ImageNet` setting) | what is added to the first coefficient of the series; 0 is cross-entropy | finite, ≥ −1 |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Poly1LossConfig {
    /// What is added to the first coefficient, ε ≥ −1.
    pub epsilon: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for Poly1LossConfig {
    fn default() -> Self {
        Self { epsilon: 2.0, reduction: Reduction::BatchMean }
    }
}

impl Poly1LossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_classes(num_classes)?;
        check_range("epsilon", self.epsilon, "a finite number >= -1", |v| v >= -1.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`Poly1LossConfig::validate`].
    pub fn init(&self, num_classes: usize) -> Result<Poly1Loss, Error> {
        self.validate(num_classes)?;
        Ok(Poly1Loss { config: *self })
    }
}

/// Poly-1: cross-entropy whose series `Σ_j (1 − p_t)^j / j` has the first coefficient `1 + ε`.
///
/// For a hard target y: `−log p_y + ε (1 − p_y)`, for a soft one the expectation of that over the classes, which is what
/// the authors' code computes for smoothed labels: `CE(q) + ε Σ_c q_c (1 − p_c)`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::Poly1LossConfig;
///
/// let device = Device::default();
/// let loss = Poly1LossConfig { epsilon: 1.0, ..Default::default() }.init(2)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0], 2, &device).unwrap();
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - (2.0_f32.ln() + 0.5)).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Leng et al. 2022, "`PolyLoss`: a polynomial expansion perspective of classification loss functions", equation 7.
#[derive(Debug, Clone, Copy)]
pub struct Poly1Loss {
    config: Poly1LossConfig,
}

impl Criterion for Poly1Loss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let log_p = log_probabilities(logits);
        let complement = log_complements(log_p.clone()).exp();
        expectation(complement * self.config.epsilon - log_p, targets, 0.0)
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
