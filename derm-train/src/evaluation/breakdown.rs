use derm_calibration::{
    CalibrationRecord, Conditioning, ConformalConfig, ConformalPredictor, ConformalTable,
};
use derm_core::{Calibration, Predictions, Test, Validation};
use derm_metrics::{
    ConfusionMatrix, ConfusionPair, OperatingChoice, OperatingEvaluation, OperatingPoint, OperatingTarget,
    SubgroupConfig, SubgroupTable,
};
use serde::Serialize;

use crate::recipe::check::check;
use crate::seed::{Purpose, derive};
use crate::{Error, EvaluationRecipe};

/// What the same predictions say when they are looked at more closely: prediction sets, operating points, subgroups and
/// confusions, all with calibrated probabilities.
#[derive(Debug, Clone, Serialize)]
pub struct Breakdown {
    /// Conformal sets on the test split, one row a lesion or patient: promised for all of them together, and for each
    /// class.
    pub sets: Vec<PromisedSets>,
    /// Thresholds chosen on the validation split, and what they do on the test split.
    pub operating_points: Vec<OperatingResult>,
    /// The test split by each subgroup column that has a known value.
    pub subgroups: Vec<SubgroupBreakdown>,
    /// The confusions that occurred on the test split, the most frequent first.
    pub confusion_pairs: Vec<ConfusionPair>,
}

/// Conformal sets with what their coverage is promised for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromisedSets {
    /// `all together` or `each class`.
    pub promise: &'static str,
    /// What the sets are worth on the test split.
    pub table: ConformalTable,
}

/// A threshold for positive classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatingResult {
    /// The classes that count as positive.
    pub positive: Vec<String>,
    /// What was chosen on the validation split.
    pub choice: OperatingChoice,
    /// What it does on the test split; `None` where no threshold reaches the target.
    pub test: Option<OperatingEvaluation>,
}

/// The metrics by one subgroup column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubgroupBreakdown {
    /// The column.
    pub column: String,
    /// Its values with their metrics.
    pub table: SubgroupTable,
}

impl Breakdown {
    /// Looks closer at predictions that an [`Assessment`](crate::Assessment) was made of; `record` is its calibration.
    ///
    /// The sets are those of the record's own settings where it has sets, else of the default ones.
    ///
    /// # Errors
    /// [`Error::Value`] for a task of one class; [`Error::Metrics`] for a positive class that is none; [`Error::Calibration`] where sets cannot be made.
    pub fn new(
        validation: &Predictions<Validation>,
        calibration: &Predictions<Calibration>,
        test: &Predictions<Test>,
        record: &CalibrationRecord,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        let expected = "2 or more, because there is nothing to tell apart in one";
        check("number of classes", &test.num_classes(), expected, |classes| *classes >= 2)?;
        let alpha = 1.0 - evaluation.confidence;
        let probabilities = record.calibrator.calibrate(test)?;
        let mut sets = Vec::new();
        let own = record.conformal().map_or_else(ConformalConfig::default, |sets| sets.config().clone());
        for (promise, conditioning) in
            [("all together", Conditioning::Marginal), ("each class", Conditioning::Class)]
        {
            let config = ConformalConfig { conditioning, ..own.clone() };
            let predictor =
                ConformalPredictor::conformalize(record.calibrator.clone(), calibration, &config)?;
            sets.push(PromisedSets { promise, table: ConformalTable::evaluate(&predictor, test, alpha)? });
        }
        let config = SubgroupConfig {
            min_groups: evaluation.min_subgroup,
            replicates: evaluation.bootstrap_replicates,
            alpha,
            seed: derive(seed, Purpose::Bootstrap, 0),
            ..SubgroupConfig::default()
        };
        let mut subgroups = Vec::new();
        for (column, values) in test.subgroups() {
            if values.iter().any(|value| !value.is_empty()) {
                let table = SubgroupTable::of_column(test, &probabilities, column, &config)?;
                subgroups.push(SubgroupBreakdown { column: column.clone(), table });
            }
        }
        Ok(Self {
            sets,
            operating_points: operating_points(validation, test, record, evaluation)?,
            subgroups,
            confusion_pairs: ConfusionMatrix::new(&probabilities, test.targets())?.confusion_pairs(),
        })
    }
}

/// Both targets for the recipe's positive classes, or where it names none for each class against the rest.
fn operating_points(
    validation: &Predictions<Validation>,
    test: &Predictions<Test>,
    record: &CalibrationRecord,
    evaluation: &EvaluationRecipe,
) -> Result<Vec<OperatingResult>, Error> {
    let (on_validation, on_test) =
        (record.calibrator.calibrate(validation)?, record.calibrator.calibrate(test)?);
    let groups: Vec<Vec<&str>> = if evaluation.positive_classes.is_empty() {
        validation.labels().names().iter().map(|name| vec![name.as_str()]).collect()
    } else {
        vec![evaluation.positive_classes.iter().map(String::as_str).collect()]
    };
    let mut results = Vec::new();
    for positive in groups {
        for target in [
            OperatingTarget::Sensitivity { at_least: evaluation.operating_sensitivity },
            OperatingTarget::Specificity { at_least: evaluation.operating_specificity },
        ] {
            let choice = OperatingPoint::choose(validation, &on_validation, &positive, target)?;
            let apply = |point: &OperatingPoint| point.apply(test, &on_test, 1.0 - evaluation.confidence);
            let on_test = choice.reached().map(apply).transpose()?;
            let positive = positive.iter().map(|&name| name.to_owned()).collect();
            results.push(OperatingResult { positive, choice, test: on_test });
        }
    }
    Ok(results)
}
