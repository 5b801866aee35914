use std::collections::HashMap;

use ndarray::Array2;

use super::{Predictions, ScoreKind, Scores, View};
use crate::{PredictionsError, Probabilities, Role, ValueError};

/// The natural logarithm as a table keeps it: in single precision, −∞ as the smallest finite number.
pub(super) fn stored_logarithm(probability: f64) -> f32 {
    (probability.ln() as f32).max(f32::MIN)
}

/// `ln (1/M) Σ_m p_m`, shape [N, C]: the scores of an average over M views or models, as [`Predictions`] keep them.
///
/// ```
/// use derm_core::{Logits, mean_log_probabilities};
/// use ndarray::array;
/// let views = [Logits::new(array![[0.0, 3.0_f64.ln()]])?.softmax(), Logits::new(array![[0.0, 0.0]])?.softmax()];
/// let mean = mean_log_probabilities(&views)?;
/// assert!((mean[[0, 1]].exp() - 0.625).abs() < 1e-7);
/// # Ok::<(), derm_core::ValueError>(())
/// ```
///
/// # Errors
/// [`ValueError::Empty`] for no member, [`ValueError::Length`] where members differ in rows or classes.
pub fn mean_log_probabilities(members: &[Probabilities]) -> Result<Array2<f32>, ValueError> {
    let Some(first) = members.first() else { return Err(ValueError::Empty { argument: "members" }) };
    let mut sum = Array2::<f64>::zeros(first.view().dim());
    for member in members {
        for (argument, got, expected) in [
            ("rows of a member", member.num_samples(), first.num_samples()),
            ("classes of a member", member.num_classes(), first.num_classes()),
        ] {
            if got != expected {
                return Err(ValueError::Length { argument, got, expected });
            }
        }
        sum += &member.view();
    }
    let count = members.len() as f64;
    Ok(sum.mapv(|sum| stored_logarithm(sum / count)))
}

impl<R: Role> Predictions<R> {
    /// The mean probability over tables of the same rows: views of one model, or the members of an ensemble. Rows are
    /// joined by id and keep the order and the columns of the first table; `view` names the average.
    ///
    /// # Errors
    /// [`PredictionsError::Members`] where the tables differ in task, classes or ids; [`PredictionsError::SplitHash`]
    /// where they are of other splits; [`PredictionsError::MixedTargets`] where a row differs in its class;
    /// [`PredictionsError::Value`] for no table.
    pub fn mean_of(members: &[Self], view: View) -> Result<Self, PredictionsError> {
        let Some(first) = members.first() else {
            return Err(ValueError::Empty { argument: "members" }.into());
        };
        let mut probabilities = Vec::with_capacity(members.len());
        for (member, table) in members.iter().enumerate() {
            let rows = first.rows_in(table, member)?;
            probabilities.push(table.probabilities().select(&rows)?);
        }
        let metadata = super::PredictionMetadata { view, ..first.metadata.clone() };
        let values = mean_log_probabilities(&probabilities)?;
        let scores = Scores { kind: ScoreKind::LogProbabilities, values };
        Self::new(metadata, first.columns.clone(), scores)
    }

    /// Where the rows of this table stand in `other`, which has the same ones.
    fn rows_in(&self, other: &Self, member: usize) -> Result<Vec<usize>, PredictionsError> {
        other.check_split(self.split_hash())?;
        let differs = |what, got: String, expected: String| {
            Err(PredictionsError::Members { member, what, got, expected })
        };
        let (got, expected) = (&other.metadata, &self.metadata);
        if got.task != expected.task {
            return differs("task", got.task.clone(), expected.task.clone());
        }
        if got.labels != expected.labels {
            let names = |metadata: &super::PredictionMetadata| metadata.labels.names().join(", ");
            return differs("classes", names(got), names(expected));
        }
        if other.len() != self.len() {
            return differs("number of rows", other.len().to_string(), self.len().to_string());
        }
        let places: HashMap<&str, usize> =
            other.ids().iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let mut rows = Vec::with_capacity(self.len());
        for (id, &first) in self.ids().iter().zip(self.targets()) {
            let Some(&row) = places.get(id.as_str()) else {
                return differs("rows", format!("none of id {id:?}"), "one".to_owned());
            };
            let second = other.targets()[row];
            if first != second {
                return Err(PredictionsError::MixedTargets { unit: "id", key: id.clone(), first, second });
            }
            rows.push(row);
        }
        Ok(rows)
    }
}
