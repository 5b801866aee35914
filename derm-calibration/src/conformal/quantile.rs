use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;
use statrs::function::factorial::ln_binomial;

use crate::Error;
use crate::error::{check_finite, check_open_unit};

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
/// assert_eq!((quantile.k(), quantile.value()), (8, Some(0.8)));
/// // nine scores are too few for 95 %
/// assert_eq!(ConformalQuantile::new(&scores, 0.05)?.value(), None);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
///
/// # Source
/// Vovk et al. 2005; Angelopoulos and Bates 2023, section 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "QuantileFields", into = "QuantileFields")]
pub struct ConformalQuantile {
    n: usize,
    k: usize,
    value: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantileFields {
    n: usize,
    k: usize,
    value: Option<f64>,
}

impl ConformalQuantile {
    /// The quantile of `scores`, of which there may be none.
    ///
    /// # Errors
    /// [`Error::Range`] unless `alpha` is in (0, 1); [`Error::Entry`] for a score that is not finite.
    pub fn new(scores: &[f64], alpha: f64) -> Result<Self, Error> {
        check_open_unit("alpha", alpha)?;
        check_finite("scores", scores)?;
        let n = scores.len();
        let k = rank(n, alpha);
        let mut scores = scores.to_vec();
        let value = (k <= n).then(|| *scores.select_nth_unstable_by(k - 1, f64::total_cmp).1);
        Ok(Self { n, k, value })
    }

    /// Number of calibration scores n.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Which of them in rising order, from 1; n + 1 stands for the infinite one.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The k-th smallest score; `None` where it is infinite.
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// Whether a score is at or below the quantile.
    pub fn admits(&self, score: f64) -> bool {
        self.value.is_none_or(|value| score <= value)
    }

    /// Whether it is the one for this α.
    pub(super) fn is_at(&self, alpha: f64) -> bool {
        self.k == rank(self.n, alpha)
    }

    /// The smallest and largest number of `rows` new rows that are covered with probability 1 − `alpha` or more
    /// (at most `alpha`/2 is left out on each side), over calibration sets and rows together: the exact
    /// beta-binomial law of the coverage with one calibration set, for scores without ties.
    ///
    /// One calibration set of 200 lesions covers somewhat less or more than promised for good; this says how much
    /// is to be expected, and so whether an observed coverage is a sign of a shift. It takes time in proportion to
    /// `rows`.
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
        // The first count, from its side, up to which more than alpha/2 lies.
        let passes = || {
            let mut cumulative = 0.0;
            move |covered: &usize| {
                cumulative += mass(*covered);
                cumulative > alpha / 2.0
            }
        };
        let (low, high) = ((0..=rows).find(passes()), (0..=rows).rev().find(passes()));
        Ok((low.unwrap_or(0), high.unwrap_or(rows)))
    }
}

/// `⌈(n + 1)(1 − α)⌉` for the exact decimal α, from 1 to n + 1.
fn rank(n: usize, alpha: f64) -> usize {
    (((n + 1) as f64 * (1.0 - alpha) - RANK_ROUNDING).ceil() as usize).clamp(1, n + 1)
}

impl TryFrom<QuantileFields> for ConformalQuantile {
    type Error = Error;

    fn try_from(QuantileFields { n, k, value }: QuantileFields) -> Result<Self, Error> {
        let is_finite = (1..=n).contains(&k) && value.is_some_and(f64::is_finite);
        let is_infinite = k == n.saturating_add(1) && value.is_none();
        if is_finite || is_infinite {
            Ok(Self { n, k, value })
        } else {
            let expected = "a value for k from 1 to n, none for k = n + 1";
            Err(Error::Inconsistent { argument: "quantile", expected })
        }
    }
}

impl From<ConformalQuantile> for QuantileFields {
    fn from(ConformalQuantile { n, k, value }: ConformalQuantile) -> Self {
        Self { n, k, value }
    }
}
