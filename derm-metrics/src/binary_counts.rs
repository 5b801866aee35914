use serde::{Deserialize, Serialize};

use crate::confusion_matrix::ratio;
use crate::error::check_finite_number;
use crate::ranked_rows::check_scores;
use crate::{ClassRates, Error};

/// How often a yes-or-no decision was right and wrong.
///
/// ```
/// use derm_metrics::BinaryCounts;
/// let counts = BinaryCounts::at_threshold(&[0.9, 0.5, 0.2], &[true, false, false], 0.5)?;
/// assert_eq!((counts.true_positives, counts.false_positives, counts.true_negatives), (1, 1, 1));
/// assert_eq!(counts.rates().specificity, Some(0.5));
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryCounts {
    /// Positives that were called so.
    pub true_positives: u64,
    /// Negatives that were called positive.
    pub false_positives: u64,
    /// Negatives that were called so.
    pub true_negatives: u64,
    /// Positives that were called negative.
    pub false_negatives: u64,
}

impl BinaryCounts {
    /// Decides "positive" where a score is `threshold` or more, and counts against `labels`.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] or [`Error::Range`] for a score or a
    /// threshold that is not finite.
    pub fn at_threshold(scores: &[f64], labels: &[bool], threshold: f64) -> Result<Self, Error> {
        check_scores(scores, labels)?;
        check_finite_number("threshold", threshold)?;
        let mut counts =
            Self { true_positives: 0, false_positives: 0, true_negatives: 0, false_negatives: 0 };
        for (&score, &label) in scores.iter().zip(labels) {
            *match (score >= threshold, label) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            } += 1;
        }
        Ok(counts)
    }

    /// Number of rows.
    pub fn total(&self) -> u64 {
        self.true_positives + self.false_positives + self.true_negatives + self.false_negatives
    }

    /// Share of right decisions; `None` for no rows.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.true_positives + self.true_negatives, self.total())
    }

    /// Sensitivity, specificity and predictive values.
    pub fn rates(&self) -> ClassRates {
        let Self { true_positives, false_positives, true_negatives, false_negatives } = *self;
        ClassRates {
            sensitivity: ratio(true_positives, true_positives + false_negatives),
            specificity: ratio(true_negatives, true_negatives + false_positives),
            ppv: ratio(true_positives, true_positives + false_positives),
            npv: ratio(true_negatives, true_negatives + false_negatives),
        }
    }
}
