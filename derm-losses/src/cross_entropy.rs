use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::deferred_reweighting::ClassWeighted;
use crate::error::{check_range, check_weights};
use crate::log_probability::log_probabilities;
use crate::reduction::Reduction;
use crate::target_expectation::{constant_weights, expectation, target_weights, weighted};

/// Configuration of [`CrossEntropyLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `class_weights` | none | weight w_c of each class | finite, ≥ 0, not all 0, one a class |
/// | `label_smoothing` | 0 | share ε of the target spread over all classes | [0, 1] |
/// | `reduction` | `weighted_mean` (torch's `mean`) | the normaliser | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyLossConfig {
    /// Weight of each class; none weighs all alike.
    pub class_weights: Option<Vec<f32>>,
    /// Share ε of the target spread evenly over all C classes, in [0, 1].
    pub label_smoothing: f64,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for CrossEntropyLossConfig {
    fn default() -> Self {
        Self { class_weights: None, label_smoothing: 0.0, reduction: Reduction::WeightedMean }
    }
}

impl CrossEntropyLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_weights("class_weights", self.class_weights.as_deref(), num_classes)?;
        check_range("label_smoothing", self.label_smoothing, "a number in [0, 1]", |v| {
            (0.0..=1.0).contains(&v)
        })
    }

    /// The loss, with its class weights on `device`.
    ///
    /// # Errors
    /// As [`CrossEntropyLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<CrossEntropyLoss, Error> {
        self.validate(num_classes)?;
        Ok(CrossEntropyLoss {
            class_weights: self.class_weights.as_deref().map(|weights| constant_weights(weights, device)),
            label_smoothing: self.label_smoothing,
            reduction: self.reduction,
        })
    }
}

/// Softmax cross-entropy with class weights w and label smoothing ε.
///
/// Per sample `Σ_c q_c w_c (−log p_c)` with `q = (1 − ε) target + ε / C`; for a hard target y and ε = 0 that is
/// `w_y (−log p_y)`. Soft targets (mixup, cutmix, several raters) are the same sum.
///
/// Finite, in value and gradient, for logits up to ±10¹⁵.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::{CrossEntropyLossConfig, Reduction};
///
/// let device = Device::default();
/// let loss = CrossEntropyLossConfig { class_weights: Some(vec![0.5, 2.0]), ..Default::default() };
/// let loss = loss.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0], [0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0, 1], 2, &device).unwrap();
/// let per_sample = loss.per_sample(logits.clone(), &targets).into_data();
/// assert!((per_sample.as_slice::<f32>().unwrap()[1] - 2.0 * 2.0_f32.ln()).abs() < 1e-6);
/// // (0.5 ln 2 + 2 ln 2) / (0.5 + 2)
/// assert!((loss.forward(logits, &targets).into_scalar::<f32>() - 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// torch `cross_entropy`, which the tests compare with. One deviation: with soft targets torch's `mean` divides
/// by N; [`Reduction::WeightedMean`] divides by the summed target weights, so that a one-hot soft target gives
/// what the hard one gives. [`Reduction::BatchMean`] is torch's for soft targets.
#[derive(Debug, Clone)]
pub struct CrossEntropyLoss {
    class_weights: Option<Tensor<1>>,
    label_smoothing: f64,
    reduction: Reduction,
}

impl Criterion for CrossEntropyLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let terms = weighted(log_probabilities(logits).neg(), self.class_weights.as_ref());
        expectation(terms, targets, self.label_smoothing)
    }

    /// Reduced by the configured [`Reduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let weights = self.class_weights.as_ref().map(|weights| target_weights(weights, targets));
        self.reduction.reduce(self.per_sample(logits, targets), weights)
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.reduction.share(self.class_weights.as_ref(), part, parts)
    }

    fn at(&self, _progress: f64) -> Self {
        self.clone()
    }
}

impl ClassWeighted for CrossEntropyLoss {
    fn without_class_weights(&self) -> Option<Self> {
        self.class_weights.as_ref()?;
        Some(Self { class_weights: None, ..self.clone() })
    }
}
