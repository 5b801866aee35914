use derm_core::Probabilities;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{check_classes, check_rows};
use crate::error::{check_alpha, check_at_least_one};
use crate::metric::PreparedMetrics;
use crate::two_level_bootstrap::{Errors, mean};
use crate::{Error, Interval, Metric, Resamples};

/// A metric of a training recipe: its mean over runs that differ in their seed, or that mean as a share of another
/// model's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeEstimate {
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value on each run, or that value's share.
    pub runs: Vec<Option<f64>>,
    /// Their mean; `None` where one of them is undefined or infinite.
    pub estimate: Option<f64>,
    /// Their standard deviation, n − 1 in the denominator; `None` for one run.
    pub std: Option<f64>,
    /// Student's interval, `estimate ± t √(run_error² + lesion_error²)`, as in
    /// [`RecipeDifference`](crate::RecipeDifference). Of one run it tells of the lesions alone. `None` where there is
    /// no estimate, fewer than half of the replicates have a value, or nothing varies.
    pub interval: Option<Interval>,
    /// Standard error of the estimate that comes from the runs; `None` for one run.
    pub run_error: Option<f64>,
    /// Standard error of the estimate that comes from the lesions.
    pub lesion_error: Option<f64>,
}

/// The mean of each metric over the runs of one recipe, each a table of probabilities [N, C] of the same rows, with
/// what runs and lesions make uncertain of it.
///
/// # Errors
/// [`Error::Count`] for no run, [`Error::Classes`] for runs of different numbers of classes; otherwise as
/// [`bootstrap`](crate::bootstrap).
///
/// # Source
/// As [`TwoLevelBootstrap`](crate::TwoLevelBootstrap).
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, Resamples, recipe_estimate};
/// use ndarray::array;
/// let good = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let poor = Probabilities::new(array![[0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let resamples = Resamples::rows(4, 200, 1)?;
/// let accuracy = &recipe_estimate(&[good, poor], &[0, 1, 0, 1], &[Metric::Accuracy], &resamples, 0.05)?[0];
/// assert_eq!(accuracy.runs, [Some(1.0), Some(0.75)]);
/// assert_eq!(accuracy.estimate, Some(0.875));
/// assert!(accuracy.run_error.is_some_and(|error| (error - 0.125).abs() < 1e-12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recipe_estimate(
    runs: &[Probabilities],
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<RecipeEstimate>, Error> {
    estimates(runs, None, targets, metrics, resamples, alpha)
}

/// The mean of each metric over the runs of one recipe as a share of the metric of `reference`, as of students and
/// their teacher (retention): `mean_s m_s / m_reference`. A replicate draws the same lesions for both. The reference
/// is taken as it is: what another seed would make of it is not in the interval.
///
/// # Errors
/// As [`recipe_estimate`].
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, Resamples, recipe_retention};
/// use ndarray::array;
/// let teacher = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let student = Probabilities::new(array![[0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let resamples = Resamples::rows(4, 200, 1)?;
/// let retention =
///     &recipe_retention(&[student], &teacher, &[0, 1, 0, 1], &[Metric::Accuracy], &resamples, 0.05)?[0];
/// assert_eq!(retention.estimate, Some(0.75));
/// assert_eq!(retention.run_error, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recipe_retention(
    runs: &[Probabilities],
    reference: &Probabilities,
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<RecipeEstimate>, Error> {
    estimates(runs, Some(reference), targets, metrics, resamples, alpha)
}

fn estimates(
    runs: &[Probabilities],
    reference: Option<&Probabilities>,
    targets: &[usize],
    metrics: &[Metric],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<RecipeEstimate>, Error> {
    check_alpha(alpha)?;
    check_at_least_one("runs", runs.len())?;
    for model in runs.iter().chain(reference) {
        check_rows(model, resamples)?;
        check_classes(model, runs[0].num_classes())?;
    }
    let prepare = |model| PreparedMetrics::new(model, targets, metrics);
    let runs: Vec<PreparedMetrics> = runs.iter().map(prepare).collect::<Result<_, _>>()?;
    let reference = reference.map(prepare).transpose()?;
    let values = |count: &(dyn Fn(usize) -> u64 + Sync)| -> Vec<Vec<Option<f64>>> {
        let below = reference.as_ref().map(|reference| reference.values(count));
        let of_run = |run: &PreparedMetrics| {
            let of_metric = |(index, value): (usize, Option<f64>)| match &below {
                None => value,
                Some(below) => share(value, below[index]),
            };
            run.values(count).into_iter().enumerate().map(of_metric).collect()
        };
        runs.iter().map(of_run).collect()
    };
    let of_all = values(&|_| 1);
    let column = |table: &[Vec<Option<f64>>], metric: usize| -> Vec<Option<f64>> {
        table.iter().map(|row| row[metric]).collect()
    };
    let of_replicate = |replicate: usize| -> Vec<Option<f64>> {
        let rows = resamples.multiplicities(replicate);
        let drawn = values(&|row| u64::from(rows[row]));
        (0..metrics.len()).map(|metric| mean(&column(&drawn, metric), |_| 1)).collect()
    };
    let replicates: Vec<Vec<Option<f64>>> =
        (0..resamples.replicates()).into_par_iter().map(of_replicate).collect();
    let of_metric = |(index, &metric): (usize, &Metric)| {
        let runs = column(&of_all, index);
        let estimate = mean(&runs, |_| 1).filter(|mean| mean.is_finite());
        let sample: Vec<f64> = estimate.and(runs.iter().copied().collect::<Option<_>>()).unwrap_or_default();
        let several = sample.len() > 1;
        let errors = estimate.and_then(|_| {
            Errors::new(
                if several { std::slice::from_ref(&sample) } else { &[] },
                &column(&replicates, index),
                resamples,
            )
        });
        let run_error = several.then(|| Errors::of_mean(&sample));
        RecipeEstimate {
            metric,
            estimate,
            std: run_error.map(|error| error * (sample.len() as f64).sqrt()),
            interval: estimate
                .zip(errors.as_ref())
                .map(|(estimate, errors)| errors.interval(estimate, alpha)),
            run_error,
            lesion_error: errors.as_ref().map(Errors::of_lesions),
            runs,
        }
    };
    Ok(metrics.iter().enumerate().map(of_metric).collect())
}

/// `a / b`; `None` where one is undefined or b is 0.
fn share(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?).filter(|share| share.is_finite())
}
