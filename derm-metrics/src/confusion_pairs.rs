use serde::{Deserialize, Serialize};

use crate::ConfusionMatrix;
use crate::confusion_matrix::ratio;

/// How often one class was taken for one other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConfusionPair {
    /// The true class.
    pub truth: usize,
    /// The class that it was taken for, never the true one.
    pub predicted: usize,
    /// Number of rows, at least 1.
    pub count: u64,
    /// Their share of the rows of the true class.
    pub share_of_class: f64,
    /// Their share of all misclassified rows.
    pub share_of_errors: f64,
}

impl ConfusionMatrix {
    /// The confusions that occurred, the most frequent first; equal counts by true class, then by predicted class.
    ///
    /// ```
    /// use derm_core::Probabilities;
    /// use derm_metrics::ConfusionMatrix;
    /// use ndarray::array;
    /// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])?;
    /// let pairs = ConfusionMatrix::new(&probabilities, &[0, 1, 1, 0])?.confusion_pairs();
    /// assert_eq!((pairs[0].truth, pairs[0].predicted, pairs[0].count), (1, 0, 2));
    /// assert_eq!((pairs[0].share_of_class, pairs[0].share_of_errors), (1.0, 2.0 / 3.0));
    /// assert_eq!((pairs[1].truth, pairs[1].predicted, pairs[1].share_of_class), (0, 1, 0.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn confusion_pairs(&self) -> Vec<ConfusionPair> {
        let support = self.support();
        let errors = self.total() - self.hits().iter().sum::<u64>();
        let of_cell = |((truth, predicted), &count): ((usize, usize), &u64)| {
            let confused = truth != predicted && count > 0;
            confused.then_some(())?;
            Some(ConfusionPair {
                truth,
                predicted,
                count,
                share_of_class: ratio(count, support[truth])?,
                share_of_errors: ratio(count, errors)?,
            })
        };
        let mut pairs: Vec<ConfusionPair> = self.counts().indexed_iter().filter_map(of_cell).collect();
        // The sort is stable, so that equal counts stay in the order of the matrix.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs
    }
}
