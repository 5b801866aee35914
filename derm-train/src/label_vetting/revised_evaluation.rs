use derm_core::{Predictions, Test};
use derm_metrics::{Evaluation, EvaluationConfig};
use derm_report::{Report, Section, metric_table, recall_comparison};
use serde::Serialize;

use crate::seed::{Purpose, derive};
use crate::{Error, EvaluationRecipe, LabelDecisions};

/// The metrics of the same predictions against the labels as they were given and as a person revised them.
///
/// The revised labels were looked at because this network disagreed with them, so the numbers rise even where a person
/// decides at random; only labels that were revised without looking at the network give an unbiased number.
#[derive(Debug, Clone, Serialize)]
pub struct RevisedEvaluation {
    /// Labels that were changed.
    pub relabelled: usize,
    /// Records that were dropped.
    pub dropped: usize,
    /// Against the labels as given.
    pub before: Evaluation,
    /// Against the revised labels.
    pub after: Evaluation,
}

impl RevisedEvaluation {
    /// Measures both, by the uncalibrated probabilities.
    ///
    /// # Errors
    /// As [`LabelDecisions::apply`], and what the metrics refuse.
    pub fn new(
        predictions: &Predictions<Test>,
        decisions: &LabelDecisions,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        let revised = decisions.apply(predictions)?;
        let config = EvaluationConfig {
            replicates: evaluation.bootstrap_replicates,
            alpha: 1.0 - evaluation.confidence,
            seed: derive(seed, Purpose::Bootstrap, 0),
            n_bins: evaluation.calibration_bins,
            ..EvaluationConfig::default()
        };
        let (relabelled, dropped) = decisions.counts();
        Ok(Self {
            relabelled,
            dropped,
            before: Evaluation::new(predictions, &predictions.probabilities(), &config)?,
            after: Evaluation::new(&revised, &revised.probabilities(), &config)?,
        })
    }

    /// Both side by side.
    ///
    /// # Errors
    /// [`Error::Report`] where something cannot be drawn.
    pub fn report(&self) -> Result<Report, Error> {
        let models = [("labels as given", &self.before), ("revised labels", &self.after)];
        let section = Section::new("Before and after")
            .text(format!(
                "{} labels were changed and {} records dropped; the predictions are the same.",
                self.relabelled, self.dropped
            ))
            .note(
                "The labels were looked at because this network disagreed with them, so its numbers rise even where the \
                 decisions say nothing. Only labels that were revised blind give an unbiased number.",
            )
            .table(metric_table(&models)?)
            .figure(recall_comparison(&models)?);
        Ok(Report::new("Revised labels")
            .lead(format!("{} images, of which {} remain.", self.before.samples, self.after.samples))
            .section(section))
    }
}
