use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::confusion_matrix::ratio;
use crate::error::check_length;

/// What two models said of the same rows: every row is in one of the five counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgreementCounts {
    /// Both are right.
    pub both_right: u64,
    /// The first is right and the second wrong.
    pub only_first_right: u64,
    /// The second is right and the first wrong.
    pub only_second_right: u64,
    /// Both are wrong and say the same class.
    pub same_error: u64,
    /// Both are wrong and say different classes.
    pub different_errors: u64,
}

impl AgreementCounts {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.both_right + self.same_error + self.differ()
    }

    /// Number of rows of which they say different classes.
    pub fn differ(&self) -> u64 {
        self.only_first_right + self.only_second_right + self.different_errors
    }

    /// Share of rows of which they say the same class; `None` without rows.
    pub fn agreement(&self) -> Option<f64> {
        ratio(self.both_right + self.same_error, self.rows())
    }

    fn add(&mut self, first: usize, second: usize, target: usize) {
        let count = match (first == target, second == target) {
            (true, true) => &mut self.both_right,
            (true, false) => &mut self.only_first_right,
            (false, true) => &mut self.only_second_right,
            (false, false) if first == second => &mut self.same_error,
            (false, false) => &mut self.different_errors,
        };
        *count += 1;
    }
}

/// Where two models, a teacher and its student for one, say the same, and who is right where they do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAgreement {
    /// All rows.
    pub overall: AgreementCounts,
    /// The rows of each true class, in the order of the labels.
    pub by_class: Vec<AgreementCounts>,
}

/// Counts where the most probable classes of two models are the same.
///
/// Whether one is right more often than the other is [`mcnemar`](crate::mcnemar)'s question, on one row a lesion or
/// patient.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit, [`Error::Classes`] where the models differ in their number of classes.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::model_agreement;
/// use ndarray::array;
/// let teacher = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])?;
/// let student = Probabilities::new(array![[0.6, 0.4], [0.6, 0.4], [0.8, 0.2]])?;
/// let agreement = model_agreement(&teacher, &student, &[0, 1, 1])?;
/// assert_eq!((agreement.overall.both_right, agreement.overall.only_first_right), (1, 1));
/// assert_eq!((agreement.overall.same_error, agreement.overall.agreement()), (1, Some(2.0 / 3.0)));
/// assert_eq!(agreement.by_class[1].rows(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn model_agreement(
    first: &Probabilities,
    second: &Probabilities,
    targets: &[usize],
) -> Result<ModelAgreement, Error> {
    let (got, expected) = (second.num_classes(), first.num_classes());
    if got != expected {
        return Err(Error::Classes { got, expected });
    }
    first.check_targets(targets)?;
    check_length("rows of the second model", second.num_samples(), targets.len())?;
    let mut overall = AgreementCounts::default();
    let mut by_class = vec![AgreementCounts::default(); expected];
    let said = first.predicted().into_iter().zip(second.predicted());
    for ((first, second), &target) in said.zip(targets) {
        overall.add(first, second, target);
        by_class[target].add(first, second, target);
    }
    Ok(ModelAgreement { overall, by_class })
}
