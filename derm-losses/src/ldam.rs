use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::deferred_reweighting::ClassWeighted;
use crate::error::{check_counts, check_range, check_weights};
use crate::log_probability::{log_complements, log_probabilities, samples};
use crate::reduction::Reduction;
use crate::target_expectation::{class_row, constant_weights, expectation, target_weights, weighted};

/// Configuration of [`LdamLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `counts` | | samples of each class in the training split | ≥ 1, one a class |
/// | `max_margin` | 0.5 (Cao et al. 2019) | margin of the rarest class | finite, ≥ 0 |
/// | `scale` | 30 (Cao et al. 2019) | factor s on the logits | finite, > 0 |
/// | `class_weights` | none | weight w_c of each class | finite, ≥ 0, not all 0, one a class |
/// | `reduction` | `weighted_mean` (their code) | the normaliser | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LdamLossConfig {
    /// Samples of each class in the training split.
    pub counts: Vec<usize>,
    /// Margin of the rarest class.
    pub max_margin: f64,
    /// Factor s on the logits. The authors' 30 goes with a last layer that gives cosines; for plain logits use 1.
    pub scale: f64,
    /// Weight of each class; none weighs all alike.
    pub class_weights: Option<Vec<f32>>,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for LdamLossConfig {
    fn default() -> Self {
        Self {
            counts: Vec::new(),
            max_margin: 0.5,
            scale: 30.0,
            class_weights: None,
            reduction: Reduction::WeightedMean,
        }
    }
}

impl LdamLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_counts(&self.counts, num_classes)?;
        check_range("max_margin", self.max_margin, "a finite number >= 0", |v| v >= 0.0)?;
        check_range("scale", self.scale, "a finite number > 0", |v| v > 0.0)?;
        check_weights("class_weights", self.class_weights.as_deref(), num_classes)
    }

    /// The margin of each class: `max_margin · n_c^{−1/4} / max_j n_j^{−1/4}`.
    fn margins(&self) -> Vec<f64> {
        let rarest = self.counts.iter().min().map_or(1.0, |&count| count as f64);
        self.counts.iter().map(|&count| self.max_margin * (rarest / count as f64).powf(0.25)).collect()
    }

    /// The loss, with its margins and class weights on `device`.
    ///
    /// # Errors
    /// As [`LdamLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<LdamLoss, Error> {
        self.validate(num_classes)?;
        let shifts: Vec<f32> = self.margins().iter().map(|margin| (self.scale * margin) as f32).collect();
        Ok(LdamLoss {
            shifts: constant_weights(&shifts, device),
            scale: self.scale,
            class_weights: self.class_weights.as_deref().map(|weights| constant_weights(weights, device)),
            reduction: self.reduction,
        })
    }
}

/// Label-distribution-aware margins: cross-entropy that asks more of a class the rarer it is.
///
/// For a hard target y: `w_y` times the cross-entropy of `s · (z − m_y onehot_y)`, with the margin
/// `m_c = max_margin · n_c^{−1/4} / max_j n_j^{−1/4}`. For a soft target the expectation of that over the classes:
/// the paper has hard targets only, and a mixed target gives what mixing the two losses gives.
///
/// Computed as `softplus(log(1 − p_y) − log p_y + s m_y)`, p the softmax of `s z`: finite in value and gradient.
/// With deferred re-weighting (LDAM-DRW) wrap it into [`DeferredReweighting`](crate::DeferredReweighting).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::LdamLossConfig;
///
/// let device = Device::default();
/// let loss = LdamLossConfig { counts: vec![16, 1], max_margin: 0.5, scale: 1.0, ..Default::default() };
/// let loss = loss.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0], [0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0, 1], 2, &device).unwrap();
/// let per_sample = loss.per_sample(logits, &targets).into_data();
/// // margins 0.25 and 0.5
/// let expected = [0.25_f32, 0.5].map(|margin| (1.0 + margin.exp()).ln());
/// assert!((per_sample.as_slice::<f32>().unwrap()[0] - expected[0]).abs() < 1e-6);
/// assert!((per_sample.as_slice::<f32>().unwrap()[1] - expected[1]).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Cao et al. 2019, "Learning imbalanced datasets with label-distribution-aware margin loss", equation 13, and
/// their code.
#[derive(Debug, Clone)]
pub struct LdamLoss {
    /// `s · m_c`
    shifts: Tensor<1>,
    scale: f64,
    class_weights: Option<Tensor<1>>,
    reduction: Reduction,
}

impl Criterion for LdamLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let log_p = log_probabilities(samples(logits) * self.scale);
        let shifts = class_row(&self.shifts, &log_p);
        let terms = softplus(log_complements(log_p.clone()) - log_p + shifts, 1.0);
        expectation(weighted(terms, self.class_weights.as_ref()), targets, 0.0)
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

impl ClassWeighted for LdamLoss {
    fn without_class_weights(&self) -> Option<Self> {
        self.class_weights.as_ref()?;
        Some(Self { class_weights: None, ..self.clone() })
    }
}
