//! `DermaMNIST`: HAM10000 as arrays of small images in one `.npz` file.
//!
//! # Source
//! Yang et al.: `MedMNIST` v2, Scientific Data 10, 41 (2023); the larger sides are `MedMNIST+`. The images are those of
//! HAM10000, cropped and scaled by the publishers.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use derm_core::{FileError, LabelMap, SplitRole};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::image_index::stays_within;
use super::python_literal::Literal;
use super::{ImagePolicy, ReadPolicy};
use crate::{Dataset, Error, FeatureSchema, ImageSource, Record, RgbPixels};

/// The seven diagnoses in the order of their codes 0 to 6, which is HAM10000's.
pub const LABELS: [&str; 7] = super::ham10000::LABELS;

/// Names of the file by side (28, 64, 128 and 224 pixels).
pub const FILES: [&str; 4] =
    ["dermamnist.npz", "dermamnist_64.npz", "dermamnist_128.npz", "dermamnist_224.npz"];

/// The publishers' parts: the name in the file, the role.
const PARTS: [(&str, SplitRole); 3] =
    [("train", SplitRole::Train), ("val", SplitRole::Validation), ("test", SplitRole::Test)];

/// Largest side that is read.
const MAX_SIDE: u64 = 1024;

/// Most bytes of pixels that are read: the published file of side 224 has 1.5 GB.
const MAX_PIXEL_BYTES: u64 = 4 << 30;

/// Most bytes of an array's header; numpy writes 128.
const MAX_HEADER: usize = 4096;

/// Reads a `DermaMNIST` file of any side: `root` is the `.npz` file, or a folder that holds one of [`FILES`].
///
/// The members are those that `MedMNIST` writes (`train_images`, `train_labels`, and `val_…`, `test_…`), stored or deflated.
/// Images are in memory ([`ImageSource::Rgb`]): N · side² · 3 bytes, which is 24 MB at 28 pixels and 1.5 GB at 224. Under
/// [`ImagePolicy::Without`] only the labels are read.
///
/// The publishers' parts stand in [`Record::published_role`]. Each image is a group of its own, because the file does not
/// say which lesion it shows. HAM10000 has several images of many lesions, and the published parts divide lesions
/// (Abhishek, Jain, Hamarneh: Investigating the quality of `DermaMNIST` and Fitzpatrick17k dermatological image datasets,
/// arXiv:2401.14497), so that numbers on them are too good; HAM10000 itself has the lesions. Answers and subgroup columns
/// there are none.
///
/// # Errors
/// [`Error::File`]; [`Error::Format`], with the member, for what is no such file: members that are missing, stand twice,
/// or have a path in their names; arrays of another type or shape; headers that claim more than the member holds, or more
/// than 4 GiB; a label above 6. `policy` has nothing to tolerate.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let path = npz_file(root.as_ref())?;
    let file = File::open(&path).map_err(FileError::at(&path, "read"))?;
    let archive = ZipArchive::new(BufReader::new(file));
    let mut npz = Npz { archive: archive.map_err(|error| zip_error(&path, "the archive", error))?, path };
    npz.check_names()?;
    let labels = LabelMap::new(LABELS)?;
    let mut records = Vec::new();
    let mut budget = MAX_PIXEL_BYTES;
    for (part, role) in PARTS {
        let codes = npz.labels(part)?;
        let pixels = match policy.images {
            ImagePolicy::Without => Vec::new(),
            ImagePolicy::Require | ImagePolicy::Skip => npz.images(part, codes.len(), &mut budget)?,
        };
        let mut pixels = pixels.into_iter();
        for (number, code) in codes.into_iter().enumerate() {
            let class = labels.class_at(usize::from(code)).map_err(|_| {
                npz.wrong(
                    &format!("{part}_labels"),
                    &format!("label {code} at row {number}: expected 0 to 6"),
                )
            })?;
            let image =
                pixels.next().map_or(ImageSource::Absent, |pixels| ImageSource::Rgb(Arc::new(pixels)));
            let record = Record::new(format!("{part}_{number:05}"), image, class);
            records.push(Record { published_role: Some(role), ..record });
        }
    }
    Dataset::new("DermaMNIST", labels, records, FeatureSchema::empty(), Vec::new())
}

/// The file that `root` is, or holds; two in one folder are an error, because which one is meant is not known.
fn npz_file(root: &Path) -> Result<PathBuf, Error> {
    if !root.is_dir() {
        return Ok(root.to_owned());
    }
    let found: Vec<PathBuf> =
        FILES.iter().map(|name| root.join(name)).filter(|path| path.is_file()).collect();
    match found.as_slice() {
        [] => Ok(root.join(FILES[0])),
        [one] => Ok(one.clone()),
        several => {
            let reason =
                format!("holds {} DermaMNIST files: expected the path of one of them", several.len());
            Err(Error::Format { path: root.to_owned(), reason })
        }
    }
}

struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    fn wrong(&self, member: &str, reason: &str) -> Error {
        Error::Format { path: self.path.clone(), reason: format!("{member}: {reason}") }
    }

    /// Every member's name is a plain one, and none stands twice.
    fn check_names(&self) -> Result<(), Error> {
        for name in self.archive.file_names() {
            let name = name.map_err(|error| zip_error(&self.path, "a member's name", error))?;
            if !stays_within(Path::new(name.as_ref())) || name.contains('/') {
                return Err(self.wrong(&format!("{name:?}"), "a member with a path in its name"));
            }
        }
        if self.archive.has_duplicate_names() {
            return Err(self.wrong("the archive", "two members have one name"));
        }
        Ok(())
    }

    /// The shape of an array of bytes, and its data, which are exactly as many bytes as the shape says.
    fn array(&mut self, name: &str) -> Result<(Vec<u64>, Array<'_>), Error> {
        let Self { path, archive } = self;
        let wrong =
            |reason: String| Error::Format { path: path.clone(), reason: format!("{name}: {reason}") };
        let member = archive.by_name(&format!("{name}.npy"));
        let mut data = member.map_err(|error| zip_error(path, name, error))?;
        let size = data.size();
        let (header, shape) = header(&mut data).map_err(wrong)?;
        let bytes = shape.iter().try_fold(1_u64, |product, side| product.checked_mul(*side));
        let held = size.saturating_sub(header as u64);
        if bytes != Some(held) {
            return Err(wrong(format!("the shape {shape:?} does not fit the {held} bytes of the member")));
        }
        Ok((shape, Array { path, name: name.to_owned(), data }))
    }

    fn labels(&mut self, part: &str) -> Result<Vec<u8>, Error> {
        let (shape, mut array) = self.array(&format!("{part}_labels"))?;
        let [rows, 1] = shape[..] else {
            return Err(array.wrong(&format!("the shape {shape:?}: expected [rows, 1]")));
        };
        // What is read grows with the data, not with what the header claims; one byte more, because the checksum is
        // compared at the end of the data.
        let mut codes = Vec::new();
        let most = rows.saturating_add(1);
        (&mut array.data).take(most).read_to_end(&mut codes).map_err(|error| array.unreadable(&error))?;
        if codes.len() as u64 == rows {
            Ok(codes)
        } else {
            Err(array.wrong(&format!("the data are not the {rows} bytes of its shape")))
        }
    }

    fn images(&mut self, part: &str, rows: usize, budget: &mut u64) -> Result<Vec<RgbPixels>, Error> {
        let (shape, mut array) = self.array(&format!("{part}_images"))?;
        let (count, side) = match shape[..] {
            [count, side, width, 3] if side == width && (1..=MAX_SIDE).contains(&side) => {
                (count, side as usize)
            }
            _ => {
                let expected = format!("expected [{rows}, side, side, 3] with a side of 1 to {MAX_SIDE}");
                return Err(array.wrong(&format!("the shape {shape:?}: {expected}")));
            }
        };
        if count != rows as u64 {
            return Err(array.wrong(&format!("{count} images: expected {rows}, one a label")));
        }
        let bytes_each = side * side * 3;
        *budget = budget
            .checked_sub(count * bytes_each as u64)
            .ok_or_else(|| array.wrong(&format!("more than {MAX_PIXEL_BYTES} bytes of pixels in all")))?;
        let mut images = Vec::new();
        for _ in 0..rows {
            let mut pixels = vec![0; bytes_each];
            array.data.read_exact(&mut pixels).map_err(|error| array.unreadable(&error))?;
            images.extend(RgbPixels::new(side, side, pixels));
        }
        // The checksum is compared at the end of the data.
        let rest = array.data.read(&mut [0]).map_err(|error| array.unreadable(&error))?;
        if rest == 0 { Ok(images) } else { Err(array.wrong("more data than its shape says")) }
    }
}

/// The data of an array, behind its header.
struct Array<'a> {
    path: &'a Path,
    name: String,
    data: ZipFile<'a, BufReader<File>>,
}

impl Array<'_> {
    fn wrong(&self, reason: &str) -> Error {
        Error::Format { path: self.path.to_owned(), reason: format!("{}: {reason}", self.name) }
    }

    fn unreadable(&self, error: &std::io::Error) -> Error {
        self.wrong(&error.to_string())
    }
}

/// Reads the header of a `.npy` array of bytes in row-major order: its length in bytes, and the shape.
fn header(data: &mut impl Read) -> Result<(usize, Vec<u64>), String> {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        data.read_exact(&mut bytes).map(|()| bytes).map_err(|error| error.to_string())
    };
    let start = take(8)?;
    // One more byte pair in the length since version 2.
    let (before, length) = match (&start[..6], start[6]) {
        (b"\x93NUMPY", 1) => {
            (10, take(2)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)))
        }
        (b"\x93NUMPY", 2 | 3) => {
            (12, take(4)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)))
        }
        _ => return Err("no .npy array of format 1 to 3".to_owned()),
    };
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes: expected at most {MAX_HEADER}"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| "its header is no text".to_owned())?;
    let literal = Literal::parse(&text).map_err(|expected| format!("its header: expected {expected}"))?;
    let entries = literal.dictionary().unwrap_or_default();
    let value = |key: &str| entries.iter().find(|(known, _)| known == key).map(|(_, value)| value);
    match value("descr") {
        Some(Literal::Text(kind)) if kind == "|u1" => {}
        other => return Err(format!("elements of type {other:?}: expected unsigned bytes (\"|u1\")")),
    }
    if value("fortran_order") != Some(&Literal::Truth(false)) {
        return Err("expected `fortran_order` False".to_owned());
    }
    let shape = value("shape").and_then(Literal::sequence);
    let shape: Option<Vec<u64>> = shape.and_then(|sides| sides.iter().map(Literal::count).collect());
    Ok((before + length, shape.ok_or("its header has no shape of whole numbers")?))
}

fn zip_error(path: &Path, member: &str, error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => FileError::new(path, "read", error).into(),
        error => Error::Format { path: path.to_owned(), reason: format!("{member}: {error}") },
    }
}
