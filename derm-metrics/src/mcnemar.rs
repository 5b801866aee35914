use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

use crate::error::{check_length, check_not_empty};
use crate::{Error, normal};

/// `McNemar`'s test of whether two models are right equally often on the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows on which the first is right and the second wrong.
    pub only_first: u64,
    /// Rows on which the second is right and the first wrong.
    pub only_second: u64,
    /// Exact two-sided binomial test of `only_first` in `n = only_first + only_second` at ½:
    /// `min(1, 2 P(X ≤ min))`; 1 where the models never disagree. It never rejects too often.
    pub p_exact: f64,
    /// The mid-p value `2 P(X ≤ min) − P(X = min)`, 1 at equal counts: nearly exact on average where the exact
    /// test is too careful.
    pub p_mid: f64,
    /// Edwards' corrected statistic `(|only_first − only_second| − 1)² / n`, not clamped at equal counts; `None`
    /// where the models never disagree.
    pub chi2_corrected: Option<f64>,
    /// Its p-value, by χ² of one degree of freedom.
    pub p_chi2_corrected: Option<f64>,
}

/// Tests whether two models are right equally often; rows must be independent, so give one row a lesion or
/// patient (or use [`paired_bootstrap`](crate::paired_bootstrap) over groups).
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths.
///
/// # Source
/// `McNemar` 1947, Edwards 1948; mid-p: Fagerland, Lydersen and Laake 2013. statsmodels `mcnemar`.
///
/// ```
/// let first = [true, true, true, true, true, true, false];
/// let second = [false, false, false, false, false, true, false];
/// let test = derm_metrics::mcnemar(&first, &second)?;
/// assert_eq!((test.only_first, test.only_second), (5, 0));
/// assert!((test.p_exact - 0.0625).abs() < 1e-12 && (test.p_mid - 0.03125).abs() < 1e-12);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn mcnemar(first_correct: &[bool], second_correct: &[bool]) -> Result<McNemar, Error> {
    check_not_empty("first_correct", first_correct.len())?;
    check_length("second_correct", second_correct.len(), first_correct.len())?;
    let count = |which: (bool, bool)| {
        let pairs = first_correct.iter().copied().zip(second_correct.iter().copied());
        pairs.filter(|&pair| pair == which).count() as u64
    };
    let (only_first, only_second) = (count((true, false)), count((false, true)));
    let (n, smaller) = (only_first + only_second, only_first.min(only_second));
    if n == 0 {
        let (p_exact, p_mid) = (1.0, 1.0);
        let (chi2_corrected, p_chi2_corrected) = (None, None);
        return Ok(McNemar { only_first, only_second, p_exact, p_mid, chi2_corrected, p_chi2_corrected });
    }
    let (size, k) = (n as f64, smaller as f64);
    // P(X ≤ k) of a binomial at ½ is I_½(n − k, k + 1); k < n because it is the smaller count.
    let below = beta_reg(size - k, k + 1.0, 0.5);
    let log_choose = ln_gamma(size + 1.0) - ln_gamma(k + 1.0) - ln_gamma(size - k + 1.0);
    let at = (log_choose - size * std::f64::consts::LN_2).exp();
    let equal = only_first == only_second;
    let chi2 = (only_first.abs_diff(only_second) as f64 - 1.0).powi(2) / size;
    Ok(McNemar {
        only_first,
        only_second,
        p_exact: (2.0 * below).min(1.0),
        p_mid: if equal { 1.0 } else { (2.0 * below - at).clamp(0.0, 1.0) },
        chi2_corrected: Some(chi2),
        p_chi2_corrected: Some(normal::two_sided_p(chi2.sqrt())),
    })
}
