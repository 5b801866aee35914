//! Rows to records: what is kept, what is left out and why.

use std::collections::BTreeMap;

use derm_core::{ClassIndex, LabelMap};

use super::table::{Row, Table};
use super::{ImagePolicy, ReadPolicy};
use crate::{Answers, Dataset, Error, FeatureSchema, Record, Skipped, UnreadablePolicy};

/// What a row gives.
#[derive(Debug)]
pub(super) enum Reading {
    /// A record.
    Record(Box<Record>),
    /// Nothing, by the dataset's own rules (it has no diagnosis, say): always left out, and named with the reason.
    LeftOut(&'static str),
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

    /// Reads every row of a table; `id_column` names a row that is left out.
    pub(super) fn read_rows(
        &mut self,
        table: &Table,
        id_column: &str,
        read: impl Fn(&Self, Row<'_>) -> Result<Reading, Error>,
    ) -> Result<(), Error> {
        for row in table.rows() {
            let key = row.as_ref().map(|row| (row.cell(id_column).to_owned(), row.line())).ok();
            let reading = row.and_then(|row| self.unrepeated(row, read(self, row)?));
            match reading {
                Ok(Reading::Record(record)) => self.records.push(*record),
                Ok(Reading::LeftOut(reason)) => self.skip(key, reason.to_owned()),
                Err(error) if self.tolerates(&error) => self.skip(key, error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A reading whose id is new.
    fn unrepeated(&mut self, row: Row<'_>, reading: Reading) -> Result<Reading, Error> {
        if let Reading::Record(record) = &reading {
            let line = row.line();
            if let Some(&first) = self.lines.get(&record.id) {
                return Err(Error::DuplicateRow {
                    path: row.path().to_owned(),
                    line,
                    id: record.id.clone(),
                    first,
                });
            }
            self.lines.insert(record.id.clone(), line);
        }
        Ok(reading)
    }

    fn tolerates(&self, error: &Error) -> bool {
        match error {
            Error::MissingImage { .. } => self.policy.images == ImagePolicy::Skip,
            Error::Cell { .. } | Error::Row { .. } | Error::DuplicateRow { .. } => {
                self.policy.rows == UnreadablePolicy::Skip
            }
            _ => false,
        }
    }

    /// Names what is left out by its id, or by its line where it has none.
    fn skip(&mut self, key: Option<(String, u64)>, reason: String) {
        let key = match key {
            Some((id, _)) if !id.is_empty() => id,
            Some((_, line)) => format!("line {line}"),
            None => "a row".to_owned(),
        };
        self.skipped.push(Skipped { key, reason });
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
            let value = row.cell(column);
            if self.schema.is_missing(value) {
                continue;
            }
            let answer = (feature.to_owned(), value.to_owned());
            match self.schema.encode(&Answers::from([answer.clone()])) {
                // Another feature's answer may be required: the dataset checks whole records.
                Ok(_) | Err(Error::MissingAnswer { .. }) => answers.extend([answer]),
                Err(Error::Answer { expected, .. }) => return Err(row.wrong(column, expected)),
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// The dataset.
    pub(super) fn finish(self) -> Result<Dataset, Error> {
        Dataset::new(self.name, self.labels, self.records, self.schema, self.skipped)
    }
}

/// Subgroup columns from pairs of name and value; an empty value is `unknown`.
pub(super) fn subgroups(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let known = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
    pairs.iter().map(|&(name, value)| (name.to_owned(), known(value))).collect()
}
