use derm_core::{Logits, Predictions, Probabilities, Role, View};
use serde::{Deserialize, Serialize};

use crate::{Error, TemperatureScaling};

/// A map from a model's logits to honest probabilities, ready for a bundle.
///
/// ```
/// use derm_calibration::Calibrator;
/// use derm_core::Logits;
/// use ndarray::array;
/// let logits = Logits::new(array![[1.0, 0.0]])?;
/// assert_eq!(Calibrator::Identity.apply(&logits)?, logits.softmax());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calibrator {
    /// The softmax as it is.
    Identity,
    /// One temperature for all classes.
    Temperature(TemperatureScaling),
}

impl Calibrator {
    /// The name in files: `identity`, `temperature`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Temperature(_) => "temperature",
        }
    }

    /// The view of the rows that it was fitted on; `None` where nothing was fitted.
    pub fn view(&self) -> Option<&View> {
        match self {
            Self::Identity => None,
            Self::Temperature(scaling) => Some(&scaling.fitted_on.view),
        }
    }

    /// The calibrated probabilities of `logits` [N, C].
    ///
    /// # Errors
    /// [`Error::Value`] where a parameter was changed to an impossible one.
    pub fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        match self {
            Self::Identity => Ok(logits.softmax()),
            Self::Temperature(scaling) => scaling.apply(logits),
        }
    }

    /// The calibrated probabilities of a table of predictions, shape [N, C].
    ///
    /// # Errors
    /// [`Error::View`] where the table is of another view than the rows of the fit, [`Error::NoLogits`] where
    /// it has no logits and the calibrator needs them.
    pub fn calibrate<R: Role>(&self, predictions: &Predictions<R>) -> Result<Probabilities, Error> {
        let got = &predictions.metadata().view;
        if let Some(expected) = self.view()
            && got != expected
        {
            return Err(Error::View { got: got.clone(), expected: expected.clone() });
        }
        match self {
            Self::Identity => Ok(predictions.probabilities()),
            Self::Temperature(_) => {
                let logits = predictions.logits().ok_or_else(|| Error::NoLogits { view: got.clone() })?;
                self.apply(&logits)
            }
        }
    }
}
