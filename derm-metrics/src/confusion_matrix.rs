use derm_core::Probabilities;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{check_length, check_not_empty};
use crate::{ClassSet, Error};

/// How often each class was predicted as each class: rows are the true class, columns the predicted one.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::ConfusionMatrix;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])?;
/// let matrix = ConfusionMatrix::new(&probabilities, &[0, 1, 1])?;
/// assert_eq!(matrix.counts(), array![[1, 0], [1, 1]]);
/// assert_eq!(matrix.normalized(), array![[1.0, 0.0], [0.5, 0.5]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct ConfusionMatrix {
    counts: Array2<u64>,
}

impl ConfusionMatrix {
    /// Counts `targets` `[N]` against the most probable class of each row of `probabilities` [N, C].
    ///
    /// # Errors
    /// [`Error::Value`] where the targets do not fit the probabilities.
    pub fn new(probabilities: &Probabilities, targets: &[usize]) -> Result<Self, Error> {
        probabilities.check_targets(targets)?;
        Ok(Self::count(probabilities.num_classes(), targets, &probabilities.predicted(), |_| 1))
    }

    /// Counts rows with a multiplicity; classes are checked by the caller.
    pub(crate) fn count(
        num_classes: usize,
        targets: &[usize],
        predicted: &[usize],
        weight: impl Fn(usize) -> u64,
    ) -> Self {
        let mut counts = Array2::zeros((num_classes, num_classes));
        for (row, (&target, &class)) in targets.iter().zip(predicted).enumerate() {
            counts[[target, class]] += weight(row);
        }
        Self { counts }
    }

    /// The counts, shape [C, C].
    pub fn counts(&self) -> ArrayView2<'_, u64> {
        self.counts.view()
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> usize {
        self.counts.nrows()
    }

    /// Number of rows N.
    pub fn total(&self) -> u64 {
        self.counts.sum()
    }

    /// Number of rows of each true class, shape `[C]`.
    pub fn support(&self) -> Vec<u64> {
        self.counts.sum_axis(Axis(1)).to_vec()
    }

    /// Number of rows predicted as each class, shape `[C]`.
    pub fn predicted(&self) -> Vec<u64> {
        self.counts.sum_axis(Axis(0)).to_vec()
    }

    /// Number of rows of each class that were predicted as it, shape `[C]`.
    pub fn hits(&self) -> Vec<u64> {
        self.counts.diag().to_vec()
    }

    /// Each row divided by its sum, shape [C, C]; the row of a class without samples stays 0.
    ///
    /// # Source
    /// scikit-learn `confusion_matrix(normalize="true")`.
    pub fn normalized(&self) -> Array2<f64> {
        let mut shares = self.counts.mapv(|count| count as f64);
        for mut row in shares.rows_mut() {
            let sum = row.sum();
            if sum > 0.0 {
                row /= sum;
            }
        }
        shares
    }

    /// Share of rows on the diagonal; see [`accuracy`](crate::accuracy).
    pub fn accuracy(&self) -> f64 {
        self.counts.diag().sum() as f64 / self.total() as f64
    }

    /// Recall of each class, `None` for a class without samples, shape `[C]`.
    pub fn recall(&self) -> Vec<Option<f64>> {
        self.hits().into_iter().zip(self.support()).map(|(hit, of)| ratio(hit, of)).collect()
    }

    /// Mean recall; see [`balanced_accuracy`](crate::balanced_accuracy).
    pub fn balanced_accuracy(&self, classes: ClassSet) -> f64 {
        let recall = self.recall();
        let sum: f64 = recall.iter().flatten().sum();
        let count = match classes {
            ClassSet::Present => recall.iter().flatten().count(),
            ClassSet::All => recall.len(),
        };
        sum / count as f64
    }
}

impl TryFrom<Vec<Vec<u64>>> for ConfusionMatrix {
    type Error = Error;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self, Error> {
        let num_classes = rows.len();
        if let Some(row) = rows.iter().find(|row| row.len() != num_classes) {
            check_length("columns of the confusion matrix", row.len(), num_classes)?;
        }
        if rows.iter().flatten().all(|&count| count == 0) {
            check_not_empty("confusion matrix", 0)?;
        }
        let counts = Array2::from_shape_fn((num_classes, num_classes), |(row, column)| rows[row][column]);
        Ok(Self { counts })
    }
}

impl From<ConfusionMatrix> for Vec<Vec<u64>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix.counts.rows().into_iter().map(|row| row.to_vec()).collect()
    }
}

/// `part / whole`, undefined for an empty whole.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
