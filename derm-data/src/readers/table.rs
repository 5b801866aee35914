//! A metadata file with a header, read by column name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use derm_core::FileError;

use crate::Error;

/// A table of text: a header and rows, in memory (metadata files are some megabytes at most).
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    columns: BTreeMap<String, usize>,
    header: Vec<String>,
    /// Rows in order; one that cannot be read is its error.
    rows: Vec<Result<(u64, csv::StringRecord), Error>>,
}

impl Table {
    /// Reads a comma-separated file, with or without a byte-order mark, with any line ends.
    pub(super) fn read(path: &Path, required: &[&str]) -> Result<Self, Error> {
        Self::read_delimited(path, b',', required)
    }

    /// The same for any delimiter.
    pub(super) fn read_delimited(path: &Path, delimiter: u8, required: &[&str]) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text);
        let header = reader.headers().map_err(|error| row_error(path, &error))?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let mut columns = BTreeMap::new();
        for (position, name) in header.iter().enumerate() {
            // Indices without a name are usual in published tables.
            if columns.insert(name.clone(), position).is_some() && !name.is_empty() {
                return Err(Error::RepeatedColumn { path: path.to_owned(), column: name.clone() });
            }
        }
        let rows = reader
            .records()
            .map(|row| match row {
                Ok(row) => Ok((row.position().map_or(0, csv::Position::line), row)),
                Err(error) => Err(row_error(path, &error)),
            })
            .collect();
        let table = Self { path: path.to_owned(), columns, header, rows };
        for column in required {
            table.require(column)?;
        }
        Ok(table)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the columns.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether there is a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// That there is a column.
    pub(super) fn require(&self, column: &str) -> Result<(), Error> {
        if self.has(column) {
            return Ok(());
        }
        Err(Error::Column { path: self.path.clone(), column: column.to_owned(), header: self.header.clone() })
    }

    /// The rows in order; one that cannot be read is its error.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, Error>> {
        self.rows.iter().map(|row| match row {
            Ok((line, cells)) => Ok(Row { table: self, line: *line, cells }),
            Err(Error::Row { path, line, reason }) => {
                Err(Error::Row { path: path.clone(), line: *line, reason: reason.clone() })
            }
            Err(error) => Err(Error::Row { path: self.path.clone(), line: 0, reason: error.to_string() }),
        })
    }
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    table: &'a Table,
    line: u64,
    cells: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// Line in the file, from 1, the header's line counted.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn path(&self) -> &'a Path {
        self.table.path()
    }

    /// The cell of a column without blanks around it; empty where there is no such column.
    pub(super) fn cell(&self, column: &str) -> &'a str {
        let position = self.table.columns.get(column);
        position.and_then(|&position| self.cells.get(position)).unwrap_or_default().trim()
    }

    /// The cell of a column that must not be empty; `expected` says what belongs there.
    pub(super) fn filled(&self, column: &str, expected: &str) -> Result<&'a str, Error> {
        match self.cell(column) {
            "" => Err(self.wrong(column, expected)),
            cell => Ok(cell),
        }
    }

    /// The error of a cell that is not what it should be.
    pub(super) fn wrong(&self, column: &str, expected: impl Into<String>) -> Error {
        Error::Cell {
            path: self.table.path.clone(),
            line: self.line,
            column: column.to_owned(),
            value: self.cell(column).to_owned(),
            expected: expected.into(),
        }
    }
}

fn row_error(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells: expected {expected_len}, as in the header")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    };
    Error::Row { path: path.to_owned(), line, reason }
}
