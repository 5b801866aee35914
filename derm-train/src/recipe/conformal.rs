use derm_calibration::{Conditioning, ConformalConfig, ConformalScore, EmptySets};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::section;

/// The sets of classes that stand beside a decision and hold the true one with a promised frequency.
///
/// Fitted on the calibration split, one row a lesion or patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConformalRecipe {
    /// Sets miss the true class at most this often. Default 0.1.
    pub alpha: f64,
    /// How strange a class is for a row. Default `lac`.
    pub score: ConformalScore,
    /// What the coverage is promised for. Default `marginal`: all rows together.
    pub conditioning: Conditioning,
    /// What becomes of an empty set. Default `keep`.
    pub empty_sets: EmptySets,
}

impl Default for ConformalRecipe {
    fn default() -> Self {
        let ConformalConfig { alpha, score, conditioning, empty_sets, seed: _ } = ConformalConfig::default();
        Self { alpha, score, conditioning, empty_sets }
    }
}

impl ConformalRecipe {
    /// The configuration that the section describes; `seed` is that of randomised scores and of the clustering.
    pub fn config(&self, seed: u64) -> ConformalConfig {
        let Self { alpha, score, conditioning, empty_sets } = self.clone();
        ConformalConfig { alpha, score, conditioning, empty_sets, seed }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        self.config(0).validate().map_err(section("conformal"))
    }
}
