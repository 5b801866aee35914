use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_range};
use crate::log_probability::{log_complements, log_probabilities};
use crate::reduction::Reduction;
use crate::target_expectation::target_matrix;

/// Configuration of [`AsymmetricSingleLabelLoss`]. The defaults are timm's.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `gamma_pos` | 1 | focusing exponent of the target | finite, ≥ 0 |
/// | `gamma_neg` | 4 | focusing exponent of the other classes, felt through the smoothing | finite, ≥ 0 |
/// | `label_smoothing` | 0.1 | share ε of the target spread over all classes | [0, 1] |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AsymmetricSingleLabelLossConfig {
    /// Focusing exponent γ₊ of the target.
    pub gamma_pos: f64,
    /// Focusing exponent γ₋ of the other classes.
    pub gamma_neg: f64,
    /// Share ε of the target spread evenly over all C classes. At 0 only the target's term is left, so γ₋ is
    /// without effect.
    pub label_smoothing: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for AsymmetricSingleLabelLossConfig {
    fn default() -> Self {
        Self { gamma_pos: 1.0, gamma_neg: 4.0, label_smoothing: 0.1, reduction: Reduction::BatchMean }
    }
}

impl AsymmetricSingleLabelLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_classes(num_classes)?;
        for (parameter, gamma) in [("gamma_pos", self.gamma_pos), ("gamma_neg", self.gamma_neg)] {
            check_range(parameter, gamma, "a finite number >= 0", |v| v >= 0.0)?;
        }
        check_range("label_smoothing", self.label_smoothing, "a number in [0, 1]", |v| {
            (0.0..=1.0).contains(&v)
        })
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`AsymmetricSingleLabelLossConfig::validate`].
    pub fn init(&self, num_classes: usize) -> Result<AsymmetricSingleLabelLoss, Error> {
        self.validate(num_classes)?;
        Ok(AsymmetricSingleLabelLoss { config: *self })
    }
}

/// The asymmetric loss for one label a sample: `−Σ_c q_c w_c log p_c` with `w_y = (1 − p_y)^{γ₊}` for the target
/// y, `w_c = p_c^{γ₋}` for the others, and `q = (1 − ε) onehot + ε / C`. The gradient flows through w. For a soft
/// target, which timm does not take, the expectation of that over the classes.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::AsymmetricSingleLabelLossConfig;
///
/// let device = Device::default();
/// let config = AsymmetricSingleLabelLossConfig { label_smoothing: 0.0, ..Default::default() };
/// let loss = config.init(2)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0], 2, &device).unwrap();
/// // (1 − 1/2)¹ · ln 2
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - 0.5 * 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Ridnik et al. 2021, "Asymmetric loss for multi-label classification", in timm's single-label form
/// `AsymmetricLossSingleLabel`.
#[derive(Debug, Clone, Copy)]
pub struct AsymmetricSingleLabelLoss {
    config: AsymmetricSingleLabelLossConfig,
}

impl Criterion for AsymmetricSingleLabelLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let AsymmetricSingleLabelLossConfig { gamma_pos, gamma_neg, label_smoothing, .. } = self.config;
        let log_p = log_probabilities(logits);
        let smoothed = label_smoothing / log_p.dims()[1] as f64;
        let is_target = target_matrix(targets, &log_p);
        let is_other = is_target.clone().neg() + 1.0;
        let of_target =
            (log_complements(log_p.clone()) * gamma_pos).exp() * (1.0 - label_smoothing + smoothed);
        let of_others = (log_p.clone() * gamma_neg).exp() * smoothed;
        let factors = of_target * is_target + of_others * is_other;
        (factors * log_p).sum_dim(1).squeeze_dim(1).neg()
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
