use std::collections::BTreeMap;

use derm_calibration::Calibrator;
use derm_core::{LabelMap, Predictions, SplitRole, Test, Validation};
use derm_metrics::Evaluation;
use derm_predict::BundleTask;
use serde::Serialize;

use crate::assessment::{evaluation_config, fit_calibrator};
use crate::{Error, EvaluationRecipe, Prepared, Recipe};

/// All numbers about a task beside the diagnosis, over the rows that are labelled for it.
///
/// It has a calibrator as the diagnosis has, fitted on its labelled validation rows. Tiers, conformal sets and operating
/// points are the diagnosis' alone.
#[derive(Debug, Clone, Serialize)]
pub struct TaskAssessment {
    /// Its calibrator.
    pub calibrator: Calibrator,
    /// Test metrics of the uncalibrated probabilities.
    pub uncalibrated: Evaluation,
    /// Test metrics of the calibrated probabilities.
    pub calibrated: Evaluation,
}

impl TaskAssessment {
    /// Fits the calibrator and measures it on the test split.
    ///
    /// # Errors
    /// [`Error::Predictions`] where the tables come from different splits, [`Error::Value`] for more calibration bins than
    /// validation rows, and where a number cannot be computed.
    pub fn new(
        validation: &Predictions<Validation>,
        test: &Predictions<Test>,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        test.check_split(validation.split_hash())?;
        evaluation.check_bins(validation.len())?;
        let calibrator = fit_calibrator(validation, evaluation, seed)?;
        let config = evaluation_config(evaluation, seed);
        Ok(Self {
            uncalibrated: Evaluation::new(test, &test.probabilities(), &config)?,
            calibrated: Evaluation::new(test, &calibrator.calibrate(test)?, &config)?,
            calibrator,
        })
    }

    /// The numbers of each task that both have.
    pub(crate) fn of_all(
        validation: &BTreeMap<String, Predictions<Validation>>,
        test: &BTreeMap<String, Predictions<Test>>,
        recipe: &Recipe,
    ) -> Result<BTreeMap<String, Self>, Error> {
        let tables = validation.iter().filter_map(|(name, table)| Some((name, table, test.get(name)?)));
        let assess = |(name, validation, test): (&String, &Predictions<Validation>, &Predictions<Test>)| {
            let assessment = Self::new(validation, test, &recipe.evaluation, recipe.seed);
            let wrong = |source| Error::Task { task: name.clone(), source: Box::new(source) };
            Ok((name.clone(), assessment.map_err(wrong)?))
        };
        tables.map(assess).collect()
    }

    /// What a bundle keeps of it.
    pub(crate) fn for_bundle(&self, name: &str, labels: &LabelMap) -> BundleTask {
        BundleTask { name: name.to_owned(), labels: labels.clone(), calibrator: self.calibrator.clone() }
    }
}

/// Refuses a task of which a role has no labelled row, or whose training rows are all of one class, and one that the
/// network is told in the questionnaire.
pub(crate) fn check_tasks(recipe: &Recipe, prepared: &Prepared) -> Result<(), Error> {
    let Prepared { dataset, split, .. } = prepared;
    for (name, task) in &recipe.tasks {
        let wrong = |source: Error| Error::Task { task: name.clone(), source: Box::new(source) };
        for role in SplitRole::ALL {
            let counts = dataset.task_counts_of(name, &split.indices(dataset, role)?)?;
            let (rows, classes) = (counts.iter().sum(), counts.iter().filter(|count| **count > 0).count());
            let expected = if role == SplitRole::Train { 2 } else { 1 };
            if classes < expected {
                return Err(Error::TaskRows { task: name.clone(), role, rows, classes, expected });
            }
            if role == SplitRole::Validation {
                recipe.evaluation.check_bins(rows).map_err(wrong)?;
            }
        }
        let asked = |column: &String| dataset.schema().features().iter().any(|asked| asked.name == *column);
        if let Some(column) = task.labels.column.as_ref().filter(|column| asked(column))
            && recipe.model.use_answers
        {
            return Err(Error::TaskIsAnswer { task: name.clone(), column: column.clone() });
        }
    }
    Ok(())
}
