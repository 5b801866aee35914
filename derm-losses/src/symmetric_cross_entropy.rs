use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_not_all_zero, check_range};
use crate::log_probability::log_probabilities;
use crate::reduction::Reduction;
use crate::target_expectation::{expectation, target_matrix};

/// Configuration of [`SymmetricCrossEntropyLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `alpha` | 0.1 (Wang et al. 2019, CIFAR-10) | weighs the cross-entropy | finite, ≥ 0 |
/// | `beta` | 1 (Wang et al. 2019) | weighs the reverse cross-entropy | finite, ≥ 0, not 0 with `alpha` |
/// | `log_zero` | −4 (Wang et al. 2019) | what `log 0` counts as | finite, < 0 |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SymmetricCrossEntropyLossConfig {
    /// Weight α of the cross-entropy.
    pub alpha: f64,
    /// Weight β of the reverse cross-entropy.
    pub beta: f64,
    /// The A that stands for `log 0` of a target, and the least that `log q` counts as.
    pub log_zero: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for SymmetricCrossEntropyLossConfig {
    fn default() -> Self {
        Self { alpha: 0.1, beta: 1.0, log_zero: -4.0, reduction: Reduction::BatchMean }
    }
}

impl SymmetricCrossEntropyLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_classes(num_classes)?;
        for (parameter, weight) in [("alpha", self.alpha), ("beta", self.beta)] {
            check_range(parameter, weight, "a finite number >= 0", |v| v >= 0.0)?;
        }
        check_not_all_zero("alpha and beta", &[self.alpha, self.beta])?;
        check_range("log_zero", self.log_zero, "a finite number < 0", |v| v < 0.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`SymmetricCrossEntropyLossConfig::validate`].
    pub fn init(&self, num_classes: usize) -> Result<SymmetricCrossEntropyLoss, Error> {
        self.validate(num_classes)?;
        Ok(SymmetricCrossEntropyLoss { config: *self })
    }
}

/// Symmetric cross-entropy, for noisy labels: `α CE + β RCE` with the reverse cross-entropy
/// `RCE = −Σ_c p_c max(log q_c, A)` of the target q.
///
/// For a hard target y that is `−α log p_y − β A (1 − p_y)`. The paper defines both terms on a distribution q, and a soft
/// target is that q. The reverse term is not linear in it: mixed targets and mixed losses differ.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::SymmetricCrossEntropyLossConfig;
///
/// let device = Device::default();
/// let loss = SymmetricCrossEntropyLossConfig::default().init(2)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0], 2, &device).unwrap();
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - (0.1 * 2.0_f32.ln() + 4.0 * 0.5)).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Wang et al. 2019, "Symmetric cross entropy for robust learning with noisy labels", equation 8. Their code
/// clamps q at 1e-4, which is A = −9.21.
#[derive(Debug, Clone, Copy)]
pub struct SymmetricCrossEntropyLoss {
    config: SymmetricCrossEntropyLossConfig,
}

impl Criterion for SymmetricCrossEntropyLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let SymmetricCrossEntropyLossConfig { alpha, beta, log_zero, .. } = self.config;
        let log_p = log_probabilities(logits);
        let log_target = target_matrix(targets, &log_p).log().clamp_min(log_zero);
        let reverse = (log_p.clone().exp() * log_target).sum_dim(1).squeeze_dim(1);
        expectation(log_p * -alpha, targets, 0.0) - reverse * beta
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
