use derm_core::{Logits, Predictions, Probabilities, Validation};
use serde::{Deserialize, Serialize};

use crate::calibrate::scores;
use crate::one_vs_rest::LN_FLOOR;
use crate::{
    AffineMap, Calibrate, CalibratorInput, Convergence, Error, FitCalibrator, FittedOn, Odir, StoppingRule,
};

/// How [`DirichletCalibration`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `odir` | λ = μ = 1e-2 | regularisation; [`Odir::NONE`] is plain maximum likelihood |
/// | `stopping` | gradient 1e-8, 100 steps | when the fit ends |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DirichletConfig {
    /// Regularisation.
    pub odir: Odir,
    /// When the fit ends.
    pub stopping: StoppingRule,
}

/// Dirichlet calibration in its linear form: `softmax(W ln p + b)` of the probabilities p.
///
/// It is what calibrates exactly where the probabilities of each class follow a Dirichlet distribution. It may
/// change the most probable class. Logarithms count as at least ln 1e-300, so that a probability of 0 stays
/// finite; from logits they are taken without going through p.
///
/// # Source
/// Kull et al. 2019, eq. 3, 4 and 6. The likelihood is convex and is brought to its minimum by Newton steps
/// (see [`StoppingRule`]) rather than by Adam or L-BFGS with early stopping as in the authors' code; separable
/// data, where it has none, is [`Error::NotConverged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirichletCalibration {
    /// W and b.
    pub map: AffineMap,
    /// What it was fitted with.
    pub config: DirichletConfig,
    /// How the fit ended.
    pub convergence: Convergence,
    /// Mean negative log-likelihood of the validation rows before, in nats.
    pub nll_before: f64,
    /// The same after, without the penalty; never above the one before.
    pub nll_after: f64,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl DirichletCalibration {
    /// The name in files.
    pub const NAME: &'static str = "dirichlet";

    /// The calibrated probabilities of probabilities that stand as numbers and not as logits, shape [N, C]:
    /// `ln p` is taken of them as they are, without renormalising rows.
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes than that of the fit.
    pub fn apply_probabilities(&self, probabilities: &Probabilities) -> Result<Probabilities, Error> {
        let logarithms = probabilities.view().mapv(|p| p.ln().max(LN_FLOOR));
        self.map.softmax("probabilities", &logarithms.view())
    }
}

impl FitCalibrator for DirichletConfig {
    type Fitted = DirichletCalibration;

    fn fit(&self, validation: &Predictions<Validation>) -> Result<DirichletCalibration, Error> {
        let logits = scores(validation, CalibratorInput::Probabilities)?;
        let (map, [nll_before, nll_after], convergence) = AffineMap::fit(
            DirichletCalibration::NAME,
            &logits.log_softmax().mapv(|ln_p| ln_p.max(LN_FLOOR)),
            validation.targets(),
            &self.odir,
            &self.stopping,
        )?;
        let fitted_on = FittedOn::new(validation);
        Ok(DirichletCalibration { map, config: *self, convergence, nll_before, nll_after, fitted_on })
    }
}

impl Calibrate for DirichletCalibration {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn input(&self) -> CalibratorInput {
        CalibratorInput::Probabilities
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        Some(&self.fitted_on)
    }

    fn keeps_argmax(&self) -> bool {
        false
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        let logarithms = logits.log_softmax().mapv(|ln_p| ln_p.max(LN_FLOOR));
        self.map.softmax("logits", &logarithms.view())
    }
}
