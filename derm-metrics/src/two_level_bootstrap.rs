use derm_core::Probabilities;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::check_rows;
use crate::error::check_alpha;
use crate::metric::PreparedMetrics;
use crate::replicates::{Spread, two_sided_p};
use crate::resamples::below;
use crate::{Error, Interval, Metric, Resamples};

/// Whether the runs of two recipes belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPairing {
    /// Run i of both recipes shares its seed (initial weights, order of the data), and is drawn for both at once.
    BySeed,
    /// The runs of each recipe are drawn by themselves.
    Independent,
}

/// The paired bootstrap over runs and lesions, which decides whether two training recipes differ.
///
/// Estimand: the metric of the first recipe minus that of the second, each averaged over training seeds, on the
/// population that the test lesions come from. A difference on one run of each says little: runs of one recipe
/// differ by as much as recipes do.
///
/// A replicate draws as many runs as there are with replacement, and lesions (or patients, or rows) with
/// replacement by `resamples`, the same ones for every run; its value is the mean over the drawn runs of the
/// first minus that of the second.
///
/// With few runs the drawn runs vary less than seeds do, by `√((S − 1)/S)` for S runs: below five runs the
/// interval is noticeably too narrow.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, Resamples, RunPairing, TwoLevelBootstrap};
/// use ndarray::array;
/// let good = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let poor = Probabilities::new(array![[0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])?;
/// let resamples = Resamples::rows(4, 200, 1)?;
/// let bootstrap =
///     TwoLevelBootstrap { resamples: &resamples, pairing: RunPairing::BySeed, seed: 2, alpha: 0.05 };
/// let (first, second) = ([good.clone(), good.clone()], [good, poor]);
/// let difference = &bootstrap.compare(&first, &second, &[0, 1, 0, 1], &[Metric::Accuracy])?[0];
/// assert_eq!(difference.estimate, Some(0.125));
/// assert!(difference.p_value.is_some_and(|p| p > 0.05));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TwoLevelBootstrap<'a> {
    /// The lesions, patients or rows that are drawn.
    pub resamples: &'a Resamples,
    /// Whether runs are drawn in pairs.
    pub pairing: RunPairing,
    /// Seed of the drawn runs.
    pub seed: u64,
    /// Miscoverage of the interval.
    pub alpha: f64,
}

/// The difference of a metric between two recipes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeDifference {
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value on each run of the first recipe.
    pub first: Vec<Option<f64>>,
    /// Its value on each run of the second.
    pub second: Vec<Option<f64>>,
    /// Mean of the first minus mean of the second; `None` where it is undefined on some run.
    pub estimate: Option<f64>,
    /// The difference on each replicate; `None` where a drawn run has no value.
    pub replicates: Vec<Option<f64>>,
    /// The percentile interval, as in [`BootstrapEstimate`](crate::BootstrapEstimate).
    pub interval: Option<Interval>,
    /// Two-sided, with the rule of [`PairedBootstrap`](crate::PairedBootstrap).
    pub p_value: Option<f64>,
}

impl TwoLevelBootstrap<'_> {
    /// Compares the runs of two recipes, each a table of probabilities [N, C] of the same rows.
    ///
    /// # Errors
    /// [`Error::Count`] for fewer than two runs of a recipe, or for other numbers of runs where they are paired;
    /// otherwise as [`bootstrap`](crate::bootstrap).
    pub fn compare(
        &self,
        first: &[Probabilities],
        second: &[Probabilities],
        targets: &[usize],
        metrics: &[Metric],
    ) -> Result<Vec<RecipeDifference>, Error> {
        check_alpha(self.alpha)?;
        for (argument, runs) in [("first", first.len()), ("second", second.len())] {
            if runs < 2 {
                return Err(Error::Count { argument, value: runs, minimum: 2, maximum: usize::MAX });
            }
        }
        if self.pairing == RunPairing::BySeed && first.len() != second.len() {
            let (value, expected) = (second.len(), first.len());
            return Err(Error::Count { argument: "second", value, minimum: expected, maximum: expected });
        }
        let prepare = |runs: &[Probabilities]| -> Result<Vec<PreparedMetrics>, Error> {
            let of_run = |run| {
                check_rows(run, self.resamples)?;
                PreparedMetrics::new(run, targets, metrics)
            };
            runs.iter().map(of_run).collect()
        };
        let (first, second) = (prepare(first)?, prepare(second)?);
        let estimates = |runs: &[PreparedMetrics]| -> Vec<Vec<Option<f64>>> {
            runs.iter().map(|run| run.values(|_| 1)).collect()
        };
        let (of_first, of_second) = (estimates(&first), estimates(&second));
        let replicate = |replicate: usize| self.replicate(replicate, &first, &second, metrics.len());
        let by_replicate: Vec<Vec<Option<f64>>> =
            (0..self.resamples.replicates()).into_par_iter().map(replicate).collect();
        let of_metric = |(index, &metric): (usize, &Metric)| {
            let column = |table: &[Vec<Option<f64>>]| table.iter().map(|row| row[index]).collect();
            let (first, second): (Vec<_>, Vec<_>) = (column(&of_first), column(&of_second));
            let once = |runs: &[Option<f64>]| mean(runs.iter().map(|&value| (value, 1)));
            let estimate = once(&first).zip(once(&second)).map(|(a, b)| a - b);
            let replicates: Vec<Option<f64>> = column(&by_replicate);
            let interval = estimate.and(Spread::new(&replicates, self.alpha).interval);
            let p_value = interval.map(|_| two_sided_p(&replicates));
            RecipeDifference { metric, first, second, estimate, replicates, interval, p_value }
        };
        Ok(metrics.iter().enumerate().map(of_metric).collect())
    }

    fn replicate(
        &self,
        replicate: usize,
        first: &[PreparedMetrics],
        second: &[PreparedMetrics],
        num_metrics: usize,
    ) -> Vec<Option<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Streams from the far end: the resamples draw from the near one, perhaps under the same seed.
        rng.set_stream(u64::MAX - replicate as u64);
        let mut draw = |runs: usize| {
            let mut times = vec![0_u32; runs];
            for _ in 0..runs {
                times[below(&mut rng, runs)] += 1;
            }
            times
        };
        let times_first = draw(first.len());
        let times_second = match self.pairing {
            RunPairing::BySeed => times_first.clone(),
            RunPairing::Independent => draw(second.len()),
        };
        let rows = self.resamples.multiplicities(replicate);
        let means = |runs: &[PreparedMetrics], times: &[u32]| -> Vec<Option<f64>> {
            let drawn = runs.iter().zip(times).filter(|&(_, &times)| times > 0);
            let values: Vec<(Vec<Option<f64>>, u32)> =
                drawn.map(|(run, &times)| (run.values(|row| u64::from(rows[row])), times)).collect();
            (0..num_metrics).map(|index| mean(values.iter().map(|(of, times)| (of[index], *times)))).collect()
        };
        let (first, second) = (means(first, &times_first), means(second, &times_second));
        first.into_iter().zip(second).map(|(a, b)| Some(a? - b?)).collect()
    }
}

/// The mean of values that count several times; `None` where one is undefined.
fn mean(values: impl Iterator<Item = (Option<f64>, u32)>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for (value, times) in values {
        sum += f64::from(times) * value?;
        count += times;
    }
    Some(sum / f64::from(count))
}
