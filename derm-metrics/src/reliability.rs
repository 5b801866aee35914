use derm_core::{Probabilities, ValueError};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_at_least_one, check_length};

/// How confidences fall into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// `n_bins` equal widths of [0, 1], each closed on the right; the first holds 0 too (Guo et al. 2017).
    Uniform {
        /// Number of bins.
        n_bins: usize,
    },
    /// Rows in rising order of confidence (ties by row) cut into `n_bins` runs, the first N mod `n_bins` of
    /// them one longer. With fewer rows than bins the last runs are empty.
    EqualMass {
        /// Number of bins.
        n_bins: usize,
    },
}

/// How the gaps of the bins make one calibration error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationNorm {
    /// `Σ share · gap`.
    L1,
    /// `√(Σ share · gap²)`.
    L2,
    /// The largest gap of a bin that is not empty.
    Max,
}

/// One bin of a reliability table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end of the bin: an edge, or the smallest confidence of a run; `None` for an empty run.
    pub lower: Option<f64>,
    /// Upper end of the bin: an edge, or the largest confidence of a run; `None` for an empty run.
    pub upper: Option<f64>,
    /// Number of rows.
    pub count: u64,
    /// Mean confidence, `None` for an empty bin.
    pub mean_confidence: Option<f64>,
    /// Share of rows that are right, `None` for an empty bin.
    pub accuracy: Option<f64>,
}

impl ReliabilityBin {
    /// `|mean confidence − accuracy|`, `None` for an empty bin.
    pub fn gap(&self) -> Option<f64> {
        Some((self.mean_confidence? - self.accuracy?).abs())
    }
}

/// Confidence against accuracy, bin by bin: the numbers of a reliability diagram and of the binned
/// calibration errors.
///
/// ```
/// use derm_metrics::{Binning, CalibrationNorm, ReliabilityTable};
/// let table = ReliabilityTable::new(&[0.9, 0.95, 0.3], &[true, false, false], Binning::Uniform { n_bins: 2 })?;
/// assert_eq!(table.bins()[1].count, 2);
/// assert_eq!(table.bins()[1].accuracy, Some(0.5));
/// // 2/3 · |0.925 − 0.5| + 1/3 · |0.3 − 0|
/// assert!((table.error(CalibrationNorm::L1) - 0.38333333333333336).abs() < 1e-15);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct ReliabilityTable {
    binning: Binning,
    bins: Vec<ReliabilityBin>,
}

impl ReliabilityTable {
    /// Bins rows by `confidence` `[N]` and compares it with whether they are `correct` `[N]`.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a confidence outside [0, 1] (a
    /// rounding error of [`ROW_SUM_TOLERANCE`](derm_core::ROW_SUM_TOLERANCE) above 1 passes),
    /// [`Error::Count`] for no bins.
    pub fn new(confidence: &[f64], correct: &[bool], binning: Binning) -> Result<Self, Error> {
        check_confidence(confidence, correct)?;
        let index = bin_index(confidence, binning)?;
        let (Binning::Uniform { n_bins } | Binning::EqualMass { n_bins }) = binning;
        let mut sums = BinSums::new(n_bins);
        let mut range = vec![(f64::INFINITY, f64::NEG_INFINITY); n_bins];
        for ((&bin, &confidence), &correct) in index.iter().zip(confidence).zip(correct) {
            sums.add(bin, confidence, correct, 1);
            range[bin] = (range[bin].0.min(confidence), range[bin].1.max(confidence));
        }
        let ends = |bin: usize| match binning {
            Binning::Uniform { n_bins } => {
                (Some(bin as f64 / n_bins as f64), Some((bin + 1) as f64 / n_bins as f64))
            }
            Binning::EqualMass { .. } => {
                let (low, high) = range[bin];
                ((low <= high).then_some(low), (low <= high).then_some(high))
            }
        };
        let of_bin = |bin: usize| {
            let (count, of_rows) = (sums.count[bin], sums.count[bin] as f64);
            let (lower, upper) = ends(bin);
            ReliabilityBin {
                lower,
                upper,
                count,
                mean_confidence: (count > 0).then(|| sums.confidence[bin] / of_rows),
                accuracy: (count > 0).then(|| sums.correct[bin] as f64 / of_rows),
            }
        };
        Ok(Self { binning, bins: (0..n_bins).map(of_bin).collect() })
    }

    /// The table of the most probable class: confidence is the largest probability, correct is whether its
    /// class is the target.
    ///
    /// # Errors
    /// As [`ReliabilityTable::new`], and [`Error::Value`] where the targets do not fit.
    pub fn top_label(
        probabilities: &Probabilities,
        targets: &[usize],
        binning: Binning,
    ) -> Result<Self, Error> {
        let correct = top_label_correct(probabilities, targets)?;
        Self::new(&probabilities.confidence(), &correct, binning)
    }

    /// How the rows were binned.
    pub fn binning(&self) -> Binning {
        self.binning
    }

    /// The bins, lowest confidence first.
    pub fn bins(&self) -> &[ReliabilityBin] {
        &self.bins
    }

    /// Number of rows.
    pub fn total(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// The calibration error of these bins in this norm, in [0, 1].
    pub fn error(&self, norm: CalibrationNorm) -> f64 {
        let total = self.total() as f64;
        let gaps = self.bins.iter().filter_map(|bin| Some((bin.count as f64 / total, bin.gap()?)));
        match norm {
            CalibrationNorm::L1 => gaps.map(|(share, gap)| share * gap).sum(),
            CalibrationNorm::L2 => gaps.map(|(share, gap)| share * gap * gap).sum::<f64>().sqrt(),
            CalibrationNorm::Max => gaps.map(|(_, gap)| gap).fold(0.0, f64::max),
        }
    }
}

/// The fields of a file, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    binning: Binning,
    bins: Vec<ReliabilityBin>,
}

impl TryFrom<Form> for ReliabilityTable {
    type Error = Error;

    fn try_from(Form { binning, bins }: Form) -> Result<Self, Error> {
        let (Binning::Uniform { n_bins } | Binning::EqualMass { n_bins }) = binning;
        check_length("bins", bins.len(), n_bins)?;
        for (position, bin) in bins.iter().enumerate() {
            for value in [bin.mean_confidence, bin.accuracy] {
                let fits = value.map_or(bin.count == 0, |value| {
                    bin.count > 0 && (0.0..=1.0 + derm_core::ROW_SUM_TOLERANCE).contains(&value)
                });
                if !fits {
                    let (value, expected) =
                        (value.unwrap_or(f64::NAN), "a number from 0 to 1 for each bin with rows");
                    return Err(Error::Entry { argument: "bins", position, value, expected });
                }
            }
        }
        let table = Self { binning, bins };
        check_at_least_one("count", usize::try_from(table.total()).unwrap_or(usize::MAX))?;
        Ok(table)
    }
}

pub(crate) fn top_label_correct(
    probabilities: &Probabilities,
    targets: &[usize],
) -> Result<Vec<bool>, Error> {
    probabilities.check_targets(targets)?;
    Ok(probabilities.predicted().iter().zip(targets).map(|(class, target)| class == target).collect())
}

/// The bin of each confidence.
pub(crate) fn bin_index(confidence: &[f64], binning: Binning) -> Result<Vec<usize>, Error> {
    match binning {
        Binning::Uniform { n_bins } => {
            check_at_least_one("n_bins", n_bins)?;
            let edge = |bin: usize| bin as f64 / n_bins as f64;
            let bin = |&p: &f64| {
                // Zero would come out as bin −1: the conversion saturates at 0 on its side, the minimum on the
                // other.
                let bin = ((p * n_bins as f64).ceil() as usize).saturating_sub(1).min(n_bins - 1);
                // The product is rounded: 0.28 · 25 lies above 7, and 0.28 is the edge 7/25 itself.
                if bin > 0 && p <= edge(bin) {
                    bin - 1
                } else if bin + 1 < n_bins && p > edge(bin + 1) {
                    bin + 1
                } else {
                    bin
                }
            };
            Ok(confidence.iter().map(bin).collect())
        }
        Binning::EqualMass { n_bins } => {
            check_at_least_one("n_bins", n_bins)?;
            let mut order: Vec<usize> = (0..confidence.len()).collect();
            order.sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]));
            let (size, longer) = (order.len() / n_bins, order.len() % n_bins);
            let mut index = vec![0; order.len()];
            for (rank, row) in order.into_iter().enumerate() {
                let in_longer = longer * (size + 1);
                index[row] =
                    if rank < in_longer { rank / (size + 1) } else { longer + (rank - in_longer) / size };
            }
            Ok(index)
        }
    }
}

pub(crate) fn check_confidence(confidence: &[f64], correct: &[bool]) -> Result<(), Error> {
    if confidence.is_empty() {
        return Err(ValueError::Empty { argument: "confidence" }.into());
    }
    if correct.len() != confidence.len() {
        let (got, expected) = (correct.len(), confidence.len());
        return Err(ValueError::Length { argument: "correct", got, expected }.into());
    }
    let allowed = 0.0..=1.0 + derm_core::ROW_SUM_TOLERANCE;
    match confidence.iter().position(|p| !allowed.contains(p)) {
        None => Ok(()),
        Some(position) => {
            let (value, expected) = (confidence[position], "a number from 0 to 1");
            Err(Error::Entry { argument: "confidence", position, value, expected })
        }
    }
}

/// Sums over the rows of each bin, with multiplicities.
#[derive(Debug, Clone)]
pub(crate) struct BinSums {
    count: Vec<u64>,
    confidence: Vec<f64>,
    correct: Vec<u64>,
}

impl BinSums {
    pub(crate) fn new(n_bins: usize) -> Self {
        Self { count: vec![0; n_bins], confidence: vec![0.0; n_bins], correct: vec![0; n_bins] }
    }

    pub(crate) fn add(&mut self, bin: usize, confidence: f64, correct: bool, weight: u64) {
        self.count[bin] += weight;
        self.confidence[bin] += weight as f64 * confidence;
        self.correct[bin] += weight * u64::from(correct);
    }

    /// Mean confidence and share of right rows of a bin that is not empty.
    pub(crate) fn means(&self, bin: usize) -> (f64, f64) {
        let count = self.count[bin] as f64;
        (self.confidence[bin] / count, self.correct[bin] as f64 / count)
    }

    /// `Σ share · gap` of the bins that are not empty.
    pub(crate) fn l1(&self) -> f64 {
        let total = self.count.iter().sum::<u64>() as f64;
        let gap = |(confidence, &correct): (&f64, &u64)| (confidence - correct as f64).abs();
        // The bin's count cancels: share · |Σ confidence − Σ correct| / count.
        self.confidence.iter().zip(&self.correct).map(gap).sum::<f64>() / total
    }
}
