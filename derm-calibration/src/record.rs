use derm_core::{Calibration, Logits, Predictions, Probabilities, Test, Validation};
use serde::{Deserialize, Serialize};

use crate::{
    AbstainConfig, AbstainPolicy, Calibrator, Error, TemperatureConfig, TemperatureScaling, ThresholdGrid,
    Tier, TierTable,
};

/// What stands between a model's logits and a decision: the contents of a bundle's `calibration.json`.
///
/// ```
/// use derm_calibration::{AbstainConfig, CalibrationRecord, TemperatureConfig};
/// use derm_core::*;
/// # fn predictions<R: Role>(seed: usize) -> Result<Predictions<R>, Box<dyn std::error::Error>> {
/// #     let names = || (0..200).map(|i| format!("lesion_{seed}_{i}")).collect::<Vec<_>>();
/// #     let metadata = PredictionMetadata {
/// #         task: "diagnosis".into(),
/// #         view: View::Identity,
/// #         labels: LabelMap::new(["mel", "nv", "bcc", "bkl"])?,
/// #         split_hash: "0f3a".into(),
/// #     };
/// #     let targets: Vec<usize> = (0..200).map(|i| (i * i + seed) % 4).collect();
/// #     let values = ndarray::Array2::from_shape_fn((200, 4), |(i, c)| {
/// #         let strength = (i % 17) as f32 / 3.0;
/// #         if c == (targets[i] + usize::from(i % 17 < 3)) % 4 { strength } else { 0.0 }
/// #     });
/// #     let columns = PredictionColumns {
/// #         ids: names(), groups: names(), cases: names(), targets, ..PredictionColumns::default()
/// #     };
/// #     Ok(Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })?)
/// # }
/// # let (validation, calibration) = (predictions::<Validation>(1)?, predictions::<Calibration>(2)?);
/// # let test = predictions::<Test>(3)?;
/// let record = CalibrationRecord::fit(
///     &validation,
///     &calibration,
///     &TemperatureConfig::default(),
///     &AbstainConfig::default(),
/// )?;
/// let (probabilities, tiers) = record.decide(&test.logits().unwrap())?;
/// assert_eq!(tiers.len(), probabilities.num_samples());
/// let table = record.evaluate(&test, 0.05)?;
/// assert_eq!(table.count, 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRecord {
    /// From logits to probabilities.
    pub calibrator: Calibrator,
    /// From probabilities to a tier.
    pub abstain: AbstainPolicy,
}

impl CalibrationRecord {
    /// Fits a temperature on the validation rows, a threshold grid on the same rows without their labels, and
    /// the policy on the calibration rows.
    ///
    /// # Errors
    /// As [`TemperatureScaling::fit`], [`ThresholdGrid::from_validation`] and [`AbstainPolicy::fit`].
    pub fn fit(
        validation: &Predictions<Validation>,
        calibration: &Predictions<Calibration>,
        temperature: &TemperatureConfig,
        abstain: &AbstainConfig,
    ) -> Result<Self, Error> {
        let calibrator = Calibrator::Temperature(TemperatureScaling::fit(validation, temperature)?);
        Self::fit_with(calibrator, validation, calibration, abstain)
    }

    /// The same around a calibrator that is there already: any, say the one that
    /// [`select_calibrator`](crate::select_calibrator) chose.
    ///
    /// # Errors
    /// As [`ThresholdGrid::from_validation`] and [`AbstainPolicy::fit`].
    pub fn fit_with(
        calibrator: Calibrator,
        validation: &Predictions<Validation>,
        calibration: &Predictions<Calibration>,
        abstain: &AbstainConfig,
    ) -> Result<Self, Error> {
        abstain.validate()?;
        let (answer_steps, suggest_steps) = (abstain.answer_steps, abstain.suggest_steps);
        let grid = ThresholdGrid::from_validation(validation, &calibrator, answer_steps, suggest_steps)?;
        let abstain = AbstainPolicy::fit(calibration, &calibrator, &grid, abstain)?;
        Ok(Self { calibrator, abstain })
    }

    /// The calibrated probabilities and the tier of each row of `logits` [N, C].
    ///
    /// # Errors
    /// As [`Calibrator::apply`] and [`AbstainPolicy::assign`].
    pub fn decide(&self, logits: &Logits) -> Result<(Probabilities, Vec<Tier>), Error> {
        let probabilities = self.calibrator.apply(logits)?;
        let tiers = self.abstain.assign(&probabilities)?;
        Ok((probabilities, tiers))
    }

    /// Coverage and risk of the tiers on test predictions, one row a lesion or patient, with exact intervals
    /// of miscoverage `alpha`.
    ///
    /// # Errors
    /// As [`AbstainPolicy::evaluate`].
    pub fn evaluate(&self, test: &Predictions<Test>, alpha: f64) -> Result<TierTable, Error> {
        self.abstain.evaluate(&self.calibrator, test, alpha)
    }
}
