use std::collections::HashMap;

use derm_core::{Predictions, Test};
use derm_metrics::{
    ClassAverage, ClassSet, Interval, McNemar, Metric, ModelAgreement, Resamples, mcnemar, model_agreement,
    paired_bootstrap,
};
use serde::Serialize;

use crate::seed::{Purpose, derive};
use crate::{Error, EvaluationRecipe};

/// What is compared: metrics that a calibrator moves little or not at all, because neither side is calibrated here.
const METRICS: [Metric; 4] = [
    Metric::Accuracy,
    Metric::BalancedAccuracy { classes: ClassSet::Present },
    Metric::MacroF1 { classes: ClassSet::Present },
    Metric::Auroc { average: ClassAverage::Macro },
];

/// A student beside its teacher on the same test rows, by the uncalibrated probabilities of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeacherComparison {
    /// The teacher's name.
    pub teacher: String,
    /// Where they say the same, and who is right where they do not; the teacher is the first. Counted in images.
    pub agreement: ModelAgreement,
    /// Whether one is right more often, on one image a lesion or patient; the teacher is the first.
    pub mcnemar: McNemar,
    /// Lesions or patients of that test.
    pub groups: usize,
    /// Student minus teacher, by a paired bootstrap over lesions or patients.
    pub differences: Vec<PairedDifference>,
}

/// The difference of a metric between student and teacher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedDifference {
    /// The metric.
    pub metric: String,
    /// The teacher's value; `None` where it is undefined.
    pub teacher: Option<f64>,
    /// The student's value.
    pub student: Option<f64>,
    /// Student minus teacher.
    pub difference: Option<f64>,
    /// Its bootstrap interval.
    pub interval: Option<Interval>,
    /// Its two-sided p-value.
    pub p_value: Option<f64>,
}

impl TeacherComparison {
    /// Compares two models on the same rows, joined by id.
    ///
    /// # Errors
    /// [`Error::TeacherRows`] where the tables differ in classes, ids or true classes.
    pub fn new(
        name: &str,
        teacher: &Predictions<Test>,
        student: &Predictions<Test>,
        evaluation: &EvaluationRecipe,
        seed: u64,
    ) -> Result<Self, Error> {
        let targets = student.targets();
        let of_teacher = teacher.probabilities().select(&aligned_rows(student, teacher)?)?;
        let of_student = student.probabilities();
        let seed = derive(seed, Purpose::Bootstrap, 0);
        let resamples = Resamples::groups(student.groups(), evaluation.bootstrap_replicates, seed)?;
        let alpha = 1.0 - evaluation.confidence;
        let pairs = paired_bootstrap(&of_student, &of_teacher, targets, &METRICS, &resamples, alpha)?;
        let mut differences = Vec::new();
        for pair in pairs {
            differences.push(PairedDifference {
                metric: pair.metric.to_string(),
                teacher: pair.metric.value(&of_teacher, targets)?,
                student: pair.metric.value(&of_student, targets)?,
                difference: pair.estimate,
                interval: pair.interval,
                p_value: pair.p_value,
            });
        }
        let singles = student.one_row_per_group();
        let rows: HashMap<&str, usize> =
            student.ids().iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let (said, taught) = (of_student.predicted(), of_teacher.predicted());
        let right = |said: &[usize]| -> Vec<bool> {
            let of = singles.ids().iter().filter_map(|id| rows.get(id.as_str()));
            of.map(|&row| said[row] == targets[row]).collect()
        };
        Ok(Self {
            teacher: name.to_owned(),
            agreement: model_agreement(&of_teacher, &of_student, targets)?,
            mcnemar: mcnemar(&right(&taught), &right(&said))?,
            groups: singles.len(),
            differences,
        })
    }
}

/// Where the rows of `expected` stand in `other`, which has the same ids, classes and labels.
pub(super) fn aligned_rows(
    expected: &Predictions<Test>,
    other: &Predictions<Test>,
) -> Result<Vec<usize>, Error> {
    let differs = |what, got: String, expected: String| Err(Error::TeacherRows { what, got, expected });
    if other.labels() != expected.labels() {
        let names = |table: &Predictions<Test>| table.labels().names().join(", ");
        return differs("classes", names(other), names(expected));
    }
    if other.len() != expected.len() {
        return differs("number of rows", other.len().to_string(), expected.len().to_string());
    }
    let places: HashMap<&str, usize> =
        other.ids().iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    let mut rows = Vec::with_capacity(expected.len());
    for (id, &target) in expected.ids().iter().zip(expected.targets()) {
        let Some(&row) = places.get(id.as_str()) else {
            return differs("rows", "none".to_owned(), format!("one of id {id:?}"));
        };
        let class = |table: &Predictions<Test>, class: usize| table.labels().names()[class].clone();
        if other.targets()[row] != target {
            let (got, expected) = (class(other, other.targets()[row]), class(expected, target));
            return differs("true class of a row", format!("{got} for id {id:?}"), expected);
        }
        rows.push(row);
    }
    Ok(rows)
}
