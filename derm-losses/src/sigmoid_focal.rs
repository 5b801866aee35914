use burn::tensor::Tensor;
use burn::tensor::activation::softplus;
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_range;
use crate::log_probability::samples;
use crate::target_expectation::target_matrix;

/// How the [N, C] elements of [`SigmoidFocalLoss`] become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementReduction {
    /// The sum divided by N·C: torchvision's `mean`. It shrinks with the number of classes.
    #[default]
    ElementMean,
    /// The sum divided by N.
    BatchMean,
    /// The sum.
    Sum,
}

/// Configuration of [`SigmoidFocalLoss`]. The defaults are torchvision's.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `alpha` | 0.25 | weight of the ones, the zeros have `1 − alpha`; none weighs both with 1 | [0, 1] |
/// | `gamma` | 2 | focusing exponent; 0 is binary cross-entropy | finite, ≥ 0 |
/// | `reduction` | `element_mean` | the normaliser | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidFocalLossConfig {
    /// Weight α of the ones, in [0, 1]; none is torchvision's −1.
    pub alpha: Option<f64>,
    /// Focusing exponent γ ≥ 0.
    pub gamma: f64,
    /// The normaliser of the reduced loss.
    pub reduction: ElementReduction,
}

impl Default for SigmoidFocalLossConfig {
    fn default() -> Self {
        Self { alpha: Some(0.25), gamma: 2.0, reduction: ElementReduction::ElementMean }
    }
}

impl SigmoidFocalLossConfig {
    /// Checks every value. One class is enough here: each is a yes or no of its own.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the parameter, the value and the allowed range.
    pub fn validate(&self) -> Result<(), Error> {
        if let Some(alpha) = self.alpha {
            check_range("alpha", alpha, "a number in [0, 1]", |v| (0.0..=1.0).contains(&v))?;
        }
        check_range("gamma", self.gamma, "a finite number >= 0", |v| v >= 0.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`SigmoidFocalLossConfig::validate`].
    pub fn init(&self) -> Result<SigmoidFocalLoss, Error> {
        self.validate()?;
        Ok(SigmoidFocalLoss { config: *self })
    }
}

/// Focal loss on the sigmoid: every class is a yes or no of its own.
///
/// With p the sigmoid of a logit, an element whose target is 1 is `α (1 − p)^γ (−log p)`, one whose target is 0
/// is `(1 − α) p^γ (−log(1 − p))`, and one in between the expectation of the two. A hard target is a one-hot row.
/// A soft one may be any matrix of numbers in [0, 1]: its rows need not sum to 1 (several findings at once).
///
/// The loss of a sample is the sum over its classes. Value and gradient are finite for logits up to ±10¹⁵ and any
/// γ ≥ 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::SigmoidFocalLossConfig;
///
/// let device = Device::default();
/// let loss = SigmoidFocalLossConfig::default().init()?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let both = Targets::Soft(Tensor::from_floats([[1.0, 1.0]], &device));
/// // ¼ · (1/2)² · ln 2 in both elements
/// let value = loss.forward(logits, &both).into_scalar::<f32>();
/// assert!((value - 0.0625 * 2.0_f32.ln()).abs() < 1e-7);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Lin et al. 2017, "Focal loss for dense object detection", equation 5; torchvision `sigmoid_focal_loss`, which
/// has no finite gradient for 0 < γ < 1 where p reaches 1. For targets between 0 and 1, which torchvision does not
/// define, it would interpolate `p_t` instead.
#[derive(Debug, Clone, Copy)]
pub struct SigmoidFocalLoss {
    config: SigmoidFocalLossConfig,
}

impl SigmoidFocalLoss {
    /// The loss of each element: logits `[.., C]` → [N, C].
    ///
    /// # Panics
    /// When the numbers of samples differ.
    pub fn elementwise<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<2> {
        let SigmoidFocalLossConfig { alpha, gamma, .. } = self.config;
        let [of_ones, of_zeros] = alpha.map_or([1.0, 1.0], |alpha| [alpha, 1.0 - alpha]);
        let logits = samples(logits);
        let ones = target_matrix(targets, &logits);
        let zeros = ones.clone().neg() + 1.0;
        // −log p and −log(1 − p)
        let (yes, no) = (softplus(logits.clone().neg(), 1.0), softplus(logits, 1.0));
        let modulated = |loss: Tensor<2>, other: Tensor<2>| loss * (other * -gamma).exp();
        modulated(yes.clone(), no.clone()) * ones * of_ones + modulated(no, yes) * zeros * of_zeros
    }
}

impl Criterion for SigmoidFocalLoss {
    /// The sum over the classes.
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.elementwise(logits, targets).sum_dim(1).squeeze_dim(1)
    }

    /// Reduced by the configured [`ElementReduction`].
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        let elements = self.elementwise(logits, targets);
        let num_samples = elements.dims()[0];
        match self.config.reduction {
            ElementReduction::ElementMean => elements.mean(),
            ElementReduction::BatchMean => elements.sum() / num_samples as f64,
            ElementReduction::Sum => elements.sum(),
        }
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        let share = part.share_of(parts);
        match self.config.reduction {
            ElementReduction::ElementMean | ElementReduction::BatchMean => share,
            ElementReduction::Sum => share.ones_like(),
        }
    }

    fn at(&self, _progress: f64) -> Self {
        *self
    }
}
