use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{SuggestScore, Tier, TierThresholds, top3_mass};

/// Why a policy does not answer: one reason for each tier that a row did not reach.
///
/// ```
/// use derm_calibration::{ReferralReason, SuggestScore, TierThresholds};
/// let thresholds = TierThresholds::new(Some(0.8), SuggestScore::Top3Mass, None)?;
/// assert_eq!(thresholds.reasons(&[0.9, 0.1]), []);
/// let reasons = thresholds.reasons(&[0.6, 0.4]);
/// assert_eq!(reasons[0], ReferralReason::LowConfidence { confidence: 0.6, threshold: 0.8 });
/// assert_eq!(reasons[1], ReferralReason::NeverSuggests);
/// assert_eq!(reasons[0].to_string(), "the confidence 0.6000 is below 0.8000, from which on the model answers");
/// # Ok::<(), derm_calibration::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ReferralReason {
    /// A probability is no number, so that nothing can be said.
    Undefined,
    /// No threshold of [`Tier::Answer`] could be certified on the calibration rows (of the predicted class, where the
    /// policy goes by class), so the model never answers.
    NeverAnswers,
    /// The largest probability is below the threshold of [`Tier::Answer`].
    LowConfidence {
        /// The largest probability.
        confidence: f64,
        /// The smallest that is answered.
        threshold: f64,
    },
    /// No threshold of [`Tier::SuggestTop3`] could be certified, so the model never offers three classes.
    NeverSuggests,
    /// What the second tier goes by is below its threshold.
    LowSuggestScore {
        /// What it goes by.
        score: SuggestScore,
        /// Its value.
        value: f64,
        /// The smallest for which three classes are offered.
        threshold: f64,
    },
}

impl fmt::Display for ReferralReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("a probability is no number"),
            Self::NeverAnswers => {
                f.write_str("no threshold for answering kept the promised risk on the calibration rows")
            }
            Self::LowConfidence { confidence, threshold } => {
                write!(
                    f,
                    "the confidence {confidence:.4} is below {threshold:.4}, from which on the model answers"
                )
            }
            Self::NeverSuggests => f.write_str(
                "no threshold for offering three classes kept the promised risk on the calibration rows",
            ),
            Self::LowSuggestScore { score, value, threshold } => {
                let score = match score {
                    SuggestScore::Confidence => "the confidence",
                    SuggestScore::Top3Mass => "the sum of the three largest probabilities,",
                };
                write!(
                    f,
                    "{score} {value:.4} is below {threshold:.4}, from which on three classes are offered"
                )
            }
        }
    }
}

impl TierThresholds {
    /// Why a row of probabilities, shape `[C]`, is not in [`Tier::Answer`]: none where it is, one reason where it is in
    /// [`Tier::SuggestTop3`], two (or that it is undefined) where it refers.
    pub fn reasons(&self, row: &[f64]) -> Vec<ReferralReason> {
        let tier = self.tier(row);
        if tier == Tier::Answer {
            return Vec::new();
        }
        if row.is_empty() || row.iter().any(|p| p.is_nan()) {
            return vec![ReferralReason::Undefined];
        }
        let confidence = row.iter().copied().fold(0.0, f64::max);
        let mut reasons = vec![match self.answer() {
            None => ReferralReason::NeverAnswers,
            Some(threshold) => ReferralReason::LowConfidence { confidence, threshold },
        }];
        if tier == Tier::Refer {
            let score = self.suggest_score();
            reasons.push(match self.suggest() {
                None => ReferralReason::NeverSuggests,
                Some(threshold) => {
                    let value = match score {
                        SuggestScore::Confidence => confidence,
                        SuggestScore::Top3Mass => top3_mass(row),
                    };
                    ReferralReason::LowSuggestScore { score, value, threshold }
                }
            });
        }
        reasons
    }
}
