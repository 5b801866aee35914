use derm_core::{Calibration, Predictions, Probabilities, Validation};
use serde::{Deserialize, Serialize};

use crate::calibrate::check_split;
use crate::error::check_closed_unit;
use crate::tier::top3_mass;
use crate::{Calibrate, Error};

/// A threshold that may be chosen, and how much it is expected to let through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridPoint {
    /// The threshold: a row is in where its score reaches it.
    pub threshold: f64,
    /// Share of all rows that is expected in, in [0, 1]. It only decides where testing begins; a wrong one
    /// costs coverage and never validity.
    pub expected_share: f64,
}

/// A threshold for [`Tier::Answer`](crate::Tier::Answer) with the thresholds for
/// [`Tier::SuggestTop3`](crate::Tier::SuggestTop3) that are tried beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCandidate {
    /// The threshold on the confidence.
    pub answer: GridPoint,
    /// Thresholds on the top-3 mass of the rows below it, largest first.
    pub suggest: Vec<GridPoint>,
}

/// The thresholds that [`AbstainPolicy::fit`](crate::AbstainPolicy::fit) tests, in the order in which it
/// tests them.
///
/// A guarantee for a searched threshold needs candidates, and an order, that do not depend on the rows that
/// are tested. So the grid comes from other rows, those of the validation split, and from no label at all.
/// Quantiles of the calibration rows themselves would not do: given where they lie, the rows above one of
/// them are no longer a sample of the region above it.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdGrid {
    answer: Vec<AnswerCandidate>,
    suggest_alone: Vec<GridPoint>,
    /// For each predicted class a grid of its own, without any further ones; none where there is none.
    by_class: Vec<ThresholdGrid>,
    /// The split whose validation rows gave it; none where it was thought out.
    split_hash: Option<String>,
}

impl ThresholdGrid {
    /// A grid that was thought out beforehand: `answer` with the largest confidence first, and
    /// `suggest_alone` the thresholds on the top-3 mass that are tried where no answer threshold is
    /// certified.
    ///
    /// # Errors
    /// [`Error::Range`] where a share is not in [0, 1] or thresholds do not fall.
    pub fn new(answer: Vec<AnswerCandidate>, suggest_alone: Vec<GridPoint>) -> Result<Self, Error> {
        let points: Vec<GridPoint> = answer.iter().map(|candidate| candidate.answer).collect();
        let chains = answer.iter().map(|candidate| candidate.suggest.as_slice());
        for chain in chains.chain([points.as_slice(), &suggest_alone]) {
            let mut last = f64::INFINITY;
            for point in chain {
                check_closed_unit("expected_share", point.expected_share)?;
                if !(point.threshold >= 0.0 && point.threshold < last) {
                    let expected = "thresholds of 0 or more, each below the one before";
                    return Err(Error::Range { argument: "threshold", value: point.threshold, expected });
                }
                last = point.threshold;
            }
        }
        Ok(Self { answer, suggest_alone, by_class: Vec::new(), split_hash: None })
    }

    /// A grid from the validation rows, one a group, after calibration; see
    /// [`ThresholdGrid::from_probabilities`].
    ///
    /// # Errors
    /// [`Error::Split`] where the calibrator was fitted on another split; as [`Calibrate::calibrate`] and
    /// [`ThresholdGrid::from_probabilities`].
    pub fn from_validation(
        validation: &Predictions<Validation>,
        calibrator: &impl Calibrate,
        answer_steps: usize,
        suggest_steps: usize,
    ) -> Result<Self, Error> {
        check_split(calibrator.fitted_on(), "validation predictions", validation)?;
        let probabilities = calibrator.calibrate(&validation.one_row_per_group())?;
        let grid = Self::from_probabilities(&probabilities, answer_steps, suggest_steps)?;
        Ok(Self { split_hash: Some(validation.split_hash().to_owned()), ..grid })
    }

    /// A grid from calibrated probabilities of rows that are not the calibration rows: the confidences that
    /// the most certain 1/`answer_steps`, 2/`answer_steps`, … of them reach, the last being 0; and for each
    /// the same quantiles, in `suggest_steps`, of the top-3 mass among the rows below it. The rows predicted as
    /// each class give the grids by class in the same way; a class that is never predicted has no candidate.
    ///
    /// # Errors
    /// [`Error::Count`] where there are no steps.
    pub fn from_probabilities(
        reference: &Probabilities,
        answer_steps: usize,
        suggest_steps: usize,
    ) -> Result<Self, Error> {
        for (argument, value) in [("answer_steps", answer_steps), ("suggest_steps", suggest_steps)] {
            if value == 0 {
                return Err(Error::Count { argument, value, minimum: 1 });
            }
        }
        let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); reference.num_classes()];
        for (row, class) in reference.predicted().into_iter().enumerate() {
            rows_of[class].push(row);
        }
        let of_class = |rows: &Vec<usize>| match rows.as_slice() {
            [] => Self::new(Vec::new(), Vec::new()),
            rows => Self::of_rows(&reference.select(rows)?, answer_steps, suggest_steps),
        };
        let by_class = rows_of.iter().map(of_class).collect::<Result<Vec<Self>, Error>>()?;
        Ok(Self::of_rows(reference, answer_steps, suggest_steps)?.with_classes(by_class))
    }

    /// The grid of these rows, without any by class.
    fn of_rows(reference: &Probabilities, answer_steps: usize, suggest_steps: usize) -> Result<Self, Error> {
        let confidence = reference.confidence();
        let mass: Vec<f64> =
            reference.view().rows().into_iter().map(|row| top3_mass(&row.to_vec())).collect();
        let below = |threshold: f64| {
            let rows = confidence.iter().zip(&mass).filter(|&(&confidence, _)| confidence < threshold);
            quantile_chain(rows.map(|(_, &mass)| mass).collect(), suggest_steps, confidence.len())
        };
        let candidates = quantile_chain(confidence.clone(), answer_steps, confidence.len()).into_iter();
        let answer = candidates.map(|answer| AnswerCandidate { answer, suggest: below(answer.threshold) });
        let answer = answer.collect();
        let suggest_alone = quantile_chain(mass.clone(), suggest_steps, confidence.len());
        Self::new(answer, suggest_alone)
    }

    /// Adds a grid for each predicted class, in the order of the classes, for
    /// [`ThresholdScope::PredictedClass`](crate::ThresholdScope::PredictedClass). Expected shares are those
    /// among the rows that are predicted as the class. What such a grid holds by class itself is dropped.
    pub fn with_classes(mut self, by_class: Vec<Self>) -> Self {
        self.by_class = by_class.into_iter().map(|grid| Self { by_class: Vec::new(), ..grid }).collect();
        self
    }

    /// The grid of each predicted class; none where there is none.
    pub fn by_class(&self) -> &[Self] {
        &self.by_class
    }

    /// Refuses calibration rows of another split than the validation rows that gave the grid, which may be the same.
    pub(crate) fn check_split(&self, calibration: &Predictions<Calibration>) -> Result<(), Error> {
        match &self.split_hash {
            Some(got) if got != calibration.split_hash() => Err(Error::Split {
                what: "threshold grid",
                got: got.clone(),
                expected: calibration.split_hash().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The candidates of the first tier, largest confidence first.
    pub fn answer(&self) -> &[AnswerCandidate] {
        &self.answer
    }

    /// The candidates of the second tier where the first is empty, largest top-3 mass first.
    pub fn suggest_alone(&self) -> &[GridPoint] {
        &self.suggest_alone
    }
}

/// The scores that the highest `1/steps, 2/steps, …` of `scores` reach, each once, the last being 0, with
/// their share of `total` rows. None for no scores.
fn quantile_chain(mut scores: Vec<f64>, steps: usize, total: usize) -> Vec<GridPoint> {
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut points: Vec<GridPoint> = Vec::with_capacity(steps);
    for step in 1..=steps {
        let rows = (scores.len() * step).div_ceil(steps);
        let Some(&reached) = rows.checked_sub(1).and_then(|last| scores.get(last)) else { continue };
        let threshold = if step == steps { 0.0 } else { reached };
        let inside = scores.iter().take_while(|&&score| score >= threshold).count();
        let point = GridPoint { threshold, expected_share: inside as f64 / total as f64 };
        match points.last() {
            Some(last) if last.threshold <= threshold => {}
            _ => points.push(point),
        }
    }
    points
}
