use derm_calibration::{AbstainConfig, CalibrationRecord, RiskCoverage, TemperatureConfig, TierTable};
use derm_core::{Calibration, PredictionMetadata, Predictions, Role, Test, Validation};
use derm_metrics::{Evaluation, EvaluationConfig};
use serde::Serialize;

use crate::seed::{Purpose, derive};
use crate::{AbstentionRecipe, Error, EvaluationRecipe};

/// All numbers about a model, from its predictions alone; another framework's predictions serve as well.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// Calibrator (fitted on validation) and abstain policy (fitted on calibration, one row a lesion).
    pub calibration: CalibrationRecord,
    /// Test metrics of the uncalibrated probabilities.
    pub uncalibrated: Evaluation,
    /// Test metrics of the calibrated probabilities.
    pub calibrated: Evaluation,
    /// Coverage and risk of each tier on the test split, one row a lesion.
    pub tiers: TierTable,
    /// Risk against coverage on the test split, over all rows.
    #[serde(skip)]
    pub risk_coverage: RiskCoverage,
}

impl Assessment {
    /// Fits the calibrator and the policy, and measures both on the test split.
    ///
    /// # Errors
    /// [`Error::Predictions`] where the tables come from different splits, [`Error::Tables`] where they differ in
    /// classes, task or view, and where a number cannot be computed.
    pub fn new(
        validation: &Predictions<Validation>,
        calibration: &Predictions<Calibration>,
        test: &Predictions<Test>,
        abstention: &AbstentionRecipe,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        check_same_model(validation, calibration)?;
        check_same_model(validation, test)?;
        let temperature =
            TemperatureConfig { n_bins: evaluation.calibration_bins, ..TemperatureConfig::default() };
        let AbstentionRecipe { answer_risk, suggest_risk, delta } = *abstention;
        let abstain = AbstainConfig { answer_risk, suggest_risk, delta, ..AbstainConfig::default() };
        let record = CalibrationRecord::fit(validation, calibration, &temperature, &abstain)?;
        let probabilities = record.calibrator.calibrate(test)?;
        let config = EvaluationConfig {
            replicates: evaluation.bootstrap_replicates,
            alpha: 1.0 - evaluation.confidence,
            seed: derive(seed, Purpose::Bootstrap, 0),
            n_bins: evaluation.calibration_bins,
            ..EvaluationConfig::default()
        };
        Ok(Self {
            uncalibrated: Evaluation::new(test, &test.probabilities(), &config)?,
            calibrated: Evaluation::new(test, &probabilities, &config)?,
            tiers: record.evaluate(test, config.alpha)?,
            risk_coverage: RiskCoverage::top_label(&probabilities, test.targets())?,
            calibration: record,
        })
    }
}

/// Whether two tables can be of one model on one split.
fn check_same_model<R: Role>(
    validation: &Predictions<Validation>,
    other: &Predictions<R>,
) -> Result<(), Error> {
    other.check_split(validation.split_hash())?;
    let (got, expected) = (other.metadata(), validation.metadata());
    let labels = |metadata: &PredictionMetadata| metadata.labels.names().join(", ");
    let aspects = [
        ("classes", labels(got), labels(expected)),
        ("task", got.task.clone(), expected.task.clone()),
        ("view", got.view.to_string(), expected.view.to_string()),
    ];
    match aspects.into_iter().find(|(_, got, expected)| got != expected) {
        None => Ok(()),
        Some((what, got, expected)) => Err(Error::Tables { role: R::ROLE, what, got, expected }),
    }
}
