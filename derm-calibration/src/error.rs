use derm_core::{PredictionsError, ValueError, View};

/// A calibrator or policy that cannot be fitted or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Logits, probabilities or targets that cannot be right.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A metric that cannot be computed as asked.
    #[error(transparent)]
    Metric(#[from] derm_metrics::Error),
    /// A table of predictions that cannot be right.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// A number outside its range; NaN is outside every range.
    #[error("`{argument}` is {value}: expected {expected}")]
    Range {
        /// The argument.
        argument: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// A count below its minimum.
    #[error("`{argument}` is {value}: expected {minimum} or more")]
    Count {
        /// The argument.
        argument: &'static str,
        /// Its value.
        value: usize,
        /// Smallest allowed value.
        minimum: usize,
    },
    /// Predictions without logits, which a temperature cannot scale.
    #[error("predictions of view `{view}` hold log-probabilities: temperature scaling needs logits")]
    NoLogits {
        /// The view of the predictions.
        view: View,
    },
    /// Predictions of another view than the calibrator was fitted on.
    #[error("predictions of view `{got}`: the calibrator was fitted on view `{expected}`")]
    View {
        /// The view of the predictions.
        got: View,
        /// The view of the rows that the calibrator was fitted on.
        expected: View,
    },
    /// Rows of different splits of the data, whose roles may overlap.
    #[error("{what} of split {got}: expected split {expected}")]
    Split {
        /// What comes from another split.
        what: &'static str,
        /// Its split's hash.
        got: String,
        /// Hash that was expected.
        expected: String,
    },
}

/// Refuses NaN and what lies outside the open interval (0, 1).
pub(crate) fn check_open_unit(argument: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a number between 0 and 1, both excluded" })
    }
}

/// Refuses NaN and what lies outside [0, 1].
pub(crate) fn check_closed_unit(argument: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a number from 0 to 1" })
    }
}
