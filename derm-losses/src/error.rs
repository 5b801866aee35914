/// What a loss refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range, not a number, or too large for the f32 that the losses compute in.
    #[error("{parameter} is {value}; expected {expected}")]
    OutOfRange {
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// The value of a class (a weight, a γ) that is negative, infinite (also as f32) or not a number.
    #[error("{parameter}[{index}] is {value}; expected a finite number >= 0")]
    PerClassValue {
        /// The parameter's name.
        parameter: &'static str,
        /// The class.
        index: usize,
        /// The value given.
        value: f64,
    },
    /// Another number of weights, counts or γ than classes.
    #[error("{parameter} has {found} entries; expected one for each of the {num_classes} classes")]
    PerClassLength {
        /// The parameter's name.
        parameter: &'static str,
        /// The number of entries given.
        found: usize,
        /// The number of classes.
        num_classes: usize,
    },
    /// Weights that are all zero, which leaves nothing to learn from.
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
    /// A class without samples where the loss needs the class's frequency.
    #[error("counts[{index}] is 0; expected at least one sample of every class")]
    ZeroCount {
        /// The class.
        index: usize,
    },
    /// Deferred re-weighting of a loss that has no class weights: there is nothing to defer.
    #[error("the loss has no class weights; deferred re-weighting needs some to switch on")]
    NoClassWeights,
    /// Decoupled distillation of two classes, where the non-target part is identically zero.
    #[error(
        "decoupled distillation of {found} classes; expected at least 3, because with two of them it is \
         alpha times the plain distillation loss"
    )]
    DecoupledClasses {
        /// The number of classes given.
        found: usize,
    },
    /// A loss over several layers without any.
    #[error("there are no layers; expected at least one")]
    NoLayers,
    /// The weight of a layer that is negative, infinite (also as f32) or not a number.
    #[error("the weight of layer {index} is {value}; expected a finite number >= 0")]
    LayerWeight {
        /// The layer, counted from 0.
        index: usize,
        /// The weight given.
        value: f64,
    },
    /// Targets to be mixed that differ in their number of samples.
    #[error("a holds the targets of {a} samples, b of {b}; expected as many")]
    MixedSamples {
        /// Samples of a.
        a: usize,
        /// Samples of b.
        b: usize,
    },
    /// Class counts without any sample, from which no weight follows.
    #[error("counts of {num_classes} classes hold no sample; expected at least one")]
    NoSamples {
        /// The number of counts given.
        num_classes: usize,
    },
}

/// Checks that `value` lies in the range that `allowed` accepts; NaN never does, nor what f32 cannot hold.
pub(crate) fn check_range(
    parameter: &'static str,
    value: f64,
    expected: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    if (value as f32).is_finite() && allowed(value) {
        Ok(())
    } else {
        Err(Error::OutOfRange { parameter, value, expected })
    }
}

/// Checks that a classification has at least two classes.
pub(crate) fn check_classes(num_classes: usize) -> Result<(), Error> {
    if num_classes >= 2 { Ok(()) } else { Err(Error::TooFewClasses { found: num_classes }) }
}

/// Checks one value a class: as many as classes, each finite and not negative.
pub(crate) fn check_per_class(
    parameter: &'static str,
    values: &[f64],
    num_classes: usize,
) -> Result<(), Error> {
    if values.len() != num_classes {
        return Err(Error::PerClassLength { parameter, found: values.len(), num_classes });
    }
    match values.iter().position(|value| !((*value as f32).is_finite() && *value >= 0.0)) {
        None => Ok(()),
        Some(index) => Err(Error::PerClassValue { parameter, index, value: values[index] }),
    }
}

/// Checks class weights, where there are any: one a class, finite, not negative, not all zero.
pub(crate) fn check_weights(
    parameter: &'static str,
    weights: Option<&[f32]>,
    num_classes: usize,
) -> Result<(), Error> {
    check_classes(num_classes)?;
    let Some(weights) = weights else { return Ok(()) };
    let weights: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
    check_per_class(parameter, &weights, num_classes)?;
    check_not_all_zero(parameter, &weights)
}

/// Checks that at least one of the weights is above 0.
pub(crate) fn check_not_all_zero(parameter: &'static str, weights: &[f64]) -> Result<(), Error> {
    if weights.iter().any(|&weight| weight > 0.0) { Ok(()) } else { Err(Error::ZeroWeights { parameter }) }
}

/// Checks the number of samples of each class: one count a class, none of them 0.
pub(crate) fn check_counts(counts: &[usize], num_classes: usize) -> Result<(), Error> {
    check_classes(num_classes)?;
    if counts.len() != num_classes {
        return Err(Error::PerClassLength { parameter: "counts", found: counts.len(), num_classes });
    }
    match counts.iter().position(|&count| count == 0) {
        None => Ok(()),
        Some(index) => Err(Error::ZeroCount { index }),
    }
}
