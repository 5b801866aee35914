use serde::{Deserialize, Serialize};

use crate::recipe::check::check;
use crate::{Error, ValidationMetric};

/// Which epochs' weights are kept beside the latest checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointsRecipe {
    /// What makes an epoch good, on the validation rows. Default `nll`.
    pub metric: ValidationMetric,
    /// Number of epochs kept, the best ones, with their weights alone. Default 1.
    pub keep_best: usize,
}

impl Default for CheckpointsRecipe {
    fn default() -> Self {
        Self { metric: ValidationMetric::default(), keep_best: 1 }
    }
}

impl CheckpointsRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check("training.checkpoints.keep_best", &self.keep_best, "0 to 1000", |v| *v <= 1000)
    }
}

/// Which weights become the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalWeights {
    /// Those after the last step.
    #[default]
    Last,
    /// Those of the epoch that is best by `training.checkpoints.metric`; where there is a moving average, its.
    Best,
    /// The moving average after the last step.
    Ema,
}
