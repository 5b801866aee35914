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
    /// An entry of a list is outside its range; NaN is outside every range.
    #[error("`{argument}` has {value} at position {position}: expected {expected}")]
    Entry {
        /// The argument.
        argument: &'static str,
        /// Position, from 0.
        position: usize,
        /// The value.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// More bins, or folds, than there is to fill them.
    #[error("`{argument}` is {value}: expected {minimum} to {maximum}, the number of {of}")]
    TooMany {
        /// The argument.
        argument: &'static str,
        /// Its value.
        value: usize,
        /// Smallest allowed value.
        minimum: usize,
        /// Largest allowed value.
        maximum: usize,
        /// What there are so many of.
        of: &'static str,
    },
    /// Scores of another number of classes than the calibrator or the policy was fitted on.
    #[error("`{argument}` has {got} classes: expected {expected}, those of the fit")]
    Classes {
        /// The argument.
        argument: &'static str,
        /// Its number of classes.
        got: usize,
        /// Number of classes of the fit.
        expected: usize,
    },
    /// A maximum-likelihood fit without a usable end.
    #[error(
        "{method} did not converge in {iterations} steps (largest gradient {gradient:e}, last change of a \
         logit {change:e}): {reason}"
    )]
    NotConverged {
        /// The calibrator.
        method: &'static str,
        /// Newton steps.
        iterations: usize,
        /// Largest entry of the gradient of the mean objective.
        gradient: f64,
        /// Largest change of a row's logit by the last step.
        change: f64,
        /// Why it stopped.
        reason: &'static str,
    },
    /// No candidate could be fitted, so that there is none to choose.
    #[error("none of {candidates} candidates can be fitted; the first failed with: {first}")]
    NoCandidate {
        /// Number of candidates.
        candidates: usize,
        /// Why the first failed.
        first: String,
    },
    /// A policy by predicted class from a grid that has no candidates by class.
    #[error(
        "the threshold grid has candidates for {got} predicted classes: expected {expected}, one set a class"
    )]
    ClassGrids {
        /// Number of classes that the grid knows.
        got: usize,
        /// Number of classes of the rows.
        expected: usize,
    },
    /// Parts that do not belong together, in something put together by hand or in a file that was changed.
    #[error("`{argument}` does not fit: expected {expected}")]
    Inconsistent {
        /// The part.
        argument: &'static str,
        /// What the others ask of it.
        expected: &'static str,
    },
    /// Rows without the subgroup column that something is conditioned on.
    #[error("rows without the subgroup column `{column}`, which the promise is conditioned on")]
    SubgroupColumn {
        /// The column.
        column: String,
    },
    /// Predictions without logits, which are needed.
    #[error("predictions of view `{view}` hold log-probabilities: logits are needed")]
    NoLogits {
        /// The view of the predictions.
        view: View,
    },
    /// Predictions of another view than the calibrator, or what stands on it, was fitted on.
    #[error("predictions of view `{got}`: the fit was on view `{expected}`")]
    View {
        /// The view of the predictions.
        got: View,
        /// The view of the rows of the fit.
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

/// Refuses NaN, infinities, zero and negative numbers.
pub(crate) fn check_positive(argument: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a positive finite number" })
    }
}

/// Refuses NaN, infinities and negative numbers.
pub(crate) fn check_not_negative(argument: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a finite number of 0 or more" })
    }
}

/// Refuses an entry that is not finite.
pub(crate) fn check_finite<'a>(
    argument: &'static str,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), Error> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((position, &value)) => {
            Err(Error::Entry { argument, position, value, expected: "a finite number" })
        }
    }
}

/// Refuses another number of rows than `expected`.
pub(crate) fn check_length(argument: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(ValueError::Length { argument, got, expected }.into()) }
}
