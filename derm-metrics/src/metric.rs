use std::fmt;

use derm_core::Probabilities;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::auroc::mean_pair_area;
use crate::brier::brier_per_sample;
use crate::error::check_at_least_one;
use crate::nll::nll_per_sample;
use crate::ranked_rows::{RankedRows, check_class};
use crate::reliability::{BinSums, bin_index, top_label_correct};
use crate::roc_curve::{check_min_tpr, partial_area};
use crate::{
    Binning, ClassAverage, ClassSet, ConfusionMatrix, Error, KappaWeights, NLL_CLIP, PrfAverage, PrfMetric,
    ZeroDivision, top_k_hits,
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
    /// [`averaged_prf`](crate::averaged_prf), an empty denominator counting as 0.
    Prf {
        /// Precision, recall or F1.
        of: PrfMetric,
        /// How the classes are averaged.
        average: PrfAverage,
    },
    /// Sensitivity (recall) of one class, decided by the most probable class; see
    /// [`per_class_rates`](crate::per_class_rates).
    Sensitivity {
        /// The class.
        class: usize,
    },
    /// Specificity of one class, decided by the most probable class; 1 − the false-positive rate.
    Specificity {
        /// The class.
        class: usize,
    },
    /// Share of rows that are predicted as this class (the selection rate of the fairness literature).
    PredictedShare {
        /// The class.
        class: usize,
    },
    /// [`matthews`](crate::matthews).
    Matthews,
    /// [`cohen_kappa`](crate::cohen_kappa).
    Kappa {
        /// How much a disagreement counts.
        weights: KappaWeights,
    },
    /// [`averaged_auroc_ovr`](crate::averaged_auroc_ovr).
    Auroc {
        /// How the classes are averaged.
        average: ClassAverage,
    },
    /// [`auroc_ovo`](crate::auroc_ovo).
    AurocOvo,
    /// [`auroc_ovr`](crate::auroc_ovr) of one class.
    ClassAuroc {
        /// The class.
        class: usize,
    },
    /// [`RocCurve::partial_area`](crate::RocCurve::partial_area) of one class against the rest.
    PartialAuroc {
        /// The class.
        class: usize,
        /// Only the area above this sensitivity counts; in [0, 1).
        min_tpr: f64,
    },
    /// [`averaged_average_precision`](crate::averaged_average_precision).
    AveragePrecision {
        /// How the classes are averaged.
        average: ClassAverage,
    },
    /// [`average_precision_ovr`](crate::average_precision_ovr) of one class.
    ClassAveragePrecision {
        /// The class.
        class: usize,
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
        Self::Auroc { average: ClassAverage::Macro },
        Self::Nll { clip: NLL_CLIP },
        Self::Brier,
        Self::Ece { n_bins: 15 },
    ];

    /// The value, `None` where it is undefined (an AUROC where every sample is of one class):
    /// [`Metric::undefined_where`] says why.
    ///
    /// # Errors
    /// As the function of that metric.
    pub fn value(&self, probabilities: &Probabilities, targets: &[usize]) -> Result<Option<f64>, Error> {
        let prepared = PreparedMetrics::new(probabilities, targets, std::slice::from_ref(self))?;
        Ok(prepared.values(|_| 1)[0])
    }

    /// The rows for which it has no value, in words; `None` for a metric that always has one.
    ///
    /// ```
    /// use derm_metrics::Metric;
    /// let reason = Metric::ClassAuroc { class: 4 }.undefined_where();
    /// assert_eq!(reason.as_deref(), Some("all rows or none are of class 4"));
    /// assert_eq!(Metric::Accuracy.undefined_where(), None);
    /// ```
    pub fn undefined_where(&self) -> Option<String> {
        match self {
            Self::Sensitivity { class } | Self::ClassAveragePrecision { class } => {
                Some(format!("no row is of class {class}"))
            }
            Self::Specificity { class } => Some(format!("all rows are of class {class}")),
            Self::ClassAuroc { class } | Self::PartialAuroc { class, .. } => {
                Some(format!("all rows or none are of class {class}"))
            }
            Self::Matthews => Some("the targets or the predictions are of one class".to_owned()),
            Self::Kappa { .. } => Some("the targets and the predictions are of one class".to_owned()),
            Self::Auroc { .. } | Self::AurocOvo => Some("all rows are of one class".to_owned()),
            // The rows are at least one, so some class has rows to be averaged over.
            Self::Accuracy
            | Self::TopKAccuracy { .. }
            | Self::BalancedAccuracy { .. }
            | Self::MacroF1 { .. }
            | Self::Prf { .. }
            | Self::PredictedShare { .. }
            | Self::AveragePrecision { .. }
            | Self::Nll { .. }
            | Self::Brier
            | Self::Ece { .. } => None,
        }
    }

    /// Which way is better.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Nll { .. } | Self::Brier | Self::Ece { .. } => Direction::LowerIsBetter,
            Self::PredictedShare { .. } => Direction::Neither,
            _ => Direction::HigherIsBetter,
        }
    }

    /// Whether a larger value is better; false for [`Direction::Neither`] too.
    pub fn higher_is_better(&self) -> bool {
        self.direction() == Direction::HigherIsBetter
    }
}

/// Which values of a [`Metric`] are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger ones.
    HigherIsBetter,
    /// Smaller ones.
    LowerIsBetter,
    /// None: the number only describes.
    Neither,
}

impl fmt::Display for Metric {
    /// The name in files: `accuracy`, `top_3_accuracy`, `balanced_accuracy`, `macro_f1`, `weighted_precision`,
    /// `sensitivity_of_4`, `matthews`, `quadratic_kappa`, `macro_auroc`, `auroc_ovo`, `auroc_of_4`,
    /// `partial_auroc_of_4_above_0.8`, `macro_average_precision`, `nll`, `brier`, `ece`, …; conventions that are
    /// not the standard ones follow in brackets. A class is its index.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accuracy => f.write_str("accuracy"),
            Self::TopKAccuracy { k } => write!(f, "top_{k}_accuracy"),
            Self::BalancedAccuracy { classes } => write!(f, "balanced_accuracy{}", of_classes(*classes)),
            Self::MacroF1 { classes } => write!(f, "macro_f1{}", of_classes(*classes)),
            Self::Prf { of, average } => {
                let (average, classes) = match average {
                    PrfAverage::Macro(classes) => ("macro", of_classes(*classes)),
                    PrfAverage::Weighted => ("weighted", ""),
                    PrfAverage::Micro => ("micro", ""),
                };
                let of = match of {
                    PrfMetric::Precision => "precision",
                    PrfMetric::Recall => "recall",
                    PrfMetric::F1 => "f1",
                };
                write!(f, "{average}_{of}{classes}")
            }
            Self::Sensitivity { class } => write!(f, "sensitivity_of_{class}"),
            Self::Specificity { class } => write!(f, "specificity_of_{class}"),
            Self::PredictedShare { class } => write!(f, "predicted_share_of_{class}"),
            Self::Matthews => f.write_str("matthews"),
            Self::Kappa { weights: KappaWeights::None } => f.write_str("kappa"),
            Self::Kappa { weights: KappaWeights::Linear } => f.write_str("linear_kappa"),
            Self::Kappa { weights: KappaWeights::Quadratic } => f.write_str("quadratic_kappa"),
            Self::Auroc { average } => write!(f, "{}_auroc", average.name()),
            Self::AurocOvo => f.write_str("auroc_ovo"),
            Self::ClassAuroc { class } => write!(f, "auroc_of_{class}"),
            Self::PartialAuroc { class, min_tpr } => write!(f, "partial_auroc_of_{class}_above_{min_tpr}"),
            Self::AveragePrecision { average } => write!(f, "{}_average_precision", average.name()),
            Self::ClassAveragePrecision { class } => write!(f, "average_precision_of_{class}"),
            Self::Nll { clip } if *clip == NLL_CLIP => f.write_str("nll"),
            Self::Nll { clip } => write!(f, "nll (clip {clip})"),
            Self::Brier => f.write_str("brier"),
            Self::Ece { n_bins: 15 } => f.write_str("ece"),
            Self::Ece { n_bins } => write!(f, "ece ({n_bins} bins)"),
        }
    }
}

fn of_classes(classes: ClassSet) -> &'static str {
    match classes {
        ClassSet::Present => "",
        ClassSet::All => " (all classes)",
    }
}

/// Rows made ready for several metrics, so that a resample costs one pass and no sorting.
#[derive(Debug)]
pub(crate) struct PreparedMetrics {
    num_classes: usize,
    targets: Vec<usize>,
    predicted: Vec<usize>,
    /// The rows ranked by the probability of each class, where a metric needs it.
    ranked: Vec<RankedRows>,
    metrics: Vec<Prepared>,
}

/// A metric that is checked, with what it needs of each row.
#[derive(Debug)]
enum Prepared {
    /// From the confusion matrix or the rankings alone.
    Plain(Metric),
    MeanOfRows(Vec<f64>),
    Ece {
        n_bins: usize,
        rows: Vec<BinnedRow>,
    },
}

#[derive(Debug)]
struct BinnedRow {
    bin: usize,
    confidence: f64,
    correct: bool,
}

impl Prepared {
    fn new(metric: Metric, probabilities: &Probabilities, targets: &[usize]) -> Result<Self, Error> {
        let plain = |class| check_class(class, probabilities.num_classes()).map(|()| Self::Plain(metric));
        match metric {
            Metric::TopKAccuracy { k } => {
                let hits = top_k_hits(probabilities, targets, k)?;
                Ok(Self::MeanOfRows(hits.into_iter().map(|hit| f64::from(u8::from(hit))).collect()))
            }
            Metric::Nll { clip } => Ok(Self::MeanOfRows(nll_per_sample(probabilities, targets, clip)?)),
            Metric::Brier => Ok(Self::MeanOfRows(brier_per_sample(probabilities, targets)?)),
            Metric::Ece { n_bins } => {
                check_at_least_one("n_bins", n_bins)?;
                let confidence = probabilities.confidence();
                let bins = bin_index(&confidence, Binning::Uniform { n_bins })?;
                let correct = top_label_correct(probabilities, targets)?;
                let rows = bins.into_iter().zip(confidence).zip(correct);
                let rows = rows.map(|((bin, confidence), correct)| BinnedRow { bin, confidence, correct });
                Ok(Self::Ece { n_bins, rows: rows.collect() })
            }
            Metric::PartialAuroc { class, min_tpr } => {
                check_min_tpr(min_tpr)?;
                plain(class)
            }
            Metric::Sensitivity { class }
            | Metric::Specificity { class }
            | Metric::PredictedShare { class }
            | Metric::ClassAuroc { class }
            | Metric::ClassAveragePrecision { class } => plain(class),
            Metric::Accuracy
            | Metric::BalancedAccuracy { .. }
            | Metric::MacroF1 { .. }
            | Metric::Prf { .. }
            | Metric::Matthews
            | Metric::Kappa { .. }
            | Metric::Auroc { .. }
            | Metric::AurocOvo
            | Metric::AveragePrecision { .. } => Ok(Self::Plain(metric)),
        }
    }
}

impl PreparedMetrics {
    pub(crate) fn new(
        probabilities: &Probabilities,
        targets: &[usize],
        metrics: &[Metric],
    ) -> Result<Self, Error> {
        probabilities.check_targets(targets)?;
        let prepare = |&metric: &Metric| Prepared::new(metric, probabilities, targets);
        let prepared = metrics.iter().map(prepare).collect::<Result<_, Error>>()?;
        let num_classes = probabilities.num_classes();
        let ranks = |metric: &Metric| {
            matches!(
                metric,
                Metric::Auroc { .. }
                    | Metric::AurocOvo
                    | Metric::ClassAuroc { .. }
                    | Metric::PartialAuroc { .. }
                    | Metric::AveragePrecision { .. }
                    | Metric::ClassAveragePrecision { .. }
            )
        };
        let ranked = if metrics.iter().any(ranks) {
            let rank = |class| RankedRows::of_class(probabilities, targets, class);
            (0..num_classes).into_par_iter().map(rank).collect()
        } else {
            Vec::new()
        };
        let (targets, predicted) = (targets.to_vec(), probabilities.predicted());
        Ok(Self { num_classes, targets, predicted, ranked, metrics: prepared })
    }

    /// The metrics where row `i` stands `weight(i)` times; all `None` where no row does.
    pub(crate) fn values(&self, weight: impl Fn(usize) -> u64) -> Vec<Option<f64>> {
        let matrix = ConfusionMatrix::count(self.num_classes, &self.targets, &self.predicted, &weight);
        let total = matrix.total() as f64;
        if total == 0.0 {
            return vec![None; self.metrics.len()];
        }
        let value = |metric: &Prepared| match metric {
            Prepared::Plain(metric) => self.plain(*metric, &matrix, &weight),
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

    fn plain(&self, metric: Metric, matrix: &ConfusionMatrix, weight: impl Fn(usize) -> u64) -> Option<f64> {
        let average = |average: ClassAverage, of_class: &dyn Fn(&RankedRows) -> Option<f64>| {
            let values: Vec<Option<f64>> = self.ranked.iter().map(of_class).collect();
            average.mean(&values, &matrix.support())
        };
        match metric {
            Metric::Accuracy => Some(matrix.accuracy()),
            Metric::BalancedAccuracy { classes } => Some(matrix.balanced_accuracy(classes)),
            Metric::MacroF1 { classes } => {
                matrix.averaged_prf(PrfMetric::F1, PrfAverage::Macro(classes), ZeroDivision::Zero)
            }
            Metric::Prf { of, average } => matrix.averaged_prf(of, average, ZeroDivision::Zero),
            Metric::Sensitivity { class } => matrix.per_class_rates()[class].sensitivity,
            Metric::Specificity { class } => matrix.per_class_rates()[class].specificity,
            Metric::PredictedShare { class } => {
                Some(matrix.predicted()[class] as f64 / matrix.total() as f64)
            }
            Metric::Matthews => matrix.matthews(),
            Metric::Kappa { weights } => matrix.cohen_kappa(weights),
            Metric::Auroc { average: by } => average(by, &|rows| rows.area(&weight)),
            Metric::AurocOvo => mean_pair_area(&self.ranked, &self.targets, &weight),
            Metric::ClassAuroc { class } => self.ranked[class].area(&weight),
            Metric::PartialAuroc { class, min_tpr } => {
                let support = matrix.support()[class];
                let others = matrix.total() - support;
                (support > 0 && others > 0).then(|| {
                    let (mut tp, mut fp, mut points) = (0, 0, Vec::new());
                    self.ranked[class].falling(&weight, |_, positives, negatives| {
                        tp += positives;
                        fp += negatives;
                        points.push((fp as f64 / others as f64, tp as f64 / support as f64));
                    });
                    partial_area(points.into_iter(), min_tpr)
                })
            }
            Metric::AveragePrecision { average: by } => average(by, &|rows| rows.average_precision(&weight)),
            Metric::ClassAveragePrecision { class } => self.ranked[class].average_precision(&weight),
            // Means of rows and binned errors are prepared otherwise.
            Metric::TopKAccuracy { .. } | Metric::Nll { .. } | Metric::Brier | Metric::Ece { .. } => None,
        }
    }
}
