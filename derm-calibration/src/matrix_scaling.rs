use derm_core::{Logits, Predictions, Probabilities, Validation};
use serde::{Deserialize, Serialize};

use crate::calibrate::scores;
use crate::{
    AffineMap, Calibrate, CalibratorInput, Convergence, Error, FitCalibrator, FittedOn, Odir, StoppingRule,
};

/// How [`MatrixScaling`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `odir` | λ = μ = 1e-2 | regularisation; [`Odir::NONE`] is the form of Guo et al. |
/// | `stopping` | gradient 1e-8, 100 steps | when the fit ends |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixConfig {
    /// Regularisation.
    pub odir: Odir,
    /// When the fit ends.
    pub stopping: StoppingRule,
}

/// Matrix scaling: `softmax(W z + b)` of the logits z, all C² + C parameters by (penalised) maximum
/// likelihood.
///
/// It may change the most probable class. Without regularisation it overfits from a few classes on: Guo et al.
/// saw it fail at 100.
///
/// # Source
/// Guo et al. 2017, section 4.2; with ODIR, Kull et al. 2019. The likelihood is convex and is brought to its
/// minimum by Newton steps (see [`StoppingRule`]); separable data, where it has none, is
/// [`Error::NotConverged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixScaling {
    /// W and b.
    pub map: AffineMap,
    /// What it was fitted with.
    pub config: MatrixConfig,
    /// How the fit ended.
    pub convergence: Convergence,
    /// Mean negative log-likelihood of the validation rows before, in nats.
    pub nll_before: f64,
    /// The same after, without the penalty; never above the one before.
    pub nll_after: f64,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl MatrixScaling {
    /// The name in files.
    pub const NAME: &'static str = "matrix";
}

impl FitCalibrator for MatrixConfig {
    type Fitted = MatrixScaling;

    fn fit(&self, validation: &Predictions<Validation>) -> Result<MatrixScaling, Error> {
        let logits = scores(validation, CalibratorInput::Logits)?;
        let (map, [nll_before, nll_after], convergence) = AffineMap::fit(
            MatrixScaling::NAME,
            &logits.view().to_owned(),
            validation.targets(),
            &self.odir,
            &self.stopping,
        )?;
        let fitted_on = FittedOn::new(validation);
        Ok(MatrixScaling { map, config: *self, convergence, nll_before, nll_after, fitted_on })
    }
}

impl Calibrate for MatrixScaling {
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
        self.map.softmax("logits", &logits.view())
    }
}
