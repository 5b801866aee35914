use derm_calibration::{AbstainConfig, CalibrationRecord, RiskCoverage, TemperatureConfig, TierTable};
use derm_core::{Calibration, PredictionMetadata, Predictions, Role, SplitRole, Test, Validation};
use derm_metrics::{Evaluation, EvaluationConfig, Suspicion, check_splits};
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
    /// Signs that the numbers are not what they are taken for: probabilities that are one-hot, a lesion or patient
    /// in two splits. Empty where there are none.
    pub suspicions: Vec<Suspicion>,
}

impl Assessment {
    /// Fits the calibrator and the policy, and measures both on the test split.
    ///
    /// # Errors
    /// [`Error::Value`] for more calibration bins than validation rows, [`Error::Predictions`] where the tables come
    /// from different splits, [`Error::Tables`] where they differ in
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
        evaluation.check_bins(validation.len())?;
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
        let uncalibrated = Evaluation::new(test, &test.probabilities(), &config)?;
        let mut suspicions = uncalibrated.suspicions.clone();
        suspicions.extend(check_splits([
            (SplitRole::Validation, validation.groups()),
            (SplitRole::Calibration, calibration.groups()),
            (SplitRole::Test, test.groups()),
        ]));
        Ok(Self {
            uncalibrated,
            calibrated: Evaluation::new(test, &probabilities, &config)?,
            tiers: record.evaluate(test, config.alpha)?,
            risk_coverage: RiskCoverage::top_label(&probabilities, test.targets())?,
            calibration: record,
            suspicions,
        })
    }
}

/// Suspicions that are told one by one; a leaking split has thousands.
const TOLD: usize = 5;

impl Assessment {
    /// The suspicions in words, the first of them and how many more there are.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.suspicions.iter().take(TOLD).map(ToString::to_string).collect();
        if self.suspicions.len() > TOLD {
            warnings.push(format!("and {} more of this kind", self.suspicions.len() - TOLD));
        }
        warnings
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
