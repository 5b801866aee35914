use derm_calibration::{
    AbstainConfig, BetaConfig, CalibrationRecord, Calibrator, CalibratorConfig, ConformalTable,
    DirichletConfig, FitCalibrator, PlattConfig, RiskCoverage, SelectionConfig, TemperatureConfig, TierTable,
    select_calibrator,
};
use derm_core::{Calibration, PredictionMetadata, Predictions, Role, ScoreKind, SplitRole, Test, Validation};
use derm_metrics::{Evaluation, EvaluationConfig, Suspicion, check_splits};
use serde::Serialize;

use crate::seed::{Purpose, derive};
use crate::{AbstentionRecipe, ConformalRecipe, Error, EvaluationRecipe};

/// All numbers about a model, from its predictions alone; another framework's predictions serve as well.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// Calibrator (fitted on validation), abstain policy and conformal predictor (fitted on calibration, one row a
    /// lesion).
    pub calibration: CalibrationRecord,
    /// Test metrics of the uncalibrated probabilities.
    pub uncalibrated: Evaluation,
    /// Test metrics of the calibrated probabilities.
    pub calibrated: Evaluation,
    /// Coverage and risk of each tier on the test split, one row a lesion.
    pub tiers: TierTable,
    /// Coverage and sizes of the conformal sets on the test split, where there are sets.
    pub sets: Option<ConformalTable>,
    /// Risk against coverage on the test split, over all rows.
    #[serde(skip)]
    pub risk_coverage: RiskCoverage,
    /// Signs that the numbers are not what they are taken for: probabilities that are one-hot, a lesion or patient
    /// in two splits. Empty where there are none.
    pub suspicions: Vec<Suspicion>,
}

impl Assessment {
    /// Fits the calibrator, the policy and the conformal predictor, and measures them on the test split.
    ///
    /// Logits are calibrated by a temperature. Means of views or models have no logits; for them the cross-validated
    /// likelihood of the validation rows chooses among the probabilities as they are, Platt scaling, beta and Dirichlet
    /// calibration.
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
        conformal: &ConformalRecipe,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        check_same_model(validation, calibration)?;
        check_same_model(validation, test)?;
        evaluation.check_bins(validation.len())?;
        let calibrator = fit_calibrator(validation, evaluation, seed)?;
        let AbstentionRecipe { answer_risk, suggest_risk, delta } = *abstention;
        let abstain = AbstainConfig { answer_risk, suggest_risk, delta, ..AbstainConfig::default() };
        let conformal = conformal.config(derive(seed, Purpose::Conformal, 0));
        let record = CalibrationRecord::fit_with(calibrator, validation, calibration, &abstain)?
            .with_conformal(calibration, &conformal)?;
        let probabilities = record.calibrator.calibrate(test)?;
        let config = evaluation_config(evaluation, seed);
        let uncalibrated = Evaluation::new(test, &test.probabilities(), &config)?;
        let sets =
            record.conformal().map(|sets| ConformalTable::evaluate(sets, test, config.alpha)).transpose()?;
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
            sets,
            risk_coverage: RiskCoverage::top_label(&probabilities, test.targets())?,
            calibration: record,
            suspicions,
        })
    }
}

/// How the test metrics are taken.
pub(crate) fn evaluation_config(evaluation: &EvaluationRecipe, seed: u64) -> EvaluationConfig {
    EvaluationConfig {
        replicates: evaluation.bootstrap_replicates,
        alpha: 1.0 - evaluation.confidence,
        seed: derive(seed, Purpose::Bootstrap, 0),
        n_bins: evaluation.calibration_bins,
        ..EvaluationConfig::default()
    }
}

/// The calibrator that suits the scores.
pub(crate) fn fit_calibrator(
    validation: &Predictions<Validation>,
    evaluation: &EvaluationRecipe,
    seed: u64,
) -> Result<Calibrator, Error> {
    if validation.scores().kind == ScoreKind::Logits {
        let config =
            TemperatureConfig { n_bins: evaluation.calibration_bins, ..TemperatureConfig::default() };
        return Ok(config.fit(validation)?.into());
    }
    let candidates = [
        CalibratorConfig::Identity,
        CalibratorConfig::Platt(PlattConfig::default()),
        CalibratorConfig::Beta(BetaConfig::default()),
        CalibratorConfig::Dirichlet(DirichletConfig::default()),
    ];
    let folds = SelectionConfig::default().folds.min(validation.num_groups());
    let config =
        SelectionConfig { folds, seed: derive(seed, Purpose::Folds, 0), ..SelectionConfig::default() };
    Ok(select_calibrator(validation, &candidates, &config)?.0)
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
