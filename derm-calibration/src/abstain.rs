use derm_core::{Calibration, Predictions, Probabilities, Test};
use derm_metrics::top_k_hits;
use serde::{Deserialize, Serialize};

use crate::bonferroni::bonferroni;
use crate::calibrate::{check_classes, check_split, check_view};
use crate::error::check_open_unit;
use crate::fixed_sequence::{TierFit, fixed_sequence};
use crate::tier::top3_mass;
use crate::{
    Calibrate, Error, FittedOn, GridPoint, ReferralReason, SuggestScore, ThresholdGrid, Tier, TierTable,
    TierThresholds,
};

/// What an [`AbstainPolicy`] promises.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `answer_risk` | 0.1 | largest share of wrong answers among the answered, in (0, 1) |
/// | `suggest_risk` | 0.1 | largest share of suggestions without the true class, in (0, 1) |
/// | `delta` | 0.1 | for each tier, probability that the calibration rows mislead, in (0, 1) |
/// | `answer_steps` | 10 | thresholds of the first tier on the grid |
/// | `suggest_steps` | 10 | thresholds of the second tier on the grid, for each of the first |
/// | `method` | `fixed_sequence` | how thresholds are tested |
/// | `scope` | `all` | one pair of thresholds, or one a predicted class |
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
    /// Thresholds of the second tier on the grid, for each of the first. In a fixed sequence they cost nothing.
    pub suggest_steps: usize,
    /// How thresholds are tested.
    pub method: SelectionMethod,
    /// For which rows a pair of thresholds is chosen.
    pub scope: ThresholdScope,
}

impl Default for AbstainConfig {
    fn default() -> Self {
        Self {
            answer_risk: 0.1,
            suggest_risk: 0.1,
            delta: 0.1,
            answer_steps: 10,
            suggest_steps: 10,
            method: SelectionMethod::FixedSequence,
            scope: ThresholdScope::All,
        }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SelectionMethod {
    /// Exact binomial tests in a fixed sequence from the most certain rows downwards (Learn then Test), the
    /// second tier's level divided over the choices of the first.
    #[default]
    FixedSequence,
    /// An exact (Clopper-Pearson) upper bound for every candidate, each at its tier's level over the number of
    /// candidates, and the certified one with the largest coverage; the second tier's level divided over the
    /// choices of the first as well. It costs power and asks nothing of the order of the candidates.
    BonferroniClopperPearson,
}

/// For which rows a pair of thresholds is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdScope {
    /// One pair for all rows: the risks hold over all that is answered, and may be exceeded for one class.
    #[default]
    All,
    /// A pair for each predicted class, with δ divided over the C classes: with probability at least 1 − δ for
    /// each tier, the risk holds for every predicted class at once. It takes about C times the rows.
    PredictedClass,
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
/// With [`ThresholdScope::PredictedClass`] every predicted class has thresholds of its own and the promise is
/// made for each of them.
///
/// # Source
/// Angelopoulos et al. 2021, "Learn then Test".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbstainPolicy {
    /// The thresholds for all rows. Where there are some by class these are not used; they were chosen in the
    /// same way and stand beside them for comparison.
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
    /// is honest and the risks are a little too good, because these rows chose the thresholds; by subgroup as
    /// well, where the rows have such columns.
    pub expected: TierTable,
    /// The thresholds of each predicted class, in the order of the labels, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_class: Option<Vec<ClassPolicy>>,
}

/// The thresholds for rows of one predicted class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPolicy {
    /// The predicted class.
    pub label: String,
    /// Calibration rows (one a group) that are predicted as it.
    pub samples: usize,
    /// The thresholds.
    pub thresholds: TierThresholds,
    /// How the first tier's threshold came about.
    pub answer: TierFit,
    /// How the second tier's threshold came about.
    pub suggest: TierFit,
}

impl AbstainPolicy {
    /// Chooses the thresholds on calibration rows, one a lesion or patient
    /// ([`Predictions::one_row_per_group`] is applied here), after `calibrator`, among those of `grid`.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::Count`] for an impossible configuration; [`Error::Split`] where the
    /// calibrator was fitted on another split of the data or the grid comes from one, so that its rows may be
    /// among these;
    /// [`Error::ClassGrids`] where thresholds by class are asked for and the grid has no candidates by class;
    /// and as [`Calibrate::calibrate`].
    pub fn fit(
        calibration: &Predictions<Calibration>,
        calibrator: &impl Calibrate,
        grid: &ThresholdGrid,
        config: &AbstainConfig,
    ) -> Result<Self, Error> {
        config.validate()?;
        check_split(calibrator.fitted_on(), "calibration predictions", calibration)?;
        grid.check_split(calibration)?;
        let rows = calibration.one_row_per_group();
        let probabilities = calibrator.calibrate(&rows)?;
        let scores = TierScores::new(&probabilities, rows.targets())?;
        let (thresholds, answer, suggest) = choose(&scores, grid, config, config.delta)?;
        let by_class = match config.scope {
            ThresholdScope::All => None,
            ThresholdScope::PredictedClass => {
                Some(choose_by_class(&scores, &probabilities, rows.labels().names(), grid, config)?)
            }
        };
        let tiers = assign(&thresholds, by_class.as_deref(), &probabilities);
        let expected = TierTable::of_predictions(&tiers, &probabilities, &rows, config.delta)?;
        Ok(Self {
            thresholds,
            method: config.method,
            config: *config,
            fitted_on: FittedOn::new(&rows),
            answer,
            suggest,
            expected,
            by_class,
        })
    }

    /// The tier of one row of calibrated probabilities, shape `[C]`. A row with NaN refers.
    pub fn decide(&self, row: &[f64]) -> Tier {
        tier(&self.thresholds, self.by_class.as_deref(), row)
    }

    /// Why one row of calibrated probabilities, shape `[C]`, is not answered; by the thresholds that
    /// [`AbstainPolicy::decide`] goes by.
    pub fn reasons(&self, row: &[f64]) -> Vec<ReferralReason> {
        match thresholds(&self.thresholds, self.by_class.as_deref(), row) {
            Some(thresholds) => thresholds.reasons(row),
            None => vec![ReferralReason::Undefined],
        }
    }

    /// The tier of every row, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes than that of the fit.
    pub fn assign(&self, probabilities: &Probabilities) -> Result<Vec<Tier>, Error> {
        check_classes("probabilities", probabilities.num_classes(), self.expected.classes.len())?;
        Ok(assign(&self.thresholds, self.by_class.as_deref(), probabilities))
    }

    /// Coverage and risk of the tiers on test predictions after calibration, one row a lesion or patient
    /// ([`Predictions::one_row_per_group`]): the unit in which the policy promises its risks. Intervals are
    /// exact, of miscoverage `alpha`.
    ///
    /// # Errors
    /// [`Error::View`] for another view than that of the calibration rows; as [`Calibrate::calibrate`],
    /// [`AbstainPolicy::assign`] and [`TierTable::new`]. Rows of another split are evaluated: they may be those of
    /// another clinic.
    pub fn evaluate(
        &self,
        calibrator: &impl Calibrate,
        test: &Predictions<Test>,
        alpha: f64,
    ) -> Result<TierTable, Error> {
        check_view(Some(&self.fitted_on), test)?;
        let rows = test.one_row_per_group();
        let probabilities = calibrator.calibrate(&rows)?;
        TierTable::of_predictions(&self.assign(&probabilities)?, &probabilities, &rows, alpha)
    }
}

/// The tier of one row by the thresholds of its predicted class, or by those for all.
fn tier(shared: &TierThresholds, by_class: Option<&[ClassPolicy]>, row: &[f64]) -> Tier {
    thresholds(shared, by_class, row).map_or(Tier::Refer, |thresholds| thresholds.tier(row))
}

/// The thresholds of a row's predicted class, or those for all; none for a class that the fit did not have.
fn thresholds<'a>(
    shared: &'a TierThresholds,
    by_class: Option<&'a [ClassPolicy]>,
    row: &[f64],
) -> Option<&'a TierThresholds> {
    let Some(by_class) = by_class else { return Some(shared) };
    let mut predicted = 0;
    for (class, p) in row.iter().enumerate() {
        if *p > row[predicted] {
            predicted = class;
        }
    }
    by_class.get(predicted).map(|policy| &policy.thresholds)
}

fn assign(
    shared: &TierThresholds,
    by_class: Option<&[ClassPolicy]>,
    probabilities: &Probabilities,
) -> Vec<Tier> {
    probabilities.view().rows().into_iter().map(|row| tier(shared, by_class, &row.to_vec())).collect()
}

/// Thresholds whose risks each hold with probability 1 − `delta`, and how they came about.
fn choose(
    scores: &TierScores,
    grid: &ThresholdGrid,
    config: &AbstainConfig,
    delta: f64,
) -> Result<(TierThresholds, TierFit, TierFit), Error> {
    let select =
        |points: &[GridPoint], risk: f64, level: f64, outcome: &dyn Fn(f64) -> (usize, usize)| match config
            .method
        {
            SelectionMethod::FixedSequence => {
                fixed_sequence(points, scores.confidence.len(), risk, delta, level, outcome)
            }
            SelectionMethod::BonferroniClopperPearson => bonferroni(points, risk, delta, level, outcome),
        };
    let points: Vec<_> = grid.answer().iter().map(|candidate| candidate.answer).collect();
    let answer = select(&points, config.answer_risk, delta, &|threshold| scores.answered(threshold))?;

    // The second tier's rows depend on the first tier's threshold, which was searched for, so each of its
    // possible values, "none" included, has its own chain and its share of δ.
    let choices = grid.answer().len() + 1;
    let chosen = grid.answer().iter().find(|candidate| Some(candidate.answer.threshold) == answer.threshold);
    let chain = chosen.map_or(grid.suggest_alone(), |candidate| &candidate.suggest);
    let level = delta / choices as f64;
    let suggest = select(chain, config.suggest_risk, level, &|threshold| {
        scores.suggested(answer.threshold, threshold)
    })?;
    let thresholds = TierThresholds::new(answer.threshold, SuggestScore::Top3Mass, suggest.threshold)?;
    Ok((thresholds, answer, suggest))
}

/// The same for the rows of each predicted class, with δ divided over the classes. Which class is predicted
/// depends on no label, so the rows of one class are a sample of the population's rows of that class.
fn choose_by_class(
    scores: &TierScores,
    probabilities: &Probabilities,
    labels: &[String],
    grid: &ThresholdGrid,
    config: &AbstainConfig,
) -> Result<Vec<ClassPolicy>, Error> {
    let (got, expected) = (grid.by_class().len(), labels.len());
    if got != expected {
        return Err(Error::ClassGrids { got, expected });
    }
    let predicted = probabilities.predicted();
    let delta = config.delta / labels.len() as f64;
    let of_class = |(class, label): (usize, &String)| {
        let scores = scores.filtered(|row| predicted[row] == class);
        let (thresholds, answer, suggest) = choose(&scores, &grid.by_class()[class], config, delta)?;
        let samples = scores.confidence.len();
        Ok(ClassPolicy { label: label.clone(), samples, thresholds, answer, suggest })
    };
    labels.iter().enumerate().map(of_class).collect()
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

    fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let rows: Vec<usize> = (0..self.confidence.len()).filter(|&row| keep(row)).collect();
        Self {
            confidence: rows.iter().map(|&row| self.confidence[row]).collect(),
            mass: rows.iter().map(|&row| self.mass[row]).collect(),
            wrong: rows.iter().map(|&row| self.wrong[row]).collect(),
            missing: rows.iter().map(|&row| self.missing[row]).collect(),
        }
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
