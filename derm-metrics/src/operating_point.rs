use derm_core::{Predictions, Probabilities, Role, SplitRole, Test, Validation};
use serde::{Deserialize, Serialize};

use crate::class_groups::class_of;
use crate::error::{check_alpha, check_not_empty};
use crate::ranked_rows::RankedRows;
use crate::roc_curve::SLACK;
use crate::{BinaryCounts, ClassRates, Error, RateEstimate, RocCurve};

/// What a threshold is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatingTarget {
    /// The highest threshold of at least this sensitivity, which has the largest specificity.
    Sensitivity {
        /// In (0, 1].
        at_least: f64,
    },
    /// The largest sensitivity of at least this specificity, at the highest such threshold.
    Specificity {
        /// In (0, 1].
        at_least: f64,
    },
    /// The largest sensitivity of at least this positive predictive value, at the highest such threshold.
    Ppv {
        /// In (0, 1].
        at_least: f64,
    },
    /// The largest sensitivity + specificity, at the highest such threshold.
    Youden,
}

/// A decision threshold that was chosen on validation rows, to be applied to others.
///
/// Positive means that the summed probability of the positive classes is at least the threshold. The classes go
/// by name, so that a table with another order of classes is read rightly.
///
/// ```
/// use derm_core::*;
/// use derm_metrics::{OperatingPoint, OperatingTarget};
/// use ndarray::array;
/// # fn table<R: Role>() -> Result<Predictions<R>, PredictionsError> {
/// #     let metadata = PredictionMetadata {
/// #         task: "diagnosis".into(),
/// #         view: View::Identity,
/// #         labels: LabelMap::new(["mel", "nv"])?,
/// #         split_hash: "0f3a".into(),
/// #     };
/// #     let columns = PredictionColumns {
/// #         ids: (0..4).map(|i| format!("image_{i}")).collect(),
/// #         groups: (0..4).map(|i| format!("lesion_{i}")).collect(),
/// #         cases: (0..4).map(|i| format!("image_{i}")).collect(),
/// #         targets: vec![0, 0, 1, 1],
/// #         ..PredictionColumns::default()
/// #     };
/// #     let values = array![[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 1.5]];
/// #     Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })
/// # }
/// let (validation, test) = (table::<Validation>()?, table::<Test>()?);
/// let target = OperatingTarget::Sensitivity { at_least: 0.9 };
/// let choice = OperatingPoint::choose(&validation, &validation.probabilities(), &["mel"], target)?;
/// let point = choice.reached().expect("the lowest score always reaches a sensitivity");
/// let on_test = point.apply(&test, &test.probabilities(), 0.05)?;
/// assert_eq!(on_test.sensitivity.value, Some(1.0));
/// assert_eq!(on_test.specificity.groups, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Test rows choose nothing:
///
/// ```compile_fail,E0308
/// use derm_core::{Predictions, Test};
/// use derm_metrics::{OperatingPoint, OperatingTarget};
/// fn tuned_on_test(test: &Predictions<Test>) {
///     let _ = OperatingPoint::choose(test, &test.probabilities(), &["mel"], OperatingTarget::Youden);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// The classes that count as positive.
    pub positive: Vec<String>,
    /// What the threshold was chosen for.
    pub target: OperatingTarget,
    /// Positive means a summed probability of at least this.
    pub threshold: f64,
    /// What it does on the rows that it was chosen on. These rates are optimistic.
    pub chosen_at: BinaryCounts,
    /// Hash of the split that it was chosen on.
    pub split_hash: String,
}

/// The outcome of choosing a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingChoice {
    /// A threshold meets the target.
    Reached(OperatingPoint),
    /// None does.
    OutOfReach {
        /// The target.
        target: OperatingTarget,
        /// The largest rate of the demanded kind that any score gives.
        best: f64,
    },
    /// All rows are positive, or all are negative, so that no rate of the other kind exists.
    OneLabel {
        /// The target.
        target: OperatingTarget,
    },
}

impl OperatingChoice {
    /// The point, where the target was reached.
    pub fn reached(&self) -> Option<&OperatingPoint> {
        match self {
            Self::Reached(point) => Some(point),
            Self::OutOfReach { .. } | Self::OneLabel { .. } => None,
        }
    }
}

/// What an operating point does on rows that it was not chosen on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatingEvaluation {
    /// Which rows these are.
    pub role: SplitRole,
    /// Hash of their split.
    pub split_hash: String,
    /// The threshold.
    pub threshold: f64,
    /// The decisions.
    pub counts: BinaryCounts,
    /// Share of positives that are called so.
    pub sensitivity: RateEstimate,
    /// Share of negatives that are called so.
    pub specificity: RateEstimate,
    /// Share of rows called positive that are.
    pub ppv: RateEstimate,
    /// Share of rows called negative that are.
    pub npv: RateEstimate,
}

impl OperatingPoint {
    /// Chooses a threshold for `positive` classes on validation rows, by their `probabilities` [N, C],
    /// calibrated or not.
    ///
    /// # Errors
    /// [`Error::UnknownName`], [`Error::DuplicateName`] or [`Error::Value`] for positive classes that are none,
    /// stand twice, or are not given; [`Error::Classes`] or [`Error::Value`] where the probabilities do not fit;
    /// [`Error::Range`] for a target outside (0, 1].
    pub fn choose(
        predictions: &Predictions<Validation>,
        probabilities: &Probabilities,
        positive: &[&str],
        target: OperatingTarget,
    ) -> Result<OperatingChoice, Error> {
        let positive: Vec<String> = positive.iter().map(|&name| name.to_owned()).collect();
        let (scores, labels) = positive_scores(predictions, probabilities, &positive)?;
        check_target(target)?;
        let Some(curve) = RocCurve::new(&scores, &labels)? else {
            return Ok(OperatingChoice::OneLabel { target });
        };
        let best_specificity = || 1.0 - curve.points()[0].fpr;
        let (threshold, best) = match target {
            OperatingTarget::Sensitivity { at_least } => {
                (curve.specificity_at_sensitivity(at_least)?.threshold, 1.0)
            }
            OperatingTarget::Specificity { at_least } => {
                (curve.sensitivity_at_specificity(at_least)?.threshold, best_specificity())
            }
            OperatingTarget::Ppv { at_least } => threshold_of_ppv(&scores, &labels, at_least),
            OperatingTarget::Youden => (curve.youden().threshold, 1.0),
        };
        let Some(threshold) = threshold else {
            return Ok(OperatingChoice::OutOfReach { target, best });
        };
        let chosen_at = BinaryCounts::at_threshold(&scores, &labels, threshold)?;
        let split_hash = predictions.split_hash().to_owned();
        Ok(OperatingChoice::Reached(Self { positive, target, threshold, chosen_at, split_hash }))
    }

    /// Chooses a threshold for each class against the rest, in the order of the labels.
    ///
    /// # Errors
    /// As [`OperatingPoint::choose`].
    pub fn choose_each_class(
        predictions: &Predictions<Validation>,
        probabilities: &Probabilities,
        target: OperatingTarget,
    ) -> Result<Vec<OperatingChoice>, Error> {
        let names = predictions.labels().names().iter();
        names.map(|name| Self::choose(predictions, probabilities, &[name], target)).collect()
    }

    /// Applies the threshold to test rows.
    ///
    /// # Errors
    /// [`Error::UnknownName`] where a positive class is none of these rows', [`Error::Classes`] or
    /// [`Error::Value`] where the probabilities do not fit, [`Error::Range`] unless `alpha` is in (0, 1).
    pub fn apply(
        &self,
        predictions: &Predictions<Test>,
        probabilities: &Probabilities,
        alpha: f64,
    ) -> Result<OperatingEvaluation, Error> {
        check_alpha(alpha)?;
        let (scores, labels) = positive_scores(predictions, probabilities, &self.positive)?;
        let rows = || {
            let called = scores.iter().map(|&score| score >= self.threshold);
            called
                .zip(&labels)
                .zip(predictions.groups())
                .map(|((called, &is), group)| (called, is, group.as_str()))
        };
        Ok(OperatingEvaluation {
            role: Test::ROLE,
            split_hash: predictions.split_hash().to_owned(),
            threshold: self.threshold,
            counts: BinaryCounts::at_threshold(&scores, &labels, self.threshold)?,
            sensitivity: RateEstimate::new(rows().filter(|row| row.1).map(|row| (row.0, row.2)), alpha)?,
            specificity: RateEstimate::new(rows().filter(|row| !row.1).map(|row| (!row.0, row.2)), alpha)?,
            ppv: RateEstimate::new(rows().filter(|row| row.0).map(|row| (row.1, row.2)), alpha)?,
            npv: RateEstimate::new(rows().filter(|row| !row.0).map(|row| (!row.1, row.2)), alpha)?,
        })
    }

    /// The rates on the rows that the threshold was chosen on.
    pub fn chosen_rates(&self) -> ClassRates {
        self.chosen_at.rates()
    }
}

/// The summed probability of the positive classes and whether each row is of one.
fn positive_scores<R: Role>(
    predictions: &Predictions<R>,
    probabilities: &Probabilities,
    positive: &[String],
) -> Result<(Vec<f64>, Vec<bool>), Error> {
    check_not_empty("positive", positive.len())?;
    if let Some(twice) = (1..positive.len()).find(|&index| positive[..index].contains(&positive[index])) {
        return Err(Error::DuplicateName { argument: "positive", name: positive[twice].clone() });
    }
    let (got, expected) = (probabilities.num_classes(), predictions.num_classes());
    if got != expected {
        return Err(Error::Classes { got, expected });
    }
    probabilities.check_targets(predictions.targets())?;
    let classes = positive.iter().map(|name| class_of(predictions.labels(), name));
    let classes: Vec<usize> = classes.collect::<Result<_, Error>>()?;
    let rows = probabilities.view();
    let scores = rows.rows().into_iter().map(|row| classes.iter().map(|&class| row[class]).sum()).collect();
    Ok((scores, predictions.targets().iter().map(|target| classes.contains(target)).collect()))
}

fn check_target(target: OperatingTarget) -> Result<(), Error> {
    match target {
        OperatingTarget::Sensitivity { at_least: value }
        | OperatingTarget::Specificity { at_least: value }
        | OperatingTarget::Ppv { at_least: value } => {
            if value > 0.0 && value <= 1.0 {
                Ok(())
            } else {
                let expected = "a number from 0 to 1, 0 excluded";
                Err(Error::Range { argument: "at_least", value, expected })
            }
        }
        OperatingTarget::Youden => Ok(()),
    }
}

/// The threshold of largest sensitivity whose PPV is large enough, and the largest PPV of any threshold.
fn threshold_of_ppv(scores: &[f64], labels: &[bool], at_least: f64) -> (Option<f64>, f64) {
    let (mut tp, mut called, mut best) = (0_u64, 0_u64, 0.0_f64);
    let mut chosen: Option<(u64, f64)> = None;
    RankedRows::of_scores(scores, labels).falling(
        |_| 1,
        |row, positives, negatives| {
            tp += positives;
            called += positives + negatives;
            let ppv = tp as f64 / called as f64;
            best = best.max(ppv);
            if ppv >= at_least - SLACK && chosen.is_none_or(|(most, _)| tp > most) {
                chosen = Some((tp, scores[row]));
            }
        },
    );
    (chosen.map(|(_, threshold)| threshold), best)
}
