/// What a loss refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range, or not a number.
    #[error("{parameter} is {value}; expected {expected}")]
    OutOfRange {
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// A class weight that is negative, infinite or not a number.
    #[error("{parameter}[{index}] is {value}; expected a finite number >= 0")]
    ClassWeight {
        /// The parameter's name.
        parameter: &'static str,
        /// The class.
        index: usize,
        /// The value given.
        value: f64,
    },
    /// Another number of class weights than classes.
    #[error("{parameter} has {found} entries; expected one for each of the {num_classes} classes")]
    WeightCount {
        /// The parameter's name.
        parameter: &'static str,
        /// The number of weights given.
        found: usize,
        /// The number of classes.
        num_classes: usize,
    },
    /// Class weights that are all zero, which leaves nothing to learn from.
    #[error("{parameter} are all zero; expected at least one positive weight")]
    ZeroWeights {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// Fewer classes than a classification has.
    #[error("num_classes is {found}; expected at least 2")]
    TooFewClasses {
        /// The number of classes given.
        found: usize,
    },
    /// Class counts without any sample, from which no weight follows.
    #[error("counts of {num_classes} classes hold no sample; expected at least one")]
    NoSamples {
        /// The number of counts given.
        num_classes: usize,
    },
}

/// Checks that `value` lies in the range that `allowed` accepts; NaN never does.
pub(crate) fn check_range(
    parameter: &'static str,
    value: f64,
    expected: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    if value.is_finite() && allowed(value) {
        Ok(())
    } else {
        Err(Error::OutOfRange { parameter, value, expected })
    }
}

/// Checks one weight a class: as many as classes, finite, not negative, not all zero.
pub(crate) fn check_weights(
    parameter: &'static str,
    weights: Option<&[f32]>,
    num_classes: usize,
) -> Result<(), Error> {
    if num_classes < 2 {
        return Err(Error::TooFewClasses { found: num_classes });
    }
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != num_classes {
        return Err(Error::WeightCount { parameter, found: weights.len(), num_classes });
    }
    if let Some((index, &value)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
        return Err(Error::ClassWeight { parameter, index, value: f64::from(value) });
    }
    if weights.iter().any(|&w| w > 0.0) { Ok(()) } else { Err(Error::ZeroWeights { parameter }) }
}
