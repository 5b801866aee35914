use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::confusion_matrix::ratio;
use crate::{ClassSet, ConfusionMatrix, Error};

/// What a precision, recall or F1 is whose denominator is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDivision {
    /// `None`, and left out of means.
    Undefined,
    /// 0, as scikit-learn does by default.
    Zero,
    /// 1.
    One,
}

impl ZeroDivision {
    fn value(self) -> Option<f64> {
        match self {
            Self::Undefined => None,
            Self::Zero => Some(0.0),
            Self::One => Some(1.0),
        }
    }
}

/// Precision, recall and F1 of one class against the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassPrf {
    /// `TP / (TP + FP)`; the denominator is 0 for a class that was never predicted.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`; the denominator is 0 for a class without samples.
    pub recall: Option<f64>,
    /// `2 TP / (2 TP + FP + FN)`; the denominator is 0 for a class that is neither there nor predicted.
    pub f1: Option<f64>,
    /// Number of samples of the class.
    pub support: u64,
}

/// Which of the three numbers to average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrfMetric {
    /// Precision.
    Precision,
    /// Recall.
    Recall,
    /// F1.
    F1,
}

/// How the classes make one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrfAverage {
    /// The plain mean over these classes.
    Macro(ClassSet),
    /// The mean weighted by support.
    Weighted,
    /// From the counts summed over all classes, where precision, recall and F1 all equal the accuracy.
    Micro,
}

/// Precision, recall, F1 and support of every class, shape `[C]`.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `precision_recall_fscore_support`.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{ZeroDivision, per_class_prf};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.6, 0.4]])?;
/// let classes = per_class_prf(&probabilities, &[0, 1], ZeroDivision::Undefined)?;
/// assert_eq!((classes[0].precision, classes[0].recall), (Some(0.5), Some(1.0)));
/// assert_eq!((classes[1].precision, classes[1].recall), (None, Some(0.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn per_class_prf(
    probabilities: &Probabilities,
    targets: &[usize],
    zero_division: ZeroDivision,
) -> Result<Vec<ClassPrf>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.per_class_prf(zero_division))
}

/// Precision, recall or F1 averaged over classes; `None` where every entry of the mean is undefined.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `precision_score`, `recall_score`, `f1_score` with all labels, or with those of the targets
/// for [`ClassSet::Present`].
pub fn averaged_prf(
    probabilities: &Probabilities,
    targets: &[usize],
    metric: PrfMetric,
    average: PrfAverage,
    zero_division: ZeroDivision,
) -> Result<Option<f64>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.averaged_prf(metric, average, zero_division))
}

impl ConfusionMatrix {
    /// Precision, recall, F1 and support of every class; see [`per_class_prf`].
    pub fn per_class_prf(&self, zero_division: ZeroDivision) -> Vec<ClassPrf> {
        let (hits, support, predicted) = (self.hits(), self.support(), self.predicted());
        let class = |((&hit, &support), &predicted): ((&u64, &u64), &u64)| ClassPrf {
            precision: ratio(hit, predicted).or(zero_division.value()),
            recall: ratio(hit, support).or(zero_division.value()),
            f1: ratio(2 * hit, support + predicted).or(zero_division.value()),
            support,
        };
        hits.iter().zip(&support).zip(&predicted).map(class).collect()
    }

    /// Precision, recall or F1 averaged over classes; see [`averaged_prf`].
    pub fn averaged_prf(
        &self,
        metric: PrfMetric,
        average: PrfAverage,
        zero_division: ZeroDivision,
    ) -> Option<f64> {
        if average == PrfAverage::Micro {
            return Some(self.accuracy());
        }
        let (mut sum, mut total) = (0.0, 0.0);
        for class in self.per_class_prf(zero_division) {
            let weight = match average {
                PrfAverage::Macro(ClassSet::Present) if class.support == 0 => 0.0,
                PrfAverage::Weighted => class.support as f64,
                _ => 1.0,
            };
            let value = match metric {
                PrfMetric::Precision => class.precision,
                PrfMetric::Recall => class.recall,
                PrfMetric::F1 => class.f1,
            };
            if let Some(value) = value {
                sum += weight * value;
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }
}
