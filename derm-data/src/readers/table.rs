//! A metadata file with a header, read by column name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use derm_core::FileError;

use crate::Error;

/// The first of several names under which a file is published that is there; the first of all where none is, so that
/// the error names it.
pub(super) fn first_file(root: &Path, names: &[&str]) -> PathBuf {
    let found = names.iter().map(|name| root.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| root.join(names.first().copied().unwrap_or_default()))
}

/// A table of text: a header and rows, in memory (metadata files are some megabytes at most).
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    columns: BTreeMap<String, usize>,
    header: Vec<String>,
    /// Rows in order, each with its line; one that cannot be read is what is wrong with it.
    rows: Vec<Result<(u64, csv::StringRecord), (u64, String)>>,
}

impl Table {
    /// Reads a comma-separated file, with or without a byte-order mark, with any line ends.
    pub(super) fn read(path: &Path, required: &[&str]) -> Result<Self, Error> {
        Self::read_delimited(path, b',', required)
    }

    /// The same for any delimiter.
    pub(super) fn read_delimited(path: &Path, delimiter: u8, required: &[&str]) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
        let text = content(path, &bytes, delimiter)?;
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text);
        let mut lines = Lines::new(text);
        let header = reader.headers().map_err(|error| {
            let (line, reason) = lines.of_error(&error);
            Error::Row { path: path.to_owned(), line, reason }
        })?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let rows = reader.records().map(|row| match row {
            Ok(row) => Ok((lines.of(row.position()), row)),
            Err(error) => Err(lines.of_error(&error)),
        });
        let table = Self::new(path, header, rows.collect())?;
        for column in required {
            table.require(column)?;
        }
        Ok(table)
    }

    /// Reads a comma-separated file without a header, whose columns are these.
    pub(super) fn read_headerless(path: &Path, header: &[&str]) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
        let text = content(path, &bytes, b',')?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let mut lines = Lines::new(text);
        let rows = reader.records().map(|row| match row {
            Ok(row) if row.len() == header.len() => Ok((lines.of(row.position()), row)),
            Ok(row) => {
                Err((lines.of(row.position()), format!("{} cells: expected {}", row.len(), header.len())))
            }
            Err(error) => Err(lines.of_error(&error)),
        });
        Self::new(path, header.iter().map(|&name| name.to_owned()).collect(), rows.collect())
    }

    fn new(
        path: &Path,
        header: Vec<String>,
        rows: Vec<Result<(u64, csv::StringRecord), (u64, String)>>,
    ) -> Result<Self, Error> {
        let mut columns = BTreeMap::new();
        for (position, name) in header.iter().enumerate() {
            // Indices without a name are usual in published tables.
            if columns.insert(name.clone(), position).is_some() && !name.is_empty() {
                return Err(Error::RepeatedColumn { path: path.to_owned(), column: name.clone() });
            }
        }
        Ok(Self { path: path.to_owned(), columns, header, rows })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
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
            Err((line, reason)) => {
                Err(Error::Row { path: self.path.clone(), line: *line, reason: reason.clone() })
            }
        })
    }

    /// What stands in a column, each once, in the order of their bytes, without the empty text.
    pub(super) fn distinct(&self, column: &str) -> BTreeSet<&str> {
        let cells = self.rows().filter_map(Result::ok).map(|row| row.cell(column));
        cells.filter(|cell| !cell.is_empty()).collect()
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

    /// The cell of a column, which must be one of these.
    pub(super) fn one_of(&self, column: &str, allowed: &[&str]) -> Result<&'a str, Error> {
        let cell = self.cell(column);
        if allowed.contains(&cell) {
            Ok(cell)
        } else {
            Err(self.wrong(column, format!("one of {allowed:?}")))
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

    /// The error of a row whose cells do not fit together.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Row { path: self.table.path.clone(), line: self.line, reason: reason.into() }
    }
}

/// The text without a byte-order mark, in which every quote that is opened is closed: a quote that stays open would
/// swallow the rows behind it into one cell without a word.
fn content<'a>(path: &Path, bytes: &'a [u8], delimiter: u8) -> Result<&'a [u8], Error> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match unclosed_quote(text, delimiter) {
        None => Ok(text),
        Some(line) => {
            let reason = "a quote is opened and never closed".to_owned();
            Err(Error::Row { path: path.to_owned(), line, reason })
        }
    }
}

/// The line of a quote that opens a cell and is not closed.
fn unclosed_quote(text: &[u8], delimiter: u8) -> Option<u64> {
    let (mut line, mut opened) = (1, None);
    let mut starts_cell = true;
    for (index, &byte) in text.iter().enumerate() {
        let next = text.get(index + 1);
        starts_cell = match byte {
            // A doubled quote within a cell closes it and opens it again.
            b'"' if opened.is_some() => {
                opened = None;
                true
            }
            b'"' if starts_cell => {
                opened = Some(line);
                false
            }
            _ => opened.is_none() && (byte == delimiter || matches!(byte, b'\n' | b'\r')),
        };
        line += u64::from(byte == b'\n' || (byte == b'\r' && next != Some(&b'\n')));
    }
    opened
}

/// Lines by offset, asked for in rising order. The reader's own count is one too low behind a line that ends as on
/// Windows, because its record starts before the second byte of that end.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, offset: 0, line: 1 }
    }

    /// The line on which a record starts, from 1: that of its first byte behind the ends of lines before it.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, |position| position.byte() as usize);
        let ends = |byte: &&u8| matches!(byte, b'\n' | b'\r');
        let start = start + self.text.iter().skip(start).take_while(ends).count();
        while self.offset < start {
            let (byte, next) = (self.text.get(self.offset), self.text.get(self.offset + 1));
            let ends = byte == Some(&b'\n') || (byte == Some(&b'\r') && next != Some(&b'\n'));
            self.line += u64::from(ends);
            self.offset += 1;
        }
        self.line
    }

    /// Line and cause of an error of the CSV reader.
    fn of_error(&mut self, error: &csv::Error) -> (u64, String) {
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells: expected {expected_len}, as in the header")
            }
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        (self.of(error.position()), reason)
    }
}
