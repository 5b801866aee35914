use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use derm_core::{FileError, atomic, sha256_file, sha256_hex};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The bundle format that this crate writes and reads.
pub const FORMAT_VERSION: u64 = 1;

/// The name of the manifest within a bundle.
pub(crate) const FILE_NAME: &str = "manifest.json";

/// Where a bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the split that the model was trained and fitted on.
    pub split_hash: String,
    /// Revision of the source that trained it, where one is known.
    pub source_revision: Option<String>,
    /// Versions of the crates that made it, by name.
    pub crate_versions: BTreeMap<String, String>,
}

/// Size and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// `manifest.json`: what a bundle consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the bundle format.
    pub format_version: u64,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Every other file, by its path within the bundle with `/` between folders.
    pub files: BTreeMap<String, FileDigest>,
    /// SHA-256 of this manifest's JSON with this field left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

impl Manifest {
    /// Digests every file below `folder` and writes `manifest.json` beside them.
    ///
    /// # Errors
    /// [`Error::File`] where a file cannot be read or the manifest not be written.
    pub(crate) fn seal(folder: &Path, provenance: Provenance) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for name in relative_files(folder)? {
            let (sha256, size) = sha256_file(folder.join(&name))?;
            files.insert(name, FileDigest { size, sha256 });
        }
        let mut manifest = Self { format_version: FORMAT_VERSION, provenance, files, sha256: String::new() };
        manifest.sha256 = manifest.digest();
        let text = manifest.to_json();
        atomic::write_file(folder.join(FILE_NAME), |file| file.write_all(text.as_bytes()))?;
        Ok(manifest)
    }

    /// Reads the manifest of `folder` and checks every file against it.
    ///
    /// # Errors
    /// [`Error::Version`] for another format, [`Error::MissingFile`], [`Error::ChangedFile`],
    /// [`Error::UnlistedFile`] for what does not match, [`Error::Json`] for a manifest that is none.
    pub(crate) fn verify(folder: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let path = folder.join(FILE_NAME);
        let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
        let Version { format_version: got } = parse(&text, &path)?;
        if got != FORMAT_VERSION {
            return Err(Error::Version { path, got, expected: FORMAT_VERSION });
        }
        let manifest: Self = parse(&text, &path)?;
        // The text as well as what it says: a byte that means nothing was still changed by someone.
        if manifest.digest() != manifest.sha256 || manifest.to_json() != text {
            return Err(Error::ChangedFile { path });
        }
        // Only files that lie in the folder are opened, whatever paths a manifest lists.
        let present = relative_files(folder)?;
        if let Some(name) = manifest.files.keys().find(|name| !present.contains(name)) {
            return Err(Error::MissingFile { path: folder.join(name) });
        }
        for name in present {
            let path = folder.join(&name);
            // A file that nobody vouches for could be read in place of one that was left out.
            let Some(expected) = manifest.files.get(&name) else {
                return Err(Error::UnlistedFile { path });
            };
            let (sha256, size) = sha256_file(&path)?;
            if (FileDigest { size, sha256 }) != *expected {
                return Err(Error::ChangedFile { path });
            }
        }
        Ok(manifest)
    }

    fn digest(&self) -> String {
        let unsigned = Self { sha256: String::new(), ..self.clone() };
        sha256_hex(unsigned.to_json().as_bytes())
    }

    fn to_json(&self) -> String {
        // Strings, integers and maps with string keys always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::Json { path: path.to_owned(), reason: error.to_string() })
}

/// Every file below `folder` but the manifest, by its relative path with `/` between folders, sorted.
pub(crate) fn relative_files(folder: &Path) -> Result<Vec<String>, FileError> {
    fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{name}/"), names)?;
            } else if name != FILE_NAME {
                names.push(name);
            }
        }
        Ok(())
    }
    let mut names = Vec::new();
    walk(folder, "", &mut names).map_err(FileError::at(PathBuf::from(folder), "read"))?;
    names.sort();
    Ok(names)
}
