use derm_core::{LabelMap, View};
use derm_data::TestView;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::{check, open_unit};

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// What the network looks at when it is measured and served. Default `identity`; `flips` averages over the image,
    /// its mirror images and its half turn.
    pub view: View,
    /// Bootstrap resamples of lesions. Default 1000.
    pub bootstrap_replicates: usize,
    /// Confidence of the intervals. Default 0.95.
    pub confidence: f64,
    /// Bins of the calibration errors. Default 15.
    pub calibration_bins: usize,
    /// Test images shown in the report. Default 12.
    pub report_images: usize,
    /// Classes that together count as positive at operating points; each against the rest where none is named, which
    /// is the default.
    pub positive_classes: Vec<String>,
    /// Sensitivity that one operating point is chosen for. Default 0.9.
    pub operating_sensitivity: f64,
    /// Specificity that the other one is chosen for. Default 0.9.
    pub operating_specificity: f64,
    /// A subgroup of fewer lesions or patients has no numbers. Default 20.
    pub min_subgroup: usize,
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self {
            view: View::Identity,
            bootstrap_replicates: 1000,
            confidence: 0.95,
            calibration_bins: 15,
            report_images: 12,
            positive_classes: Vec::new(),
            operating_sensitivity: 0.9,
            operating_specificity: 0.9,
            min_subgroup: 20,
        }
    }
}

impl EvaluationRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check("evaluation.view", &self.view, "identity, horizontal_flip, vertical_flip or flips", |view| {
            !TestView::of(view).is_empty()
        })?;
        let replicates = self.bootstrap_replicates;
        check("evaluation.bootstrap_replicates", &replicates, "2 to 1000000", |v| {
            (2..=1_000_000).contains(v)
        })?;
        check("evaluation.confidence", &self.confidence, "between 0 and 1", |v| open_unit(*v))?;
        check("evaluation.calibration_bins", &self.calibration_bins, "1 to 1000", |v| {
            (1..=1000).contains(v)
        })?;
        for (key, rate) in [
            ("evaluation.operating_sensitivity", self.operating_sensitivity),
            ("evaluation.operating_specificity", self.operating_specificity),
        ] {
            check(key, &rate, "above 0, at most 1", |v| *v > 0.0 && *v <= 1.0)?;
        }
        check("evaluation.min_subgroup", &self.min_subgroup, "1 or more", |v| *v >= 1)
    }

    /// Refuses a positive class that is none of the dataset's, or stands twice.
    pub(crate) fn check_positive_classes(&self, labels: &LabelMap) -> Result<(), Error> {
        for (position, name) in self.positive_classes.iter().enumerate() {
            check("evaluation.positive_classes", name, "classes of the dataset, each once", |name| {
                labels.names().contains(name) && !self.positive_classes[..position].contains(name)
            })?;
        }
        Ok(())
    }

    /// Refuses more bins than validation rows.
    pub(crate) fn check_bins(&self, validation_rows: usize) -> Result<(), Error> {
        let expected = "at most the number of validation rows";
        check("evaluation.calibration_bins", &self.calibration_bins, expected, |v| *v <= validation_rows)
    }
}
