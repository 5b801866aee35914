use derm_core::Probabilities;
use derm_metrics::{Binning, CalibrationNorm, Interval, IntervalMethod, ReliabilityTable, Resamples};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{check_length, check_open_unit};
use crate::kde_ece::kde_ece_of;
use crate::smooth_ece::smooth_ece_of;
use crate::{Bandwidth, Error};

/// Of which probabilities an error asks whether they are honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationNotion {
    /// Of the largest probability, all predicted classes together: `P(Y = ĉ | p_ĉ) = p_ĉ` (Guo et al. 2017).
    Confidence,
    /// Of the largest probability, each predicted class by itself: `P(Y = ĉ | p_ĉ, ĉ) = p_ĉ` (Gupta and
    /// Ramdas 2022). Over-confidence in one class and under-confidence in another do not cancel. Classes
    /// weigh by how often they are predicted.
    TopLabel,
    /// Of every class's probability: `P(Y = c | p_c) = p_c` (Kumar et al. 2019; in the norm L1 and with
    /// uniform bins the class-wise ECE of Kull et al. 2019). Classes weigh 1/C.
    Marginal,
}

/// How the gaps of bins make one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorNorm {
    /// `Σ share · gap`.
    L1,
    /// `√(Σ share · gap²)`.
    L2,
    /// The largest gap of a bin that is not empty.
    Max,
    /// L1 less what chance adds to it: with `s² = a(1 − a)/(n − 1)` of a bin of n rows and accuracy a, each
    /// gap g loses `E|N(g, s²)| − g`; at least 0. Kumar et al. 2019 simulate that expectation, which here is
    /// the mean of the folded normal distribution.
    DebiasedL1,
    /// L2 less what chance adds to it: `√max(0, Σ share · (gap² − a(1 − a)/(n − 1)))` (Kumar et al. 2019,
    /// section 4.1; the same correction as Bröcker's 2012 and Ferro and Fricker's 2012 of the reliability
    /// term of the Brier score). A bin of one row has no variance to take off and counts 0, as in the
    /// authors' code.
    DebiasedL2,
}

/// An estimator of a calibration error, with everything that its number depends on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "estimator", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Bins.
    Binned {
        /// Of which probabilities.
        notion: CalibrationNotion,
        /// How rows fall into bins.
        binning: Binning,
        /// How bins make one number.
        norm: ErrorNorm,
    },
    /// [`smooth_ece`](crate::smooth_ece).
    Smooth {
        /// Of which probabilities.
        notion: CalibrationNotion,
    },
    /// [`kde_ece`](crate::kde_ece).
    Kde {
        /// Of which probabilities.
        notion: CalibrationNotion,
        /// How wide the kernel is.
        bandwidth: Bandwidth,
    },
}

/// A calibration error with its bootstrap distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationErrorEstimate {
    /// What was estimated.
    #[serde(flatten)]
    pub error: CalibrationError,
    /// The error of all rows, in [0, 1].
    pub value: f64,
    /// The error of each replicate, shape `[B]`.
    pub replicates: Vec<f64>,
    /// The replicates' percentiles, moved down by the replicates' bias (their mean − the value) and cut to [0,
    /// 1]: a resample repeats rows, its bins are noisier than those of the data, and noise adds to an error
    /// that is never negative.
    pub interval: Interval,
}

/// The reliability table of one of the problems that a notion splits into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReliability {
    /// The class; `None` for all predicted classes together.
    pub class: Option<usize>,
    /// Its weight in the error.
    pub weight: f64,
    /// The table; `None` for a class that is never predicted.
    pub table: Option<ReliabilityTable>,
}

impl CalibrationError {
    /// The error of `probabilities` [N, C] on `targets` `[N]`, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Value`] where targets do not fit, [`Error::TooMany`] unless the number of bins is 1 to N,
    /// [`Error::Range`] for a bandwidth out of range.
    ///
    /// ```
    /// use derm_calibration::{CalibrationError, CalibrationNotion, ErrorNorm};
    /// use derm_core::Probabilities;
    /// use derm_metrics::Binning;
    /// use ndarray::array;
    /// // Class 0 is over-confident by 0.2 and class 1 under-confident by 0.2: together they look calibrated.
    /// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.7, 0.3], [0.3, 0.7], [0.3, 0.7]])?;
    /// let targets = [0, 1, 1, 1];
    /// let error = |notion| {
    ///     let binning = Binning::Uniform { n_bins: 1 };
    ///     CalibrationError::Binned { notion, binning, norm: ErrorNorm::L1 }.value(&probabilities, &targets)
    /// };
    /// assert!((error(CalibrationNotion::Confidence)? - 0.05).abs() < 1e-12);
    /// assert!((error(CalibrationNotion::TopLabel)? - 0.25).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value(&self, probabilities: &Probabilities, targets: &[usize]) -> Result<f64, Error> {
        self.validate(targets.len())?;
        let problems = problems(probabilities, targets, self.notion())?;
        self.of_problems(&problems, None)
    }

    /// Of which probabilities it asks.
    pub fn notion(&self) -> CalibrationNotion {
        let (Self::Binned { notion, .. } | Self::Smooth { notion } | Self::Kde { notion, .. }) = self;
        *notion
    }

    fn validate(&self, rows: usize) -> Result<(), Error> {
        match self {
            Self::Binned { binning, .. } => check_bins(*binning, rows),
            Self::Smooth { .. } => Ok(()),
            Self::Kde { bandwidth, .. } => bandwidth.validate(),
        }
    }

    /// The error where row `i` stands `counts[i]` times, or once.
    fn of_problems(&self, problems: &[Problem], counts: Option<&[u32]>) -> Result<f64, Error> {
        let (mut sum, mut total, mut largest) = (0.0, 0.0, 0.0_f64);
        let (mut confidence, mut correct) = (Vec::new(), Vec::new());
        for problem in problems {
            confidence.clear();
            correct.clear();
            for row in &problem.rows {
                for _ in 0..counts.map_or(1, |counts| counts[row.index]) {
                    confidence.push(row.confidence);
                    correct.push(row.correct);
                }
            }
            if confidence.is_empty() {
                continue;
            }
            let weight =
                if self.notion() == CalibrationNotion::Marginal { 1.0 } else { confidence.len() as f64 };
            let part = self.of_rows(&confidence, &correct)?;
            sum += weight * part;
            total += weight;
            largest = largest.max(part);
        }
        let mean = sum / total;
        Ok(match self {
            Self::Binned { norm: ErrorNorm::Max, .. } => largest,
            Self::Binned { norm: ErrorNorm::L2 | ErrorNorm::DebiasedL2, .. } => mean.max(0.0).sqrt(),
            Self::Binned { norm: ErrorNorm::DebiasedL1, .. } => mean.max(0.0),
            Self::Binned { norm: ErrorNorm::L1, .. } | Self::Smooth { .. } | Self::Kde { .. } => mean,
        })
    }

    /// The error of one problem, squared for the norms of second order and not yet cut at 0.
    fn of_rows(&self, confidence: &[f64], correct: &[bool]) -> Result<f64, Error> {
        match *self {
            Self::Binned { binning, norm, .. } => {
                let table = ReliabilityTable::new(confidence, correct, binning)?;
                Ok(match norm {
                    ErrorNorm::L1 => table.error(CalibrationNorm::L1),
                    ErrorNorm::L2 => table.error(CalibrationNorm::L2).powi(2),
                    ErrorNorm::Max => table.error(CalibrationNorm::Max),
                    ErrorNorm::DebiasedL1 => debiased(&table, |gap, variance| {
                        let s = variance.sqrt();
                        if s > 0.0 { 2.0 * gap - folded_normal_mean(gap, s) } else { gap }
                    }),
                    ErrorNorm::DebiasedL2 => debiased(&table, |gap, variance| gap * gap - variance),
                })
            }
            Self::Smooth { .. } => Ok(smooth_ece_of(confidence, correct).value),
            Self::Kde { bandwidth, .. } => Ok(kde_ece_of(confidence, correct, bandwidth).value),
        }
    }
}

/// Calibration errors with bootstrap intervals of miscoverage `alpha`, all on the same replicates and in
/// parallel. Rows of one lesion or patient are not independent, so `resamples` are as a rule those of
/// [`Resamples::groups`].
///
/// # Errors
/// As [`CalibrationError::value`]; [`Error::Value`] where the resamples are of another number of rows,
/// [`Error::Range`] unless `alpha` is in (0, 1).
///
/// # Source
/// Percentiles by linear interpolation at (B − 1)q; the shift is the bias estimate of Efron and Tibshirani
/// 1993, chapter 10.
pub fn calibration_errors(
    probabilities: &Probabilities,
    targets: &[usize],
    errors: &[CalibrationError],
    resamples: &Resamples,
    alpha: f64,
) -> Result<Vec<CalibrationErrorEstimate>, Error> {
    check_open_unit("alpha", alpha)?;
    check_length("resamples", resamples.num_samples(), probabilities.num_samples())?;
    let prepared: Vec<(CalibrationError, Vec<Problem>)> = errors
        .iter()
        .map(|error| {
            error.validate(targets.len())?;
            Ok((*error, problems(probabilities, targets, error.notion())?))
        })
        .collect::<Result<_, Error>>()?;
    let of_replicate = |replicate: usize| -> Result<Vec<f64>, Error> {
        let counts = resamples.multiplicities(replicate);
        prepared.iter().map(|(error, problems)| error.of_problems(problems, Some(&counts))).collect()
    };
    let by_replicate =
        (0..resamples.replicates()).into_par_iter().map(of_replicate).collect::<Result<Vec<_>, Error>>()?;
    let estimate = |(index, (error, problems)): (usize, &(CalibrationError, Vec<Problem>))| {
        let value = error.of_problems(problems, None)?;
        let replicates: Vec<f64> = by_replicate.iter().map(|values| values[index]).collect();
        let interval = shifted_interval(value, &replicates, alpha);
        Ok(CalibrationErrorEstimate { error: *error, value, replicates, interval })
    };
    prepared.iter().enumerate().map(estimate).collect()
}

/// The reliability tables behind a binned error, ready to draw: one of all rows for
/// [`CalibrationNotion::Confidence`], else one a class.
///
/// # Errors
/// As [`CalibrationError::value`].
pub fn reliability(
    probabilities: &Probabilities,
    targets: &[usize],
    notion: CalibrationNotion,
    binning: Binning,
) -> Result<Vec<ClassReliability>, Error> {
    check_bins(binning, targets.len())?;
    let problems = problems(probabilities, targets, notion)?;
    let classes = problems.len() as f64;
    let of_problem = |(class, problem): (usize, Problem)| {
        let (confidence, correct): (Vec<f64>, Vec<bool>) =
            problem.rows.iter().map(|row| (row.confidence, row.correct)).unzip();
        let some = !confidence.is_empty();
        let table = some.then(|| ReliabilityTable::new(&confidence, &correct, binning)).transpose()?;
        let (class, weight) = match notion {
            CalibrationNotion::Confidence => (None, 1.0),
            CalibrationNotion::TopLabel => (Some(class), confidence.len() as f64 / targets.len() as f64),
            CalibrationNotion::Marginal => (Some(class), 1.0 / classes),
        };
        Ok(ClassReliability { class, weight, table })
    };
    problems.into_iter().enumerate().map(of_problem).collect()
}

/// A row of a binary problem.
#[derive(Debug, Clone, Copy)]
struct Row {
    index: usize,
    confidence: f64,
    correct: bool,
}

/// A binary problem: a confidence and whether it was right.
#[derive(Debug, Default)]
struct Problem {
    rows: Vec<Row>,
}

fn problems(
    probabilities: &Probabilities,
    targets: &[usize],
    notion: CalibrationNotion,
) -> Result<Vec<Problem>, Error> {
    probabilities.check_targets(targets)?;
    let classes = probabilities.num_classes();
    let rows = probabilities.predicted().into_iter().zip(probabilities.confidence()).zip(targets);
    let top = rows.enumerate().map(|(index, ((class, confidence), &target))| {
        (class, Row { index, confidence, correct: class == target })
    });
    Ok(match notion {
        CalibrationNotion::Confidence => vec![Problem { rows: top.map(|(_, row)| row).collect() }],
        CalibrationNotion::TopLabel => {
            let mut problems: Vec<Problem> = (0..classes).map(|_| Problem::default()).collect();
            top.for_each(|(class, row)| problems[class].rows.push(row));
            problems
        }
        CalibrationNotion::Marginal => {
            let of_class = |class: usize| {
                let column = probabilities.view().column(class).to_vec();
                let row = |(index, (confidence, &target)): (usize, (f64, &usize))| Row {
                    index,
                    confidence,
                    correct: target == class,
                };
                Problem { rows: column.into_iter().zip(targets).enumerate().map(row).collect() }
            };
            (0..classes).map(of_class).collect()
        }
    })
}

/// Refuses no bins, and more bins than rows: most of them would stay empty, and the error be that of single rows.
pub(crate) fn check_bins(binning: Binning, rows: usize) -> Result<(), Error> {
    let (Binning::Uniform { n_bins } | Binning::EqualMass { n_bins }) = binning;
    if (1..=rows).contains(&n_bins) {
        Ok(())
    } else if rows == 0 {
        Err(derm_core::ValueError::Empty { argument: "targets" }.into())
    } else {
        Err(Error::TooMany { argument: "n_bins", value: n_bins, minimum: 1, maximum: rows, of: "rows" })
    }
}

/// `Σ share · term(gap, variance of the accuracy)` over the bins of two rows or more.
fn debiased(table: &ReliabilityTable, term: impl Fn(f64, f64) -> f64) -> f64 {
    let total = table.total() as f64;
    let of_bin = |bin: &derm_metrics::ReliabilityBin| {
        let (gap, accuracy) = (bin.gap()?, bin.accuracy?);
        (bin.count >= 2).then(|| {
            let n = bin.count as f64;
            n / total * term(gap, accuracy * (1.0 - accuracy) / (n - 1.0))
        })
    };
    table.bins().iter().filter_map(of_bin).sum()
}

/// `E|X|` for X normal with mean `mean` and standard deviation `s`.
fn folded_normal_mean(mean: f64, s: f64) -> f64 {
    let z = mean / s;
    s * (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * z * z).exp()
        + mean * statrs::function::erf::erf(z / std::f64::consts::SQRT_2)
}

fn shifted_interval(value: f64, replicates: &[f64], alpha: f64) -> Interval {
    let mean = replicates.iter().sum::<f64>() / replicates.len() as f64;
    let mut sorted = replicates.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let end = |q: f64| {
        let position = (sorted.len() - 1) as f64 * q;
        let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
        (below + (above - below) * position.fract() - (mean - value)).clamp(0.0, 1.0)
    };
    let method = IntervalMethod::ShiftedPercentileBootstrap;
    Interval { low: end(alpha / 2.0), high: end(1.0 - alpha / 2.0), alpha, method }
}
