use derm_core::{Calibration, Logits, Predictions, Probabilities, Test, Validation};
use serde::{Deserialize, Serialize};

use crate::calibrate::{check_classes, check_split};
use crate::{
    AbstainConfig, AbstainPolicy, Calibrate, Calibrator, ConformalConfig, ConformalPredictor, Error,
    FittedOn, TemperatureConfig, TemperatureScaling, ThresholdGrid, Tier, TierTable,
};

/// What stands between a model's logits and a decision: the contents of a bundle's `calibration.json`.
///
/// ```
/// use derm_calibration::{AbstainConfig, CalibrationRecord, ConformalConfig, ConformalTable, TemperatureConfig};
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
/// )?
/// .with_conformal(&calibration, &ConformalConfig::default())?;
/// let (probabilities, tiers) = record.decide(&test.logits().unwrap())?;
/// assert_eq!(tiers.len(), probabilities.num_samples());
/// let table = record.evaluate(&test, 0.05)?;
/// assert_eq!(table.count, 200);
/// let sets = ConformalTable::evaluate(record.conformal().unwrap(), &test, 0.05)?;
/// assert!(sets.overall.coverage.unwrap() > 0.85);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RecordFields", into = "RecordFields")]
pub struct CalibrationRecord {
    /// From logits to probabilities.
    pub calibrator: Calibrator,
    /// From probabilities to a tier.
    pub abstain: AbstainPolicy,
    conformal: Option<ConformalPredictor>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFields {
    calibrator: Calibrator,
    abstain: AbstainPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conformal: Option<ConformalPredictor>,
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
    /// [`Error::Split`] where the validation and the calibration rows come from different splits of the data, whose
    /// roles may overlap; as [`ThresholdGrid::from_validation`] and [`AbstainPolicy::fit`].
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
        Ok(Self { calibrator, abstain, conformal: None })
    }

    /// Adds prediction sets: conformal prediction on the calibration rows, behind the record's own calibrator.
    ///
    /// The same rows may serve the policy and the sets. Each keeps its own promise; that both hold at once has the
    /// probability that is left when their miscoverages are added.
    ///
    /// # Errors
    /// [`Error::Split`] where the rows come from another split than those of the policy, [`Error::View`] where they
    /// are of another view; as [`ConformalPredictor::conformalize`].
    pub fn with_conformal(
        mut self,
        calibration: &Predictions<Calibration>,
        config: &ConformalConfig,
    ) -> Result<Self, Error> {
        check_split(Some(&self.abstain.fitted_on), "calibration predictions", calibration)?;
        let conformal = ConformalPredictor::conformalize(self.calibrator.clone(), calibration, config)?;
        check_conformal(&conformal, &self.calibrator, &self.abstain)?;
        self.conformal = Some(conformal);
        Ok(self)
    }

    /// From probabilities to a set of classes, where [`CalibrationRecord::with_conformal`] has added it.
    pub fn conformal(&self) -> Option<&ConformalPredictor> {
        self.conformal.as_ref()
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

impl TryFrom<RecordFields> for CalibrationRecord {
    type Error = Error;

    fn try_from(RecordFields { calibrator, abstain, conformal }: RecordFields) -> Result<Self, Error> {
        if let Some(fitted_on) = calibrator.fitted_on() {
            check_same(fitted_on, &abstain.fitted_on, "calibrator")?;
        }
        if let Some(conformal) = &conformal {
            check_conformal(conformal, &calibrator, &abstain)?;
        }
        Ok(Self { calibrator, abstain, conformal })
    }
}

impl From<CalibrationRecord> for RecordFields {
    fn from(CalibrationRecord { calibrator, abstain, conformal }: CalibrationRecord) -> Self {
        Self { calibrator, abstain, conformal }
    }
}

/// Refuses sets for other probabilities, another split, another view or other classes than the policy's.
fn check_conformal(
    conformal: &ConformalPredictor,
    calibrator: &Calibrator,
    abstain: &AbstainPolicy,
) -> Result<(), Error> {
    check_same(conformal.fitted_on(), &abstain.fitted_on, "conformal predictor")?;
    check_classes("conformal", conformal.rule().num_classes(), abstain.expected.classes.len())?;
    if conformal.calibrator() == calibrator {
        Ok(())
    } else {
        Err(Error::Inconsistent {
            argument: "conformal.calibrator",
            expected: "the calibrator of the record",
        })
    }
}

/// Refuses what was fitted on another split or another view.
fn check_same(got: &FittedOn, expected: &FittedOn, what: &'static str) -> Result<(), Error> {
    if got.split_hash != expected.split_hash {
        let (got, expected) = (got.split_hash.clone(), expected.split_hash.clone());
        Err(Error::Split { what, got, expected })
    } else if got.view == expected.view {
        Ok(())
    } else {
        Err(Error::View { got: got.view.clone(), expected: expected.view.clone() })
    }
}
