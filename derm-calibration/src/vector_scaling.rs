use derm_core::{Logits, Predictions, Probabilities, Validation};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::calibrate::{check_classes, check_two_classes, scores};
use crate::error::{check_finite, check_length, check_not_negative};
use crate::newton::minimize;
use crate::softmax_likelihood::{Design, SoftmaxLikelihood};
use crate::{Calibrate, CalibratorInput, Convergence, Error, FitCalibrator, FittedOn, StoppingRule};

/// How [`VectorScaling`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `scale_penalty` | 0 | weight λ of `(1/C) Σ (s_c − 1)²`, 0 or more |
/// | `bias_penalty` | 0 | weight μ of `(1/C) Σ b_c²`, 0 or more |
/// | `stopping` | gradient 1e-8, 100 steps | when the fit ends |
///
/// The defaults are the plain maximum of the likelihood, as in Guo et al. A class without validation rows has
/// none (its bias falls for ever) and needs penalties.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VectorConfig {
    /// Weight of the squared distance of the scales from 1.
    pub scale_penalty: f64,
    /// Weight of the squared biases.
    pub bias_penalty: f64,
    /// When the fit ends.
    pub stopping: StoppingRule,
}

/// Vector scaling: `softmax(s ∘ z + b)`, a scale and a bias for each class, by maximum likelihood.
///
/// It may change the most probable class.
///
/// # Source
/// Guo et al. 2017, section 4.2. The likelihood is convex and is brought to its minimum by Newton steps (see
/// [`StoppingRule`]); where it has none, that is [`Error::NotConverged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorScaling {
    /// The scales s, shape `[C]`.
    pub scale: Vec<f64>,
    /// The biases b, shape `[C]`.
    pub bias: Vec<f64>,
    /// What it was fitted with.
    pub config: VectorConfig,
    /// How the fit ended.
    pub convergence: Convergence,
    /// Mean negative log-likelihood of the validation rows before, in nats.
    pub nll_before: f64,
    /// The same after, without the penalty; never above the one before.
    pub nll_after: f64,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl VectorScaling {
    /// The name in files.
    pub const NAME: &'static str = "vector";
}

impl FitCalibrator for VectorConfig {
    type Fitted = VectorScaling;

    fn fit(&self, validation: &Predictions<Validation>) -> Result<VectorScaling, Error> {
        check_not_negative("scale_penalty", self.scale_penalty)?;
        check_not_negative("bias_penalty", self.bias_penalty)?;
        let logits = scores(validation, CalibratorInput::Logits)?;
        let classes = logits.num_classes();
        check_two_classes(classes)?;
        let columns = |first: f64, second: f64| {
            Array2::from_shape_fn((classes, 2), |(_, column)| if column == 0 { first } else { second })
        };
        let identity = columns(1.0, 0.0);
        let weight = |penalty: f64| 2.0 * penalty / classes as f64;
        let penalty = columns(weight(self.scale_penalty), weight(self.bias_penalty));
        let design = Design::Own(logits.view().to_owned());
        let mut likelihood = SoftmaxLikelihood::new(design, validation.targets(), penalty, identity.clone());
        let (fitted, convergence) =
            minimize(VectorScaling::NAME, &mut likelihood, identity.clone(), &self.stopping)?;
        Ok(VectorScaling {
            scale: fitted.column(0).to_vec(),
            bias: fitted.column(1).to_vec(),
            config: *self,
            convergence,
            nll_before: likelihood.nll(&identity),
            nll_after: likelihood.nll(&fitted),
            fitted_on: FittedOn::new(validation),
        })
    }
}

impl Calibrate for VectorScaling {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn input(&self) -> CalibratorInput {
        CalibratorInput::Logits
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        Some(&self.fitted_on)
    }

    fn keeps_argmax(&self) -> bool {
        false
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        check_length("bias", self.bias.len(), self.scale.len())?;
        check_classes("logits", logits.num_classes(), self.scale.len())?;
        check_finite("scale", &self.scale)?;
        check_finite("bias", &self.bias)?;
        let outputs = &logits.view() * &Array1::from(self.scale.clone()) + Array1::from(self.bias.clone());
        Ok(Logits::new(outputs)?.softmax())
    }
}
