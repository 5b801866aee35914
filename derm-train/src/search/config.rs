use serde::{Deserialize, Serialize};

use super::{PrunerConfig, SamplerConfig, SearchSpace};
use crate::recipe::check::check;
use crate::{Error, ValidationMetric};

/// What a search looks for, where, and how: everything but what a trial does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// The metric of the validation rows that is to become best, in its better direction. Default macro F1.
    pub metric: ValidationMetric,
    /// How many points are tried. A search that goes on may be given more: the trials before are the same.
    /// Default 30.
    pub trials: usize,
    /// How points are drawn.
    pub sampler: SamplerConfig,
    /// When a trial is given up; absent for never, which is the default.
    pub pruner: Option<PrunerConfig>,
    /// What is decided. By default nothing, which is refused.
    pub space: SearchSpace,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            metric: ValidationMetric::MacroF1,
            trials: 30,
            sampler: SamplerConfig::default(),
            pruner: None,
            space: SearchSpace::default(),
        }
    }
}

impl SearchConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] and [`Error::SearchSpace`].
    pub fn validate(&self) -> Result<(), Error> {
        check("trials", &self.trials, "1 to 1000000", |v| (1..=1_000_000).contains(v))?;
        self.sampler.validate()?;
        self.space.validate()
    }

    pub(super) fn higher_is_better(&self) -> bool {
        self.metric.metric().higher_is_better()
    }
}
