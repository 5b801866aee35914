use std::collections::BTreeSet;

use derm_core::{Predictions, Probabilities, Role, SplitRole};
use serde::{Deserialize, Serialize};

use crate::{
    Binning, BootstrapEstimate, ConfusionMatrix, Error, Interval, Metric, ReliabilityTable, ReportedNumbers,
    Resamples, Suspicion, ZeroDivision, accuracy, auroc_ovr, bootstrap, brier, check_probabilities,
    wilson_effective,
};

/// How an [`Evaluation`] is made.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `metrics` | [`Metric::STANDARD`] | the numbers of the table |
/// | `replicates` | 1000 | bootstrap replicates |
/// | `alpha` | 0.05 | miscoverage of the intervals, in (0, 1) |
/// | `seed` | 0 | seed of the replicates |
/// | `n_bins` | 15 | bins of the reliability table |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// The numbers of the table.
    pub metrics: Vec<Metric>,
    /// Bootstrap replicates.
    pub replicates: usize,
    /// Miscoverage of the intervals.
    pub alpha: f64,
    /// Seed of the replicates.
    pub seed: u64,
    /// Bins of the reliability table.
    pub n_bins: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { metrics: Metric::STANDARD.to_vec(), replicates: 1000, alpha: 0.05, seed: 0, n_bins: 15 }
    }
}

/// A metric with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricEstimate {
    /// Its name, [`Metric`]'s `Display`.
    pub name: String,
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value; `None` where it is undefined.
    pub value: Option<f64>,
    /// Why it has no value ([`Metric::undefined_where`]); `None` where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined_because: Option<String>,
    /// Cluster-bootstrap percentile interval over the groups; that of a calibration error is moved by its bias
    /// ([`BootstrapEstimate::shifted_interval`]). `None` where the metric is undefined here or on more than half of
    /// the replicates, and where all rows are of one group.
    pub interval: Option<Interval>,
    /// Replicates that left the metric undefined and are not in the interval.
    pub undefined_replicates: usize,
}

impl From<BootstrapEstimate> for MetricEstimate {
    fn from(estimate: BootstrapEstimate) -> Self {
        Self {
            name: estimate.metric.to_string(),
            metric: estimate.metric,
            value: estimate.estimate,
            undefined_because: match estimate.estimate {
                Some(_) => None,
                None => estimate.metric.undefined_where(),
            },
            interval: match estimate.metric {
                Metric::Ece { .. } => estimate.shifted_interval(),
                _ => estimate.interval,
            },
            undefined_replicates: estimate.replicates.iter().filter(|value| value.is_none()).count(),
        }
    }
}

/// The numbers of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassEvaluation {
    /// The class.
    pub label: String,
    /// Number of rows of the class.
    pub support: u64,
    /// Number of groups with a row of the class: what its interval counts.
    pub groups: usize,
    /// Precision; `None` for a class that was never predicted.
    pub precision: Option<f64>,
    /// Recall; `None` for a class without rows.
    pub recall: Option<f64>,
    /// [`wilson_effective`] interval of the recall on the number of groups. A bootstrap says [1, 1] where the
    /// few lesions of a rare class were all found; Wilson's interval does not.
    pub recall_interval: Option<Interval>,
    /// F1; `None` for a class that is neither there nor predicted.
    pub f1: Option<f64>,
    /// Area under the ROC curve against the rest; `None` where all or no rows are of the class.
    pub auroc: Option<f64>,
    /// Predicted over true count; `None` for a class without rows.
    pub over_prediction: Option<f64>,
}

/// The standard table of one set of predictions, with intervals that count groups (lesions or patients).
///
/// ```
/// use derm_core::*;
/// use derm_metrics::{Evaluation, EvaluationConfig};
/// use ndarray::array;
/// # let metadata = PredictionMetadata {
/// #     task: "diagnosis".into(),
/// #     view: View::Identity,
/// #     labels: LabelMap::new(["mel", "nv"])?,
/// #     split_hash: "0f3a".into(),
/// # };
/// # let columns = PredictionColumns {
/// #     ids: (0..4).map(|i| format!("image_{i}")).collect(),
/// #     groups: (0..4).map(|i| format!("lesion_{}", i / 2)).collect(),
/// #     cases: (0..4).map(|i| format!("image_{i}")).collect(),
/// #     targets: vec![0, 0, 1, 1],
/// #     ..PredictionColumns::default()
/// # };
/// # let values = array![[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 1.0]];
/// # let scores = Scores { kind: ScoreKind::Logits, values };
/// # let predictions = Predictions::<Test>::new(metadata, columns, scores)?;
/// // `predictions` has four rows of two lesions; the probabilities may as well be calibrated ones.
/// let evaluation = Evaluation::new(&predictions, &predictions.probabilities(), &EvaluationConfig::default())?;
/// assert_eq!((evaluation.samples, evaluation.groups), (4, 2));
/// assert_eq!(evaluation.value("accuracy"), Some(0.75));
/// assert_eq!(evaluation.classes[1].recall, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Which rows these are.
    pub role: SplitRole,
    /// Hash of their split.
    pub split_hash: String,
    /// Number of rows.
    pub samples: usize,
    /// Number of groups: the units that the bootstrap draws.
    pub groups: usize,
    /// Bootstrap replicates.
    pub replicates: usize,
    /// Seed of the replicates.
    pub seed: u64,
    /// The metrics, in the order of the configuration.
    pub metrics: Vec<MetricEstimate>,
    /// The classes in the order of the labels.
    pub classes: Vec<ClassEvaluation>,
    /// Rows true, columns predicted.
    pub confusion: ConfusionMatrix,
    /// Confidence against accuracy over uniform bins.
    pub reliability: ReliabilityTable,
    /// Signs that the numbers are not what they are taken for; empty where there are none.
    #[serde(default)]
    pub suspicions: Vec<Suspicion>,
}

impl Evaluation {
    /// Evaluates `probabilities` [N, C], calibrated or not, for the rows of `predictions`, which give
    /// targets, groups and labels.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Classes`] where the probabilities have other rows or classes than the
    /// predictions; [`Error::Range`] or [`Error::Count`] for an impossible configuration.
    pub fn new<R: Role>(
        predictions: &Predictions<R>,
        probabilities: &Probabilities,
        config: &EvaluationConfig,
    ) -> Result<Self, Error> {
        let (targets, groups) = (predictions.targets(), predictions.groups());
        let (got, expected) = (probabilities.num_classes(), predictions.num_classes());
        if got != expected {
            return Err(Error::Classes { got, expected });
        }
        let resamples = Resamples::groups(groups, config.replicates, config.seed)?;
        let estimates = bootstrap(probabilities, targets, &config.metrics, &resamples, config.alpha)?;
        let confusion = ConfusionMatrix::new(probabilities, targets)?;
        let binning = Binning::Uniform { n_bins: config.n_bins };
        Ok(Self {
            role: R::ROLE,
            split_hash: predictions.split_hash().to_owned(),
            samples: predictions.len(),
            groups: predictions.num_groups(),
            replicates: config.replicates,
            seed: config.seed,
            metrics: estimates.into_iter().map(MetricEstimate::from).collect(),
            classes: class_evaluations(predictions, probabilities, &confusion, config.alpha)?,
            confusion,
            reliability: ReliabilityTable::top_label(probabilities, targets, binning)?,
            suspicions: suspicions(probabilities, targets)?,
        })
    }

    /// The metric of that name, if it is in the table.
    pub fn metric(&self, name: &str) -> Option<&MetricEstimate> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// The value of the metric of that name, if it is in the table and defined.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.metric(name)?.value
    }
}

/// Probabilities that are one-hot, or that rounding alone keeps from it: those show in their numbers.
fn suspicions(probabilities: &Probabilities, targets: &[usize]) -> Result<Vec<Suspicion>, Error> {
    if let Some(one_hot) = check_probabilities(probabilities) {
        return Ok(vec![one_hot]);
    }
    let numbers = ReportedNumbers {
        rows: Some(targets.len()),
        accuracy: Some(accuracy(probabilities, targets)?),
        brier: Some(brier(probabilities, targets)?),
        ..ReportedNumbers::default()
    };
    numbers.check()
}

fn class_evaluations<R: Role>(
    predictions: &Predictions<R>,
    probabilities: &Probabilities,
    confusion: &ConfusionMatrix,
    alpha: f64,
) -> Result<Vec<ClassEvaluation>, Error> {
    let mut groups = vec![BTreeSet::new(); predictions.num_classes()];
    for (&target, group) in predictions.targets().iter().zip(predictions.groups()) {
        groups[target].insert(group);
    }
    let prf = confusion.per_class_prf(ZeroDivision::Undefined);
    let areas = auroc_ovr(probabilities, predictions.targets())?;
    let over_prediction = confusion.over_prediction_ratio();
    let of_class = |(class, label): (usize, &String)| {
        let interval = |recall| wilson_effective(recall, groups[class].len(), alpha);
        Ok(ClassEvaluation {
            label: label.clone(),
            support: prf[class].support,
            groups: groups[class].len(),
            precision: prf[class].precision,
            recall: prf[class].recall,
            recall_interval: prf[class].recall.map(interval).transpose()?,
            f1: prf[class].f1,
            auroc: areas[class],
            over_prediction: over_prediction[class],
        })
    };
    predictions.labels().names().iter().enumerate().map(of_class).collect()
}
