use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::confusion_matrix::ratio;
use crate::{ConfusionMatrix, Error};

/// The four rates of one class against the rest, decided by the most probable class. Each is `None` where its
/// denominator is 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassRates {
    /// `TP / (TP + FN)`, the recall.
    pub sensitivity: Option<f64>,
    /// `TN / (TN + FP)`.
    pub specificity: Option<f64>,
    /// Positive predictive value, `TP / (TP + FP)`, the precision.
    pub ppv: Option<f64>,
    /// Negative predictive value, `TN / (TN + FN)`.
    pub npv: Option<f64>,
}

/// Sensitivity, specificity and predictive values of every class against the rest, shape `[C]`.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `multilabel_confusion_matrix`.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]])?;
/// let rates = derm_metrics::per_class_rates(&probabilities, &[0, 1, 1])?;
/// assert_eq!((rates[0].sensitivity, rates[0].specificity), (Some(1.0), Some(0.5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn per_class_rates(probabilities: &Probabilities, targets: &[usize]) -> Result<Vec<ClassRates>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.per_class_rates())
}

impl ConfusionMatrix {
    /// The rates of every class; see [`per_class_rates`].
    pub fn per_class_rates(&self) -> Vec<ClassRates> {
        let total = self.total();
        let (hits, support, predicted) = (self.hits(), self.support(), self.predicted());
        let class = |((&hit, &support), &predicted): ((&u64, &u64), &u64)| {
            let true_negatives = total + hit - support - predicted;
            ClassRates {
                sensitivity: ratio(hit, support),
                specificity: ratio(true_negatives, total - support),
                ppv: ratio(hit, predicted),
                npv: ratio(true_negatives, total - predicted),
            }
        };
        hits.iter().zip(&support).zip(&predicted).map(class).collect()
    }
}
