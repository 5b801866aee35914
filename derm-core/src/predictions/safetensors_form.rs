//! One safetensors file: `scores` F32 [N, C], `targets` I64 [N], `soft_targets` F32 [N, C] where labels are
//! soft, and for each text column its UTF-8 bytes end to end (`<column>.bytes`, U8) with N + 1 offsets
//! (`<column>.offsets`, U64). The columns are `id`, `group`, `case` and `subgroup:<name>`. What holds for all
//! rows stands as JSON under the metadata key `predictions`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, View as TensorView, serialize};

use super::{Header, PredictionColumns, Predictions, Scores};
use crate::{FileError, PredictionsError, Role, atomic};

const METADATA_KEY: &str = "predictions";

struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl TensorView for Entry {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

pub(super) fn write<R: Role>(predictions: &Predictions<R>, path: &Path) -> Result<(), PredictionsError> {
    let columns = &predictions.columns;
    let mut entries = vec![("scores".to_owned(), matrix(&predictions.scores.values))];
    let targets = columns.targets.iter().flat_map(|&target| (target as i64).to_le_bytes()).collect();
    let shape = vec![columns.targets.len()];
    entries.push(("targets".to_owned(), Entry { dtype: Dtype::I64, shape, bytes: targets }));
    if let Some(soft) = &columns.soft_targets {
        entries.push(("soft_targets".to_owned(), matrix(soft)));
    }
    for (name, values) in [("id", &columns.ids), ("group", &columns.groups), ("case", &columns.cases)] {
        entries.extend(text(name, values));
    }
    for (name, values) in &columns.subgroups {
        entries.extend(text(&format!("subgroup:{name}"), values));
    }
    let malformed = |reason: String| PredictionsError::Format { path: path.to_owned(), reason };
    let header =
        serde_json::to_string(&Header::of(predictions)).map_err(|error| malformed(error.to_string()))?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), header)]);
    let bytes = serialize(entries, Some(metadata)).map_err(|error| malformed(error.to_string()))?;
    Ok(atomic::write_file(path, |file| file.write_all(&bytes))?)
}

fn matrix(values: &Array2<f32>) -> Entry {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Entry { dtype: Dtype::F32, shape: values.shape().to_vec(), bytes }
}

fn text(name: &str, values: &[String]) -> [(String, Entry); 2] {
    let mut bytes = Vec::new();
    let mut offsets = 0_u64.to_le_bytes().to_vec();
    for value in values {
        bytes.extend(value.as_bytes());
        offsets.extend((bytes.len() as u64).to_le_bytes());
    }
    let shape = vec![values.len() + 1];
    [
        (format!("{name}.bytes"), Entry { dtype: Dtype::U8, shape: vec![bytes.len()], bytes }),
        (format!("{name}.offsets"), Entry { dtype: Dtype::U64, shape, bytes: offsets }),
    ]
}

pub(super) fn read<R: Role>(path: &Path) -> Result<Predictions<R>, PredictionsError> {
    let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
    let malformed = |reason: String| PredictionsError::Format { path: path.to_owned(), reason };
    let not_a_file =
        |error: safetensors::SafeTensorError| malformed(format!("not a safetensors file: {error}"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(not_a_file)?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY));
    let header = header.ok_or_else(|| malformed(format!("no metadata `{METADATA_KEY}`")))?;
    let header = Header::parse::<R>(header, path)?;
    let file = Reader { path, tensors: SafeTensors::deserialize(&bytes).map_err(not_a_file)? };

    let num_classes = header.labels.num_classes();
    let mut columns = PredictionColumns {
        ids: file.text("id")?,
        groups: file.text("group")?,
        cases: file.text("case")?,
        targets: file.targets()?,
        ..PredictionColumns::default()
    };
    for name in &header.subgroups {
        columns.subgroups.insert(name.clone(), file.text(&format!("subgroup:{name}"))?);
    }
    if header.soft_targets {
        columns.soft_targets = Some(file.matrix("soft_targets", num_classes)?);
    }
    let scores = Scores { kind: header.score_kind, values: file.matrix("scores", num_classes)? };
    Predictions::new(header.metadata(), columns, scores)
}

struct Reader<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl Reader<'_> {
    fn malformed(&self, reason: String) -> PredictionsError {
        PredictionsError::Format { path: self.path.to_owned(), reason }
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<&[u8], PredictionsError> {
        let tensor = self.tensors.tensor(name);
        let tensor = tensor.map_err(|_| self.malformed(format!("tensor `{name}` is missing")))?;
        if tensor.dtype() != dtype {
            let got = tensor.dtype();
            return Err(self.malformed(format!("tensor `{name}` is {got:?}: expected {dtype:?}")));
        }
        Ok(tensor.data())
    }

    fn matrix(&self, name: &str, num_classes: usize) -> Result<Array2<f32>, PredictionsError> {
        let (chunks, _) = self.bytes(name, Dtype::F32)?.as_chunks::<4>();
        let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        let rows = values.len() / num_classes;
        Array2::from_shape_vec((rows, num_classes), values)
            .map_err(|_| self.malformed(format!("tensor `{name}`: expected {num_classes} columns")))
    }

    fn targets(&self) -> Result<Vec<usize>, PredictionsError> {
        let (chunks, _) = self.bytes("targets", Dtype::I64)?.as_chunks::<8>();
        let target = |chunk: &[u8; 8]| {
            let value = i64::from_le_bytes(*chunk);
            usize::try_from(value).map_err(|_| self.malformed(format!("target {value}: expected 0 or more")))
        };
        chunks.iter().map(target).collect()
    }

    fn text(&self, name: &str) -> Result<Vec<String>, PredictionsError> {
        let bytes = self.bytes(&format!("{name}.bytes"), Dtype::U8)?;
        let (chunks, _) = self.bytes(&format!("{name}.offsets"), Dtype::U64)?.as_chunks::<8>();
        let offsets: Vec<usize> = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk) as usize).collect();
        offsets
            .windows(2)
            .map(|pair| {
                let text = bytes.get(pair[0]..pair[1]).and_then(|slice| std::str::from_utf8(slice).ok());
                text.map(str::to_owned)
                    .ok_or_else(|| self.malformed(format!("column `{name}`: offsets or UTF-8 are broken")))
            })
            .collect()
    }
}
