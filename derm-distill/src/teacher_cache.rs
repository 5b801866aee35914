use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use derm_core::{FileError, atomic, sha256_hex};
use ndarray::{Array3, s};
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What the logits of a teacher depend on. A cache is found, and taken, by nothing less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheKey {
    /// SHA-256 of the teacher's weights.
    pub weights: String,
    /// SHA-256 of what the teacher is shown of the records: who they are, in their order, pixels and answers.
    pub records: String,
    /// How a record becomes what the network takes: size, interpolation, standardisation.
    pub preparation: String,
    /// The views of each record, in their order.
    pub views: Vec<String>,
    /// Records a forward pass: on some devices the last bits depend on it.
    pub batch_size: usize,
}

impl CacheKey {
    /// The cache's file below `folder`, named by the SHA-256 of the key.
    pub fn file(&self, folder: impl AsRef<Path>) -> PathBuf {
        folder.as_ref().join(format!("teacher-{}.safetensors", sha256_hex(self.to_json().as_bytes())))
    }

    fn to_json(&self) -> String {
        // Strings and integers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The logits of a teacher for every record in every view, so that it need not run again: neither in the next epoch
/// nor for the next student or seed.
///
/// It holds where a record looks the same each time: without augmentation, or with flips and quarter turns alone, each
/// of which is a view; never where pictures are mixed. Feature maps are not kept, they are too large: a config with a
/// [`feature_term`](crate::DistillationConfig::feature_term) needs the teacher itself.
///
/// ```
/// use burn::tensor::Device;
/// use derm_distill::{CacheKey, TeacherCache};
/// use ndarray::Array3;
///
/// let key = CacheKey {
///     weights: "5f…".to_owned(),
///     records: "a1…".to_owned(),
///     preparation: "64 px".to_owned(),
///     views: vec!["upright".to_owned(), "mirrored".to_owned()],
///     batch_size: 8,
/// };
/// let folder = tempfile::tempdir()?;
/// assert!(TeacherCache::read(folder.path(), &key)?.is_none());
/// // two views of three records, two classes
/// let logits = Array3::from_shape_fn((2, 3, 2), |(view, record, class)| (6 * view + 2 * record + class) as f32);
/// TeacherCache::new(key.clone(), logits)?.write(folder.path())?;
/// let cache = TeacherCache::read(folder.path(), &key)?.ok_or("it was just written")?;
/// let rows: Vec<f32> = cache.logits(&[(1, 2), (0, 0)], &Device::default()).into_data().iter().collect();
/// assert_eq!(rows, [10.0, 11.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherCache {
    key: CacheKey,
    /// [views, records, classes]
    logits: Array3<f32>,
}

const LOGITS: &str = "logits";
const KEY: &str = "key";
const SHA256: &str = "sha256";

impl TeacherCache {
    /// The logits [views, records, classes] of a teacher.
    ///
    /// # Errors
    /// [`Error::TeacherLogits`] for another number of views than the key has, and for a logit that is NaN or infinite.
    pub fn new(key: CacheKey, logits: Array3<f32>) -> Result<Self, Error> {
        let (views, expected) = (logits.dim().0, key.views.len());
        if views != expected {
            return Err(Error::TeacherLogits { reason: format!("{views} views: expected {expected}") });
        }
        match logits.indexed_iter().find(|(_, logit)| !logit.is_finite()) {
            None => Ok(Self { key, logits }),
            Some(((view, record, class), logit)) => {
                let view = &key.views[view];
                let reason =
                    format!("{logit} for class {class} of record {record}, {view}: expected finite ones");
                Err(Error::TeacherLogits { reason })
            }
        }
    }

    /// The cache of this key below `folder`; none where there is none.
    ///
    /// # Errors
    /// [`Error::Cache`] naming the file where it cannot be read, was changed or cut short, or holds something else.
    /// It is never taken then, nor written over: remove it to have it made again.
    pub fn read(folder: impl AsRef<Path>, key: &CacheKey) -> Result<Option<Self>, Error> {
        let path = key.file(folder);
        let wrong =
            |reason: &str| Error::Cache { path: path.clone(), reason: format!("{reason}; remove it") };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&format!("cannot be read: {error}"))),
        };
        let parse = |error: safetensors::SafeTensorError| wrong(&format!("is damaged: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(parse)?;
        let text = |name| header.metadata().as_ref().and_then(|texts| texts.get(name));
        if text(KEY) != Some(&key.to_json()) {
            return Err(wrong("is of another teacher, other records or another view"));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(parse)?;
        let tensor = tensors.tensor(LOGITS).map_err(parse)?;
        if text(SHA256) != Some(&sha256_hex(tensor.data())) {
            return Err(wrong("was changed or cut short: its SHA-256 is not the one that it states"));
        }
        let (Dtype::F32, &[views, records, classes]) = (tensor.dtype(), tensor.shape()) else {
            return Err(wrong("is damaged: its logits are not f32 of three axes"));
        };
        let values =
            tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let logits = Array3::from_shape_vec((views, records, classes), values);
        let logits = logits.map_err(|error| wrong(&format!("is damaged: {error}")))?;
        Self::new(key.clone(), logits).map(Some)
    }

    /// Writes the cache below `folder`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Cache`] where that fails.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let path = self.key.file(folder);
        let bytes: Vec<u8> = self.logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
        let texts =
            HashMap::from([(KEY.to_owned(), self.key.to_json()), (SHA256.to_owned(), sha256_hex(&bytes))]);
        let stored = Stored { shape: self.logits.shape(), bytes: &bytes };
        let wrong = |reason: String| Error::Cache { path: path.clone(), reason };
        let file = safetensors::serialize([(LOGITS, stored)], Some(texts))
            .map_err(|error| wrong(format!("cannot be put together: {error}")))?;
        atomic::write_file(&path, |out| out.write_all(&file))
            .map_err(|error: FileError| wrong(error.to_string()))?;
        Ok(path)
    }

    /// What it is of.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// The logits [B, C] of B pairs of a view and a record, each by its number.
    ///
    /// # Panics
    /// For a view or a record that is not there.
    pub fn logits(&self, rows: &[(usize, usize)], device: &Device) -> Tensor<2> {
        let of = |&(view, record): &(usize, usize)| self.logits.slice(s![view, record, ..]).to_vec();
        let values: Vec<f32> = rows.iter().flat_map(of).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), self.logits.dim().2]), device)
    }
}

/// The logits, about to be written.
struct Stored<'a> {
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
