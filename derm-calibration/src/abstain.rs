use derm_core::{Calibration, Predictions, Probabilities};
use derm_metrics::top_k_hits;
use serde::{Deserialize, Serialize};

use crate::error::check_open_unit;
use crate::fixed_sequence::{TierFit, fixed_sequence};
use crate::tier::top3_mass;
use crate::{Calibrator, Error, FittedOn, SuggestScore, ThresholdGrid, Tier, TierTable, TierThresholds};

/// What an [`AbstainPolicy`] promises.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `answer_risk` | 0.1 | largest share of wrong answers among the answered, in (0, 1) |
/// | `suggest_risk` | 0.1 | largest share of suggestions without the true class, in (0, 1) |
/// | `delta` | 0.1 | for each tier, probability that the calibration rows mislead, in (0, 1) |
/// | `answer_steps` | 10 | thresholds of the first tier on the grid |
/// | `suggest_steps` | 10 | thresholds of the second tier on the grid, for each of the first |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbstainConfig {
    /// Largest share of wrong answers among the answered.
    pub answer_risk: f64,
    /// Largest share of suggestions without the true class among the suggestions.
    pub suggest_risk: f64,
    /// For each tier, the probability over calibration sets that its risk is exceeded.
    pub delta: f64,
    /// Thresholds of the first tier on the grid. More of them find the coverage more finely, and cost the
    /// second tier power, because its level is shared among them.
    pub answer_steps: usize,
    /// Thresholds of the second tier on the grid, for each of the first. They cost nothing.
    pub suggest_steps: usize,
}

impl Default for AbstainConfig {
    fn default() -> Self {
        Self { answer_risk: 0.1, suggest_risk: 0.1, delta: 0.1, answer_steps: 10, suggest_steps: 10 }
    }
}

impl AbstainConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::Count`].
    pub fn validate(&self) -> Result<(), Error> {
        check_open_unit("answer_risk", self.answer_risk)?;
        check_open_unit("suggest_risk", self.suggest_risk)?;
        check_open_unit("delta", self.delta)?;
        for (argument, value) in [("answer_steps", self.answer_steps), ("suggest_steps", self.suggest_steps)]
        {
            if value == 0 {
                return Err(Error::Count { argument, value, minimum: 1 });
            }
        }
        Ok(())
    }
}

/// How thresholds were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SelectionMethod {
    /// Exact binomial tests in a fixed sequence from the most certain rows downwards (Learn then Test), the
    /// second tier's level divided over the choices of the first.
    FixedSequence,
}

/// When to answer, when to offer three classes and when to refer, with risks that hold for a threshold that
/// was searched for.
///
/// With probability at least 1 − δ over the draw of the calibration rows, the share of wrong answers among
/// answered cases of the same population is at most `answer_risk`; and with at least 1 − δ the share of
/// suggestions without the true class is at most `suggest_risk`. Both hold without any assumption about the
/// model, as long as the lesions (or patients) of the calibration split are a random sample of those to come
/// and none of them had a say in the model, the calibrator or the grid.
///
/// The first tier decides by the confidence, the second by the sum of the three largest probabilities. A tier
/// whose target cannot be certified stays empty and its rows refer; [`TierFit::smallest_certifiable_risk`]
/// then tells what could have been. No error among n rows certifies a risk r at level δ only from n = ln δ /
/// ln(1 − r) on: 22 for r = δ = 0.1, 230 for r = 0.01.
///
/// # Source
/// Angelopoulos et al. 2021, "Learn then Test".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbstainPolicy {
    /// The thresholds.
    pub thresholds: TierThresholds,
    /// How they were chosen.
    pub method: SelectionMethod,
    /// What was asked for.
    pub config: AbstainConfig,
    /// The calibration rows, one a group.
    pub fitted_on: FittedOn,
    /// How the first tier's threshold came about.
    pub answer: TierFit,
    /// How the second tier's threshold came about.
    pub suggest: TierFit,
    /// Coverage and risk of each tier on the calibration rows, by class too: what to expect, where coverage
    /// is honest and the risks are a little too good, because these rows chose the thresholds.
    pub expected: TierTable,
}

impl AbstainPolicy {
    /// Chooses the thresholds on calibration rows, one a lesion or patient
    /// ([`Predictions::one_row_per_group`] is applied here), after `calibrator`, among those of `grid`.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::Count`] for an impossible configuration; [`Error::Split`] where the
    /// calibrator was fitted on another split of the data, so that its rows may be among these; and as
    /// [`Calibrator::calibrate`].
    pub fn fit(
        calibration: &Predictions<Calibration>,
        calibrator: &Calibrator,
        grid: &ThresholdGrid,
        config: &AbstainConfig,
    ) -> Result<Self, Error> {
        config.validate()?;
        if let Calibrator::Temperature(scaling) = calibrator
            && scaling.fitted_on.split_hash != calibration.split_hash()
        {
            return Err(Error::Split {
                what: "calibration predictions",
                got: calibration.split_hash().to_owned(),
                expected: scaling.fitted_on.split_hash.clone(),
            });
        }
        let rows = calibration.one_row_per_group();
        let probabilities = calibrator.calibrate(&rows)?;
        let scores = TierScores::new(&probabilities, rows.targets())?;

        let delta = config.delta;
        let points: Vec<_> = grid.answer().iter().map(|candidate| candidate.answer).collect();
        let answer = fixed_sequence(&points, rows.len(), config.answer_risk, delta, delta, |threshold| {
            scores.answered(threshold)
        })?;

        // The second tier's rows depend on the first tier's threshold, which was searched for, so each of its
        // possible values, "none" included, has its own chain and its share of δ.
        let choices = grid.answer().len() + 1;
        let chosen =
            grid.answer().iter().find(|candidate| Some(candidate.answer.threshold) == answer.threshold);
        let chain = chosen.map_or(grid.suggest_alone(), |candidate| &candidate.suggest);
        let level = delta / choices as f64;
        let suggest = fixed_sequence(chain, rows.len(), config.suggest_risk, delta, level, |threshold| {
            scores.suggested(answer.threshold, threshold)
        })?;

        let thresholds = TierThresholds::new(answer.threshold, SuggestScore::Top3Mass, suggest.threshold)?;
        let expected = TierTable::new(&thresholds, &probabilities, rows.targets(), rows.labels(), delta)?;
        Ok(Self {
            thresholds,
            method: SelectionMethod::FixedSequence,
            config: *config,
            fitted_on: FittedOn::new(&rows),
            answer,
            suggest,
            expected,
        })
    }

    /// The tier of one row of calibrated probabilities, shape `[C]`.
    pub fn decide(&self, row: &[f64]) -> Tier {
        self.thresholds.tier(row)
    }
}

/// What the tests count.
struct TierScores {
    confidence: Vec<f64>,
    mass: Vec<f64>,
    wrong: Vec<bool>,
    missing: Vec<bool>,
}

impl TierScores {
    fn new(probabilities: &Probabilities, targets: &[usize]) -> Result<Self, Error> {
        let misses = |k| -> Result<Vec<bool>, Error> {
            Ok(top_k_hits(probabilities, targets, k)?.into_iter().map(|hit| !hit).collect())
        };
        Ok(Self {
            confidence: probabilities.confidence(),
            mass: probabilities.view().rows().into_iter().map(|row| top3_mass(&row.to_vec())).collect(),
            wrong: misses(1)?,
            missing: misses(probabilities.num_classes().min(3))?,
        })
    }

    /// Rows and wrong ones with a confidence of at least `threshold`.
    fn answered(&self, threshold: f64) -> (usize, usize) {
        count(self.confidence.iter().map(|&confidence| confidence >= threshold), &self.wrong)
    }

    /// Rows and missing ones that are not answered and have a top-3 mass of at least `threshold`.
    fn suggested(&self, answer: Option<f64>, threshold: f64) -> (usize, usize) {
        let answered = |confidence: f64| answer.is_some_and(|answer| confidence >= answer);
        let rows = self.confidence.iter().zip(&self.mass);
        count(rows.map(|(&confidence, &mass)| !answered(confidence) && mass >= threshold), &self.missing)
    }
}

fn count(inside: impl Iterator<Item = bool>, errors: &[bool]) -> (usize, usize) {
    inside
        .zip(errors)
        .filter(|&(inside, _)| inside)
        .fold((0, 0), |(rows, wrong), (_, &error)| (rows + 1, wrong + usize::from(error)))
}
