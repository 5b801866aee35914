//! `feature_schema.json`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};

use super::{Block, Excluded, Feature, FeatureSchema};
use crate::Error;

/// Version of `feature_schema.json` that this crate writes and reads.
const VERSION: u64 = 2;

/// The file as it stands on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemaFile {
    version: u64,
    name: String,
    revision: String,
    missing_markers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<Block>,
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<Excluded>,
}

impl FeatureSchema {
    /// Reads `feature_schema.json`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Format`] (it names an unknown key and those that are known), or [`Error::Version`] for a
    /// version that this crate does not know.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
        Self::parse(&text, path)
    }

    /// The schema that the text of a `feature_schema.json` holds; `path` stands for it in errors.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let text = text.trim_start_matches('\u{feff}');
        let format =
            |error: serde_json::Error| Error::Format { path: path.to_owned(), reason: error.to_string() };
        let file: serde_json::Value = serde_json::from_str(text).map_err(format)?;
        // Before anything else is read: another version may have other keys.
        if let Some(got) = file.get("version").and_then(serde_json::Value::as_u64)
            && got != VERSION
        {
            return Err(Error::Version { path: path.to_owned(), got, expected: VERSION });
        }
        serde_json::from_str(text).map_err(format)
    }

    /// Writes `feature_schema.json`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })?;
        Ok(atomic::write_file(path, |file| file.write_all((text + "\n").as_bytes()))?)
    }
}

impl From<FeatureSchema> for SchemaFile {
    fn from(schema: FeatureSchema) -> Self {
        let (name, revision) = (schema.name().to_owned(), schema.revision().to_owned());
        Self {
            version: VERSION,
            name,
            revision,
            missing_markers: schema.missing_markers().to_vec(),
            blocks: schema.blocks().to_vec(),
            features: schema.features().to_vec(),
            excluded: schema.excluded().to_vec(),
        }
    }
}

impl TryFrom<SchemaFile> for FeatureSchema {
    type Error = String;

    fn try_from(file: SchemaFile) -> Result<Self, String> {
        if file.version != VERSION {
            return Err(format!("format version {}; this program reads version {VERSION}", file.version));
        }
        let markers: Vec<&str> = file.missing_markers.iter().map(String::as_str).collect();
        let mut builder = Self::builder(&file.name, &file.revision)
            .missing_markers(&markers)
            .blocks(file.blocks)
            .features(file.features);
        for excluded in file.excluded {
            builder = builder.exclude(&excluded.name, &excluded.reason);
        }
        builder.build().map_err(|error| error.to_string())
    }
}
