use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::{check, open_unit};

/// When the model answers, offers three classes, or refers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AbstentionRecipe {
    /// Target for the share of wrong answers among answered lesions. Default 0.1.
    pub answer_risk: f64,
    /// Target for the share of lesions whose class is not among the three offered. Default 0.1.
    pub suggest_risk: f64,
    /// Each bound fails with at most this probability. Default 0.1.
    pub delta: f64,
}

impl Default for AbstentionRecipe {
    fn default() -> Self {
        Self { answer_risk: 0.1, suggest_risk: 0.1, delta: 0.1 }
    }
}

impl AbstentionRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let Self { answer_risk, suggest_risk, delta } = *self;
        check("abstention.answer_risk", &answer_risk, "between 0 and 1", |v| open_unit(*v))?;
        check("abstention.suggest_risk", &suggest_risk, "between 0 and 1", |v| open_unit(*v))?;
        check("abstention.delta", &delta, "between 0 and 1", |v| open_unit(*v))
    }
}
