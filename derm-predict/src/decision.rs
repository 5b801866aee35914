use derm_calibration::{ReferralReason, Tier};
use serde::{Deserialize, Serialize};

use crate::TaskProbabilities;

/// A class with its calibrated probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassProbability {
    /// The class.
    pub label: String,
    /// Its calibrated probability, in [0, 1].
    pub probability: f64,
}

/// Classes that hold the true one with a promised frequency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConformalSet {
    /// Sets miss the true class at most this often, over calibration sets and images like those of the calibration
    /// split together.
    pub alpha: f64,
    /// The classes, in the order of the labels. None at all says that the image is unlike the calibration images of
    /// every class.
    pub labels: Vec<String>,
}

/// What the model says of one image and its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it answers, offers three classes, or refers.
    pub tier: Tier,
    /// Why it does not answer; empty where it does. One reason where it offers three classes, two where it refers.
    pub reasons: Vec<ReferralReason>,
    /// Every class, most probable first; equal ones in the order of the labels. The probabilities sum to 1.
    pub ranking: Vec<ClassProbability>,
    /// The conformal set, where the bundle has a conformal predictor. It stands beside the tier, which does not go by
    /// it: each has a promise of its own.
    pub conformal_set: Option<ConformalSet>,
    /// The tasks beside the diagnosis, where the model has some, each with its own probabilities. Tier, reasons and
    /// conformal set are of the diagnosis alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskProbabilities>,
    /// Questions that were not answered. The network was trained with missing answers; the tier goes by them only in so
    /// far as the probabilities do.
    pub missing_answers: Vec<String>,
    /// Whether a model that reads a text was given none; as with missing answers, the probabilities alone decide.
    #[serde(default, skip_serializing_if = "is_false")]
    pub missing_text: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Decision {
    /// What may be shown: the first class where the model answers, the first three where it offers them, none
    /// where it refers.
    ///
    /// ```
    /// use derm_calibration::Tier;
    /// use derm_predict::{ClassProbability, Decision};
    /// let class = |label: &str, probability| ClassProbability { label: label.into(), probability };
    /// let ranking = vec![class("nv", 0.9), class("mel", 0.06), class("bkl", 0.03), class("df", 0.01)];
    /// let (conformal_set, reasons, missing_answers, missing_text) = (None, vec![], vec![], false);
    /// let (tier, tasks) = (Tier::Answer, vec![]);
    /// let mut decision =
    ///     Decision { tier, reasons, ranking, conformal_set, tasks, missing_answers, missing_text };
    /// assert_eq!(decision.offered().len(), 1);
    /// decision.tier = Tier::SuggestTop3;
    /// assert_eq!(decision.offered().len(), 3);
    /// decision.tier = Tier::Refer;
    /// assert!(decision.offered().is_empty());
    /// assert_eq!(decision.top(2).len(), 2);
    /// ```
    pub fn offered(&self) -> &[ClassProbability] {
        self.top(match self.tier {
            Tier::Answer => 1,
            Tier::SuggestTop3 => 3,
            Tier::Refer => 0,
        })
    }

    /// The `k` most probable classes, whatever the tier; all of them where there are fewer.
    pub fn top(&self, k: usize) -> &[ClassProbability] {
        &self.ranking[..k.min(self.ranking.len())]
    }
}
