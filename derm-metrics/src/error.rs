use derm_core::ValueError;

/// A metric that cannot be computed as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Probabilities or targets that cannot be right.
    #[error(transparent)]
    Value(#[from] ValueError),
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
    /// A count outside its range.
    #[error("`{argument}` is {value}: expected {}", counts(*minimum, *maximum))]
    Count {
        /// The argument.
        argument: &'static str,
        /// Its value.
        value: usize,
        /// Smallest allowed value.
        minimum: usize,
        /// Largest allowed value.
        maximum: usize,
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
    /// Probabilities of another number of classes than the labels, or than those that they are compared with.
    #[error("the probabilities have {got} classes: expected {expected}")]
    Classes {
        /// Number of classes of the probabilities.
        got: usize,
        /// Number of labels, or of classes of the others.
        expected: usize,
    },
    /// A name that is not known.
    #[error("`{argument}` has {name:?}; known are {known:?}")]
    UnknownName {
        /// The argument.
        argument: &'static str,
        /// The name.
        name: String,
        /// The names that are known.
        known: Vec<String>,
    },
    /// A name stands twice where each may stand once.
    #[error("`{argument}` has {name:?} twice")]
    DuplicateName {
        /// The argument.
        argument: &'static str,
        /// The name.
        name: String,
    },
    /// A class that lies in no group of classes.
    #[error("class {name:?} lies in no group")]
    UngroupedClass {
        /// The class.
        name: String,
    },
    /// A group of classes without a class.
    #[error("group {group:?} holds no class")]
    EmptyGroup {
        /// The group.
        group: String,
    },
    /// Rows of one lesion, case or patient disagree in their class where they must share one.
    #[error("unit {unit:?} has rows of class {first} and of class {second}: expected one class")]
    MixedUnit {
        /// The lesion, case or patient.
        unit: String,
        /// One class.
        first: usize,
        /// Another.
        second: usize,
    },
    /// A text that should be a number.
    #[error("`{argument}` has {text:?} at position {position}: expected a number")]
    NotANumber {
        /// The argument.
        argument: &'static str,
        /// Position, from 0.
        position: usize,
        /// The text.
        text: String,
    },
    /// A given resample names a row that does not exist.
    #[error("resample {resample} draws row {row} at position {position}: expected 0 to {}", num_samples - 1)]
    ResampleRow {
        /// The resample, from 0.
        resample: usize,
        /// Position in the resample, from 0.
        position: usize,
        /// The row it draws.
        row: usize,
        /// Number of rows.
        num_samples: usize,
    },
}

/// A range of counts in words.
fn counts(minimum: usize, maximum: usize) -> String {
    match (minimum, maximum) {
        (minimum, usize::MAX) => format!("{minimum} or more"),
        (minimum, maximum) if minimum == maximum => minimum.to_string(),
        (minimum, maximum) => format!("{minimum} to {maximum}"),
    }
}

pub(crate) fn check_alpha(alpha: f64) -> Result<(), Error> {
    if alpha > 0.0 && alpha < 1.0 {
        Ok(())
    } else {
        Err(Error::Range {
            argument: "alpha",
            value: alpha,
            expected: "a number between 0 and 1, both excluded",
        })
    }
}

pub(crate) fn check_at_least_one(argument: &'static str, value: usize) -> Result<(), Error> {
    if value >= 1 { Ok(()) } else { Err(Error::Count { argument, value, minimum: 1, maximum: usize::MAX }) }
}

pub(crate) fn check_at_least_two_classes(value: usize) -> Result<(), Error> {
    if value >= 2 {
        Ok(())
    } else {
        Err(Error::Count { argument: "num_classes", value, minimum: 2, maximum: usize::MAX })
    }
}

pub(crate) fn check_not_empty(argument: &'static str, length: usize) -> Result<(), Error> {
    if length > 0 { Ok(()) } else { Err(ValueError::Empty { argument }.into()) }
}

pub(crate) fn check_length(argument: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(ValueError::Length { argument, got, expected }.into()) }
}

pub(crate) fn check_finite(argument: &'static str, numbers: &[f64]) -> Result<(), Error> {
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(position) => {
            let (value, expected) = (numbers[position], "a finite number");
            Err(Error::Entry { argument, position, value, expected })
        }
    }
}

pub(crate) fn check_share(argument: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a number from 0 to 1" })
    }
}

pub(crate) fn check_finite_number(argument: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(Error::Range { argument, value, expected: "a finite number" })
    }
}
