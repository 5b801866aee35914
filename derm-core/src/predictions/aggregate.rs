use std::collections::BTreeMap;
use std::marker::PhantomData;

use ndarray::{Array2, Axis};

use super::ensemble::stored_logarithm;
use super::{PredictionColumns, Predictions, ScoreKind, Scores, View};
use crate::{PredictionsError, Role};

/// Over which rows probabilities are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeanOver {
    /// Rows of one lesion or patient.
    Group,
    /// Rows of one case.
    Case,
}

impl MeanOver {
    fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Case => "case",
        }
    }
}

impl<R: Role> Predictions<R> {
    /// The rows at `indices`, in that order.
    ///
    /// # Errors
    /// As [`Predictions::new`]: no index, or one twice.
    ///
    /// # Panics
    /// Where an index is no row.
    pub fn select(&self, indices: &[usize]) -> Result<Self, PredictionsError> {
        let (columns, scores) = self.rows(indices);
        Self::new(self.metadata.clone(), columns, scores)
    }

    fn rows(&self, indices: &[usize]) -> (PredictionColumns, Scores) {
        let pick = |values: &[String]| indices.iter().map(|&row| values[row].clone()).collect();
        let columns = &self.columns;
        let soft_targets = columns.soft_targets.as_ref().map(|soft| soft.select(Axis(0), indices));
        let subgroups = columns.subgroups.iter().map(|(name, values)| (name.clone(), pick(values))).collect();
        let columns = PredictionColumns {
            ids: pick(&columns.ids),
            groups: pick(&columns.groups),
            cases: pick(&columns.cases),
            targets: indices.iter().map(|&row| columns.targets[row]).collect(),
            soft_targets,
            subgroups,
        };
        let scores = Scores { kind: self.scores.kind, values: self.scores.values.select(Axis(0), indices) };
        (columns, scores)
    }

    /// One row a group: of each, the row whose id sorts first, in the order of the groups' names.
    ///
    /// Finite-sample guarantees count independent units, and several photographs of one lesion are not. Taking
    /// one row (rather than their mean) keeps the logits, and with them the temperature, meaningful; the choice
    /// by id looks at no label and no score.
    pub fn one_row_per_group(&self) -> Self {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (row, group) in self.columns.groups.iter().enumerate() {
            let kept = first.entry(group).or_insert(row);
            if self.columns.ids[row] < self.columns.ids[*kept] {
                *kept = row;
            }
        }
        let indices: Vec<usize> = first.into_values().collect();
        // Distinct rows of a valid table make a valid table, so there is nothing to check again.
        let (columns, scores) = self.rows(&indices);
        Self { metadata: self.metadata.clone(), columns, scores, role: PhantomData }
    }

    /// The mean probability over the rows of each group or case, in the order of their names.
    ///
    /// The row is named after its group or case; a case that lies in several groups keeps the first. Subgroup
    /// values that differ become unknown. Soft targets are averaged as well.
    ///
    /// # Errors
    /// [`PredictionsError::MixedTargets`] where the rows of one unit differ in class.
    pub fn mean_over(&self, unit: MeanOver) -> Result<Self, PredictionsError> {
        let keys = match unit {
            MeanOver::Group => &self.columns.groups,
            MeanOver::Case => &self.columns.cases,
        };
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, key) in keys.iter().enumerate() {
            members.entry(key).or_default().push(row);
        }
        let probabilities = self.probabilities();
        let shape = (members.len(), self.num_classes());
        let mut values = Array2::zeros(shape);
        let mut soft_targets = self.columns.soft_targets.as_ref().map(|_| Array2::zeros(shape));
        let mut columns = PredictionColumns::default();
        for (line, (key, rows)) in members.into_iter().enumerate() {
            let first = self.columns.targets[rows[0]];
            if let Some(&row) = rows.iter().find(|&&row| self.columns.targets[row] != first) {
                let (key, second) = (key.to_owned(), self.columns.targets[row]);
                return Err(PredictionsError::MixedTargets { unit: unit.name(), key, first, second });
            }
            let count = rows.len() as f64;
            for class in 0..shape.1 {
                let sum: f64 = rows.iter().map(|&row| probabilities.view()[[row, class]]).sum();
                values[[line, class]] = stored_logarithm(sum / count);
            }
            if let (Some(mean), Some(soft)) = (&mut soft_targets, &self.columns.soft_targets) {
                for class in 0..shape.1 {
                    let sum: f64 = rows.iter().map(|&row| f64::from(soft[[row, class]])).sum();
                    mean[[line, class]] = (sum / count) as f32;
                }
            }
            columns.ids.push(key.to_owned());
            columns.groups.push(self.columns.groups[rows[0]].clone());
            columns.cases.push(match unit {
                MeanOver::Case => key.to_owned(),
                MeanOver::Group => agreed(&self.columns.cases, &rows).unwrap_or_else(|| key.to_owned()),
            });
            columns.targets.push(first);
            for (name, of_rows) in &self.columns.subgroups {
                let value = agreed(of_rows, &rows).unwrap_or_default();
                columns.subgroups.entry(name.clone()).or_default().push(value);
            }
        }
        columns.soft_targets = soft_targets;
        let mut metadata = self.metadata.clone();
        metadata.view = View::Mean;
        Self::new(metadata, columns, Scores { kind: ScoreKind::LogProbabilities, values })
    }
}

/// The value on which all rows agree.
fn agreed(values: &[String], rows: &[usize]) -> Option<String> {
    let first = &values[rows[0]];
    rows.iter().all(|&row| values[row] == *first).then(|| first.clone())
}
