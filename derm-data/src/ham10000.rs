//! HAM10000: 10,015 dermoscopic images of seven diagnoses.
//!
//! # Source
//! Tschandl, Rosendahl, Kittler: The HAM10000 dataset, Scientific Data 5, 180161 (2018). The labels and the column
//! names are the publishers'.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use derm_core::{FileError, LabelMap};

use crate::schema;
use crate::synthetic::age_band;
use crate::{Answers, Dataset, Error, ImageSource, Record, Skipped, UnreadablePolicy};

/// The seven diagnoses in alphabetical order, which is also the order of `DermaMNIST`.
pub const LABELS: [&str; 7] = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"];

/// Name of the metadata file.
pub const METADATA: &str = "HAM10000_metadata.csv";

/// Folders under the root in which images may lie, in the order in which they are searched; last is the root itself.
const IMAGE_FOLDERS: [&str; 4] = ["images", "HAM10000_images_part_1", "HAM10000_images_part_2", ""];

const COLUMNS: [&str; 7] = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"];

/// Reads `HAM10000_metadata.csv` (or `HAM10000_metadata`, as it is published) and finds the images in `images/`, in
/// the two published part folders or beside the metadata. No image is opened: [`Dataset::load_pixels`] or
/// [`Dataset::verify_images`] do that.
///
/// Answers are `age`, `sex` and `localization`; subgroup columns are those, `age_band` and `dx_type`. The group is
/// the lesion, since patients are not known.
///
/// # Errors
/// [`Error::File`] where the metadata cannot be read; [`Error::Column`], [`Error::Row`], [`Error::Cell`] and
/// [`Error::DuplicateRow`] for a metadata file that is not as published, with the line; [`Error::MissingImage`] for a row
/// without an image file, unless `policy` is [`UnreadablePolicy::Skip`]; [`Error::EmptyDataset`] where no row is left.
pub fn read(root: impl AsRef<Path>, policy: UnreadablePolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let metadata = match root.join(METADATA) {
        path if path.exists() => path,
        path => Some(root.join("HAM10000_metadata")).filter(|bare| bare.exists()).unwrap_or(path),
    };
    let text = fs::read(&metadata).map_err(FileError::at(&metadata, "read"))?;
    let (images, folders) = find_images(root)?;
    let labels = LabelMap::new(LABELS)?;
    let schema = schema::ham10000()?;

    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_slice());
    let columns = columns(&mut reader, &metadata)?;
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    let (mut records, mut skipped) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let row = row.map_err(|error| row_error(&metadata, &error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |name: &str| row.get(columns[name]).unwrap_or_default().trim();
        let wrong = |column: &str, expected: String| Error::Cell {
            path: metadata.clone(),
            line,
            column: column.to_owned(),
            value: cell(column).to_owned(),
            expected,
        };
        let (id, lesion) = (cell("image_id"), cell("lesion_id"));
        if id.is_empty() {
            return Err(wrong("image_id", "an image's name".to_owned()));
        }
        if lesion.is_empty() {
            return Err(wrong("lesion_id", "a lesion's name".to_owned()));
        }
        if let Some(first) = lines.insert(id.to_owned(), line) {
            return Err(Error::DuplicateRow { path: metadata.clone(), line, id: id.to_owned(), first });
        }
        let class = labels.class_index(cell("dx")).map_err(|_| wrong("dx", format!("one of {LABELS:?}")))?;
        let mut answers = Answers::new();
        for feature in schema.features() {
            let value = cell(&feature.name);
            if schema.is_missing(value) {
                continue;
            }
            answers.insert(feature.name.clone(), value.to_owned());
            let alone = Answers::from([(feature.name.clone(), value.to_owned())]);
            schema.encode(&alone).map_err(|_| wrong(&feature.name, feature.expected()))?;
        }
        let Some(image) = images.get(id) else {
            let missing = Error::MissingImage {
                path: metadata.clone(),
                line,
                id: id.to_owned(),
                folders: folders.clone(),
            };
            if policy == UnreadablePolicy::Fail {
                return Err(missing);
            }
            skipped.push(Skipped { key: id.to_owned(), reason: missing.to_string() });
            continue;
        };
        let known = |name: &str| answers.get(name).cloned().unwrap_or_else(|| "unknown".to_owned());
        let band = answers.get("age").and_then(|age| age.parse().ok()).map_or("unknown", age_band);
        let subgroups = BTreeMap::from([
            ("sex".to_owned(), known("sex")),
            ("localization".to_owned(), known("localization")),
            ("age_band".to_owned(), band.to_owned()),
            ("dx_type".to_owned(), cell("dx_type").to_owned()),
        ]);
        records.push(Record {
            id: id.to_owned(),
            image: ImageSource::File(image.clone()),
            class,
            lesion: lesion.to_owned(),
            case: lesion.to_owned(),
            patient: None,
            answers,
            subgroups,
        });
    }
    Dataset::new("HAM10000", labels, records, schema, skipped)
}

/// Where each column stands.
fn columns(reader: &mut csv::Reader<&[u8]>, path: &Path) -> Result<BTreeMap<&'static str, usize>, Error> {
    let header = reader.headers().map_err(|error| row_error(path, &error))?;
    // The first cell may carry a byte-order mark.
    let header: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    COLUMNS
        .into_iter()
        .map(|column| match header.iter().position(|name| name == column) {
            Some(position) => Ok((column, position)),
            None => Err(Error::Column {
                path: path.to_owned(),
                column: column.to_owned(),
                header: header.clone(),
            }),
        })
        .collect()
}

fn row_error(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells: expected {expected_len}, as in the header")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    };
    Error::Row { path: path.to_owned(), line, reason }
}

/// The image files by name without extension, and the folders that were searched.
fn find_images(root: &Path) -> Result<(BTreeMap<String, PathBuf>, Vec<PathBuf>), Error> {
    let mut images = BTreeMap::new();
    let mut folders = Vec::new();
    for name in IMAGE_FOLDERS {
        let folder = if name.is_empty() { root.to_owned() } else { root.join(name) };
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(FileError::at(&folder, "read"))? {
            let path = entry.map_err(FileError::at(&folder, "read"))?.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
            let is_image = matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png"));
            if let (true, Some(stem)) = (is_image, path.file_stem().and_then(|stem| stem.to_str())) {
                images.entry(stem.to_owned()).or_insert_with(|| path.clone());
            }
        }
        folders.push(folder);
    }
    Ok((images, folders))
}
