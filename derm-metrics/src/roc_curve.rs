use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_share;
use crate::ranked_rows::{RankedRows, check_scores, class_scores};

/// How far below a demanded rate a rate still meets it: the demand is a decimal, the rate a quotient.
pub(crate) const SLACK: f64 = 1e-12;

/// One point of a ROC curve: what deciding "positive" at a score of `threshold` or more does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocPoint {
    /// The threshold, one of the scores.
    pub threshold: f64,
    /// False-positive rate, 1 − specificity.
    pub fpr: f64,
    /// True-positive rate, the sensitivity.
    pub tpr: f64,
}

/// A decision threshold and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecisionThreshold {
    /// Positive means a score of at least this; `None` where only "never positive" meets the demand.
    pub threshold: Option<f64>,
    /// Share of positives that are called so.
    pub sensitivity: f64,
    /// Share of negatives that are called so.
    pub specificity: f64,
}

impl DecisionThreshold {
    /// Youden's index `J = sensitivity + specificity − 1`.
    pub fn youden(&self) -> f64 {
        self.sensitivity + self.specificity - 1.0
    }
}

/// The ROC curve of a score: one point a distinct score, highest first, without the start at (0, 0).
///
/// # Source
/// scikit-learn `roc_curve(drop_intermediate=False)` without its first point.
///
/// ```
/// use derm_metrics::RocCurve;
/// let scores = [0.9, 0.8, 0.6, 0.2];
/// let curve = RocCurve::new(&scores, &[true, false, true, false])?.expect("both labels are there");
/// assert_eq!(curve.points()[0].tpr, 0.5);
/// assert_eq!(curve.area(), 0.75);
/// assert_eq!(curve.specificity_at_sensitivity(1.0)?.specificity, 0.5);
/// assert_eq!(curve.sensitivity_at_specificity(1.0)?.threshold, Some(0.9));
/// // One label only: there is no curve.
/// assert_eq!(RocCurve::new(&scores, &[true; 4])?, None);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RocCurve {
    points: Vec<RocPoint>,
}

impl RocCurve {
    /// The curve of `scores` `[N]` against `labels` `[N]`, `true` being positive; `None` without both labels.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Option<Self>, Error> {
        check_scores(scores, labels)?;
        let positives = labels.iter().filter(|&&label| label).count();
        let negatives = labels.len() - positives;
        if positives == 0 || negatives == 0 {
            return Ok(None);
        }
        let (mut tp, mut fp) = (0, 0);
        let mut points = Vec::new();
        RankedRows::of_scores(scores, labels).falling(
            |_| 1,
            |row, tied_positives, tied_negatives| {
                tp += tied_positives;
                fp += tied_negatives;
                let (fpr, tpr) = (fp as f64 / negatives as f64, tp as f64 / positives as f64);
                points.push(RocPoint { threshold: scores[row], fpr, tpr });
            },
        );
        Ok(Some(Self { points }))
    }

    /// The curve of a class against the rest, by its probability; `None` where all or no rows are of it.
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

    /// The points, highest threshold first; the last is (1, 1).
    pub fn points(&self) -> &[RocPoint] {
        &self.points
    }

    /// Area under the curve, by trapezoids from (0, 0); [`auroc`](crate::auroc) up to rounding.
    pub fn area(&self) -> f64 {
        partial_area(self.steps(), 0.0)
    }

    /// Area between the curve and the line TPR = `min_tpr`, in [0, 1 − `min_tpr`] and not rescaled; at 0.8 the
    /// score of ISIC 2024.
    ///
    /// # Errors
    /// [`Error::Range`] unless `min_tpr` is in [0, 1).
    ///
    /// # Source
    /// The scoring code of the ISIC 2024 challenge. scikit-learn's `max_fpr` on swapped classes is the same
    /// area rescaled by `McClish`.
    pub fn partial_area(&self, min_tpr: f64) -> Result<f64, Error> {
        check_min_tpr(min_tpr)?;
        Ok(partial_area(self.steps(), min_tpr))
    }

    fn steps(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().map(|point| (point.fpr, point.tpr))
    }

    /// The threshold of largest [`DecisionThreshold::youden`], the highest among equal ones (within 1e-12).
    ///
    /// # Source
    /// Youden 1950.
    pub fn youden(&self) -> DecisionThreshold {
        let best = self.points.iter().map(|point| point.tpr - point.fpr).fold(f64::NEG_INFINITY, f64::max);
        self.first(|point| point.tpr - point.fpr >= best - SLACK)
    }

    /// The largest sensitivity at a specificity of at least `min_specificity` (within 1e-12), at the highest
    /// such threshold and without interpolation. Where no score is so specific, the answer is "never
    /// positive": sensitivity 0, specificity 1 and no threshold.
    ///
    /// # Errors
    /// [`Error::Range`] unless `min_specificity` is in [0, 1].
    pub fn sensitivity_at_specificity(&self, min_specificity: f64) -> Result<DecisionThreshold, Error> {
        check_share("min_specificity", min_specificity)?;
        let allowed = |point: &RocPoint| 1.0 - point.fpr >= min_specificity - SLACK;
        let best = self.points.iter().filter(|point| allowed(point)).map(|point| point.tpr).next_back();
        Ok(match best {
            // Both rates rise along the curve, so the last allowed point has the largest sensitivity.
            Some(best) => self.first(|point| point.tpr == best),
            None => DecisionThreshold { threshold: None, sensitivity: 0.0, specificity: 1.0 },
        })
    }

    /// The largest specificity at a sensitivity of at least `min_sensitivity` (within 1e-12), at the highest
    /// such threshold and without interpolation; the lowest score always reaches it. For 0 that is "never positive",
    /// without a threshold.
    ///
    /// # Errors
    /// [`Error::Range`] unless `min_sensitivity` is in [0, 1].
    pub fn specificity_at_sensitivity(&self, min_sensitivity: f64) -> Result<DecisionThreshold, Error> {
        check_share("min_sensitivity", min_sensitivity)?;
        if min_sensitivity <= 0.0 {
            return Ok(DecisionThreshold { threshold: None, sensitivity: 0.0, specificity: 1.0 });
        }
        Ok(self.first(|point| point.tpr >= min_sensitivity - SLACK))
    }

    /// The first point that meets a demand which the last one meets.
    fn first(&self, meets: impl Fn(&RocPoint) -> bool) -> DecisionThreshold {
        let at = self.points.iter().position(meets).unwrap_or(self.points.len() - 1);
        let point = self.points[at];
        DecisionThreshold {
            threshold: Some(point.threshold),
            sensitivity: point.tpr,
            specificity: 1.0 - point.fpr,
        }
    }
}

pub(crate) fn check_min_tpr(min_tpr: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&min_tpr) {
        Ok(())
    } else {
        let expected = "a number from 0 to 1, 1 excluded";
        Err(Error::Range { argument: "min_tpr", value: min_tpr, expected })
    }
}

/// The area above `min_tpr` under the line from (0, 0) through the points (FPR, TPR), both rising.
pub(crate) fn partial_area(points: impl Iterator<Item = (f64, f64)>, min_tpr: f64) -> f64 {
    let (mut area, mut before) = (0.0, (0.0, 0.0));
    for (fpr, tpr) in points {
        let (width, rise) = (fpr - before.0, tpr - before.1);
        if before.1 >= min_tpr {
            area += width * (f64::midpoint(before.1, tpr) - min_tpr);
        } else if tpr > min_tpr {
            // The triangle past the crossing.
            area += 0.5 * (tpr - min_tpr) * width * (tpr - min_tpr) / rise;
        }
        before = (fpr, tpr);
    }
    area
}
