use serde::{Deserialize, Serialize};

use crate::recipe::check::check;
use crate::{Error, ValidationMetric};

/// When a training ends before its last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStoppingRecipe {
    /// What is watched, on the validation rows. Default `nll`.
    pub metric: ValidationMetric,
    /// It ends after this many epochs in a row without an improvement. Default 10.
    pub patience: usize,
    /// An improvement is better than the best before by more than this, ≥ 0. Default 0.
    pub min_delta: f64,
}

impl Default for EarlyStoppingRecipe {
    fn default() -> Self {
        Self { metric: ValidationMetric::default(), patience: 10, min_delta: 0.0 }
    }
}

impl EarlyStoppingRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check("training.early_stopping.patience", &self.patience, "1 or more", |v| *v >= 1)?;
        check("training.early_stopping.min_delta", &self.min_delta, "0 or more", |v| {
            v.is_finite() && *v >= 0.0
        })
    }
}
