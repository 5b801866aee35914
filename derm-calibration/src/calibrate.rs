use derm_core::{Logits, Predictions, Probabilities, Role, Validation};
use serde::{Deserialize, Serialize};

use crate::{Error, FittedOn};

/// What a calibrator works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibratorInput {
    /// Logits as the network gave them. Averages of views or models have none.
    Logits,
    /// The probabilities; logits serve through their softmax, and averages serve as well.
    Probabilities,
}

/// A fitted map from a model's scores to honest probabilities.
///
/// Everything that takes a calibrator takes this trait, so that a crate of your own can bring another one; a
/// bundle holds those of [`Calibrator`](crate::Calibrator).
///
/// ```
/// use derm_calibration::{Calibrate, CalibratorInput, Error, FittedOn, TemperatureScaling};
/// use derm_core::{Logits, Probabilities};
///
/// /// The mean of a scaled and a plain softmax.
/// struct Hedged(TemperatureScaling);
///
/// impl Calibrate for Hedged {
///     fn name(&self) -> &'static str {
///         "hedged"
///     }
///     fn input(&self) -> CalibratorInput {
///         CalibratorInput::Logits
///     }
///     fn fitted_on(&self) -> Option<&FittedOn> {
///         self.0.fitted_on()
///     }
///     fn keeps_argmax(&self) -> bool {
///         true
///     }
///     fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
///         let (scaled, plain) = (self.0.apply(logits)?, logits.softmax());
///         Ok(Probabilities::new((&scaled.view() + &plain.view()) / 2.0)?)
///     }
/// }
/// ```
pub trait Calibrate {
    /// The name in files.
    fn name(&self) -> &'static str;

    /// What it works on.
    fn input(&self) -> CalibratorInput;

    /// The rows that it was fitted on; `None` where nothing was fitted.
    fn fitted_on(&self) -> Option<&FittedOn>;

    /// Whether the most probable class of every row stays the one of the softmax, so that accuracy stays too, for
    /// classes whose logits differ by more than the rounding of a probability (1e-15 or so).
    fn keeps_argmax(&self) -> bool;

    /// The calibrated probabilities of `logits` [N, C]. For [`CalibratorInput::Probabilities`] logarithms of
    /// probabilities are logits as good as any.
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes than that of the fit, [`Error::Value`] or
    /// [`Error::Entry`] where a parameter was changed to an impossible one.
    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error>;

    /// The calibrated probabilities of a table of predictions, shape [N, C].
    ///
    /// # Errors
    /// [`Error::View`] where the table is of another view than the rows of the fit, [`Error::NoLogits`] where
    /// it has no logits and the calibrator needs them; and as [`Calibrate::apply`].
    fn calibrate<R: Role>(&self, predictions: &Predictions<R>) -> Result<Probabilities, Error>
    where
        Self: Sized,
    {
        check_view(self.fitted_on(), predictions)?;
        self.apply(&scores(predictions, self.input())?)
    }
}

impl<C: Calibrate> Calibrate for &C {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn input(&self) -> CalibratorInput {
        (*self).input()
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        (*self).fitted_on()
    }

    fn keeps_argmax(&self) -> bool {
        (*self).keeps_argmax()
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        (*self).apply(logits)
    }

    fn calibrate<R: Role>(&self, predictions: &Predictions<R>) -> Result<Probabilities, Error> {
        (*self).calibrate(predictions)
    }
}

/// How a calibrator is fitted, and what with: the configuration of each is one.
///
/// Only validation rows will do. The wrong role does not compile:
///
/// ```compile_fail
/// use derm_calibration::{DirichletConfig, FitCalibrator};
/// use derm_core::{Predictions, Test};
/// fn fit_on_test(test: &Predictions<Test>) {
///     let _ = DirichletConfig::default().fit(test);
/// }
/// ```
///
/// ```
/// use derm_calibration::{DirichletConfig, FitCalibrator};
/// use derm_core::{Predictions, Validation};
/// fn fit_on_validation(validation: &Predictions<Validation>) {
///     let _ = DirichletConfig::default().fit(validation);
/// }
/// ```
pub trait FitCalibrator {
    /// What comes out.
    type Fitted: Calibrate;

    /// Fits on validation rows.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::Count`] for an impossible configuration, [`Error::NoLogits`] where logits
    /// are needed and the rows are averages, [`Error::NotConverged`] where the likelihood has no maximum.
    fn fit(&self, validation: &Predictions<Validation>) -> Result<Self::Fitted, Error>;
}

/// The scores of a table that a calibrator works on.
pub(crate) fn scores<R: Role>(predictions: &Predictions<R>, input: CalibratorInput) -> Result<Logits, Error> {
    match (predictions.logits(), input) {
        (Some(logits), _) => Ok(logits),
        (None, CalibratorInput::Probabilities) => Ok(Logits::new(predictions.log_probabilities())?),
        (None, CalibratorInput::Logits) => Err(Error::NoLogits { view: predictions.metadata().view.clone() }),
    }
}

/// Refuses predictions of another view than the rows of the fit.
pub(crate) fn check_view<R: Role>(
    fitted_on: Option<&FittedOn>,
    predictions: &Predictions<R>,
) -> Result<(), Error> {
    let got = &predictions.metadata().view;
    match fitted_on {
        Some(fitted_on) if fitted_on.view != *got => {
            Err(Error::View { got: got.clone(), expected: fitted_on.view.clone() })
        }
        _ => Ok(()),
    }
}

/// Refuses predictions, `what` in words, of another split than the rows of the fit.
pub(crate) fn check_split<R: Role>(
    fitted_on: Option<&FittedOn>,
    what: &'static str,
    predictions: &Predictions<R>,
) -> Result<(), Error> {
    match fitted_on {
        Some(fitted_on) if fitted_on.split_hash != predictions.split_hash() => Err(Error::Split {
            what,
            got: predictions.split_hash().to_owned(),
            expected: fitted_on.split_hash.clone(),
        }),
        _ => Ok(()),
    }
}

/// Refuses scores of another number of classes than the fit's.
pub(crate) fn check_classes(argument: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Classes { argument, got, expected }) }
}

/// Refuses a task of a single class, whose only probability is 1.
pub(crate) fn check_two_classes(got: usize) -> Result<(), Error> {
    if got >= 2 {
        Ok(())
    } else {
        Err(Error::Count { argument: "number of classes", value: got, minimum: 2 })
    }
}
