use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{ClassIndex, FileError, LabelError, atomic};

/// The classes of a task in the order of its logits: at least one, each name once.
///
/// ```
/// use derm_core::LabelMap;
/// let labels = LabelMap::new(["mel", "nv"])?;
/// let nevus = labels.class_index("nv")?;
/// assert_eq!(nevus.get(), 1);
/// assert_eq!(labels.name(nevus), Some("nv"));
/// assert_eq!(LabelMap::from_text(&labels.to_text())?, labels);
/// # Ok::<(), derm_core::LabelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct LabelMap {
    names: Vec<String>,
}

impl LabelMap {
    /// The classes of these names, in this order.
    ///
    /// # Errors
    /// [`LabelError::Empty`], [`LabelError::Name`] or [`LabelError::Duplicate`].
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, LabelError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(LabelError::Empty);
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || name.trim() != name || name.contains(['\n', '\r']) {
                return Err(LabelError::Name { index, name: name.clone() });
            }
            if let Some(first) = names[..index].iter().position(|known| known == name) {
                return Err(LabelError::Duplicate { name: name.clone(), first, second: index });
            }
        }
        Ok(Self { names })
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.names.len()
    }

    /// The names in the order of the logits.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a class, if it is one of this map.
    pub fn name(&self, class: ClassIndex) -> Option<&str> {
        self.names.get(class.get()).map(String::as_str)
    }

    /// The class of that name.
    ///
    /// # Errors
    /// [`LabelError::Unknown`] with the names that are known.
    pub fn class_index(&self, name: &str) -> Result<ClassIndex, LabelError> {
        match self.names.iter().position(|known| known == name) {
            Some(index) => Ok(ClassIndex::new(index)),
            None => Err(LabelError::Unknown { name: name.to_owned(), known: self.names.clone() }),
        }
    }

    /// The class at a column.
    ///
    /// # Errors
    /// [`LabelError::OutOfRange`].
    pub fn class_at(&self, index: usize) -> Result<ClassIndex, LabelError> {
        let num_classes = self.num_classes();
        if index < num_classes {
            Ok(ClassIndex::new(index))
        } else {
            Err(LabelError::OutOfRange { index, num_classes })
        }
    }

    /// The map as `labels.txt`: one name a line, in the order of the logits.
    pub fn to_text(&self) -> String {
        self.names.iter().flat_map(|name| [name.as_str(), "\n"]).collect()
    }

    /// The map that `labels.txt` holds. Line ends may be those of Windows; a blank line is an error.
    ///
    /// # Errors
    /// As [`LabelMap::new`].
    pub fn from_text(text: &str) -> Result<Self, LabelError> {
        Self::new(text.lines())
    }

    /// Reads `labels.txt`.
    ///
    /// # Errors
    /// [`LabelError::File`], or as [`LabelMap::new`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, LabelError> {
        let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
        Self::from_text(&text)
    }

    /// Writes `labels.txt`, whole or not at all.
    ///
    /// # Errors
    /// [`LabelError::File`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), LabelError> {
        Ok(atomic::write_file(path, |file| file.write_all(self.to_text().as_bytes()))?)
    }
}

impl TryFrom<Vec<String>> for LabelMap {
    type Error = LabelError;

    fn try_from(names: Vec<String>) -> Result<Self, LabelError> {
        Self::new(names)
    }
}

impl From<LabelMap> for Vec<String> {
    fn from(labels: LabelMap) -> Self {
        labels.names
    }
}
