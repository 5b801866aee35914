use derm_core::{Logits, Predictions, Probabilities, Role, View};
use serde::{Deserialize, Serialize};

use crate::calibrate::check_view;
use crate::no_fields::no_fields;
use crate::{
    BetaCalibration, Calibrate, CalibratorInput, DirichletCalibration, Error, FittedOn, HistogramBinning,
    IsotonicCalibration, MatrixScaling, PlattScaling, TemperatureScaling, VectorScaling,
};

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
    #[serde(deserialize_with = "no_fields")]
    Identity,
    /// One temperature for all classes.
    Temperature(TemperatureScaling),
    /// A scale and a bias a class.
    Vector(VectorScaling),
    /// An affine map of the logits.
    Matrix(MatrixScaling),
    /// An affine map of the logarithms of the probabilities.
    Dirichlet(DirichletCalibration),
    /// A sigmoid of every class's log-odds.
    Platt(PlattScaling),
    /// A beta map of every class.
    Beta(BetaCalibration),
    /// A rising step function a class.
    Isotonic(IsotonicCalibration),
    /// The rates of bins, for every class.
    HistogramBinning(HistogramBinning),
}

/// Evaluates `$then` with `$fitted` the calibrator inside, and `$identity` where there is none.
macro_rules! each {
    ($calibrator:expr, $fitted:ident => $then:expr, $identity:expr) => {
        match $calibrator {
            Calibrator::Identity => $identity,
            Calibrator::Temperature($fitted) => $then,
            Calibrator::Vector($fitted) => $then,
            Calibrator::Matrix($fitted) => $then,
            Calibrator::Dirichlet($fitted) => $then,
            Calibrator::Platt($fitted) => $then,
            Calibrator::Beta($fitted) => $then,
            Calibrator::Isotonic($fitted) => $then,
            Calibrator::HistogramBinning($fitted) => $then,
        }
    };
}

impl Calibrator {
    /// The name in files: `identity`, `temperature`, `vector`, `matrix`, `dirichlet`, `platt`, `beta`,
    /// `isotonic`, `histogram_binning`.
    pub fn name(&self) -> &'static str {
        each!(self, fitted => fitted.name(), "identity")
    }

    /// The view of the rows that it was fitted on; `None` where nothing was fitted.
    pub fn view(&self) -> Option<&View> {
        self.fitted_on().map(|fitted_on| &fitted_on.view)
    }

    /// The calibrated probabilities of `logits` [N, C].
    ///
    /// # Errors
    /// As [`Calibrate::apply`].
    pub fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        each!(self, fitted => fitted.apply(logits), Ok(logits.softmax()))
    }

    /// The calibrated probabilities of a table of predictions, shape [N, C].
    ///
    /// # Errors
    /// As [`Calibrate::calibrate`].
    pub fn calibrate<R: Role>(&self, predictions: &Predictions<R>) -> Result<Probabilities, Error> {
        check_view(self.fitted_on(), predictions)?;
        each!(self, fitted => fitted.calibrate(predictions), Ok(predictions.probabilities()))
    }
}

impl Calibrate for Calibrator {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn input(&self) -> CalibratorInput {
        each!(self, fitted => fitted.input(), CalibratorInput::Probabilities)
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        each!(self, fitted => fitted.fitted_on(), None)
    }

    fn keeps_argmax(&self) -> bool {
        each!(self, fitted => fitted.keeps_argmax(), true)
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        self.apply(logits)
    }

    fn calibrate<R: Role>(&self, predictions: &Predictions<R>) -> Result<Probabilities, Error> {
        self.calibrate(predictions)
    }
}

/// Gives each calibrator its way into [`Calibrator`].
macro_rules! into_calibrator {
    ($($fitted:ty => $variant:ident),* $(,)?) => {
        $(impl From<$fitted> for Calibrator {
            fn from(fitted: $fitted) -> Self {
                Self::$variant(fitted)
            }
        })*
    };
}

into_calibrator! {
    TemperatureScaling => Temperature,
    VectorScaling => Vector,
    MatrixScaling => Matrix,
    DirichletCalibration => Dirichlet,
    PlattScaling => Platt,
    BetaCalibration => Beta,
    IsotonicCalibration => Isotonic,
    HistogramBinning => HistogramBinning,
}
