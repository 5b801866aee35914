use derm_core::{Predictions, Test};
use derm_data::{Corruption, CorruptionKind};
use derm_metrics::{ClassSet, Interval, Metric, Resamples, paired_bootstrap};
use derm_report::{CorruptionLevel, CorruptionSeries};
use serde::Serialize;

use crate::seed::{Purpose, derive};
use crate::{Error, EvaluationRecipe};

/// What is measured: the mean recall, which prior shift does not move.
const METRIC: Metric = Metric::BalancedAccuracy { classes: ClassSet::Present };

/// Balanced accuracy on test images made worse, beside the clean ones, by the picture as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Robustness {
    /// The metric.
    pub metric: String,
    /// Its value on clean images; `None` where it is undefined.
    pub clean: Option<f64>,
    /// Seed of what is drawn for a corruption.
    pub seed: u64,
    /// Every kind at its five levels, the mildest first.
    pub results: Vec<CorruptionResult>,
}

/// The metric at one level of one corruption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionResult {
    /// The kind.
    pub kind: String,
    /// The level, in the kind's own unit.
    pub level: f64,
    /// The metric.
    pub value: Option<f64>,
    /// Corrupted minus clean: negative where it degrades.
    pub difference: Option<f64>,
    /// Interval of the difference, by a bootstrap paired over lesions or patients.
    pub interval: Option<Interval>,
}

impl Robustness {
    /// Measures every level of `kinds`: `predict` gives the predictions on test images under a corruption, whose rows
    /// are those of `clean` in their order.
    ///
    /// # Errors
    /// What `predict` gives, and [`Error::Metrics`] where the rows are others.
    pub fn measure(
        clean: &Predictions<Test>,
        kinds: &[CorruptionKind],
        evaluation: &EvaluationRecipe,
        seed: u64,
        mut predict: impl FnMut(Corruption) -> Result<Predictions<Test>, Error>,
    ) -> Result<Self, Error> {
        let draws = derive(seed, Purpose::Bootstrap, 0);
        let resamples = Resamples::groups(clean.groups(), evaluation.bootstrap_replicates, draws)?;
        let (identity, targets) = (clean.probabilities(), clean.targets());
        let alpha = 1.0 - evaluation.confidence;
        let mut results = Vec::new();
        for kind in kinds {
            for corruption in kind.series() {
                let worse = predict(corruption)?.probabilities();
                let pair = paired_bootstrap(&worse, &identity, targets, &[METRIC], &resamples, alpha)?;
                let pair = pair.into_iter().next();
                results.push(CorruptionResult {
                    kind: kind.name().to_owned(),
                    level: corruption.level(),
                    value: METRIC.value(&worse, targets)?,
                    difference: pair.as_ref().and_then(|pair| pair.estimate),
                    interval: pair.and_then(|pair| pair.interval),
                });
            }
        }
        Ok(Self { metric: METRIC.to_string(), clean: METRIC.value(&identity, targets)?, seed, results })
    }

    /// The results by kind, for the figure.
    pub(crate) fn series(&self) -> Vec<CorruptionSeries> {
        let kinds = self.results.chunk_by(|a, b| a.kind == b.kind);
        let level = |result: &CorruptionResult| CorruptionLevel {
            level: result.level,
            value: result.value,
            difference: result.difference,
            interval: result.interval,
        };
        kinds
            .map(|of| CorruptionSeries { kind: of[0].kind.clone(), levels: of.iter().map(level).collect() })
            .collect()
    }
}
