//! What a reader does about rows and images that it cannot use.

use serde::{Deserialize, Serialize};

use crate::UnreadablePolicy;

/// What a missing image file means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePolicy {
    /// An error that names row and image.
    #[default]
    Require,
    /// The row is left out and named in [`Dataset::skipped`](crate::Dataset::skipped).
    Skip,
    /// Images are not looked for: every record has [`ImageSource::Absent`](crate::ImageSource::Absent). For models of
    /// answers alone, and for tables whose images are not at hand.
    Without,
}

/// What a reader does about what it cannot use. A file or a column that is missing is always an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadPolicy {
    /// A row that is no CSV, that has a value outside the vocabulary, or the id of an earlier row.
    pub rows: UnreadablePolicy,
    /// A row whose image is not there.
    pub images: ImagePolicy,
}

impl ReadPolicy {
    /// Whatever is wrong is an error.
    pub const STRICT: Self = Self { rows: UnreadablePolicy::Fail, images: ImagePolicy::Require };
    /// Whatever is wrong is left out and named.
    pub const SKIP: Self = Self { rows: UnreadablePolicy::Skip, images: ImagePolicy::Skip };
    /// Strict with rows, and without images.
    pub const TABLE_ONLY: Self = Self { rows: UnreadablePolicy::Fail, images: ImagePolicy::Without };
}

impl From<UnreadablePolicy> for ReadPolicy {
    /// The same for rows and images.
    fn from(policy: UnreadablePolicy) -> Self {
        match policy {
            UnreadablePolicy::Fail => Self::STRICT,
            UnreadablePolicy::Skip => Self::SKIP,
        }
    }
}
