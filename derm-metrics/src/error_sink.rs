use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::confusion_matrix::ratio;
use crate::{ConfusionMatrix, Error};

/// What one class collects of the errors on the other classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorSink {
    /// Misclassified rows of other classes that were predicted as this one.
    pub collected: u64,
    /// Misclassified rows of other classes.
    pub errors_of_others: u64,
    /// `collected / errors_of_others`; `None` where the other classes have no errors.
    pub share: Option<f64>,
    /// `share · (C − 1)`: the share against `1 / (C − 1)`, what the class would collect if the errors of every
    /// other class went to all wrong classes alike. 1 is no sink, C − 1 takes every error.
    pub index: Option<f64>,
}

/// Which classes collect the others' errors.
///
/// An over-predicted class in a long-tailed problem is often the place where all rare classes end; accuracy
/// does not show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorSinks {
    /// Every class, shape `[C]`.
    pub classes: Vec<ErrorSink>,
    /// Number of misclassified rows E.
    pub errors: u64,
    /// How concentrated the errors are, from 0 (every class collects as many) to 1 (one class collects all):
    /// the Herfindahl index of the collected shares `s_c = collected_c / E`, normalised:
    /// `(Σ_c s_c² − 1/C) / (1 − 1/C)`. `None` without errors.
    pub concentration: Option<f64>,
}

impl ErrorSinks {
    /// The class of the largest index, the lowest among equal ones; `None` without errors.
    pub fn largest(&self) -> Option<usize> {
        let mut largest: Option<(usize, f64)> = None;
        for (class, index) in
            self.classes.iter().enumerate().filter_map(|(class, of)| Some((class, of.index?)))
        {
            if largest.is_none_or(|(_, best)| index > best) {
                largest = Some((class, index));
            }
        }
        largest.map(|(class, _)| class)
    }
}

/// The error-sink index of every class.
///
/// With two classes each can only err towards the other, so that every index is 1.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// // Classes 0 and 2 are both taken for class 1.
/// let probabilities = Probabilities::new(array![[0.2, 0.8, 0.0], [0.1, 0.9, 0.0], [0.0, 0.6, 0.4], [0.3, 0.2, 0.5]])?;
/// let sinks = derm_metrics::error_sinks(&probabilities, &[0, 1, 2, 1])?;
/// assert_eq!(sinks.errors, 3);
/// assert_eq!((sinks.classes[1].collected, sinks.classes[1].errors_of_others), (2, 2));
/// assert_eq!((sinks.classes[1].share, sinks.classes[1].index), (Some(1.0), Some(2.0)));
/// assert_eq!(sinks.largest(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_sinks(probabilities: &Probabilities, targets: &[usize]) -> Result<ErrorSinks, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.error_sinks())
}

impl ConfusionMatrix {
    /// The error-sink index of every class; see [`error_sinks`].
    pub fn error_sinks(&self) -> ErrorSinks {
        let (support, predicted, hits) = (self.support(), self.predicted(), self.hits());
        let errors = self.total() - hits.iter().sum::<u64>();
        let num_classes = self.num_classes();
        let of_class = |class: usize| {
            let collected = predicted[class] - hits[class];
            let errors_of_others = errors - (support[class] - hits[class]);
            let share = ratio(collected, errors_of_others);
            let index = share.map(|share| share * num_classes.saturating_sub(1) as f64);
            ErrorSink { collected, errors_of_others, share, index }
        };
        let classes: Vec<ErrorSink> = (0..num_classes).map(of_class).collect();
        let even = 1.0 / num_classes as f64;
        let concentration = (errors > 0).then(|| {
            let share = |class: &ErrorSink| class.collected as f64 / errors as f64;
            let sum: f64 = classes.iter().map(|class| share(class).powi(2)).sum();
            (sum - even) / (1.0 - even)
        });
        ErrorSinks { classes, errors, concentration }
    }
}
