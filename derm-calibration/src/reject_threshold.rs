use derm_core::{Predictions, Probabilities, Test, Validation};
use serde::{Deserialize, Serialize};

use crate::calibrate::{check_classes, check_split, check_view};
use crate::error::check_closed_unit;
use crate::{Calibrate, Error, FittedOn};

/// How far two macro F1 may differ and count as equal: the rounding of a mean of quotients.
const ROUNDING: f64 = 1e-12;

/// How a macro F1 counts the rows that are referred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferredRows {
    /// As missed: a referred row is a false negative of its class and a false positive of none, so `F1_c = 2
    /// TP_c / (answered as c + rows of c)`. Referring a wrong answer gains, referring a right one costs, and
    /// the maximum is a compromise.
    #[default]
    Missed,
    /// Not at all: F1 of the answered rows only, where a class without answered rows has 0. It rises as less
    /// is answered, so it needs a `min_coverage`.
    LeftOut,
}

/// How a [`RejectThreshold`] is chosen.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `referred` | `missed` | how macro F1 counts rows below τ |
/// | `min_coverage` | 0 | smallest share of rows that must be answered, in [0, 1] |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RejectThresholdConfig {
    /// How macro F1 counts rows below τ.
    pub referred: ReferredRows,
    /// Smallest share of rows that must be answered.
    pub min_coverage: f64,
}

/// What comes of one confidence threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectOutcome {
    /// Number of rows.
    pub samples: usize,
    /// Rows with a confidence of at least τ.
    pub answered: usize,
    /// Their share.
    pub coverage: f64,
    /// Answered rows that are right.
    pub correct: usize,
    /// Their share among the answered; `None` where nothing is answered.
    pub accuracy: Option<f64>,
    /// Mean F1 over the classes that have rows, answered or not, with referred rows counted as the
    /// configuration says.
    pub macro_f1: f64,
}

/// The confidence threshold τ that maximises macro F1 on validation rows: a row is answered where its largest
/// calibrated probability is at least τ, else it is referred.
///
/// Every distinct confidence is tried, and 0; of equal maxima the lowest τ, which refers least. All rows
/// count, several of one lesion too. A value at the maximum is too good, because these rows chose it: report
/// that of [`RejectThreshold::evaluate`]. It promises no risk; that is what
/// [`AbstainPolicy`](crate::AbstainPolicy) does.
///
/// # Source
/// Chow 1970 for rejecting by confidence; Lipton et al. 2014 for thresholds that maximise F1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectThreshold {
    /// The threshold τ.
    pub threshold: f64,
    /// What it was chosen with.
    pub config: RejectThresholdConfig,
    /// What it does on the validation rows.
    pub validation: RejectOutcome,
    /// What τ = 0, which answers every row, does there.
    pub validation_without: RejectOutcome,
    /// Number of classes.
    pub classes: usize,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl RejectThreshold {
    /// Chooses τ on validation rows after `calibrator`.
    ///
    /// # Errors
    /// [`Error::Range`] unless `min_coverage` is in [0, 1]; and as [`Calibrate::calibrate`].
    pub fn fit(
        validation: &Predictions<Validation>,
        calibrator: &impl Calibrate,
        config: &RejectThresholdConfig,
    ) -> Result<Self, Error> {
        check_closed_unit("min_coverage", config.min_coverage)?;
        let probabilities = calibrator.calibrate(validation)?;
        let targets = validation.targets();
        let (confidence, predicted) = (probabilities.confidence(), probabilities.predicted());
        let mut order: Vec<usize> = (0..targets.len()).collect();
        order.sort_by(|&a, &b| confidence[b].total_cmp(&confidence[a]));
        let mut counts = Counts::new(targets, probabilities.num_classes());
        let mut best = (f64::NEG_INFINITY, f64::INFINITY);
        let mut answered = 0;
        for same in order.chunk_by(|&a, &b| confidence[a] == confidence[b]) {
            for &row in same {
                counts.answer(predicted[row], targets[row]);
            }
            answered += same.len();
            let macro_f1 = counts.macro_f1(config.referred);
            let enough = answered as f64 >= config.min_coverage * targets.len() as f64 - ROUNDING;
            // The lowest of equal maxima comes last.
            if enough && macro_f1 >= best.0 - ROUNDING {
                let last = answered == targets.len();
                best = (macro_f1.max(best.0), if last { 0.0 } else { confidence[same[0]] });
            }
        }
        let threshold = best.1;
        Ok(Self {
            threshold,
            config: *config,
            validation: outcome(&probabilities, targets, threshold, config.referred),
            validation_without: outcome(&probabilities, targets, 0.0, config.referred),
            classes: probabilities.num_classes(),
            fitted_on: FittedOn::new(validation),
        })
    }

    /// What τ does on test rows after the same calibrator.
    ///
    /// # Errors
    /// As [`Calibrate::calibrate`]; [`Error::Split`] where the test rows come from another split of the data
    /// than the validation rows, [`Error::View`] where they are of another view; [`Error::Classes`] for another
    /// number of classes.
    pub fn evaluate(
        &self,
        calibrator: &impl Calibrate,
        test: &Predictions<Test>,
    ) -> Result<RejectOutcome, Error> {
        check_split(Some(&self.fitted_on), "test predictions", test)?;
        check_view(Some(&self.fitted_on), test)?;
        let probabilities = calibrator.calibrate(test)?;
        check_classes("probabilities", probabilities.num_classes(), self.classes)?;
        Ok(outcome(&probabilities, test.targets(), self.threshold, self.config.referred))
    }
}

fn outcome(
    probabilities: &Probabilities,
    targets: &[usize],
    threshold: f64,
    referred: ReferredRows,
) -> RejectOutcome {
    let (confidence, predicted) = (probabilities.confidence(), probabilities.predicted());
    let mut counts = Counts::new(targets, probabilities.num_classes());
    let (mut answered, mut correct) = (0, 0);
    for row in (0..targets.len()).filter(|&row| confidence[row] >= threshold) {
        counts.answer(predicted[row], targets[row]);
        answered += 1;
        correct += usize::from(predicted[row] == targets[row]);
    }
    let samples = targets.len();
    RejectOutcome {
        samples,
        answered,
        coverage: answered as f64 / samples as f64,
        correct,
        accuracy: (answered > 0).then(|| correct as f64 / answered as f64),
        macro_f1: counts.macro_f1(referred),
    }
}

/// Rows by class: all of them, and the answered by target, by prediction and where both agree.
struct Counts {
    support: Vec<usize>,
    answered: Vec<usize>,
    predicted: Vec<usize>,
    hits: Vec<usize>,
}

impl Counts {
    fn new(targets: &[usize], classes: usize) -> Self {
        let mut support = vec![0; classes];
        for &target in targets {
            support[target] += 1;
        }
        let none = || vec![0; classes];
        Self { support, answered: none(), predicted: none(), hits: none() }
    }

    fn answer(&mut self, predicted: usize, target: usize) {
        self.predicted[predicted] += 1;
        self.answered[target] += 1;
        self.hits[target] += usize::from(predicted == target);
    }

    /// The mean F1 of the classes that have rows.
    fn macro_f1(&self, referred: ReferredRows) -> f64 {
        let (mut sum, mut classes) = (0.0, 0_usize);
        for class in (0..self.support.len()).filter(|&class| self.support[class] > 0) {
            let relevant = match referred {
                ReferredRows::Missed => self.support[class],
                ReferredRows::LeftOut => self.answered[class],
            };
            let denominator = self.predicted[class] + relevant;
            classes += 1;
            if denominator > 0 {
                sum += 2.0 * self.hits[class] as f64 / denominator as f64;
            }
        }
        sum / classes as f64
    }
}
