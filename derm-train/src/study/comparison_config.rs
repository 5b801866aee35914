use derm_metrics::{Direction, Metric};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::check;

/// How variants are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComparisonConfig {
    /// The metric that decides, one of [`Metric::STANDARD`]. Default `macro_f1`. The others are described.
    pub metric: String,
    /// Bootstrap resamples of lesions. Default 1000.
    pub bootstrap_replicates: usize,
    /// Confidence of the intervals; 1 minus it is the chance, over all variants together, that one of them is called
    /// better or worse and is neither. Default 0.95.
    pub confidence: f64,
    /// Seed of the bootstrap. Default 0.
    pub seed: u64,
    /// Forward passes of one image whose median is the latency. Default 30.
    pub latency_passes: usize,
}

impl Default for ComparisonConfig {
    fn default() -> Self {
        Self {
            metric: "macro_f1".to_owned(),
            bootstrap_replicates: 1000,
            confidence: 0.95,
            seed: 0,
            latency_passes: 30,
        }
    }
}

impl ComparisonConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, the value and the allowed range.
    pub fn validate(&self) -> Result<(), Error> {
        let expected = "accuracy, balanced_accuracy, macro_f1, macro_auroc, nll, brier or ece";
        check("comparison.metric", &self.metric, expected, |_| self.deciding().is_some())?;
        let replicates = self.bootstrap_replicates;
        check("comparison.bootstrap_replicates", &replicates, "2 to 1000000", |v| {
            (2..=1_000_000).contains(v)
        })?;
        check("comparison.confidence", &self.confidence, "between 0 and 1", |v| *v > 0.0 && *v < 1.0)?;
        check("comparison.latency_passes", &self.latency_passes, "2 to 100000", |v| (2..=100_000).contains(v))
    }

    /// The metric that decides.
    fn deciding(&self) -> Option<Metric> {
        Metric::STANDARD.into_iter().find(|metric| metric.to_string() == self.metric)
    }

    /// Whether more of the deciding metric is better.
    pub(super) fn more_is_better(&self) -> bool {
        self.deciding().is_none_or(|metric| metric.direction() != Direction::LowerIsBetter)
    }

    pub(super) fn alpha(&self) -> f64 {
        1.0 - self.confidence
    }
}
