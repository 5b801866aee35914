use std::path::PathBuf;

use derm_core::{FileError, LabelError, SplitRole, ValueError};

/// What can be wrong with data on its way into a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Class names, or a class index, are wrong.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Targets cannot go to a device.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A metric cannot be taken.
    #[error(transparent)]
    Metrics(#[from] derm_metrics::Error),
    /// A score that a caller's function gave is NaN or infinite.
    #[error("a score is {value}: expected a finite number")]
    Score {
        /// The score.
        value: f64,
    },
    /// A setting is outside its range.
    #[error("`{name}` is {value}: expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A metadata file lacks a column.
    #[error("{}: column `{column}` is missing; the header has {header:?}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column that was expected.
        column: String,
        /// The columns that are there.
        header: Vec<String>,
    },
    /// A metadata file has two columns of one name.
    #[error("{}: column `{column}` stands twice in the header", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A row of a metadata file cannot be read as CSV.
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header's line counted.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A cell of a metadata file is not what it should be.
    #[error("{}, line {line}, column `{column}`: {value:?}; expected {expected}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header's line counted.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        expected: String,
    },
    /// Two rows of a metadata file are about one image.
    #[error("{}, line {line}: image {id:?} stands in line {first} already", path.display())]
    DuplicateRow {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The image's id.
        id: String,
        /// Line of its first row.
        first: u64,
    },
    /// Two records of a dataset have one id.
    #[error("dataset `{dataset}`: record id {id:?} stands twice")]
    DuplicateId {
        /// The dataset.
        dataset: String,
        /// The id.
        id: String,
    },
    /// The image of a metadata row is nowhere.
    #[error("{}, line {line}: image {id:?} is missing; looked in {folders:?}", path.display())]
    MissingImage {
        /// The metadata file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The image's id.
        id: String,
        /// The folders that were searched.
        folders: Vec<PathBuf>,
    },
    /// A file is there but is no image that can be decoded.
    #[error("{}: not a readable image: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A picture cannot be brought to the size.
    #[error("a picture of {width} by {height} pixels cannot be resized: {reason}")]
    Resize {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Why.
        reason: String,
    },
    /// Nothing is left to work with.
    #[error("dataset `{dataset}` has no records")]
    EmptyDataset {
        /// The dataset.
        dataset: String,
    },
    /// A record index past the end.
    #[error("record {index} is out of range: expected 0 to {}", num_records.saturating_sub(1))]
    RecordOutOfRange {
        /// The index.
        index: usize,
        /// Number of records.
        num_records: usize,
    },
    /// A feature schema contradicts itself.
    #[error("feature `{feature}`: {reason}")]
    Feature {
        /// The feature.
        feature: String,
        /// What is wrong.
        reason: String,
    },
    /// A feature schema as a whole contradicts itself.
    #[error("feature schema `{schema}`: {reason}")]
    Schema {
        /// The schema's name.
        schema: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no ready schema of the name.
    #[error("no ready feature schema is called `{name}`: expected one of {known:?}")]
    UnknownSchema {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The settings of a further task's labels contradict each other.
    #[error("task `{task}`: {reason}")]
    TaskLabels {
        /// The task.
        task: String,
        /// What is wrong.
        reason: String,
    },
    /// A further task with too few classes.
    #[error("task `{task}` has {classes} classes: expected at least 2")]
    TaskClasses {
        /// The task.
        task: String,
        /// Number of its classes.
        classes: usize,
    },
    /// A column that no record has.
    #[error("task `{task}`: no record has a column {column:?}; there are {known:?}")]
    UnknownTaskColumn {
        /// The task.
        task: String,
        /// The column.
        column: String,
        /// Subgroup columns and answers that there are.
        known: Vec<String>,
    },
    /// A group of diagnoses takes one that the dataset does not have.
    #[error("task `{task}` groups the diagnosis {value:?}: expected one of {known:?}")]
    UnknownTaskValue {
        /// The task.
        task: String,
        /// The diagnosis.
        value: String,
        /// Those of the dataset.
        known: Vec<String>,
    },
    /// A diagnosis that no group takes.
    #[error(
        "task `{task}`: no group takes the diagnosis {diagnosis:?}; `unlisted: unlabelled` leaves it out"
    )]
    UnlistedDiagnosis {
        /// The task.
        task: String,
        /// The diagnosis.
        diagnosis: String,
    },
    /// A value of a column that no class takes.
    #[error("task `{task}`: no class takes {value:?} (record {id}); `unlisted: unlabelled` leaves it out")]
    UnlistedTaskValue {
        /// The task.
        task: String,
        /// The value.
        value: String,
        /// The first record that has it.
        id: String,
    },
    /// A task that the dataset is not labelled for.
    #[error("the dataset has no task `{task}`: expected one of {known:?}")]
    UnknownTask {
        /// The task.
        task: String,
        /// Its tasks.
        known: Vec<String>,
    },
    /// The schema has no block of the name.
    #[error("unknown block `{block}`; the schema has {known:?}")]
    UnknownBlock {
        /// The block.
        block: String,
        /// The blocks of the schema.
        known: Vec<String>,
    },
    /// A file is not of its format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file was written by an unknown version of its format.
    #[error("{}: format version {got}; this program reads version {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        got: u64,
        /// Version that is known.
        expected: u64,
    },
    /// An answer to a question that the schema does not ask.
    #[error("unknown feature `{feature}`; the schema asks for {known:?}")]
    UnknownFeature {
        /// The feature.
        feature: String,
        /// The features of the schema.
        known: Vec<String>,
    },
    /// An answer that must never be an input.
    #[error("feature `{feature}` must not be an input: {reason}")]
    ExcludedFeature {
        /// The feature.
        feature: String,
        /// Why.
        reason: String,
    },
    /// Encoded answers of another width than the schema's.
    #[error("{got} columns of encoded answers: expected {expected}")]
    EncodedWidth {
        /// Number of columns.
        got: usize,
        /// The schema's width.
        expected: usize,
    },
    /// Columns that no answer gives.
    #[error("the columns {columns:?} of feature `{feature}` ({names:?}) are no encoded answer")]
    EncodedAnswer {
        /// The feature.
        feature: String,
        /// Its columns.
        columns: Vec<f32>,
        /// Their names.
        names: Vec<String>,
    },
    /// An answer that the schema does not allow.
    #[error("answer {value:?} to feature `{feature}`: expected {expected}")]
    Answer {
        /// The feature.
        feature: String,
        /// The answer.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A required answer was not given.
    #[error("feature `{feature}` needs an answer: expected {expected}")]
    MissingAnswer {
        /// The feature.
        feature: String,
        /// What is allowed.
        expected: String,
    },
    /// A record whose answers do not fit the schema.
    #[error("record {id:?}: {source}")]
    Record {
        /// The record's id.
        id: String,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// A class has too few groups to be in every part of a split.
    #[error(
        "class `{class}` has {groups} groups (lesions or patients): expected at least {needed}, one a part of the split"
    )]
    TooFewGroups {
        /// The class.
        class: String,
        /// Its number of groups.
        groups: usize,
        /// Number of parts.
        needed: usize,
    },
    /// A class is not in a part of a split.
    #[error("class `{class}` has no record in the {role} split")]
    EmptyClass {
        /// The class.
        class: String,
        /// The part.
        role: SplitRole,
    },
    /// A part of a split has no record.
    #[error("the {role} split has no record")]
    EmptyRole {
        /// The part.
        role: SplitRole,
    },
    /// A fold has no record.
    #[error("fold {fold} has no record")]
    EmptyFold {
        /// The fold, from 1.
        fold: usize,
    },
    /// A class is not in a fold.
    #[error("class `{class}` has no record in fold {fold}")]
    AbsentFromFold {
        /// The class.
        class: String,
        /// The fold, from 1.
        fold: usize,
    },
    /// A record that the publishers put in no part of their split.
    #[error(
        "record {id:?} has no published role: the dataset has no published split, or not for all its records"
    )]
    NoPublishedRole {
        /// The record's id.
        id: String,
    },
    /// A split names a record twice, in one part or in two.
    #[error("record {id:?} stands in the {first} split and again in the {second} split")]
    SplitDuplicate {
        /// The record's id.
        id: String,
        /// One part.
        first: SplitRole,
        /// Where it stands again.
        second: SplitRole,
    },
    /// A split and a dataset do not belong together.
    #[error("record {id:?} is in the {present} and not in the {absent}: the split was made from other data")]
    SplitMismatch {
        /// The record's id.
        id: String,
        /// `dataset` or `split`.
        present: &'static str,
        /// The other.
        absent: &'static str,
    },
    /// A split puts one lesion or patient into two parts.
    #[error("group {group:?} is in the {first} split and in the {second} split")]
    Leak {
        /// The lesion or patient.
        group: String,
        /// One part.
        first: SplitRole,
        /// The other.
        second: SplitRole,
    },
    /// A record has no picture where one is needed.
    #[error("record {id:?} has no image: it was read as a row of a table")]
    NoImage {
        /// The record's id.
        id: String,
    },
    /// A lesion of two patients, or a case of two lesions' groups: the independent units would not be independent.
    #[error("record {id:?}: {unit} {name:?} belongs to {first:?} and to {second:?}: expected one group")]
    SharedUnit {
        /// The record's id.
        id: String,
        /// `lesion` or `case`.
        unit: &'static str,
        /// Its name.
        name: String,
        /// The group of an earlier record.
        first: String,
        /// This record's group.
        second: String,
    },
    /// A label that is no distribution over the classes.
    #[error("record {id:?}: its soft label {reason}")]
    SoftLabel {
        /// The record's id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// A link in a dataset's folder leads out of it.
    #[error("{} leads to {}, out of {}", path.display(), target.display(), root.display())]
    OutsideRoot {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The dataset's folder.
        root: PathBuf,
    },
    /// A label mapping contradicts itself.
    #[error("label mapping `{mapping}`: {reason}")]
    Mapping {
        /// The mapping.
        mapping: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no ready label mapping of that name.
    #[error("unknown label mapping `{name}`; ready are {known:?}")]
    UnknownMapping {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A dataset has a label that a mapping does not know.
    #[error("label mapping `{mapping}` does not know the label {label:?} of dataset `{dataset}`")]
    UnmappedLabel {
        /// The mapping.
        mapping: String,
        /// The dataset.
        dataset: String,
        /// The label.
        label: String,
    },
    /// A loader's thread ended without a word.
    #[error("a loader thread stopped before batch {batch}")]
    WorkerLost {
        /// The batch that it owed.
        batch: usize,
    },
}

/// The error of a setting outside its range.
pub(crate) fn setting(name: &'static str, value: impl std::fmt::Display, expected: &'static str) -> Error {
    Error::Setting { name, value: value.to_string(), expected }
}
