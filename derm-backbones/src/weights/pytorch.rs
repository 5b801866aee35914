//! Files of `torch.save`, read without running them.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::{DType, MAX_PICKLE_SIZE, PickleValue, PytorchError, PytorchReader};
use safetensors::tensor::Dtype;

use super::WeightsFormat;
use super::pickle::{Unreadable, first_code};
use super::source::{Place, Source, Stored, Table};
use crate::Error;

/// Entries under which checkpoints keep their weights, in order of preference: plain ones before averages.
const ENTRIES: [&str; 9] = [
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "network",
    "module",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
];

/// The number that a legacy file starts with, as protocol 2 writes it.
const LEGACY: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// How far into the file that number may stand.
const LEGACY_WITHIN: usize = 64;

/// Pickles of a legacy file before its tensors: the number, the version, the system, the object, the storage keys.
const LEGACY_PICKLES: usize = 5;

/// Where a tar archive has its magic, of PyTorch before 0.1.10.
const TAR: std::ops::Range<usize> = 257..262;

/// Opens a file that is no safetensors file and starts with `magic`.
pub(super) fn open(path: &Path, origin: String, file: File, magic: &[u8]) -> Result<Source<'static>, Error> {
    let not_weights = |reason: &str| Error::NotWeights { origin: origin.clone(), reason: reason.to_owned() };
    let format = if magic.starts_with(b"PK\x03\x04") {
        refuse_code_in_zip(file, &origin)?;
        WeightsFormat::PytorchZip
    } else if magic[..magic.len().min(LEGACY_WITHIN)].windows(LEGACY.len()).any(|bytes| bytes == LEGACY) {
        refuse_code_in_pickles(file, &origin, LEGACY_PICKLES)?;
        WeightsFormat::PytorchLegacy
    } else if magic.get(TAR) == Some(b"ustar") {
        return Err(not_weights(
            "a tar archive, as PyTorch wrote before 0.1.10; save it again with torch.save",
        ));
    } else if magic.first() == Some(&0x80) {
        refuse_code_in_pickles(file, &origin, 1)?;
        return Err(not_weights("a plain pickle, which holds no tensors"));
    } else if magic.is_empty() {
        return Err(not_weights("it is empty"));
    } else {
        return Err(not_weights("neither safetensors nor a file of torch.save"));
    };
    let tables = tables(path, &origin)?;
    Ok(Source { origin, format, tables })
}

/// The entries of the checkpoint that hold tensors, and last the whole of it.
fn tables(path: &Path, origin: &str) -> Result<Vec<(Option<String>, Table<'static>)>, Error> {
    let not_pytorch = |error: PytorchError| not_pytorch(origin, &error.to_string());
    let root = PytorchReader::read_pickle_data(path, None).map_err(not_pytorch)?;
    let has = |entry: &str| matches!(&root, PickleValue::Dict(root) if matches!(root.get(entry), Some(PickleValue::Dict(_))));
    let mut tables = Vec::new();
    for entry in ENTRIES.into_iter().filter(|entry| has(entry)) {
        let reader = PytorchReader::with_top_level_key(path, entry).map_err(not_pytorch)?;
        tables.push((Some(entry.to_owned()), table(reader)));
    }
    tables.push((None, table(PytorchReader::new(path).map_err(not_pytorch)?)));
    Ok(tables)
}

fn table(reader: PytorchReader) -> Table<'static> {
    let stored = |tensor: pytorch_reader::Tensor| {
        let (dtype, shape) = (dtype(tensor.dtype()), tensor.shape().to_vec());
        Stored { dtype, shape, place: Place::Pytorch(tensor) }
    };
    reader.into_tensors().into_iter().map(|(key, tensor)| (key, stored(tensor))).collect()
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn not_pytorch(origin: &str, reason: &str) -> Error {
    Error::NotPytorch { origin: origin.to_owned(), reason: reason.to_owned() }
}

/// Looks through every pickle of a zip archive.
fn refuse_code_in_zip(file: File, origin: &str) -> Result<(), Error> {
    let broken = |error: zip::result::ZipError| not_pytorch(origin, &error.to_string());
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        if !entry.name().map_err(broken)?.ends_with(".pkl") {
            continue;
        }
        let mut pickle = Vec::new();
        let read = entry.take(MAX_PICKLE_SIZE).read_to_end(&mut pickle);
        read.map_err(|error| not_pytorch(origin, &error.to_string()))?;
        refuse_code(&mut Cursor::new(pickle), origin)?;
    }
    Ok(())
}

/// Looks through the first pickles of a stream.
fn refuse_code_in_pickles(mut file: File, origin: &str, count: usize) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0)).map_err(|error| not_pytorch(origin, &error.to_string()))?;
    let mut reader = BufReader::new(file);
    (0..count).try_for_each(|_| refuse_code(&mut reader, origin))
}

fn refuse_code(pickle: &mut impl BufRead, origin: &str) -> Result<(), Error> {
    match first_code(pickle) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(Error::PickledCode { origin: origin.to_owned(), name }),
        Err(Unreadable::Malformed(reason)) => Err(not_pytorch(origin, &reason)),
        Err(Unreadable::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(not_pytorch(origin, "its pickle ends early"))
        }
        Err(Unreadable::Io(error)) => Err(not_pytorch(origin, &error.to_string())),
    }
}
