use serde::{Deserialize, Serialize};

use crate::error::check_alpha;
use crate::ranked_rows::{RankedRows, check_scores};
use crate::{Error, Interval, IntervalMethod, normal};

/// A variance up to this is rounding: components differ by at least `1 / 2n`, so a true variance is at least of the
/// order of `n⁻⁴`, which is more for any n up to millions.
const ROUNDING: f64 = 1e-28;

/// The areas under the ROC curve of two scores on the same rows, and whether they differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeLong {
    /// The two areas.
    pub auroc: [f64; 2],
    /// Their estimated covariance.
    pub covariance: [[f64; 2]; 2],
    /// The normal interval of each area, cut to [0, 1]. An area of exactly 0 or 1 has an estimated variance of 0, and
    /// its interval is that point: it says that no pair is misranked, not how certain that is.
    pub intervals: [Interval; 2],
    /// First area minus second.
    pub difference: f64,
    /// The normal interval of the difference, cut to [−1, 1]; a point where `z` is `None`.
    pub difference_interval: Interval,
    /// Difference over its standard error; `None` where that is 0, as for two scores that rank alike, or two areas of
    /// exactly 0 or 1.
    pub z: Option<f64>,
    /// Two-sided p-value of `z`.
    pub p_value: Option<f64>,
}

/// Compares the areas of two scores on the same rows, in O(N log N). `None` unless there are two rows of each
/// label, below which no variance can be estimated.
///
/// Rows must be independent: give one row a lesion or patient, or use
/// [`paired_bootstrap`](crate::paired_bootstrap) over groups.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite,
/// [`Error::Range`] unless `alpha` is in (0, 1).
///
/// # Source
/// `DeLong`, `DeLong` and Clarke-Pearson 1988, by the midranks of Sun and Xu 2014.
///
/// ```
/// let labels = [true, true, true, false, false, false];
/// let (first, second) = ([0.9, 0.8, 0.4, 0.5, 0.2, 0.1], [0.6, 0.3, 0.5, 0.4, 0.55, 0.1]);
/// let test = derm_metrics::delong(&first, &second, &labels, 0.05)?.expect("two rows of each label");
/// assert!((test.auroc[0] - 8.0 / 9.0).abs() < 1e-15 && (test.auroc[1] - 6.0 / 9.0).abs() < 1e-15);
/// assert!(test.p_value.is_some_and(|p| p > 0.05));
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn delong(first: &[f64], second: &[f64], labels: &[bool], alpha: f64) -> Result<Option<DeLong>, Error> {
    check_alpha(alpha)?;
    let (Some(first), Some(second)) = (Placements::new(first, labels)?, Placements::new(second, labels)?)
    else {
        return Ok(None);
    };
    let auroc = [first.auroc(), second.auroc()];
    let between = first.covariance(&second);
    let covariance = [[first.covariance(&first), between], [between, second.covariance(&second)]];
    let difference = auroc[0] - auroc[1];
    // From the differences themselves, so that equal rankings give exactly 0.
    let apart = first.minus(&second);
    let variance = apart.covariance(&apart);
    let z = (variance > ROUNDING).then(|| difference / variance.sqrt());
    Ok(Some(DeLong {
        auroc,
        covariance,
        intervals: [0, 1].map(|model| interval(auroc[model], covariance[model][model], alpha, 0.0)),
        difference,
        difference_interval: interval(difference, variance, alpha, -1.0),
        z,
        p_value: z.map(normal::two_sided_p),
    }))
}

/// The area of one score with `DeLong`'s interval; `None` unless there are two rows of each label. It is a point where
/// the area is exactly 0 or 1, see [`DeLong::intervals`].
///
/// # Errors
/// As [`delong`].
///
/// # Source
/// As [`delong`].
pub fn delong_interval(scores: &[f64], labels: &[bool], alpha: f64) -> Result<Option<Interval>, Error> {
    check_alpha(alpha)?;
    let placements = Placements::new(scores, labels)?;
    Ok(placements.map(|of| interval(of.auroc(), of.covariance(&of), alpha, 0.0)))
}

fn interval(value: f64, variance: f64, alpha: f64, minimum: f64) -> Interval {
    let half = normal::two_sided_quantile(alpha) * variance.sqrt();
    let (low, high) = ((value - half).max(minimum), (value + half).min(1.0));
    Interval { low, high, alpha, method: IntervalMethod::DeLong }
}

/// The structural components: of each positive the share of negatives below it, and of each negative the share
/// of positives above it, a tie counting half. In the order of the rows.
struct Placements {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Placements {
    fn new(scores: &[f64], labels: &[bool]) -> Result<Option<Self>, Error> {
        check_scores(scores, labels)?;
        let positives = labels.iter().filter(|&&label| label).count();
        let negatives = labels.len() - positives;
        if positives < 2 || negatives < 2 {
            return Ok(None);
        }
        let mut of_row = vec![0.0; labels.len()];
        let (mut below, mut tie) = ([0_usize; 2], Vec::new());
        for (row, tie_ends) in RankedRows::of_scores(scores, labels).rising() {
            tie.push(row);
            if tie_ends {
                let tied_positives = tie.iter().filter(|&&row| labels[row]).count();
                let tied_negatives = tie.len() - tied_positives;
                let below_positive = (below[0] as f64 + tied_negatives as f64 / 2.0) / negatives as f64;
                let above = positives - below[1] - tied_positives;
                let above_negative = (above as f64 + tied_positives as f64 / 2.0) / positives as f64;
                for row in tie.drain(..) {
                    of_row[row] = if labels[row] { below_positive } else { above_negative };
                }
                below[0] += tied_negatives;
                below[1] += tied_positives;
            }
        }
        let of = |which: bool| {
            of_row.iter().zip(labels).filter(|&(_, &label)| label == which).map(|(&value, _)| value).collect()
        };
        Ok(Some(Self { positives: of(true), negatives: of(false) }))
    }

    fn auroc(&self) -> f64 {
        mean(&self.positives)
    }

    fn covariance(&self, other: &Self) -> f64 {
        covariance(&self.positives, &other.positives) / self.positives.len() as f64
            + covariance(&self.negatives, &other.negatives) / self.negatives.len() as f64
    }

    fn minus(&self, other: &Self) -> Self {
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self {
            positives: minus(&self.positives, &other.positives),
            negatives: minus(&self.negatives, &other.negatives),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With n − 1 in the denominator; there are at least two values.
fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>() / (a.len() - 1) as f64
}
