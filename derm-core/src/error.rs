use std::io;
use std::path::{Path, PathBuf};

use crate::SplitRole;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried: `read`, `write`, `create`, …
    pub action: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl FileError {
    /// The failure of `action` on `path`.
    pub fn new(path: impl AsRef<Path>, action: &'static str, source: io::Error) -> Self {
        Self { path: path.as_ref().to_owned(), action, source }
    }

    /// A closure for `map_err`: the failure of `action` on `path`.
    pub fn at(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(path, action, source)
    }
}

/// A list of class names, or a class, that cannot be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// There is no class.
    #[error("a label map needs at least one class")]
    Empty,
    /// A name is blank, has blanks at its ends, or holds a line break, so that `labels.txt` could not keep it.
    #[error("class {index} is named {name:?}: expected one non-empty line without blanks at its ends")]
    Name {
        /// Its position.
        index: usize,
        /// The name.
        name: String,
    },
    /// Two classes share a name.
    #[error("classes {first} and {second} are both named {name:?}")]
    Duplicate {
        /// The name.
        name: String,
        /// Position of the first.
        first: usize,
        /// Position of the second.
        second: usize,
    },
    /// A name that is not in the map.
    #[error("unknown class {name:?}; known are {known:?}")]
    Unknown {
        /// The name.
        name: String,
        /// The names in the map.
        known: Vec<String>,
    },
    /// An index past the last class.
    #[error("class index {index} is out of range: expected 0 to {}", num_classes - 1)]
    OutOfRange {
        /// The index.
        index: usize,
        /// Number of classes.
        num_classes: usize,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An array of logits, probabilities or targets that cannot be right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// No rows, or no classes.
    #[error("`{argument}` is empty: expected at least one row and one class")]
    Empty {
        /// The argument.
        argument: &'static str,
    },
    /// NaN or infinite.
    #[error("`{argument}` has {value} at row {row}, class {class}: expected a finite number")]
    NotFinite {
        /// The argument.
        argument: &'static str,
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
        /// The value.
        value: f64,
    },
    /// A probability outside [0, 1].
    #[error("probability {value} at row {row}, class {class}: expected 0 to 1")]
    NotAProbability {
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
        /// The value.
        value: f64,
    },
    /// A row of probabilities that does not sum to one.
    #[error("row {row} sums to {sum}: expected 1 within {}", crate::ROW_SUM_TOLERANCE)]
    RowSum {
        /// Row, from 0.
        row: usize,
        /// Its sum.
        sum: f64,
    },
    /// A target that is no class.
    #[error("target {target} at row {row} is out of range: expected 0 to {}", num_classes - 1)]
    ClassOutOfRange {
        /// Row, from 0.
        row: usize,
        /// The target.
        target: usize,
        /// Number of classes.
        num_classes: usize,
    },
    /// Two arguments that must have one length.
    #[error("`{argument}` has {got} rows: expected {expected}")]
    Length {
        /// The argument.
        argument: &'static str,
        /// Its length.
        got: usize,
        /// The length of what it goes with.
        expected: usize,
    },
    /// A temperature that is not positive and finite.
    #[error("temperature {value}: expected a positive finite number")]
    Temperature {
        /// The value.
        value: f64,
    },
}

/// A table of predictions, or its file, that cannot be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictionsError {
    /// A score or target is wrong.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The labels are wrong.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A column has another length than the scores.
    #[error("column `{column}` has {got} rows: expected {expected}, one a row of scores")]
    ColumnLength {
        /// The column.
        column: String,
        /// Its length.
        got: usize,
        /// Number of rows of scores.
        expected: usize,
    },
    /// The scores have another number of classes than the labels.
    #[error("`{what}` has {got} classes: expected {expected}, one a label")]
    ClassCount {
        /// What disagrees.
        what: &'static str,
        /// Its number of classes.
        got: usize,
        /// Number of labels.
        expected: usize,
    },
    /// One id stands in two rows.
    #[error("id {id:?} stands in rows {first} and {second}: expected one row an id")]
    DuplicateId {
        /// The id.
        id: String,
        /// First row, from 0.
        first: usize,
        /// Second row, from 0.
        second: usize,
    },
    /// Log-probabilities that are positive or whose exponentials do not sum to one.
    #[error("row {row} of the log-probabilities: {reason}")]
    LogProbabilities {
        /// Row, from 0.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// A mean of views, cases or models has no logits.
    #[error("view `{view}` is an average, which has no logits: store log-probabilities")]
    AveragedLogits {
        /// The view.
        view: String,
    },
    /// Tables that should be averaged are not of the same rows and classes.
    #[error("member {member} of an average differs from the first in its {what}: {got}, expected {expected}")]
    Members {
        /// Which table, from 0.
        member: usize,
        /// What differs.
        what: &'static str,
        /// The table's.
        got: String,
        /// The first table's.
        expected: String,
    },
    /// Rows of one group, case or id that should be averaged disagree in their target.
    #[error("{unit} {key:?} has rows of class {first} and of class {second}: expected one class")]
    MixedTargets {
        /// `group`, `case` or `id`.
        unit: &'static str,
        /// Its value.
        key: String,
        /// One class.
        first: usize,
        /// Another.
        second: usize,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// A row of a CSV file is not what it should be.
    #[error("{}, line {line}, column `{column}`: {reason}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header's line counted.
        line: u64,
        /// The column.
        column: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The file was written by an unknown version of the format.
    #[error("{}: format version {got}; this program reads version {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        got: u64,
        /// Version that is known.
        expected: u64,
    },
    /// The file holds predictions of another role.
    #[error("{} holds {got} predictions: expected {expected}", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// Role in the file.
        got: SplitRole,
        /// Role that was asked for.
        expected: SplitRole,
    },
    /// The predictions belong to another split of the data.
    #[error("predictions of split {got}: expected split {expected}")]
    SplitHash {
        /// Hash of the predictions' split.
        got: String,
        /// Hash that was asked for.
        expected: String,
    },
}
