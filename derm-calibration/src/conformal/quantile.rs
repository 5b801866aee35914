use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;
use statrs::function::factorial::ln_binomial;

use crate::Error;
use crate::error::check_open_unit;

/// The rounding of `(n + 1)(1 − α)` that still counts as the whole number it should be: `(9 + 1) · (1 − 0.1)`
/// comes out above 9 in some forms.
const RANK_ROUNDING: f64 = 1e-9;

/// The threshold of split conformal prediction: the k-th smallest of n calibration scores,
/// `k = ⌈(n + 1)(1 − α)⌉`.
///
/// A new score from the same distribution is at or below it with probability at least 1 − α, over the
/// calibration rows and the new one together. For k > n no finite threshold can promise that, and the quantile
/// is infinite: every class is in the set.
///
/// ```
/// use derm_calibration::ConformalQuantile;
/// let scores = [0.3, 0.1, 0.2, 0.5, 0.4, 0.7, 0.6, 0.9, 0.8];
/// let quantile = ConformalQuantile::new(&scores, 0.2)?;
/// assert_eq!((quantile.k, quantile.value), (8, Some(0.8)));
/// // nine scores are too few for 95 %
/// assert_eq!(ConformalQuantile::new(&scores, 0.05)?.value, None);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
///
/// # Source
/// Vovk et al. 2005; Angelopoulos and Bates 2023, section 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalQuantile {
    /// Number of calibration scores n.
    pub n: usize,
    /// Which of them in rising order, from 1; n + 1 stands for the infinite one.
    pub k: usize,
    /// The k-th smallest score; `None` where it is infinite.
    pub value: Option<f64>,
}

impl ConformalQuantile {
    /// The quantile of `scores`, of which there may be none.
    ///
    /// # Errors
    /// [`Error::Range`] unless `alpha` is in (0, 1); [`Error::Entry`] for a score that is not finite.
    pub fn new(scores: &[f64], alpha: f64) -> Result<Self, Error> {
        check_open_unit("alpha", alpha)?;
        if let Some(position) = scores.iter().position(|score| !score.is_finite()) {
            let (value, expected) = (scores[position], "a finite score");
            return Err(Error::Entry { argument: "scores", position, value, expected });
        }
        let n = scores.len();
        let k = (((n + 1) as f64 * (1.0 - alpha) - RANK_ROUNDING).ceil() as usize).clamp(1, n + 1);
        let mut scores = scores.to_vec();
        let value = (k <= n).then(|| *scores.select_nth_unstable_by(k - 1, f64::total_cmp).1);
        Ok(Self { n, k, value })
    }

    /// Whether a score is at or below the quantile.
    pub fn admits(&self, score: f64) -> bool {
        self.value.is_none_or(|value| score <= value)
    }

    /// The smallest and largest number of `rows` new rows that are covered with probability 1 − `alpha`
    /// (`alpha`/2 on each side), over calibration sets and rows together: the exact beta-binomial law of the
    /// coverage with one calibration set, for scores without ties.
    ///
    /// One calibration set of 200 lesions covers somewhat less or more than promised for good; this says how much
    /// is to be expected, and so whether an observed coverage is a sign of a shift.
    ///
    /// # Errors
    /// [`Error::Range`] unless `alpha` is in (0, 1).
    ///
    /// # Source
    /// Vovk 2012, proposition 2b; Angelopoulos and Bates 2023, section 3.2: the number covered is
    /// BetaBinomial(rows, k, n + 1 − k).
    pub fn expected_covered(&self, rows: usize, alpha: f64) -> Result<(usize, usize), Error> {
        check_open_unit("alpha", alpha)?;
        if self.value.is_none() {
            return Ok((rows, rows));
        }
        let (a, b) = (self.k as f64, (self.n + 1 - self.k) as f64);
        let mass = |covered: usize| {
            let (hit, miss) = (covered as f64, (rows - covered) as f64);
            (ln_binomial(rows as u64, covered as u64) + ln_beta(hit + a, miss + b) - ln_beta(a, b)).exp()
        };
        // The first count, from that side, past which more than alpha/2 lies.
        let end = |counts: Box<dyn Iterator<Item = usize>>| {
            let mut cumulative = 0.0;
            for covered in counts {
                cumulative += mass(covered);
                if cumulative > alpha / 2.0 {
                    return covered;
                }
            }
            rows
        };
        Ok((end(Box::new(0..=rows)), end(Box::new((0..=rows).rev()))))
    }
}
