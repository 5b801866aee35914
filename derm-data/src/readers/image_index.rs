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

/// Whether a path of a table stays within the folder that it is relative to.
pub(super) fn stays_within(relative: &Path) -> bool {
    // A backslash separates on Windows and not here: no published name has one.
    relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && !relative.to_string_lossy().contains('\\')
}

/// Image files by name, with and without extension.
#[derive(Debug)]
pub(super) struct ImageIndex {
    root: PathBuf,
    policy: ImagePolicy,
    files: BTreeMap<String, PathBuf>,
    folders: Vec<PathBuf>,
    /// What a path may start with that the folders here do not have.
    prefix: &'static str,
}

impl ImageIndex {
    /// Folders under `root` to which the paths of a table are relative (an empty name is the root itself), with `prefix`
    /// or without it.
    pub(super) fn paths(root: &Path, folders: &[&str], prefix: &'static str, policy: ImagePolicy) -> Self {
        let folders = folders.iter().map(|name| root.join(name)).collect();
        Self { root: root.to_owned(), policy, files: BTreeMap::new(), folders, prefix }
    }

    /// Lists `folders` under `root` (an empty name is the root itself); in case of equal names the first folder wins,
    /// and within a folder the first file by name. Under [`ImagePolicy::Without`] nothing is listed.
    pub(super) fn find(root: &Path, folders: &[&str], policy: ImagePolicy) -> Result<Self, Error> {
        let mut index = Self::paths(root, &[], "", policy);
        if policy == ImagePolicy::Without {
            return Ok(index);
        }
        for name in folders {
            let folder = if name.is_empty() { root.to_owned() } else { root.join(name) };
            if !folder.is_dir() {
                continue;
            }
            let mut files = Vec::new();
            for entry in fs::read_dir(&folder).map_err(FileError::at(&folder, "read"))? {
                files.push(entry.map_err(FileError::at(&folder, "read"))?.path());
            }
            files.retain(|path| is_image(path));
            files.sort_unstable();
            for path in files {
                for name in [path.file_name(), path.file_stem()].into_iter().flatten() {
                    if let Some(name) = name.to_str() {
                        index.files.entry(name.to_owned()).or_insert_with(|| path.clone());
                    }
                }
            }
            index.folders.push(folder);
        }
        Ok(index)
    }

    /// The image that a row calls `name`: a file name with or without its extension. No name leads out of the folders,
    /// since only what they list is found.
    pub(super) fn named(&self, row: Row<'_>, name: &str) -> Result<ImageSource, Error> {
        if self.policy == ImagePolicy::Without {
            return Ok(ImageSource::Absent);
        }
        let found = self.files.get(name).cloned().map(ImageSource::File);
        found.ok_or_else(|| self.missing(row, name))
    }

    /// The image at a path under one of the folders, as a row's column gives it, with `extension` behind it where it has
    /// none.
    ///
    /// A path that leads out of the dataset's folder is an error even where images are not looked for.
    pub(super) fn at(
        &self,
        row: Row<'_>,
        column: &str,
        extension: Option<&str>,
    ) -> Result<ImageSource, Error> {
        let cell = row.filled(column, "an image's path")?;
        let mut relative = PathBuf::from(cell);
        if !stays_within(&relative) {
            return Err(row.wrong(column, "a path within the dataset's folder"));
        }
        if self.policy == ImagePolicy::Without {
            return Ok(ImageSource::Absent);
        }
        if let Some(extension) = extension
            && !is_image(&relative)
        {
            // Not `set_extension`: a name may hold a dot.
            relative.as_mut_os_string().push(format!(".{extension}"));
        }
        let bare = relative.strip_prefix(self.prefix).unwrap_or(&relative);
        let paths = self.folders.iter().flat_map(|folder| [folder.join(&relative), folder.join(bare)]);
        let path = { paths }.find(|path| path.is_file());
        path.map(ImageSource::File).ok_or_else(|| self.missing(row, cell))
    }

    fn missing(&self, row: Row<'_>, name: &str) -> Error {
        let folders = if self.folders.is_empty() { vec![self.root.clone()] } else { self.folders.clone() };
        Error::MissingImage { path: row.path().to_owned(), line: row.line(), id: name.to_owned(), folders }
    }
}
