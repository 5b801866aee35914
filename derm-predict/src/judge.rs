use std::collections::BTreeMap;
use std::path::Path;

use derm_calibration::{CalibrationRecord, Tier};
use derm_core::{LabelMap, View};

use crate::bundle::CALIBRATION;
use crate::network::Scores;
use crate::{BundleTask, ClassProbability, ConformalSet, Decision, Error, Request};

/// What a model would have read and was not given.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) answers: Vec<String>,
    pub(crate) text: bool,
}

/// Classes, calibrator, policy and conformal predictor: from scores to a decision.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) labels: LabelMap,
    pub(crate) calibration: CalibrationRecord,
    /// The further tasks, in the order of their scores.
    pub(crate) tasks: Vec<BundleTask>,
}

impl Judge {
    /// Checks that the record was fitted on these classes, this split and this view.
    pub(crate) fn new(
        labels: LabelMap,
        calibration: CalibrationRecord,
        split: &str,
        view: &View,
        folder: &Path,
    ) -> Result<Self, Error> {
        let mismatch = |reason| Err(Error::Mismatch { path: folder.join(CALIBRATION), reason });
        let fitted: Vec<&str> =
            calibration.abstain.expected.classes.iter().map(|class| class.label.as_str()).collect();
        if fitted != labels.names() {
            return mismatch(format!("fitted on the classes {fitted:?}: expected {:?}", labels.names()));
        }
        let fitted_on = &calibration.abstain.fitted_on;
        if fitted_on.split_hash != split {
            return mismatch(format!("fitted on the split {}: the model's is {split}", fitted_on.split_hash));
        }
        if fitted_on.view != *view {
            return mismatch(format!("fitted on the view `{}`: expected `{view}`", fitted_on.view));
        }
        Ok(Self { labels, calibration, tasks: Vec::new() })
    }

    /// With further tasks.
    pub(crate) fn with_tasks(self, tasks: Vec<BundleTask>) -> Self {
        Self { tasks, ..self }
    }

    /// The decision on the scores of a request.
    pub(crate) fn decide(
        &self,
        scores: &Scores,
        request: &Request<'_>,
        missing: Missing,
    ) -> Result<Decision, Error> {
        let (probabilities, tiers) = self.calibration.decide(&scores.diagnosis)?;
        let names = self.labels.names();
        let ranking = probabilities.ranking(0).into_iter().map(|class| ClassProbability {
            label: names[class].clone(),
            probability: probabilities.view()[[0, class]],
        });
        let conformal_set = match self.calibration.conformal() {
            None => None,
            Some(conformal) => {
                let group = conformal.rule().partition().column().map(|column| {
                    let given =
                        request.subgroups.and_then(|subgroups: &BTreeMap<_, _>| subgroups.get(column));
                    vec![given.cloned().unwrap_or_default()]
                });
                let sets = conformal.sets_of(&probabilities, &[request.id.to_owned()], group.as_deref())?;
                let labels = sets.classes(0).into_iter().map(|class| names[class].clone()).collect();
                Some(ConformalSet { alpha: conformal.config().alpha, labels })
            }
        };
        let tasks = self.tasks.iter().zip(&scores.tasks);
        let tasks = tasks.map(|(task, scores)| task.probabilities(scores));
        Ok(Decision {
            tier: tiers.first().copied().unwrap_or(Tier::Refer),
            reasons: self.calibration.abstain.reasons(&probabilities.row(0).to_vec()),
            ranking: ranking.collect(),
            conformal_set,
            tasks: tasks.collect::<Result<_, _>>()?,
            missing_answers: missing.answers,
            missing_text: missing.text,
        })
    }
}
