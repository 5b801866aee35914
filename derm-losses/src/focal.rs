use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::deferred_reweighting::ClassWeighted;
use crate::error::{check_range, check_weights};
use crate::gamma::{Focusing, Gamma};
use crate::log_probability::{log_complements, log_probabilities, one_minus_exp_neg};
use crate::reduction::Reduction;
use crate::target_expectation::{constant_weights, expectation, target_weights, weighted};

/// Below this the cross-entropy of a sample counts as this, so that its logarithm stays finite. Far below what
/// f32 resolves beside 1.
const SMALLEST_CROSS_ENTROPY: f32 = 1e-30;

/// What the modulating factor of the focal loss is computed from. The two differ as soon as there are class
/// weights or smoothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FocalForm {
    /// `Σ_c α_c q_c (1 − p_c)^γ (−log p_c)`: each class is modulated by its own, unweighted probability. For a
    /// hard target without smoothing this is Lin et al.'s equation 5.
    #[default]
    Probability,
    /// `(1 − e^{−ce})^γ · ce`, where `ce` is the weighted and smoothed cross-entropy of the sample: what code
    /// that wraps a library's cross-entropy computes.
    CrossEntropy,
}

/// Configuration of [`FocalLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `gamma` | 2 (Lin et al. 2017) | focusing exponent, see [`Gamma`]; 0 is cross-entropy | finite, ≥ 0 |
/// | `alpha` | none | weight α_c of each class | finite, ≥ 0, not all 0, one a class |
/// | `label_smoothing` | 0 | share ε of the target spread over all classes | [0, 1] |
/// | `form` | `probability` | what the modulation is computed from | |
/// | `reduction` | `batch_mean` | the normaliser | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FocalLossConfig {
    /// Focusing exponent γ ≥ 0: a number, one a class, a schedule or FLSD-53.
    pub gamma: Gamma,
    /// Weight `α_c` of each class; none weighs all alike.
    pub alpha: Option<Vec<f32>>,
    /// Share ε of the target spread evenly over all C classes, in [0, 1].
    pub label_smoothing: f64,
    /// What the modulating factor is computed from.
    pub form: FocalForm,
    /// The normaliser of the reduced loss.
    pub reduction: Reduction,
}

impl Default for FocalLossConfig {
    fn default() -> Self {
        Self {
            gamma: Gamma::Constant(2.0),
            alpha: None,
            label_smoothing: 0.0,
            form: FocalForm::default(),
            reduction: Reduction::BatchMean,
        }
    }
}

impl FocalLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_weights("alpha", self.alpha.as_deref(), num_classes)?;
        self.gamma.validate(num_classes)?;
        check_range("label_smoothing", self.label_smoothing, "a number in [0, 1]", |v| {
            (0.0..=1.0).contains(&v)
        })
    }

    /// The loss, with its class weights on `device`.
    ///
    /// # Errors
    /// As [`FocalLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<FocalLoss, Error> {
        self.validate(num_classes)?;
        Ok(FocalLoss {
            focusing: Focusing::new(&self.gamma, device),
            gamma: self.gamma.clone(),
            alpha: self.alpha.as_deref().map(|weights| constant_weights(weights, device)),
            label_smoothing: self.label_smoothing,
            form: self.form,
            reduction: self.reduction,
        })
    }
}

/// Focal loss on softmax probabilities: cross-entropy that looks away from samples which are already right.
///
/// For a hard target y: `α_y (1 − p_y)^γ (−log p_y)`. With smoothing, or a soft target, the expectation of that
/// term over `q = (1 − ε) target + ε / C`. See [`FocalForm`] for the other convention. γ = 0 is cross-entropy.
///
/// The papers have hard targets without smoothing only; the expectation keeps the loss linear in the target. γ per
/// class, or FLSD-53, goes with the probability that is modulated: in [`FocalForm::Probability`] the term of class c
/// has the γ of class c, or the one that FLSD-53 picks for `p_c`, also under smoothing and soft targets; in
/// [`FocalForm::CrossEntropy`] a sample has the γ of its target, `Σ_c q_c γ_c` for a soft one, or the one that
/// FLSD-53 picks for `e^{−ce}`.
///
/// The modulation is `exp(γ log(1 − p))` with `log(1 − p)` summed over the other classes, so value and gradient
/// are finite for logits up to ±10¹⁵ and any γ ≥ 0, also for 0 < γ < 1 as p → 1, where `(1 − p).powf(γ)` has an
/// infinite derivative.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::FocalLossConfig;
///
/// let device = Device::default();
/// let loss = FocalLossConfig { gamma: 2.0.into(), ..Default::default() }.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0], 2, &device).unwrap();
/// // (1 − 1/2)² · ln 2
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - 0.25 * 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Lin et al. 2017, "Focal loss for dense object detection", equation 5, on the softmax instead of the sigmoid;
/// Mukhoti et al. 2020, "Calibrating deep neural networks using focal loss", for FLSD-53.
/// [`Reduction::WeightedMean`] divides by `Σ α_y`, [`Reduction::BatchMean`] by N.
#[derive(Debug, Clone)]
pub struct FocalLoss {
    gamma: Gamma,
    focusing: Focusing,
    alpha: Option<Tensor<1>>,
    label_smoothing: f64,
    form: FocalForm,
    reduction: Reduction,
}

impl FocalLoss {
    /// The focusing exponent γ of all samples at this point of training; none where it differs among them.
    pub fn gamma(&self) -> Option<f64> {
        match self.focusing {
            Focusing::Constant(gamma) => Some(gamma),
            Focusing::PerClass(_) | Focusing::Flsd53 => None,
        }
    }
}

impl Criterion for FocalLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let log_p = log_probabilities(logits);
        match self.form {
            FocalForm::Probability => {
                let modulation = self.focusing.of_classes(log_complements(log_p.clone()), &log_p);
                let terms = weighted(log_p.neg() * modulation, self.alpha.as_ref());
                expectation(terms, targets, self.label_smoothing)
            }
            FocalForm::CrossEntropy => {
                let terms = weighted(log_p.neg(), self.alpha.as_ref());
                let ce = expectation(terms, targets, self.label_smoothing);
                let x = ce.clone().clamp_min(SMALLEST_CROSS_ENTROPY);
                let log_complement = one_minus_exp_neg(x).log();
                self.focusing.of_samples(log_complement, &ce.clone().neg(), targets) * ce
            }
        }
    }

    /// Reduced by the configured [`Reduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let weights = self.alpha.as_ref().map(|alpha| target_weights(alpha, targets));
        self.reduction.reduce(self.per_sample(logits, targets), weights)
    }

    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.reduction.share(self.alpha.as_ref(), part, parts)
    }

    /// With γ where its schedule has it.
    fn at(&self, progress: f64) -> Self {
        Self { focusing: self.focusing.at(&self.gamma, progress), ..self.clone() }
    }
}

impl ClassWeighted for FocalLoss {
    fn without_class_weights(&self) -> Option<Self> {
        self.alpha.as_ref()?;
        Some(Self { alpha: None, ..self.clone() })
    }
}
