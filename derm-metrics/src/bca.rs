use derm_core::Probabilities;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{check_rows, replicate_values};
use crate::error::check_alpha;
use crate::metric::PreparedMetrics;
use crate::replicates::{are_enough, quantile, sorted};
use crate::{Error, Interval, IntervalMethod, Metric, Resamples, normal};

/// Why there is no `BCa` interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoBcaInterval {
    /// The metric is undefined on the data.
    #[error("the metric is undefined")]
    EstimateUndefined,
    /// More than half of the replicates leave the metric undefined.
    #[error("more than half of the replicates leave the metric undefined")]
    ReplicatesUndefined,
    /// All replicates lie on one side of the estimate, so that its bias has no measure: a metric at its bound, or
    /// a binned calibration error.
    #[error("all replicates lie on one side of the estimate")]
    OneSided,
    /// Without one of the units the metric is undefined.
    #[error("without one of the units the metric is undefined")]
    JackknifeUndefined,
    /// No unit changes the estimate.
    #[error("no unit changes the estimate")]
    NoVariation,
    /// The acceleration is so large that the corrected percentiles would change their order.
    #[error("the acceleration is too large for corrected percentiles")]
    Acceleration,
}

/// A metric with its bias-corrected and accelerated bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BcaEstimate {
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value on all rows; `None` where it is undefined.
    pub estimate: Option<f64>,
    /// The interval, or why there is none.
    pub interval: Result<Interval, NoBcaInterval>,
}

/// Bootstraps metrics with `BCa` intervals, which correct the percentiles for the bias and the skewness of the
/// replicates. The units are those that `resamples` draws: lesions, patients, or rows.
///
/// With Φ the normal distribution, `z0 = Φ⁻¹((#{θ* < θ} + #{θ* ≤ θ}) / 2B)`, and `U_i = (n − 1)(mean_j θ_(j) −
/// θ_(i))` from the estimates `θ_(i)` without unit i, the acceleration is
/// `a = Σ U³/n³ / (6 (Σ U²/n²)^{3/2})`, the sums running over the strata too, and the interval runs between the
/// percentiles `Φ(z0 + (z0 + z) / (1 − a (z0 + z)))` at `z = Φ⁻¹(alpha / 2)` and `Φ⁻¹(1 − alpha / 2)`.
///
/// It evaluates the metrics once a replicate and once a unit. A unit that is alone in its stratum is in every
/// replicate and takes no part in the acceleration.
///
/// # Errors
/// As [`bootstrap`](crate::bootstrap).
///
/// # Source
/// Efron 1987; several samples: Davison and Hinkley 1997, section 5.3.2. scipy `bootstrap(method="BCa")`.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, NoBcaInterval, Resamples, bca};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.8, 0.2], [0.1, 0.9]])?;
/// let resamples = Resamples::rows(4, 200, 7)?;
/// let some = &bca(&probabilities, &[0, 0, 0, 1], &[Metric::Accuracy], &resamples, 0.05)?[0];
/// assert!(some.interval.is_ok_and(|interval| interval.contains(0.75)));
/// let all = &bca(&probabilities, &[0, 1, 0, 1], &[Metric::Accuracy], &resamples, 0.05)?[0];
/// assert_eq!(all.interval, Err(NoBcaInterval::NoVariation));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bca(
    probabilities: &Probabilities,
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<BcaEstimate>, Error> {
    check_alpha(alpha)?;
    check_rows(probabilities, resamples)?;
    let prepared = PreparedMetrics::new(probabilities, targets, metrics)?;
    let estimates = prepared.values(|_| 1);
    let by_replicate = replicate_values(&prepared, resamples);
    let strata = resamples.strata();
    let without = jackknife(&prepared, &strata, targets.len());
    let of_metric = |(index, &metric): (usize, &Metric)| {
        let replicates: Vec<Option<f64>> = by_replicate.iter().map(|values| values[index]).collect();
        let without: Vec<Vec<Option<f64>>> =
            without.iter().map(|stratum| stratum.iter().map(|values| values[index]).collect()).collect();
        let estimate = estimates[index];
        BcaEstimate { metric, estimate, interval: interval(estimate, &replicates, &without, alpha) }
    };
    Ok(metrics.iter().enumerate().map(of_metric).collect())
}

/// Of each stratum and each of its units the metrics without it.
fn jackknife(
    prepared: &PreparedMetrics,
    strata: &[Vec<Vec<usize>>],
    num_samples: usize,
) -> Vec<Vec<Vec<Option<f64>>>> {
    let without = |rows: &Vec<usize>| {
        let mut kept = vec![true; num_samples];
        for &row in rows {
            kept[row] = false;
        }
        prepared.values(|row| u64::from(kept[row]))
    };
    strata.iter().map(|units| units.par_iter().map(without).collect()).collect()
}

fn interval(
    estimate: Option<f64>,
    replicates: &[Option<f64>],
    without: &[Vec<Option<f64>>],
    alpha: f64,
) -> Result<Interval, NoBcaInterval> {
    let estimate = estimate.ok_or(NoBcaInterval::EstimateUndefined)?;
    let defined = sorted(replicates);
    if !are_enough(defined.len(), replicates.len()) {
        return Err(NoBcaInterval::ReplicatesUndefined);
    }
    let acceleration = acceleration(without)?;
    let below = defined.partition_point(|&value| value < estimate);
    let not_above = defined.partition_point(|&value| value <= estimate);
    if not_above == 0 || below == defined.len() {
        return Err(NoBcaInterval::OneSided);
    }
    let bias = normal::quantile((below + not_above) as f64 / (2 * defined.len()) as f64);
    let end = |q: f64| {
        let shifted = bias + normal::quantile(q);
        let scale = 1.0 - acceleration * shifted;
        // At a scale of 0 the percentile jumps from one end to the other.
        if scale > 0.0 {
            Ok(quantile(&defined, normal::cumulative(bias + shifted / scale)))
        } else {
            Err(NoBcaInterval::Acceleration)
        }
    };
    let (low, high) = (end(alpha / 2.0)?, end(1.0 - alpha / 2.0)?);
    Ok(Interval { low, high, alpha, method: IntervalMethod::BcaBootstrap })
}

fn acceleration(without: &[Vec<Option<f64>>]) -> Result<f64, NoBcaInterval> {
    let (mut cubes, mut squares, mut largest) = (0.0, 0.0, 0.0_f64);
    // The only unit of a stratum is in every replicate: it adds no variation.
    for stratum in without.iter().filter(|stratum| stratum.len() > 1) {
        let values: Option<Vec<f64>> = stratum.iter().copied().collect();
        let values = values.ok_or(NoBcaInterval::JackknifeUndefined)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        for value in values {
            let influence = (n - 1.0) * (mean - value) / n;
            cubes += influence.powi(3);
            squares += influence.powi(2);
            largest = largest.max(influence.abs());
        }
    }
    // Values that differ by rounding only are one value.
    if largest > 1e-14 { Ok(cubes / (6.0 * squares.powf(1.5))) } else { Err(NoBcaInterval::NoVariation) }
}
