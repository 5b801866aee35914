use derm_calibration::Tier;
use serde::{Deserialize, Serialize};

/// A class with its calibrated probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassProbability {
    /// The class.
    pub label: String,
    /// Its calibrated probability, in [0, 1].
    pub probability: f64,
}

/// What the model says of one image and its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it answers, offers three classes, or refers.
    pub tier: Tier,
    /// Every class, most probable first; equal ones in the order of the labels. The probabilities sum to 1.
    pub ranking: Vec<ClassProbability>,
    /// Questions that were not answered.
    pub missing_answers: Vec<String>,
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
    /// let mut decision = Decision { tier: Tier::Answer, ranking, missing_answers: vec![] };
    /// assert_eq!(decision.offered().len(), 1);
    /// decision.tier = Tier::SuggestTop3;
    /// assert_eq!(decision.offered().len(), 3);
    /// decision.tier = Tier::Refer;
    /// assert!(decision.offered().is_empty());
    /// ```
    pub fn offered(&self) -> &[ClassProbability] {
        let count = match self.tier {
            Tier::Answer => 1,
            Tier::SuggestTop3 => 3,
            Tier::Refer => 0,
        };
        &self.ranking[..count.min(self.ranking.len())]
    }
}
