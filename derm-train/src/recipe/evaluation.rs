use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::{check, open_unit};

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// Bootstrap resamples of lesions. Default 1000.
    pub bootstrap_replicates: usize,
    /// Confidence of the intervals. Default 0.95.
    pub confidence: f64,
    /// Bins of the calibration errors. Default 15.
    pub calibration_bins: usize,
    /// Test images shown in the report. Default 12.
    pub report_images: usize,
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self { bootstrap_replicates: 1000, confidence: 0.95, calibration_bins: 15, report_images: 12 }
    }
}

impl EvaluationRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let replicates = self.bootstrap_replicates;
        check("evaluation.bootstrap_replicates", &replicates, "2 to 1000000", |v| {
            (2..=1_000_000).contains(v)
        })?;
        check("evaluation.confidence", &self.confidence, "between 0 and 1", |v| open_unit(*v))?;
        check("evaluation.calibration_bins", &self.calibration_bins, "1 to 1000", |v| (1..=1000).contains(v))
    }

    /// Refuses more bins than validation rows.
    pub(crate) fn check_bins(&self, validation_rows: usize) -> Result<(), Error> {
        let expected = "at most the number of validation rows";
        check("evaluation.calibration_bins", &self.calibration_bins, expected, |v| *v <= validation_rows)
    }
}
