use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use derm_core::{FileError, LabelMap, PredictionColumns, Predictions, Role, Scores};
use ndarray::Axis;

use crate::Error;

/// What a person decided on a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelDecision {
    /// It is right.
    Keep,
    /// It is another class, by its index.
    Relabel(usize),
    /// The record cannot be used.
    Drop,
}

/// The decisions of a person, by record.
///
/// ```
/// use derm_core::LabelMap;
/// use derm_train::{LabelDecision, LabelDecisions};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("decisions.csv");
/// std::fs::write(&path, "id,decision,label\nimage_1,relabel,mel\nimage_2,drop,\nimage_3,keep,mel\n")?;
/// let decisions = LabelDecisions::read(&path, &LabelMap::new(["nv", "mel"])?)?;
/// assert_eq!(decisions.of("image_1"), LabelDecision::Relabel(1));
/// assert_eq!((decisions.of("image_2"), decisions.of("image_9")), (LabelDecision::Drop, LabelDecision::Keep));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelDecisions {
    decisions: BTreeMap<String, LabelDecision>,
}

impl LabelDecisions {
    /// Reads a CSV file with the columns `id`, `decision` (`keep`, `relabel`, `drop`) and `label` (a class, for `relabel`);
    /// other columns are for people. [`LabelVetting::write_decisions`](crate::LabelVetting::write_decisions) writes one.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Decision`] naming the line for a missing column, another decision,
    /// a class that is none, or an id that stands twice.
    pub fn read(path: impl AsRef<Path>, labels: &LabelMap) -> Result<Self, Error> {
        let path = path.as_ref();
        let wrong = |line: u64, reason: String| Error::Decision { path: path.to_owned(), line, reason };
        let file = File::open(path).map_err(FileError::at(path, "read"))?;
        let mut reader = csv::Reader::from_reader(file);
        let headers = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
        let column = |name: &str| {
            let place = headers.iter().position(|header| header.trim() == name);
            place.ok_or_else(|| wrong(1, format!("no column `{name}`: expected id, decision and label")))
        };
        let (id, decision, label) = (column("id")?, column("decision")?, column("label")?);
        let mut decisions = BTreeMap::new();
        for record in reader.records() {
            let record = record
                .map_err(|error| wrong(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| record.get(column).unwrap_or_default().trim();
            let made = match cell(decision) {
                "keep" => LabelDecision::Keep,
                "drop" => LabelDecision::Drop,
                "relabel" => {
                    let class = labels.class_index(cell(label));
                    LabelDecision::Relabel(class.map_err(|error| wrong(line, error.to_string()))?.get())
                }
                other => {
                    let reason = format!("decision {other:?}: expected keep, relabel or drop");
                    return Err(wrong(line, reason));
                }
            };
            if decisions.insert(cell(id).to_owned(), made).is_some() {
                return Err(wrong(line, format!("id {:?} stands twice", cell(id))));
            }
        }
        Ok(Self { decisions })
    }

    /// The decision on a record; those that are not listed are kept.
    pub fn of(&self, id: &str) -> LabelDecision {
        self.decisions.get(id).copied().unwrap_or(LabelDecision::Keep)
    }

    /// Number of labels that are changed, and of records that are dropped.
    pub fn counts(&self) -> (usize, usize) {
        let count = |is: fn(&LabelDecision) -> bool| self.decisions.values().filter(|made| is(made)).count();
        (count(|made| matches!(made, LabelDecision::Relabel(_))), count(|made| *made == LabelDecision::Drop))
    }

    /// The predictions with the labels as decided and without the dropped rows. A soft target of a changed label becomes
    /// certain of the new class.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`] for a decision on a record that the table lacks; [`Error::Predictions`] where every row is
    /// dropped.
    pub fn apply<R: Role>(&self, predictions: &Predictions<R>) -> Result<Predictions<R>, Error> {
        let known: std::collections::BTreeSet<&str> = predictions.ids().iter().map(String::as_str).collect();
        if let Some(id) = self.decisions.keys().find(|id| !known.contains(id.as_str())) {
            return Err(Error::UnknownRecord { id: id.clone() });
        }
        let mut targets = predictions.targets().to_vec();
        let mut soft_targets = predictions.soft_targets().cloned();
        let mut kept = Vec::new();
        for (row, id) in predictions.ids().iter().enumerate() {
            match self.of(id) {
                LabelDecision::Drop => continue,
                LabelDecision::Keep => {}
                LabelDecision::Relabel(class) => {
                    targets[row] = class;
                    if let Some(soft) = &mut soft_targets {
                        soft.row_mut(row).fill(0.0);
                        soft[[row, class]] = 1.0;
                    }
                }
            }
            kept.push(row);
        }
        let pick = |values: &[String]| kept.iter().map(|&row| values[row].clone()).collect();
        let columns = PredictionColumns {
            ids: pick(predictions.ids()),
            groups: pick(predictions.groups()),
            cases: pick(predictions.cases()),
            targets: kept.iter().map(|&row| targets[row]).collect(),
            soft_targets: soft_targets.map(|soft| soft.select(Axis(0), &kept)),
            subgroups: predictions
                .subgroups()
                .iter()
                .map(|(name, values)| (name.clone(), pick(values)))
                .collect(),
        };
        let scores = predictions.scores();
        let scores = Scores { kind: scores.kind, values: scores.values.select(Axis(0), &kept) };
        Ok(Predictions::new(predictions.metadata().clone(), columns, scores)?)
    }
}
