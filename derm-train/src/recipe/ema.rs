use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::check;

/// The moving average of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaRecipe {
    /// Share of the average that a step keeps, in [0, 1). Default 0.999.
    pub decay: f64,
    /// Whether early steps keep less, `min(decay, (1 + t) / (10 + t))` at step t. Default true.
    pub warmup: bool,
}

impl Default for EmaRecipe {
    fn default() -> Self {
        Self { decay: 0.999, warmup: true }
    }
}

impl EmaRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check("training.ema.decay", &self.decay, "0 to below 1", |v| (0.0..1.0).contains(v))
    }

    /// What the average keeps of itself after optimizer step `step`, from 1.
    pub fn decay_after(&self, step: usize) -> f64 {
        let step = step as f64;
        if self.warmup { self.decay.min((1.0 + step) / (10.0 + step)) } else { self.decay }
    }
}
