//! Images in one folder a class, the oldest layout of all, as `torchvision.datasets.ImageFolder` reads it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use derm_core::{FileError, SplitRole};

use super::image_index::is_image;
use super::intake::found_labels;
use super::{ImagePolicy, ReadPolicy};
use crate::{Dataset, Error, FeatureSchema, ImageSource, Record, Skipped};

/// Folders above the classes that are parts of a split, in any case.
const PARTS: [(&str, SplitRole); 7] = [
    ("train", SplitRole::Train),
    ("training", SplitRole::Train),
    ("val", SplitRole::Validation),
    ("valid", SplitRole::Validation),
    ("validation", SplitRole::Validation),
    ("calibration", SplitRole::Calibration),
    ("test", SplitRole::Test),
];

/// How deep the folders of a class may nest.
const MAX_DEPTH: usize = 16;

/// Reads the images of `root/<class>/`, also those in folders within it, or of `root/<part>/<class>/` where every folder
/// of the root is a part of a split (`train`, `training`, `val`, `valid`, `validation`, `calibration` or `test`, in any
/// case).
///
/// The classes are the folders' names in the order of their bytes, over all parts; a record's id is the path under the
/// root, with `/`. The order of the records is that of the ids whatever the file system. Each image is a group of its
/// own, with neither answers nor subgroup columns. The part stands in [`Record::published_role`].
///
/// Names that start with a dot are passed over. Files that are no images by their extension, images outside any class and
/// classes without an image (which keep their place among the labels) are named in [`Dataset::skipped`].
///
/// # Errors
/// [`Error::File`]; [`Error::OutsideRoot`] for a link that leads out of the root, whatever the policy; [`Error::Format`]
/// for a linked folder within a class, a name that is no UTF-8 and parts mixed with classes; [`Error::EmptyDataset`].
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let real = root.canonicalize().map_err(FileError::at(root, "read"))?;
    let mut walk = Walk { root, real, found: Vec::new(), skipped: Vec::new() };
    let top = walk.entries(root)?;
    let parts: Vec<Option<SplitRole>> = top.folders.iter().map(|folder| role(&folder.name)).collect();
    walk.outside(&top.files);
    let mut classes = BTreeSet::new();
    match parts.iter().flatten().count() {
        0 => walk.classes(top.folders, None, &mut classes)?,
        all if all == parts.len() => {
            for (folder, role) in top.folders.into_iter().zip(parts) {
                let within = walk.entries(&folder.path)?;
                walk.outside(&within.files);
                walk.classes(within.folders, role, &mut classes)?;
            }
        }
        _ => {
            let reason =
                "some folders are parts of a split and others are not: expected all or none".to_owned();
            return Err(Error::Format { path: root.to_owned(), reason });
        }
    }
    let labels = found_labels("folders", classes)?;
    let mut records = Vec::with_capacity(walk.found.len());
    for image in walk.found {
        let source = match policy.images {
            ImagePolicy::Without => ImageSource::Absent,
            ImagePolicy::Require | ImagePolicy::Skip => ImageSource::File(image.path),
        };
        let record = Record::new(image.id, source, labels.class_index(&image.class)?);
        records.push(Record { published_role: image.role, ..record });
    }
    records.sort_by(|first, second| first.id.cmp(&second.id));
    let name = root.file_name().and_then(|name| name.to_str()).unwrap_or("folders");
    Dataset::new(name, labels, records, FeatureSchema::empty(), walk.skipped)
}

fn role(folder: &str) -> Option<SplitRole> {
    let plain = folder.to_lowercase();
    PARTS.iter().find(|(name, _)| *name == plain).map(|&(_, role)| role)
}

/// A file or folder.
struct Entry {
    name: String,
    path: PathBuf,
}

/// What a folder holds, by name.
struct Entries {
    folders: Vec<Entry>,
    files: Vec<Entry>,
}

struct Found {
    id: String,
    path: PathBuf,
    class: String,
    role: Option<SplitRole>,
}

struct Walk<'a> {
    root: &'a Path,
    /// The root without links.
    real: PathBuf,
    found: Vec<Found>,
    skipped: Vec<Skipped>,
}

impl Walk<'_> {
    fn wrong(path: &Path, reason: &str) -> Error {
        Error::Format { path: path.to_owned(), reason: reason.to_owned() }
    }

    /// The path under the root, with `/`.
    fn id(&self, path: &Path) -> String {
        let under = path.strip_prefix(self.root).unwrap_or(path);
        let names: Vec<_> = under.iter().map(|name| name.to_string_lossy()).collect();
        names.join("/")
    }

    fn skip(&mut self, path: &Path, reason: &str) {
        self.skipped.push(Skipped { key: self.id(path), reason: reason.to_owned() });
    }

    /// Lists a folder, without hidden names, by name. No link in it leads out of the root.
    fn entries(&self, folder: &Path) -> Result<Entries, Error> {
        let mut entries = Entries { folders: Vec::new(), files: Vec::new() };
        for entry in fs::read_dir(folder).map_err(FileError::at(folder, "read"))? {
            let entry = entry.map_err(FileError::at(folder, "read"))?;
            let path = entry.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                return Err(Self::wrong(&path, "a name that is no UTF-8"));
            };
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(FileError::at(&path, "read"))?;
            if kind.is_symlink() {
                let target = path.canonicalize().map_err(FileError::at(&path, "read"))?;
                if !target.starts_with(&self.real) {
                    return Err(Error::OutsideRoot { path, target, root: self.root.to_owned() });
                }
                if target.is_dir() {
                    return Err(Self::wrong(&path, "a link to a folder, whose images would be read twice"));
                }
            }
            let entry = Entry { name, path };
            if kind.is_dir() { entries.folders.push(entry) } else { entries.files.push(entry) }
        }
        for list in [&mut entries.folders, &mut entries.files] {
            list.sort_by(|first, second| first.name.cmp(&second.name));
        }
        Ok(entries)
    }

    /// Names files that stand above the classes.
    fn outside(&mut self, files: &[Entry]) {
        for file in files {
            let reason = if is_image(&file.path) {
                "an image in no folder of a class"
            } else {
                "no image by its extension"
            };
            self.skip(&file.path, reason);
        }
    }

    fn classes(
        &mut self,
        folders: Vec<Entry>,
        role: Option<SplitRole>,
        classes: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        for folder in folders {
            let before = self.found.len();
            self.class(&folder.path, &folder.name, role, 0)?;
            if self.found.len() == before {
                self.skip(&folder.path, "a class without an image");
            }
            classes.insert(folder.name);
        }
        Ok(())
    }

    fn class(
        &mut self,
        folder: &Path,
        class: &str,
        role: Option<SplitRole>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Self::wrong(folder, "folders nest too deep"));
        }
        let entries = self.entries(folder)?;
        for Entry { path, .. } in entries.files {
            if is_image(&path) {
                let (id, class) = (self.id(&path), class.to_owned());
                self.found.push(Found { id, path, class, role });
            } else {
                self.skip(&path, "no image by its extension");
            }
        }
        entries.folders.iter().try_for_each(|within| self.class(&within.path, class, role, depth + 1))
    }
}
