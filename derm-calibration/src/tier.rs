use std::fmt;

use derm_core::{Probabilities, ROW_SUM_TOLERANCE};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What is done with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The most probable class is named.
    Answer,
    /// The three most probable classes are offered.
    SuggestTop3,
    /// Nothing is said; a clinician decides.
    Refer,
}

impl Tier {
    /// All three, most certain first.
    pub const ALL: [Self; 3] = [Self::Answer, Self::SuggestTop3, Self::Refer];

    /// The name in files: `answer`, `suggest_top3`, `refer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::SuggestTop3 => "suggest_top3",
            Self::Refer => "refer",
        }
    }

    /// 0, 1 or 2.
    pub const fn index(self) -> usize {
        match self {
            Self::Answer => 0,
            Self::SuggestTop3 => 1,
            Self::Refer => 2,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the second tier's threshold is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuggestScore {
    /// The largest probability.
    Confidence,
    /// The sum of the three largest probabilities: the model's own estimate that one of the three is right,
    /// which is what the tier promises.
    Top3Mass,
}

/// The thresholds of the three tiers: [`Tier::Answer`] where the confidence reaches the first, else
/// [`Tier::SuggestTop3`] where its score reaches the second, else [`Tier::Refer`].
///
/// ```
/// use derm_calibration::{SuggestScore, Tier, TierThresholds};
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let thresholds = TierThresholds::new(Some(0.8), SuggestScore::Top3Mass, Some(0.9))?;
/// let probabilities = Probabilities::new(array![
///     [0.85, 0.05, 0.05, 0.05],
///     [0.5, 0.3, 0.15, 0.05],
///     [0.25, 0.25, 0.25, 0.25],
/// ])?;
/// assert_eq!(thresholds.assign(&probabilities), [Tier::Answer, Tier::SuggestTop3, Tier::Refer]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ThresholdFields", into = "ThresholdFields")]
pub struct TierThresholds {
    answer: Option<f64>,
    suggest_score: SuggestScore,
    suggest: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdFields {
    answer: Option<f64>,
    suggest_score: SuggestScore,
    suggest: Option<f64>,
}

impl TierThresholds {
    /// Checks and takes the thresholds; `None` leaves a tier empty.
    ///
    /// # Errors
    /// [`Error::Range`] unless they are in [0, 1], give or take the rounding of a sum of probabilities.
    pub fn new(
        answer: Option<f64>,
        suggest_score: SuggestScore,
        suggest: Option<f64>,
    ) -> Result<Self, Error> {
        for (argument, value) in [("answer threshold", answer), ("suggest threshold", suggest)] {
            if let Some(value) = value
                && !(0.0..=1.0 + ROW_SUM_TOLERANCE).contains(&value)
            {
                return Err(Error::Range { argument, value, expected: "a number from 0 to 1" });
            }
        }
        Ok(Self { answer, suggest_score, suggest })
    }

    /// Smallest confidence of [`Tier::Answer`]; `None` where that tier is empty.
    pub fn answer(&self) -> Option<f64> {
        self.answer
    }

    /// What the threshold of [`Tier::SuggestTop3`] is compared with.
    pub fn suggest_score(&self) -> SuggestScore {
        self.suggest_score
    }

    /// Smallest score of [`Tier::SuggestTop3`]; `None` where that tier is empty.
    pub fn suggest(&self) -> Option<f64> {
        self.suggest
    }

    /// The tier of one row of probabilities, shape `[C]`. A row with NaN refers, and so does an
    /// empty one.
    pub fn tier(&self, row: &[f64]) -> Tier {
        let confidence = row.iter().copied().fold(0.0, f64::max);
        let score = match self.suggest_score {
            SuggestScore::Confidence => confidence,
            SuggestScore::Top3Mass => top3_mass(row),
        };
        if row.is_empty() || row.iter().any(|p| p.is_nan()) {
            Tier::Refer
        } else if self.answer.is_some_and(|threshold| confidence >= threshold) {
            Tier::Answer
        } else if self.suggest.is_some_and(|threshold| score >= threshold) {
            Tier::SuggestTop3
        } else {
            Tier::Refer
        }
    }

    /// The tier of every row, shape `[N]`.
    pub fn assign(&self, probabilities: &Probabilities) -> Vec<Tier> {
        probabilities.view().rows().into_iter().map(|row| self.tier(&row.to_vec())).collect()
    }
}

impl TryFrom<ThresholdFields> for TierThresholds {
    type Error = Error;

    fn try_from(fields: ThresholdFields) -> Result<Self, Error> {
        Self::new(fields.answer, fields.suggest_score, fields.suggest)
    }
}

impl From<TierThresholds> for ThresholdFields {
    fn from(thresholds: TierThresholds) -> Self {
        let TierThresholds { answer, suggest_score, suggest } = thresholds;
        Self { answer, suggest_score, suggest }
    }
}

/// Sum of the three largest probabilities of a row, of all where there are fewer.
pub fn top3_mass(row: &[f64]) -> f64 {
    let mut top = [0.0_f64; 3];
    for &value in row {
        if value > top[0] {
            top = [value, top[0], top[1]];
        } else if value > top[1] {
            top = [top[0], value, top[1]];
        } else if value > top[2] {
            top[2] = value;
        }
    }
    top.iter().sum()
}
