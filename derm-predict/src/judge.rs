use std::collections::BTreeMap;
use std::path::Path;

use derm_calibration::{CalibrationRecord, Tier};
use derm_core::{LabelMap, Logits, View};

use crate::bundle::CALIBRATION;
use crate::{ClassProbability, ConformalSet, Decision, Error, Request};

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
        Ok(Self { labels, calibration })
    }

    /// The decision on the scores [1, C] of a request.
    pub(crate) fn decide(
        &self,
        scores: &Logits,
        request: &Request<'_>,
        missing: Missing,
    ) -> Result<Decision, Error> {
        let (probabilities, tiers) = self.calibration.decide(scores)?;
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
        Ok(Decision {
            tier: tiers.first().copied().unwrap_or(Tier::Refer),
            reasons: self.calibration.abstain.reasons(&probabilities.row(0).to_vec()),
            ranking: ranking.collect(),
            conformal_set,
            missing_answers: missing.answers,
            missing_text: missing.text,
        })
    }
}
