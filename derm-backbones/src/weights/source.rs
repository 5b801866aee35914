//! Where tensors come from: every kind of file becomes tables of named tensors that are read when they are needed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use derm_core::FileError;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use serde::Deserialize;

use super::{WeightsFormat, pytorch};
use crate::Error;

/// Stands for bytes that came from no file.
pub(super) const MEMORY: &str = "memory";

/// What a folder's weights are called, in order of preference.
const IN_FOLDERS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];

/// Longest header that safetensors accepts.
const LONGEST_HEADER: u64 = 100_000_000;

/// How many bytes tell the kinds of files apart.
const MAGIC: u64 = 512;

/// Tensors by their keys in the file.
pub(super) type Table<'a> = BTreeMap<String, Stored<'a>>;

/// A file of weights, with every table in it that may be the network's.
pub(super) struct Source<'a> {
    pub(super) origin: String,
    pub(super) format: WeightsFormat,
    /// Tables by the entry that holds them, in order of preference.
    pub(super) tables: Vec<(Option<String>, Table<'a>)>,
}

/// A tensor that is read when it is needed.
pub(super) struct Stored<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) place: Place<'a>,
}

pub(super) enum Place<'a> {
    Memory(&'a [u8]),
    File { file: Arc<OpenFile>, offset: u64, length: usize },
    Pytorch(pytorch_reader::Tensor),
}

pub(super) struct OpenFile {
    file: File,
    origin: String,
}

impl Stored<'_> {
    /// The bytes, row-major.
    pub(super) fn bytes(&self, origin: &str) -> Result<Cow<'_, [u8]>, Error> {
        match &self.place {
            Place::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Place::File { file, offset, length } => {
                let mut bytes = vec![0; *length];
                let mut handle = &file.file;
                let read = handle.seek(SeekFrom::Start(*offset)).and_then(|_| handle.read_exact(&mut bytes));
                read.map_err(FileError::at(&file.origin, "read"))?;
                Ok(Cow::Owned(bytes))
            }
            Place::Pytorch(tensor) => tensor
                .read()
                .map(Cow::Owned)
                .map_err(|error| Error::NotPytorch { origin: origin.to_owned(), reason: error.to_string() }),
        }
    }
}

impl<'a> Source<'a> {
    /// The tensors of a safetensors file that lies in memory.
    pub(super) fn from_safetensors(bytes: &'a [u8]) -> Result<Self, Error> {
        let file =
            SafeTensors::deserialize(bytes).map_err(|error| not_safetensors(MEMORY, error.to_string()))?;
        let table = file.tensors().into_iter().map(|(key, view)| {
            let place = Place::Memory(view.data());
            (key, Stored { dtype: view.dtype(), shape: view.shape().to_vec(), place })
        });
        let tables = vec![(None, table.collect())];
        Ok(Self { origin: MEMORY.to_owned(), format: WeightsFormat::Safetensors, tables })
    }
}

impl Source<'static> {
    /// Opens a file, whose kind its content tells, or the weights in a folder.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let origin = path.display().to_string();
        if path.is_dir() {
            let file = IN_FOLDERS.iter().map(|name| path.join(name)).find(|path| path.is_file());
            let none = || Error::NotWeights {
                origin,
                reason: format!("a folder without {}", IN_FOLDERS.join(", ")),
            };
            return Self::open(&file.ok_or_else(none)?);
        }
        let mut file = File::open(path).map_err(FileError::at(path, "read"))?;
        let mut magic = Vec::new();
        (&mut file).take(MAGIC).read_to_end(&mut magic).map_err(FileError::at(path, "read"))?;
        if starts_like_safetensors(&magic) {
            let table = safetensors_table(file, &origin)?;
            let tables = vec![(None, table)];
            Ok(Self { origin, format: WeightsFormat::Safetensors, tables })
        } else if magic.starts_with(b"{") {
            open_shards(path, origin)
        } else {
            pytorch::open(path, origin, file, &magic)
        }
    }
}

fn not_safetensors(origin: &str, reason: String) -> Error {
    Error::NotSafetensors { origin: origin.to_owned(), reason }
}

/// The length of a JSON header, then the JSON.
fn starts_like_safetensors(magic: &[u8]) -> bool {
    let length = magic.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length <= LONGEST_HEADER) && magic.get(8) == Some(&b'{')
}

/// The tensors that a safetensors file announces, none of them read.
fn safetensors_table(mut file: File, origin: &str) -> Result<Table<'static>, Error> {
    let failed = |error| FileError::new(origin, "read", error);
    let size = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let start = u64::from_le_bytes(length).saturating_add(8);
    if start > size.min(LONGEST_HEADER + 8) {
        return Err(not_safetensors(origin, format!("a header of {} bytes in {size} bytes", start - 8)));
    }
    let mut header = vec![0; (start - 8) as usize];
    file.read_exact(&mut header).map_err(failed)?;
    let header: Metadata =
        serde_json::from_slice(&header).map_err(|error| not_safetensors(origin, error.to_string()))?;
    let expected = start + header.data_len() as u64;
    if size != expected {
        return Err(not_safetensors(origin, format!("{size} bytes; its header announces {expected}")));
    }
    let file = Arc::new(OpenFile { file, origin: origin.to_owned() });
    let table = header.tensors().into_iter().map(|(key, info)| {
        let (from, to) = info.data_offsets;
        let place = Place::File { file: file.clone(), offset: start + from as u64, length: to - from };
        (key, Stored { dtype: info.dtype, shape: info.shape.clone(), place })
    });
    Ok(table.collect())
}

/// `model.safetensors.index.json`: which shard holds which key.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn open_shards(path: &Path, origin: String) -> Result<Source<'static>, Error> {
    let text = std::fs::read(path).map_err(FileError::at(path, "read"))?;
    let not_index = |reason: String| Error::ShardIndex { origin: origin.clone(), reason };
    let index: ShardIndex = serde_json::from_slice(&text).map_err(|error| not_index(error.to_string()))?;
    let mut shards: Vec<&String> = index.weight_map.values().collect();
    shards.sort_unstable();
    shards.dedup();
    let mut table = Table::new();
    let mut owners: BTreeMap<String, &String> = BTreeMap::new();
    for shard in &shards {
        // beside the index, and nowhere else
        if Path::new(shard).file_name() != Some(shard.as_ref()) {
            return Err(not_index(format!("`{shard}` is no file name")));
        }
        let shard_path = path.with_file_name(shard);
        let file = File::open(&shard_path).map_err(FileError::at(&shard_path, "read"))?;
        let size = file.metadata().map_err(FileError::at(&shard_path, "read"))?.len();
        let shard_origin = shard_path.display().to_string();
        if size < 8 {
            return Err(not_safetensors(&shard_origin, format!("{size} bytes")));
        }
        for (key, stored) in safetensors_table(file, &shard_origin)? {
            if let Some(first) = owners.insert(key.clone(), shard) {
                let (first, second) = (first.clone(), (*shard).clone());
                return Err(Error::ShardDuplicate { origin, key, first, second });
            }
            table.insert(key, stored);
        }
    }
    for (key, shard) in &index.weight_map {
        if owners.get(key) != Some(&shard) {
            return Err(Error::ShardLacks { origin, key: key.clone(), shard: shard.clone() });
        }
    }
    let format = WeightsFormat::ShardedSafetensors { shards: shards.len() };
    Ok(Source { origin, format, tables: vec![(None, table)] })
}
