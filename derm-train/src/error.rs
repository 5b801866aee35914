use std::path::PathBuf;

use derm_backbones::HalfPrecision;
use derm_core::{FileError, LabelError, PredictionsError, SplitRole, TapError, ValueError, View};

use crate::FailedRun;

/// What can go wrong in a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The recipe is no YAML mapping.
    #[error("{origin}: {reason}")]
    Yaml {
        /// The file.
        origin: String,
        /// What the parser says.
        reason: String,
    },
    /// A recipe file that builds on itself.
    #[error("a file cannot build on itself: {}", chain(files))]
    BaseCycle {
        /// The files, each of which names the next one as its base.
        files: Vec<PathBuf>,
    },
    /// An override on the command line that cannot be applied.
    #[error("override `{text}`: {reason}")]
    Override {
        /// The override.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A key that no recipe has.
    #[error("{origin}: unknown key `{key}`; {hint}")]
    UnknownKey {
        /// The file.
        origin: String,
        /// The key with its path.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A key whose value has the wrong type.
    #[error("{origin}: `{key}`: {reason}")]
    Key {
        /// The file.
        origin: String,
        /// The key with its path.
        key: String,
        /// What was expected and what came.
        reason: String,
    },
    /// A key whose value is impossible.
    #[error("`{key}` is {value}: expected {expected}")]
    Value {
        /// The key with its path.
        key: &'static str,
        /// The value.
        value: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// A section whose values are impossible by the rules of the crate that reads it.
    #[error("`{section}`: {source}")]
    Section {
        /// The section with its path.
        section: &'static str,
        /// What is wrong.
        source: Box<Self>,
    },
    /// The network reads texts, and no record has one.
    #[error(
        "no record of {dataset} has a text: name the column of the texts (`dataset.source.csv.text`), or take `model.text` out"
    )]
    NoText {
        /// The dataset.
        dataset: String,
    },
    /// A tokenizer that knows tokens which the text encoder does not.
    #[error(
        "the tokenizer has {tokens} tokens: the text encoder knows {vocabulary}; `model.text.tokenizer` must be the one \
         of `model.text.encoder`"
    )]
    TokenizerVocabulary {
        /// One more than the tokenizer's largest id.
        tokens: usize,
        /// Tokens of the encoder.
        vocabulary: usize,
    },
    /// An architecture of one's own that does not build the text encoder of the recipe.
    #[error(
        "the network's text encoder is not the one of `model.text`: its architecture has to build that one, or none"
    )]
    TextEncoder,
    /// A task beside the diagnosis whose section is impossible.
    #[error("`tasks.{task}`: {source}")]
    Task {
        /// The task.
        task: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// An [`Architecture`](crate::Architecture) that left out heads, or has others than the recipe's tasks.
    #[error("the network has heads for the tasks {got:?}: expected {expected:?}")]
    TaskHeads {
        /// The network's.
        got: Vec<String>,
        /// The recipe's.
        expected: Vec<String>,
    },
    /// A task with too few labelled rows in a role.
    #[error(
        "`tasks.{task}`: the {role} split has {rows} labelled rows of {classes} classes: expected at least {expected} \
         classes with a row"
    )]
    TaskRows {
        /// The task.
        task: String,
        /// The role.
        role: SplitRole,
        /// Its rows that are labelled for the task.
        rows: usize,
        /// Classes that they have.
        classes: usize,
        /// Classes that must be there.
        expected: usize,
    },
    /// A task that the network reads in the questionnaire.
    #[error(
        "`tasks.{task}`: its labels are the answers to `{column}`, which the network reads; take a questionnaire without \
         it (`dataset.feature_schema_path`)"
    )]
    TaskIsAnswer {
        /// The task.
        task: String,
        /// The question.
        column: String,
    },
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] derm_data::Error),
    /// The network cannot be built, or its weights not be read.
    #[error(transparent)]
    Backbone(#[from] derm_backbones::Error),
    /// The loss cannot be built.
    #[error(transparent)]
    Loss(#[from] derm_losses::Error),
    /// The distillation objective cannot be built.
    #[error(transparent)]
    Distillation(#[from] derm_distill::Error),
    /// A number cannot be computed.
    #[error(transparent)]
    Metrics(#[from] derm_metrics::Error),
    /// The calibrator or the policy cannot be fitted.
    #[error(transparent)]
    Calibration(#[from] derm_calibration::Error),
    /// The bundle cannot be written or read.
    #[error(transparent)]
    Bundle(#[from] derm_predict::Error),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] derm_report::Error),
    /// Labels do not fit.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A table of predictions cannot be right.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// An array cannot be right.
    #[error(transparent)]
    Values(#[from] ValueError),
    /// A stage that a network does not have.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// Gradients that are not finite in f16, however little the loss is scaled.
    #[error(
        "the gradients of step {step} (epoch {epoch}) are not finite in f16 even at a loss scale of 1; bf16 has more range"
    )]
    GradientNotFinite {
        /// The optimizer step, from 0.
        step: usize,
        /// The epoch, from 1.
        epoch: usize,
    },
    /// A format of mixed precision that the device has not.
    #[error("`training.amp_dtype` is {format:?}, which {device} does not compute in")]
    Precision {
        /// The format.
        format: HalfPrecision,
        /// The device.
        device: String,
    },
    /// `model.gradient_checkpointing` with a network that cannot.
    #[error("`model.gradient_checkpointing`: this network says no `Architecture::recomputation`")]
    NoRecomputation,
    /// The loss is NaN or infinite. The checkpoints written before stay as they are.
    #[error("the loss is {value} at step {step} (epoch {epoch}); the last checkpoint is untouched")]
    NotFinite {
        /// Optimizer step, from 0.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
        /// The loss.
        value: f32,
    },
    /// A weight is NaN or infinite where a checkpoint was due. The checkpoints written before stay as they are.
    #[error("after {step} steps `{parameter}` holds a NaN or an infinity; the last checkpoint is untouched")]
    WeightNotFinite {
        /// Optimizer steps done.
        step: usize,
        /// The parameter's path in the network.
        parameter: String,
    },
    /// A phase freezes the whole network.
    #[error("`training.phases` freezes {names:?}, which is the whole network")]
    AllFrozen {
        /// The names of the phase.
        names: Vec<String>,
    },
    /// The best epoch's weights are asked for where no epoch had the metric.
    #[error("no epoch is best: `{metric}` was never defined on the validation rows")]
    NoBestEpoch {
        /// The metric of `training.checkpoints`.
        metric: String,
    },
    /// The training split is smaller than one batch.
    #[error("the training split has {rows} rows: expected at least one batch of {batch_size}")]
    NoBatch {
        /// Rows.
        rows: usize,
        /// Batch size.
        batch_size: usize,
    },
    /// The run folder holds a run of another recipe.
    #[error("{} holds a run of another recipe: {key} differs; choose another `output`", folder.display())]
    OtherRun {
        /// The run folder.
        folder: PathBuf,
        /// What differs.
        key: String,
    },
    /// Another process writes into the run folder.
    #[error("{} is in use by another process", folder.display())]
    Busy {
        /// The run folder.
        folder: PathBuf,
    },
    /// A checkpoint that does not load, or is not of this network.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// A batch made for the student means something else to the teacher.
    #[error("the teacher's {what} is {teacher}: expected the student's, {student}")]
    TeacherInput {
        /// What differs.
        what: &'static str,
        /// The teacher's.
        teacher: String,
        /// The student's.
        student: String,
    },
    /// A teacher that is none, or lacks something.
    #[error("the teacher {}: {reason}", path.display())]
    Teacher {
        /// What was read.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A term of the distillation that the batches do not serve.
    #[error("`distillation`: {term} {reason}")]
    DistillationTerm {
        /// The term, by its place.
        term: String,
        /// What it lacks.
        reason: String,
    },
    /// An image cannot be written into the report.
    #[error("image {id} of the report: {reason}")]
    Image {
        /// The record.
        id: String,
        /// What the encoder says.
        reason: String,
    },
    /// Tables of predictions that should be of one model differ in their classes, task or view.
    #[error(
        "the {role} predictions differ from the validation predictions in their {what}: {got}, expected {expected}"
    )]
    Tables {
        /// Role of the table.
        role: SplitRole,
        /// What differs.
        what: &'static str,
        /// The table's.
        got: String,
        /// The validation table's.
        expected: String,
    },
    /// Tables of predictions that should be of the same test rows are not.
    #[error("the other model's predictions have {what}: {got}, expected {expected}")]
    TeacherRows {
        /// What differs.
        what: &'static str,
        /// The other table's.
        got: String,
        /// What was expected.
        expected: String,
    },
    /// Test predictions of folds that cannot be of one cross-validation.
    #[error("fold {fold} differs from the first in its {what}: {got}, expected {expected}")]
    Folds {
        /// The fold, from 1.
        fold: usize,
        /// What differs.
        what: &'static str,
        /// The fold's.
        got: String,
        /// The first one's.
        expected: String,
    },
    /// A file of decisions on labels that cannot be right.
    #[error("{} line {line}: {reason}", path.display())]
    Decision {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 where it is unknown.
        line: u64,
        /// What was expected and what came.
        reason: String,
    },
    /// A record that is named and not there.
    #[error("there is no record of id {id:?}")]
    UnknownRecord {
        /// The id.
        id: String,
    },
    /// A bundle is measured on data of other classes.
    #[error("the bundle's classes are {bundle:?}: expected the dataset's, {dataset:?}")]
    BundleLabels {
        /// Classes of the bundle.
        bundle: Vec<String>,
        /// Classes of the dataset.
        dataset: Vec<String>,
    },
    /// A view that does not say how to look at a picture.
    #[error("view `{view}`: expected identity, horizontal_flip, vertical_flip or flips")]
    View {
        /// The view.
        view: View,
    },
    /// A run that cannot be compared with the others of its study.
    #[error("{} differs from the first run in its {what}: {got}, expected {expected}", folder.display())]
    StudyTables {
        /// The run folder.
        folder: PathBuf,
        /// What differs.
        what: &'static str,
        /// The run's.
        got: String,
        /// The first run's.
        expected: String,
    },
    /// A study in which there is nothing to compare.
    #[error("study {study}: no run to compare")]
    NoRuns {
        /// The study.
        study: String,
    },
    /// Runs of a study failed. The results of the others were written, if there are any.
    #[error("{} of the study's runs failed:\n  {}", failed.len(), lines(failed))]
    StudyRuns {
        /// Which, and why.
        failed: Vec<FailedRun>,
    },
    /// A search space that holds nothing, or a key that cannot be searched.
    #[error("`{key}`: {reason}")]
    SearchSpace {
        /// The key with its path.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The file of a search tells of another one.
    #[error("{} is of another search: {key}; choose another `output`", path.display())]
    OtherSearch {
        /// The file.
        path: PathBuf,
        /// What differs.
        key: String,
    },
    /// The file of a search is damaged before its last line.
    #[error("{} line {line}: {reason}", path.display())]
    SearchFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The teacher and the student disagree in their classes.
    #[error("the teacher's classes are {teacher:?}: expected the student's, {student:?}")]
    TeacherLabels {
        /// Classes of the teacher.
        teacher: Vec<String>,
        /// Classes of the student.
        student: Vec<String>,
    },
}

/// `a.yaml → b.yaml → a.yaml`.
fn chain(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(" → ")
}

/// One line each.
fn lines(failed: &[FailedRun]) -> String {
    let lines: Vec<String> = failed.iter().map(ToString::to_string).collect();
    lines.join("\n  ")
}
