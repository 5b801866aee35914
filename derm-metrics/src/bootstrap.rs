use derm_core::{Probabilities, ValueError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::check_alpha;
use crate::metric::PreparedMetrics;
use crate::replicates::{Spread, minus, shifted, two_sided_p};
use crate::{Error, Interval, Metric, Resamples};

/// A metric with its bootstrap distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootstrapEstimate {
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value on all rows; `None` where it is undefined.
    pub estimate: Option<f64>,
    /// Its value on each replicate, shape `[B]`; `None` where a replicate leaves it undefined.
    pub replicates: Vec<Option<f64>>,
    /// The percentile interval over the replicates that have a value; `None` where the estimate is undefined
    /// or fewer than half of the replicates have one, where an end is infinite, and where there is only one unit to
    /// draw (one lesion), whose replicates are all the same.
    pub interval: Option<Interval>,
    /// Mean of the replicates that have a value.
    pub mean: Option<f64>,
    /// Their standard deviation with B − 1 in the denominator; `None` below two, or where one is infinite.
    pub std: Option<f64>,
}

impl BootstrapEstimate {
    pub(crate) fn new(
        metric: Metric,
        estimate: Option<f64>,
        replicates: Vec<Option<f64>>,
        alpha: f64,
        varies: bool,
    ) -> Self {
        let spread = Spread::new(&replicates, alpha);
        let interval = estimate.filter(|_| varies).and(spread.interval);
        Self { metric, estimate, interval, mean: spread.mean, std: spread.std, replicates }
    }

    /// The percentile interval moved down by the replicates' bias, `mean − estimate`, and cut at zero: for
    /// errors that are never negative, such as a binned calibration error. `None` where there is no percentile
    /// interval, or the bias is infinite.
    ///
    /// A resample repeats rows, so its bins are noisier than those of the data, and noise adds to a calibration
    /// error without ever cancelling. The plain percentiles of such an error lie too high by about that much, and
    /// may not even hold the estimate.
    ///
    /// # Source
    /// The bias estimate of Efron and Tibshirani 1993, chapter 10.
    pub fn shifted_interval(&self) -> Option<Interval> {
        shifted(self.interval?, self.mean? - self.estimate?)
    }
}

/// Bootstraps metrics of `probabilities` [N, C] and `targets` `[N]`, all on the same replicates and in
/// parallel.
///
/// The interval runs between the `alpha / 2` and `1 − alpha / 2` quantiles of the replicates, interpolated
/// linearly at `(B − 1) q`. Means over "present" classes run over the classes that a replicate holds.
///
/// # Errors
/// [`Error::Value`] where targets or resamples do not fit the probabilities, [`Error::Range`] unless `alpha`
/// is in (0, 1), and what the metrics refuse.
///
/// # Source
/// Efron 1979; numpy `quantile`.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, Resamples, bootstrap};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.8, 0.2], [0.1, 0.9]])?;
/// let resamples = Resamples::groups(&["lesion_1", "lesion_1", "lesion_2", "lesion_3"], 200, 7)?;
/// let accuracy = &bootstrap(&probabilities, &[0, 0, 0, 1], &[Metric::Accuracy], &resamples, 0.05)?[0];
/// assert_eq!(accuracy.estimate, Some(0.75));
/// assert!(accuracy.interval.is_some_and(|interval| interval.contains(0.75)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bootstrap(
    probabilities: &Probabilities,
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<BootstrapEstimate>, Error> {
    check_alpha(alpha)?;
    check_rows(probabilities, resamples)?;
    let prepared = PreparedMetrics::new(probabilities, targets, metrics)?;
    let estimates = prepared.values(|_| 1);
    let by_replicate = replicate_values(&prepared, resamples);
    let of_metric = |(index, &metric): (usize, &Metric)| {
        let replicates = by_replicate.iter().map(|values| values[index]).collect();
        BootstrapEstimate::new(metric, estimates[index], replicates, alpha, resamples.freedom() > 0)
    };
    Ok(metrics.iter().enumerate().map(of_metric).collect())
}

/// The difference of a metric between two models on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedBootstrap {
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Metric of the first model minus that of the second; `None` where one is undefined or both are infinite.
    pub estimate: Option<f64>,
    /// The difference on each replicate, shape `[B]`.
    pub replicates: Vec<Option<f64>>,
    /// The percentile interval of the difference, as in [`BootstrapEstimate`].
    pub interval: Option<Interval>,
    /// Two-sided: `min(1, 2 min((1 + #{d ≤ 0}) / (B + 1), (1 + #{d ≥ 0}) / (B + 1)))` over the B replicates
    /// that have a value; `None` where there is no interval.
    pub p_value: Option<f64>,
}

/// Bootstraps the difference of metrics between two models, `first` − `second`, on the same replicates of the
/// same rows, so that what makes a row easy or hard for both cancels.
///
/// # Errors
/// As [`bootstrap`], for either model, and [`Error::Classes`] where they have different numbers of classes.
pub fn paired_bootstrap(
    first: &Probabilities,
    second: &Probabilities,
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<PairedBootstrap>, Error> {
    check_classes(second, first.num_classes())?;
    let first = bootstrap(first, targets, metrics, resamples, alpha)?;
    let second = bootstrap(second, targets, metrics, resamples, alpha)?;
    let varies = resamples.freedom() > 0;
    let pair = |(first, second): (BootstrapEstimate, BootstrapEstimate)| {
        let pairs = first.replicates.iter().zip(&second.replicates);
        let replicates: Vec<Option<f64>> = pairs.map(|(&a, &b)| minus(a, b)).collect();
        let estimate = minus(first.estimate, second.estimate);
        let interval = estimate.filter(|_| varies).and(Spread::new(&replicates, alpha).interval);
        let p_value = interval.map(|_| two_sided_p(&replicates));
        PairedBootstrap { metric: first.metric, estimate, replicates, interval, p_value }
    };
    Ok(first.into_iter().zip(second).map(pair).collect())
}

pub(crate) fn check_rows(probabilities: &Probabilities, resamples: &Resamples) -> Result<(), Error> {
    let (got, expected) = (resamples.num_samples(), probabilities.num_samples());
    if got == expected {
        Ok(())
    } else {
        Err(ValueError::Length { argument: "resamples", got, expected }.into())
    }
}

/// Whether probabilities have as many classes as those that they are compared with.
pub(crate) fn check_classes(probabilities: &Probabilities, expected: usize) -> Result<(), Error> {
    let got = probabilities.num_classes();
    if got == expected { Ok(()) } else { Err(Error::Classes { got, expected }) }
}

pub(crate) fn replicate_values(prepared: &PreparedMetrics, resamples: &Resamples) -> Vec<Vec<Option<f64>>> {
    let of_replicate = |replicate: usize| {
        let counts = resamples.multiplicities(replicate);
        prepared.values(|row| u64::from(counts[row]))
    };
    (0..resamples.replicates()).into_par_iter().map(of_replicate).collect()
}
