use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of a class in a [`LabelMap`](crate::LabelMap), which is also its column in logits and
/// probabilities. Counted from 0.
///
/// An index by itself knows no class count; whoever takes one in beside a label map checks it there
/// ([`LabelMap::class_index`](crate::LabelMap::class_index)).
///
/// ```
/// use derm_core::ClassIndex;
/// assert_eq!(ClassIndex::new(4).get(), 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassIndex(usize);

impl ClassIndex {
    /// The class at column `index`.
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The column of the class.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl fmt::Display for ClassIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
