//! The image files of a dataset.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use derm_core::FileError;

use super::ImagePolicy;
use super::table::Row;
use crate::{Error, ImageSource};

/// Extensions of the formats that are decoded.
const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];

/// Whether a file name ends as an image's does.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Image files by name, with and without extension.
#[derive(Debug)]
pub(super) struct ImageIndex {
    root: PathBuf,
    policy: ImagePolicy,
    files: BTreeMap<String, PathBuf>,
    folders: Vec<PathBuf>,
}

impl ImageIndex {
    /// Lists `folders` under `root` (an empty name is the root itself); in case of equal names the first wins. Under
    /// [`ImagePolicy::Without`] nothing is listed.
    pub(super) fn find(root: &Path, folders: &[&str], policy: ImagePolicy) -> Result<Self, Error> {
        let mut index = Self { root: root.to_owned(), policy, files: BTreeMap::new(), folders: Vec::new() };
        if policy == ImagePolicy::Without {
            return Ok(index);
        }
        for name in folders {
            let folder = if name.is_empty() { root.to_owned() } else { root.join(name) };
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(FileError::at(&folder, "read"))? {
                let path = entry.map_err(FileError::at(&folder, "read"))?.path();
                if !is_image(&path) {
                    continue;
                }
                for name in [path.file_stem(), path.file_name()].into_iter().flatten() {
                    if let Some(name) = name.to_str() {
                        index.files.entry(name.to_owned()).or_insert_with(|| path.clone());
                    }
                }
            }
            index.folders.push(folder);
        }
        Ok(index)
    }

    /// The image that a row calls `name`: a file name with or without its extension.
    pub(super) fn named(&self, row: Row<'_>, name: &str) -> Result<ImageSource, Error> {
        if self.policy == ImagePolicy::Without {
            return Ok(ImageSource::Absent);
        }
        let found = self.files.get(name).cloned().map(ImageSource::File);
        found.ok_or_else(|| self.missing(row, name))
    }

    /// The image at a path under the root, as a row's column gives it.
    ///
    /// A path that leads out of the root is an error whatever the policy.
    pub(super) fn at(&self, row: Row<'_>, column: &str) -> Result<ImageSource, Error> {
        let relative = Path::new(row.cell(column));
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(row.wrong(column, "a path within the dataset's folder"));
        }
        if self.policy == ImagePolicy::Without {
            return Ok(ImageSource::Absent);
        }
        let folders = self.folders.iter().chain([&self.root]);
        let path = folders.map(|folder| folder.join(relative)).find(|path| path.is_file());
        path.map(ImageSource::File).ok_or_else(|| self.missing(row, row.cell(column)))
    }

    fn missing(&self, row: Row<'_>, name: &str) -> Error {
        let folders = if self.folders.is_empty() { vec![self.root.clone()] } else { self.folders.clone() };
        Error::MissingImage { path: row.path().to_owned(), line: row.line(), id: name.to_owned(), folders }
    }
}
