//! A second table that says more about the rows of a first one.

use std::collections::BTreeMap;

use super::ReadPolicy;
use super::table::{Row, Table};
use crate::{Error, UnreadablePolicy};

/// Rows of a table by the value of a column.
#[derive(Debug)]
pub(super) struct Join<'a> {
    table: &'a Table,
    /// The row of each key, and the line on which the key stands again.
    rows: BTreeMap<&'a str, (Row<'a>, Option<u64>)>,
}

impl<'a> Join<'a> {
    /// Indexes a table by a column. A row that cannot be read is an error, or has no entry, by `policy`.
    pub(super) fn new(table: &'a Table, column: &str, policy: ReadPolicy) -> Result<Self, Error> {
        let mut rows: BTreeMap<&str, (Row<'_>, Option<u64>)> = BTreeMap::new();
        for row in table.rows() {
            match row {
                Ok(row) => {
                    let entry = rows.entry(row.cell(column)).or_insert((row, None));
                    if entry.0.line() != row.line() {
                        entry.1 = entry.1.or(Some(row.line()));
                    }
                }
                Err(_) if policy.rows == UnreadablePolicy::Skip => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { table, rows })
    }

    /// The row of a key, `None` where there is none.
    pub(super) fn find(&self, key: &str) -> Result<Option<Row<'a>>, Error> {
        match self.rows.get(key) {
            None => Ok(None),
            Some(&(row, None)) => Ok(Some(row)),
            Some(&(row, Some(line))) => Err(Error::DuplicateRow {
                path: self.table.path().to_owned(),
                line,
                id: key.to_owned(),
                first: row.line(),
            }),
        }
    }

    /// The row of a key that `row` of the first table has; there must be one.
    pub(super) fn row(&self, row: Row<'_>, key: &str) -> Result<Row<'a>, Error> {
        let found = self.find(key)?;
        found.ok_or_else(|| row.malformed(format!("{key:?} has no row in {}", self.table.path().display())))
    }

    /// The keys of the table.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.rows.keys().copied()
    }
}
