use statrs::function::beta::beta_reg;

use crate::error::{check_alpha, check_at_least_one, check_share};
use crate::{Error, Interval, IntervalMethod, normal};

/// Wilson's score interval of a proportion, two-sided, from counts of independent trials.
///
/// Exactly 0 at the lower end where nothing succeeds, and 1 at the upper end where everything does.
///
/// # Errors
/// [`Error::Count`] for no trials or more successes than trials, [`Error::Range`] unless `alpha` is in (0,
/// 1).
///
/// # Source
/// Wilson 1927; statsmodels `proportion_confint(method="wilson")`.
///
/// ```
/// let interval = derm_metrics::wilson(7, 20, 0.05)?;
/// assert!((interval.low - 0.18119).abs() < 1e-5 && (interval.high - 0.56715).abs() < 1e-5);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn wilson(successes: usize, trials: usize, alpha: f64) -> Result<Interval, Error> {
    check_counts(successes, trials)?;
    wilson_effective(successes as f64 / trials as f64, trials, alpha)
}

/// Wilson's interval of a share that was measured on correlated rows, with the number of independent units in
/// the place of the number of trials.
///
/// With `independent` the number of lesions behind the rows it treats the photographs of one lesion as one,
/// which is the cautious end: the interval is at least as wide as that of any correlation within lesions of
/// equal size.
///
/// # Errors
/// [`Error::Range`] unless `share` is in [0, 1] and `alpha` in (0, 1), [`Error::Count`] for no independent
/// unit.
pub fn wilson_effective(share: f64, independent: usize, alpha: f64) -> Result<Interval, Error> {
    check_share("share", share)?;
    check_at_least_one("independent", independent)?;
    check_alpha(alpha)?;
    let n = independent as f64;
    let z = normal::two_sided_quantile(alpha);
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    let low = if share == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if share == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Ok(Interval { low, high, alpha, method: IntervalMethod::Wilson })
}

/// The exact interval of a proportion, two-sided, from counts of independent trials: it misses with
/// probability at most `alpha`, whatever the proportion.
///
/// # Errors
/// As [`wilson`].
///
/// # Source
/// Clopper and Pearson 1934; statsmodels `proportion_confint(method="beta")`.
///
/// ```
/// let interval = derm_metrics::clopper_pearson(0, 10, 0.05)?;
/// assert_eq!(interval.low, 0.0);
/// assert!((interval.high - 0.30850).abs() < 1e-5);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn clopper_pearson(successes: usize, trials: usize, alpha: f64) -> Result<Interval, Error> {
    check_counts(successes, trials)?;
    check_alpha(alpha)?;
    let high = clopper_pearson_upper(successes, trials, alpha / 2.0)?;
    // The lower end of the successes is the upper end of the failures.
    let low = 1.0 - clopper_pearson_upper(trials - successes, trials, alpha / 2.0)?;
    Ok(Interval { low, high, alpha, method: IntervalMethod::ClopperPearson })
}

/// The exact one-sided upper bound of a proportion: the `p` at which `successes` or fewer of `trials` have
/// probability `alpha`, and 1 where everything succeeds.
///
/// It is at most `r` exactly where the binomial test of "the proportion is `r` or more" rejects at level
/// `alpha`.
///
/// # Errors
/// As [`wilson`].
///
/// # Source
/// Clopper and Pearson 1934.
///
/// ```
/// // No error in 22 trials certifies a risk of 0.1 at level 0.1; none in 21 does not.
/// assert!(derm_metrics::clopper_pearson_upper(0, 22, 0.1)? <= 0.1);
/// assert!(derm_metrics::clopper_pearson_upper(0, 21, 0.1)? > 0.1);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn clopper_pearson_upper(successes: usize, trials: usize, alpha: f64) -> Result<f64, Error> {
    check_counts(successes, trials)?;
    check_alpha(alpha)?;
    if successes == trials {
        return Ok(1.0);
    }
    let (a, b) = ((successes + 1) as f64, (trials - successes) as f64);
    // P(X ≤ k | p) = 1 − I_p(k + 1, n − k) = I_{1−p}(n − k, k + 1) falls in p. The interval below is halved
    // until its ends are neighbours.
    let (mut low, mut high) = (successes as f64 / trials as f64, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Ok(high);
        }
        if beta_reg(b, a, 1.0 - middle) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
}

fn check_counts(successes: usize, trials: usize) -> Result<(), Error> {
    check_at_least_one("trials", trials)?;
    if successes <= trials {
        Ok(())
    } else {
        Err(Error::Count { argument: "successes", value: successes, minimum: 0, maximum: trials })
    }
}
