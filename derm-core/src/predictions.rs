//! The table between a model and every number about it. The files are in `csv` and `safetensors`.

mod aggregate;
mod csv_form;
mod ensemble;
mod safetensors_form;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use aggregate::MeanOver;
pub use ensemble::mean_log_probabilities;

use crate::{
    LabelMap, Logits, PredictionsError, Probabilities, ROW_SUM_TOLERANCE, Role, SplitRole, ValueError,
};

/// The version of the file format that this crate reads and writes.
pub const FORMAT_VERSION: u64 = 1;

/// What the model looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The image as it is.
    Identity,
    /// The image mirrored left to right.
    HorizontalFlip,
    /// The image mirrored top to bottom.
    VerticalFlip,
    /// The mean probability over the image, its two mirror images and its half turn.
    Flips,
    /// The mean probability over views, rows of a case or group, or models.
    Mean,
    /// One member of an ensemble, by name.
    Member(String),
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity"),
            Self::HorizontalFlip => f.write_str("horizontal_flip"),
            Self::VerticalFlip => f.write_str("vertical_flip"),
            Self::Flips => f.write_str("flips"),
            Self::Mean => f.write_str("mean"),
            Self::Member(name) => write!(f, "member {name}"),
        }
    }
}

/// What the scores of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Scores before the softmax, which a temperature can scale.
    Logits,
    /// Natural logarithms of probabilities; −∞ is kept as the smallest finite f32.
    LogProbabilities,
}

/// The scores of all rows, shape [N, C], in single precision as the device gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// What they are.
    pub kind: ScoreKind,
    /// The scores, shape [N, C], all finite.
    pub values: Array2<f32>,
}

/// What holds for all rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionMetadata {
    /// The task's name; one class a task.
    pub task: String,
    /// What the model looked at.
    pub view: View,
    /// The classes.
    pub labels: LabelMap,
    /// Hash of the split that the rows come from.
    pub split_hash: String,
}

/// One value a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PredictionColumns {
    /// Identifies the row; each once.
    pub ids: Vec<String>,
    /// The independent unit: lesion or patient.
    pub groups: Vec<String>,
    /// The case; several images may belong to one.
    pub cases: Vec<String>,
    /// The class, in 0..C.
    pub targets: Vec<usize>,
    /// The distribution over classes where the label is soft, shape [N, C].
    pub soft_targets: Option<Array2<f32>>,
    /// Subgroup columns (skin type, sex, site) by name; an empty string is unknown.
    pub subgroups: BTreeMap<String, Vec<String>>,
}

/// The predictions of a model on rows of one role.
///
/// Everything about a model's quality is computed from this table, never from the model, so it serves the
/// predictions of any framework.
///
/// ```
/// use derm_core::*;
/// use ndarray::array;
///
/// let metadata = PredictionMetadata {
///     task: "diagnosis".into(),
///     view: View::Identity,
///     labels: LabelMap::new(["mel", "nv"])?,
///     split_hash: "0f3a".into(),
/// };
/// let columns = PredictionColumns {
///     ids: vec!["image_1".into(), "image_2".into()],
///     groups: vec!["lesion_1".into(), "lesion_1".into()],
///     cases: vec!["image_1".into(), "image_2".into()],
///     targets: vec![1, 1],
///     ..PredictionColumns::default()
/// };
/// let scores = Scores { kind: ScoreKind::Logits, values: array![[0.1, 2.0], [0.3, -1.0]] };
/// let predictions = Predictions::<Test>::new(metadata, columns, scores)?;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("test.csv");
/// predictions.save(&path)?;
/// assert_eq!(Predictions::<Test>::load(&path)?, predictions);
/// // The file knows its role.
/// assert!(Predictions::<Calibration>::load(&path).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Predictions<R: Role> {
    metadata: PredictionMetadata,
    columns: PredictionColumns,
    scores: Scores,
    role: PhantomData<R>,
}

impl<R: Role> PartialEq for Predictions<R> {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.columns == other.columns && self.scores == other.scores
    }
}

impl<R: Role> Predictions<R> {
    /// Checks and takes a table.
    ///
    /// # Errors
    /// [`PredictionsError`] for no rows, columns of different lengths, a score that is not finite,
    /// log-probabilities whose exponentials do not sum to 1 within [`ROW_SUM_TOLERANCE`], a target or
    /// soft target that the labels do not allow, an id that stands twice, or logits of an average.
    pub fn new(
        metadata: PredictionMetadata,
        columns: PredictionColumns,
        scores: Scores,
    ) -> Result<Self, PredictionsError> {
        check_scores(&metadata, &scores)?;
        check_columns(&metadata, &columns, scores.values.nrows())?;
        Ok(Self { metadata, columns, scores, role: PhantomData })
    }

    /// Number of rows N, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a table has at least one row")]
    pub fn len(&self) -> usize {
        self.scores.values.nrows()
    }

    /// Number of distinct groups: the independent units that intervals and bounds count.
    pub fn num_groups(&self) -> usize {
        self.columns.groups.iter().collect::<BTreeSet<_>>().len()
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> usize {
        self.metadata.labels.num_classes()
    }

    /// The role of the rows, as a value.
    pub fn role(&self) -> SplitRole {
        R::ROLE
    }

    /// What holds for all rows.
    pub fn metadata(&self) -> &PredictionMetadata {
        &self.metadata
    }

    /// The classes.
    pub fn labels(&self) -> &LabelMap {
        &self.metadata.labels
    }

    /// Hash of the split that the rows come from.
    pub fn split_hash(&self) -> &str {
        &self.metadata.split_hash
    }

    /// The row ids.
    pub fn ids(&self) -> &[String] {
        &self.columns.ids
    }

    /// The lesion or patient of each row.
    pub fn groups(&self) -> &[String] {
        &self.columns.groups
    }

    /// The case of each row.
    pub fn cases(&self) -> &[String] {
        &self.columns.cases
    }

    /// The class of each row.
    pub fn targets(&self) -> &[usize] {
        &self.columns.targets
    }

    /// The distribution over classes of each row, shape [N, C], where labels are soft.
    pub fn soft_targets(&self) -> Option<&Array2<f32>> {
        self.columns.soft_targets.as_ref()
    }

    /// The subgroup columns by name.
    pub fn subgroups(&self) -> &BTreeMap<String, Vec<String>> {
        &self.columns.subgroups
    }

    /// The scores as they are stored.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The logits; `None` where the table holds log-probabilities, from which logits cannot be had.
    pub fn logits(&self) -> Option<Logits> {
        match self.scores.kind {
            ScoreKind::Logits => Logits::new(self.scores.values.mapv(f64::from)).ok(),
            ScoreKind::LogProbabilities => None,
        }
    }

    /// The uncalibrated probabilities: the softmax of the logits, or the exponentials, renormalised.
    pub fn probabilities(&self) -> Probabilities {
        let mut values = self.log_probabilities();
        values.mapv_inplace(f64::exp);
        for mut row in values.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        Probabilities::from_normalized(values)
    }

    /// Natural logarithms of the uncalibrated probabilities, shape [N, C].
    pub fn log_probabilities(&self) -> Array2<f64> {
        match self.logits() {
            Some(logits) => logits.log_softmax(),
            None => self.scores.values.mapv(f64::from),
        }
    }

    /// Checks that the rows come from the split of that hash.
    ///
    /// # Errors
    /// [`PredictionsError::SplitHash`].
    pub fn check_split(&self, expected: &str) -> Result<(), PredictionsError> {
        if self.split_hash() == expected {
            Ok(())
        } else {
            let (got, expected) = (self.split_hash().to_owned(), expected.to_owned());
            Err(PredictionsError::SplitHash { got, expected })
        }
    }

    /// Saves the table, whole or not at all: as safetensors where the path ends in `.safetensors`, else as
    /// CSV with a sidecar `<path>.json`. Both forms keep every bit.
    ///
    /// # Errors
    /// [`PredictionsError::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PredictionsError> {
        let path = path.as_ref();
        if is_safetensors(path) { safetensors_form::write(self, path) } else { csv_form::write(self, path) }
    }

    /// Loads a table that [`Predictions::save`] or another program wrote.
    ///
    /// # Errors
    /// [`PredictionsError`]: the file cannot be read, is of another version or role, or holds what
    /// [`Predictions::new`] refuses.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PredictionsError> {
        let path = path.as_ref();
        if is_safetensors(path) { safetensors_form::read(path) } else { csv_form::read(path) }
    }
}

/// What a file tells of its table beside the rows, in both forms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format_version: u64,
    role: SplitRole,
    task: String,
    view: View,
    score_kind: ScoreKind,
    split_hash: String,
    labels: LabelMap,
    subgroups: Vec<String>,
    soft_targets: bool,
}

impl Header {
    fn of<R: Role>(predictions: &Predictions<R>) -> Self {
        let PredictionMetadata { task, view, labels, split_hash } = predictions.metadata.clone();
        Self {
            format_version: FORMAT_VERSION,
            role: R::ROLE,
            task,
            view,
            score_kind: predictions.scores.kind,
            split_hash,
            labels,
            subgroups: predictions.columns.subgroups.keys().cloned().collect(),
            soft_targets: predictions.columns.soft_targets.is_some(),
        }
    }

    /// Reads a header of this version and of role `R`. The version is looked at first, because a later
    /// version may have other fields.
    fn parse<R: Role>(text: &str, path: &Path) -> Result<Self, PredictionsError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let wrong = |error: serde_json::Error| PredictionsError::Format {
            path: path.to_owned(),
            reason: format!("not the header of a predictions file: {error}"),
        };
        let Version { format_version: got } = serde_json::from_str(text).map_err(wrong)?;
        if got != FORMAT_VERSION {
            return Err(PredictionsError::Version { path: path.to_owned(), got, expected: FORMAT_VERSION });
        }
        let header: Self = serde_json::from_str(text).map_err(wrong)?;
        if header.role != R::ROLE {
            let (got, expected) = (header.role, R::ROLE);
            return Err(PredictionsError::Role { path: path.to_owned(), got, expected });
        }
        Ok(header)
    }

    fn metadata(self) -> PredictionMetadata {
        let Self { task, view, labels, split_hash, .. } = self;
        PredictionMetadata { task, view, labels, split_hash }
    }
}

fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

fn check_scores(metadata: &PredictionMetadata, scores: &Scores) -> Result<(), PredictionsError> {
    let values = &scores.values;
    let expected = metadata.labels.num_classes();
    if values.nrows() == 0 {
        return Err(ValueError::Empty { argument: "scores" }.into());
    }
    if values.ncols() != expected {
        return Err(PredictionsError::ClassCount { what: "scores", got: values.ncols(), expected });
    }
    if let Some(((row, class), &value)) = values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        let value = f64::from(value);
        return Err(ValueError::NotFinite { argument: "scores", row, class, value }.into());
    }
    if scores.kind == ScoreKind::Logits {
        return match metadata.view {
            View::Mean | View::Flips => {
                Err(PredictionsError::AveragedLogits { view: metadata.view.to_string() })
            }
            _ => Ok(()),
        };
    }
    for (row, line) in values.rows().into_iter().enumerate() {
        let sum: f64 = line.iter().map(|&value| f64::from(value).exp()).sum();
        if (sum - 1.0).abs() > ROW_SUM_TOLERANCE {
            let reason = format!("the exponentials sum to {sum}: expected 1 within {ROW_SUM_TOLERANCE}");
            return Err(PredictionsError::LogProbabilities { row, reason });
        }
    }
    Ok(())
}

fn check_columns(
    metadata: &PredictionMetadata,
    columns: &PredictionColumns,
    expected: usize,
) -> Result<(), PredictionsError> {
    let lengths = [
        ("id", columns.ids.len()),
        ("group", columns.groups.len()),
        ("case", columns.cases.len()),
        ("target", columns.targets.len()),
    ];
    let subgroups = columns.subgroups.iter().map(|(name, values)| (name.as_str(), values.len()));
    for (column, got) in lengths.into_iter().chain(subgroups) {
        if got != expected {
            return Err(PredictionsError::ColumnLength { column: column.to_owned(), got, expected });
        }
    }
    let num_classes = metadata.labels.num_classes();
    crate::probabilities::check_targets(&columns.targets, num_classes)?;
    if let Some(soft) = &columns.soft_targets {
        if soft.nrows() != expected {
            let (column, got) = ("soft_target".to_owned(), soft.nrows());
            return Err(PredictionsError::ColumnLength { column, got, expected });
        }
        if soft.ncols() != num_classes {
            let got = soft.ncols();
            return Err(PredictionsError::ClassCount { what: "soft targets", got, expected: num_classes });
        }
        Probabilities::new(soft.mapv(f64::from))?;
    }
    let mut seen = HashMap::with_capacity(expected);
    for (second, id) in columns.ids.iter().enumerate() {
        if let Some(first) = seen.insert(id, second) {
            return Err(PredictionsError::DuplicateId { id: id.clone(), first, second });
        }
    }
    Ok(())
}
