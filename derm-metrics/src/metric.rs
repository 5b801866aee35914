use std::fmt;

use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::auroc::{RankedRows, mean_area};
use crate::brier::brier_per_sample;
use crate::nll::nll_per_sample;
use crate::reliability::{BinSums, bin_index, top_label_correct};
use crate::{
    AurocAverage, Binning, ClassSet, ConfusionMatrix, Error, NLL_CLIP, PrfAverage, PrfMetric, ZeroDivision,
    top_k_hits,
};

/// One number about a set of predictions, with every convention that it depends on.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{ClassSet, Metric};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.4, 0.6]])?;
/// let metric = Metric::BalancedAccuracy { classes: ClassSet::Present };
/// assert_eq!(metric.value(&probabilities, &[0, 1, 0])?, Some(0.75));
/// assert_eq!(metric.to_string(), "balanced_accuracy");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "metric", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// [`accuracy`](crate::accuracy).
    Accuracy,
    /// [`top_k_accuracy`](crate::top_k_accuracy).
    TopKAccuracy {
        /// Number of classes that count.
        k: usize,
    },
    /// [`balanced_accuracy`](crate::balanced_accuracy).
    BalancedAccuracy {
        /// Over which classes the mean runs.
        classes: ClassSet,
    },
    /// [`averaged_prf`](crate::averaged_prf) of F1, plain mean, an empty denominator counting as 0.
    MacroF1 {
        /// Over which classes the mean runs.
        classes: ClassSet,
    },
    /// [`averaged_auroc_ovr`](crate::averaged_auroc_ovr).
    Auroc {
        /// How the classes are averaged.
        average: AurocAverage,
    },
    /// [`nll`](crate::nll).
    Nll {
        /// Probabilities below this count as this.
        clip: f64,
    },
    /// [`brier`](crate::brier).
    Brier,
    /// [`ece`](crate::ece) in the norm L1.
    Ece {
        /// Number of uniform, right-closed bins.
        n_bins: usize,
    },
}

impl Metric {
    /// The table of a paper in this field: accuracy, balanced accuracy and macro F1 over the classes with
    /// samples, macro AUROC, NLL, Brier and 15-bin ECE.
    pub const STANDARD: [Self; 7] = [
        Self::Accuracy,
        Self::BalancedAccuracy { classes: ClassSet::Present },
        Self::MacroF1 { classes: ClassSet::Present },
        Self::Auroc { average: AurocAverage::Macro },
        Self::Nll { clip: NLL_CLIP },
        Self::Brier,
        Self::Ece { n_bins: 15 },
    ];

    /// The value, `None` where it is undefined (an AUROC where every sample is of one class).
    ///
    /// # Errors
    /// As the function of that metric.
    pub fn value(&self, probabilities: &Probabilities, targets: &[usize]) -> Result<Option<f64>, Error> {
        let prepared = PreparedMetrics::new(probabilities, targets, std::slice::from_ref(self))?;
        Ok(prepared.values(|_| 1)[0])
    }

    /// Whether a larger value is better.
    pub fn higher_is_better(&self) -> bool {
        !matches!(self, Self::Nll { .. } | Self::Brier | Self::Ece { .. })
    }
}

impl fmt::Display for Metric {
    /// The name in files: `accuracy`, `top_3_accuracy`, `balanced_accuracy`, `macro_f1`, `macro_auroc`,
    /// `weighted_auroc`, `nll`, `brier`, `ece`; conventions that are not the standard ones follow in
    /// brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accuracy => f.write_str("accuracy"),
            Self::TopKAccuracy { k } => write!(f, "top_{k}_accuracy"),
            Self::BalancedAccuracy { classes: ClassSet::Present } => f.write_str("balanced_accuracy"),
            Self::BalancedAccuracy { classes: ClassSet::All } => {
                f.write_str("balanced_accuracy (all classes)")
            }
            Self::MacroF1 { classes: ClassSet::Present } => f.write_str("macro_f1"),
            Self::MacroF1 { classes: ClassSet::All } => f.write_str("macro_f1 (all classes)"),
            Self::Auroc { average: AurocAverage::Macro } => f.write_str("macro_auroc"),
            Self::Auroc { average: AurocAverage::Weighted } => f.write_str("weighted_auroc"),
            Self::Nll { clip } if *clip == NLL_CLIP => f.write_str("nll"),
            Self::Nll { clip } => write!(f, "nll (clip {clip})"),
            Self::Brier => f.write_str("brier"),
            Self::Ece { n_bins: 15 } => f.write_str("ece"),
            Self::Ece { n_bins } => write!(f, "ece ({n_bins} bins)"),
        }
    }
}

/// Rows made ready for several metrics, so that a resample costs one pass and no sorting.
#[derive(Debug)]
pub(crate) struct PreparedMetrics {
    num_classes: usize,
    targets: Vec<usize>,
    predicted: Vec<usize>,
    metrics: Vec<Prepared>,
}

#[derive(Debug)]
enum Prepared {
    Accuracy,
    BalancedAccuracy(ClassSet),
    MacroF1(ClassSet),
    Auroc(AurocAverage, Vec<RankedRows>),
    MeanOfRows(Vec<f64>),
    Ece { n_bins: usize, rows: Vec<BinnedRow> },
}

#[derive(Debug)]
struct BinnedRow {
    bin: usize,
    confidence: f64,
    correct: bool,
}

impl PreparedMetrics {
    pub(crate) fn new(
        probabilities: &Probabilities,
        targets: &[usize],
        metrics: &[Metric],
    ) -> Result<Self, Error> {
        probabilities.check_targets(targets)?;
        let num_classes = probabilities.num_classes();
        let prepare = |metric: &Metric| {
            Ok(match *metric {
                Metric::Accuracy => Prepared::Accuracy,
                Metric::TopKAccuracy { k } => {
                    let hits = top_k_hits(probabilities, targets, k)?;
                    Prepared::MeanOfRows(hits.into_iter().map(|hit| f64::from(u8::from(hit))).collect())
                }
                Metric::BalancedAccuracy { classes } => Prepared::BalancedAccuracy(classes),
                Metric::MacroF1 { classes } => Prepared::MacroF1(classes),
                Metric::Auroc { average } => {
                    let rank = |class| RankedRows::new(probabilities, targets, class);
                    Prepared::Auroc(average, (0..num_classes).map(rank).collect())
                }
                Metric::Nll { clip } => Prepared::MeanOfRows(nll_per_sample(probabilities, targets, clip)?),
                Metric::Brier => Prepared::MeanOfRows(brier_per_sample(probabilities, targets)?),
                Metric::Ece { n_bins } => {
                    let confidence = probabilities.confidence();
                    let bins = bin_index(&confidence, Binning::Uniform { n_bins })?;
                    let correct = top_label_correct(probabilities, targets)?;
                    let rows = bins.into_iter().zip(confidence).zip(correct);
                    let rows =
                        rows.map(|((bin, confidence), correct)| BinnedRow { bin, confidence, correct });
                    Prepared::Ece { n_bins, rows: rows.collect() }
                }
            })
        };
        Ok(Self {
            num_classes,
            targets: targets.to_vec(),
            predicted: probabilities.predicted(),
            metrics: metrics.iter().map(prepare).collect::<Result<_, Error>>()?,
        })
    }

    /// The metrics where row `i` stands `weight(i)` times; at least one row does.
    pub(crate) fn values(&self, weight: impl Fn(usize) -> u64) -> Vec<Option<f64>> {
        let matrix = ConfusionMatrix::count(self.num_classes, &self.targets, &self.predicted, &weight);
        let total = matrix.total() as f64;
        let value = |metric: &Prepared| match metric {
            Prepared::Accuracy => Some(matrix.accuracy()),
            Prepared::BalancedAccuracy(classes) => Some(matrix.balanced_accuracy(*classes)),
            Prepared::MacroF1(classes) => {
                matrix.averaged_prf(PrfMetric::F1, PrfAverage::Macro(*classes), ZeroDivision::Zero)
            }
            Prepared::Auroc(average, classes) => {
                let areas: Vec<Option<f64>> = classes.iter().map(|rows| rows.area(&weight)).collect();
                mean_area(&areas, &matrix.support(), *average)
            }
            Prepared::MeanOfRows(rows) => {
                let sum: f64 = rows
                    .iter()
                    .enumerate()
                    // A row that is left out must not turn an infinite value into NaN.
                    .map(|(row, value)| (weight(row), value))
                    .filter(|&(count, _)| count > 0)
                    .map(|(count, value)| count as f64 * value)
                    .sum();
                Some(sum / total)
            }
            Prepared::Ece { n_bins, rows } => {
                let mut sums = BinSums::new(*n_bins);
                for (row, entry) in rows.iter().enumerate() {
                    sums.add(entry.bin, entry.confidence, entry.correct, weight(row));
                }
                Some(sums.l1())
            }
        };
        self.metrics.iter().map(value).collect()
    }
}
