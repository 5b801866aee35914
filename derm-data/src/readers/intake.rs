//! Rows to records: what is kept, what is left out and why.

use std::collections::BTreeMap;

use derm_core::{ClassIndex, LabelMap};

use super::join::Join;
use super::table::{Row, Table};
use super::{ImagePolicy, ReadPolicy};
use crate::synthetic::age_band;
use crate::{Answers, Dataset, Error, FeatureSchema, Record, Skipped, UnreadablePolicy};

/// What a row gives.
#[derive(Debug)]
pub(super) enum Reading {
    /// A record.
    Record(Box<Record>),
    /// Several of these, such as the photographs of a case, each of which may be left out by itself.
    Several(Vec<Result<Reading, Error>>),
    /// Nothing, by the dataset's own rules (it has no diagnosis, say): always left out, and named with the reason.
    LeftOut(String),
}

impl From<Record> for Reading {
    fn from(record: Record) -> Self {
        Self::Record(Box::new(record))
    }
}

/// Collects the records of a dataset.
#[derive(Debug)]
pub(super) struct Intake {
    name: String,
    labels: LabelMap,
    schema: FeatureSchema,
    policy: ReadPolicy,
    records: Vec<Record>,
    skipped: Vec<Skipped>,
    /// Line of each id.
    lines: BTreeMap<String, u64>,
}

impl Intake {
    pub(super) fn new(name: &str, labels: LabelMap, schema: FeatureSchema, policy: ReadPolicy) -> Self {
        Self {
            name: name.to_owned(),
            labels,
            schema,
            policy,
            records: Vec::new(),
            skipped: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    pub(super) fn labels(&self) -> &LabelMap {
        &self.labels
    }

    pub(super) fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Reads every row of a table; `id_column` names a row that is left out.
    pub(super) fn read_rows(
        &mut self,
        table: &Table,
        id_column: &str,
        mut read: impl FnMut(&Self, Row<'_>) -> Result<Reading, Error>,
    ) -> Result<(), Error> {
        for row in table.rows() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    let line = if let Error::Row { line, .. } = &error { *line } else { 0 };
                    self.tolerate(&format!("line {line}"), error)?;
                    continue;
                }
            };
            let key = match row.cell(id_column) {
                "" => format!("line {}", row.line()),
                id => id.to_owned(),
            };
            let reading = read(self, row);
            self.receive(row, &key, reading)?;
        }
        Ok(())
    }

    fn receive(&mut self, row: Row<'_>, key: &str, reading: Result<Reading, Error>) -> Result<(), Error> {
        match reading {
            Ok(Reading::Record(record)) => self.take(row, key, *record),
            Ok(Reading::Several(readings)) => {
                readings.into_iter().try_for_each(|reading| self.receive(row, key, reading))
            }
            Ok(Reading::LeftOut(reason)) => {
                self.skip(key.to_owned(), reason);
                Ok(())
            }
            Err(error) => self.tolerate(key, error),
        }
    }

    /// Keeps a record whose id is new and whose required answers are there.
    fn take(&mut self, row: Row<'_>, key: &str, record: Record) -> Result<(), Error> {
        let line = row.line();
        if let Some(&first) = self.lines.get(&record.id) {
            let (path, id) = (row.path().to_owned(), record.id);
            return self.tolerate(key, Error::DuplicateRow { path, line, id, first });
        }
        if let Err(source) = self.schema.encode(&record.answers) {
            let (path, reason) = (row.path().to_owned(), source.to_string());
            return self.tolerate(key, Error::Row { path, line, reason });
        }
        self.lines.insert(record.id.clone(), line);
        self.records.push(record);
        Ok(())
    }

    /// Names what is left out for an error that the policy tolerates; any other error is given back.
    pub(super) fn tolerate(&mut self, key: &str, error: Error) -> Result<(), Error> {
        let tolerated = match error {
            Error::MissingImage { .. } => self.policy.images == ImagePolicy::Skip,
            Error::Cell { .. } | Error::Row { .. } | Error::DuplicateRow { .. } => {
                self.policy.rows == UnreadablePolicy::Skip
            }
            _ => false,
        };
        if !tolerated {
            return Err(error);
        }
        self.skip(key.to_owned(), error.to_string());
        Ok(())
    }

    fn skip(&mut self, key: String, reason: String) {
        self.skipped.push(Skipped { key, reason });
    }

    /// Names the rows of a joined table that no row of the first one has asked for.
    pub(super) fn skip_unmatched(&mut self, joined: &Join<'_>, first: &Table, column: &str) {
        let keys = first.distinct(column);
        let file = first.path().file_name().unwrap_or_default().to_string_lossy();
        for key in joined.keys().filter(|key| !keys.contains(key)) {
            self.skip(key.to_owned(), format!("it has no row in {file}"));
        }
    }

    /// The class that a cell names.
    pub(super) fn class(&self, row: Row<'_>, column: &str) -> Result<ClassIndex, Error> {
        let class = self.labels.class_index(row.cell(column));
        class.map_err(|_| row.wrong(column, format!("one of {:?}", self.labels.names())))
    }

    /// The answers that a row gives, by pairs of feature and column; each must be one that the schema allows.
    pub(super) fn answers(&self, row: Row<'_>, columns: &[(&str, &str)]) -> Result<Answers, Error> {
        let mut answers = Answers::new();
        for &(feature, column) in columns {
            self.answer(&mut answers, row, (feature, column), row.cell(column))?;
        }
        Ok(answers)
    }

    /// Adds the answer to a feature that `value`, the text of a row's column, gives.
    pub(super) fn answer(
        &self,
        answers: &mut Answers,
        row: Row<'_>,
        (feature, column): (&str, &str),
        value: &str,
    ) -> Result<(), Error> {
        if self.schema.is_missing(value) {
            return Ok(());
        }
        // That required features have answers, `take` checks on whole records.
        match self.schema.check_answer(feature, value) {
            Ok(()) => {
                answers.insert(feature.to_owned(), value.to_owned());
                Ok(())
            }
            Err(Error::Answer { expected, value, .. }) => Err(Error::Cell {
                path: row.path().to_owned(),
                line: row.line(),
                column: column.to_owned(),
                value,
                expected,
            }),
            Err(error) => Err(error),
        }
    }

    /// The dataset.
    pub(super) fn finish(self) -> Result<Dataset, Error> {
        Dataset::new(self.name, self.labels, self.records, self.schema, self.skipped)
    }
}

/// The classes of a dataset whose labels are those that it has, in the order of their bytes.
pub(super) fn found_labels<S: Into<String>>(
    dataset: &str,
    found: impl IntoIterator<Item = S>,
) -> Result<LabelMap, Error> {
    let mut found = found.into_iter().peekable();
    if found.peek().is_none() {
        return Err(Error::EmptyDataset { dataset: dataset.to_owned() });
    }
    Ok(LabelMap::new(found)?)
}

/// Subgroup columns from pairs of name and value; an empty value is `unknown`.
pub(super) fn subgroups(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let known = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
    pairs.iter().map(|&(name, value)| (name.to_owned(), known(value))).collect()
}

/// Answers as subgroup columns, under the features' names, and the band of the age, `age_band`.
pub(super) fn answer_subgroups(answers: &Answers, age: &str, features: &[&str]) -> BTreeMap<String, String> {
    let known = |name: &str| answers.get(name).map_or("", String::as_str);
    let band = known(age).parse().map_or("", age_band);
    let mut pairs = vec![("age_band", band)];
    pairs.extend(features.iter().map(|&feature| (feature, known(feature))));
    subgroups(&pairs)
}

/// The record of a lesion, which is also its case; an empty name leaves the image a lesion of its own.
pub(super) fn of_lesion(record: Record, lesion: &str) -> Record {
    if lesion.is_empty() {
        return record;
    }
    Record { lesion: lesion.to_owned(), case: lesion.to_owned(), ..record }
}

/// A name that is unique only within its patient, with the patient's before it; empty stays empty.
pub(super) fn within_patient(patient: &str, name: &str) -> String {
    if patient.is_empty() || name.is_empty() { name.to_owned() } else { format!("{patient}/{name}") }
}
