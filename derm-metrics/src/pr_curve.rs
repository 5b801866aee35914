use derm_core::Probabilities;
use serde::Serialize;

use crate::Error;
use crate::ranked_rows::{RankedRows, check_scores, class_scores};

/// One point of a precision-recall curve: what deciding "positive" at a score of `threshold` or more does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrPoint {
    /// The threshold, one of the scores.
    pub threshold: f64,
    /// Share of the rows called positive that are.
    pub precision: f64,
    /// Share of positives that are called so.
    pub recall: f64,
}

/// The precision-recall curve of a score: one point a distinct score, lowest first, so that recall falls.
///
/// scikit-learn closes the curve with a point of precision 1 and recall 0 that no threshold reaches; it is left
/// out.
///
/// # Source
/// scikit-learn `precision_recall_curve`.
///
/// ```
/// use derm_metrics::PrCurve;
/// let scores = [0.9, 0.8, 0.6];
/// let curve = PrCurve::new(&scores, &[true, false, true])?.expect("there are positives");
/// let highest = curve.points()[2];
/// assert_eq!((highest.threshold, highest.precision, highest.recall), (0.9, 1.0, 0.5));
/// assert_eq!(PrCurve::new(&scores, &[false; 3])?, None);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrCurve {
    points: Vec<PrPoint>,
}

impl PrCurve {
    /// The curve of `scores` `[N]` against `labels` `[N]`, `true` being positive; `None` without positives.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Option<Self>, Error> {
        check_scores(scores, labels)?;
        let positives = labels.iter().filter(|&&label| label).count();
        if positives == 0 {
            return Ok(None);
        }
        let (mut tp, mut predicted) = (0, 0);
        let mut points = Vec::new();
        RankedRows::of_scores(scores, labels).falling(
            |_| 1,
            |row, tied_positives, tied_negatives| {
                tp += tied_positives;
                predicted += tied_positives + tied_negatives;
                let (precision, recall) = (tp as f64 / predicted as f64, tp as f64 / positives as f64);
                points.push(PrPoint { threshold: scores[row], precision, recall });
            },
        );
        points.reverse();
        Ok(Some(Self { points }))
    }

    /// The curve of a class against the rest, by its probability; `None` for a class without rows.
    ///
    /// # Errors
    /// [`Error::Value`] where the targets do not fit, [`Error::Count`] for a class that is none.
    pub fn of_class(
        probabilities: &Probabilities,
        targets: &[usize],
        class: usize,
    ) -> Result<Option<Self>, Error> {
        let (scores, labels) = class_scores(probabilities, targets, class)?;
        Self::new(&scores, &labels)
    }

    /// The points, lowest threshold first.
    pub fn points(&self) -> &[PrPoint] {
        &self.points
    }
}
