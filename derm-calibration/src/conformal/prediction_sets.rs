use derm_core::Probabilities;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// What becomes of a set without any class, which conformal prediction gives to rows that look like none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptySets {
    /// It stays empty: the row is unlike the calibration rows of every class, and should be referred.
    Keep,
    /// It gets the most probable class. Coverage can only grow.
    MostProbable,
}

/// One set of classes a row.
///
/// ```
/// use derm_calibration::PredictionSets;
/// let sets = PredictionSets::new(ndarray::array![[true, false, true], [false, false, false]]);
/// assert_eq!(sets.classes(0), [0, 2]);
/// assert_eq!(sets.sizes(), [2, 0]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionSets(Array2<bool>);

impl PredictionSets {
    /// The sets of a membership matrix, shape [N, C].
    pub fn new(membership: Array2<bool>) -> Self {
        Self(membership)
    }

    /// Which classes are in which sets, shape [N, C].
    pub fn view(&self) -> ArrayView2<'_, bool> {
        self.0.view()
    }

    /// Number of rows N.
    pub fn num_samples(&self) -> usize {
        self.0.nrows()
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> usize {
        self.0.ncols()
    }

    /// The classes in the set of a row, in rising order.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn classes(&self, row: usize) -> Vec<usize> {
        self.0.row(row).iter().enumerate().filter(|(_, member)| **member).map(|(class, _)| class).collect()
    }

    /// Number of classes in each set, shape `[N]`.
    pub fn sizes(&self) -> Vec<usize> {
        let size = |row: ndarray::ArrayView1<'_, bool>| row.iter().filter(|&&member| member).count();
        self.0.rows().into_iter().map(size).collect()
    }

    /// The same with empty sets treated as `rule` says.
    pub(super) fn filled(mut self, rule: EmptySets, probabilities: &Probabilities) -> Self {
        if rule == EmptySets::MostProbable {
            for (mut row, class) in self.0.rows_mut().into_iter().zip(probabilities.predicted()) {
                if row.iter().all(|member| !member) {
                    row[class] = true;
                }
            }
        }
        self
    }
}
