use std::path::PathBuf;

use derm_core::{FileError, LabelError, ValueError};

/// What can be wrong with a bundle or with what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bundle was written by an unknown version of the format.
    #[error("{}: bundle format version {got}; this program reads version {expected}", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Version in the file.
        got: u64,
        /// Version that is known.
        expected: u64,
    },
    /// A file that the manifest lists is not there.
    #[error("{} is missing: the manifest lists it", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is not the one that was sealed.
    #[error("{} was changed or cut short: its size or SHA-256 is not the manifest's", path.display())]
    ChangedFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that the manifest does not list.
    #[error("{} is not listed in the manifest", path.display())]
    UnlistedFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is not the JSON that it should be.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// Files of the bundle disagree.
    #[error("{}: {reason}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What disagrees.
        reason: String,
    },
    /// The labels cannot be right.
    #[error("{}: {source}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LabelError,
    },
    /// The network cannot be built or its weights not be read.
    #[error(transparent)]
    Backbone(#[from] derm_backbones::Error),
    /// An image or an answer cannot be used.
    #[error(transparent)]
    Data(#[from] derm_data::Error),
    /// The calibrator or the policy cannot be applied.
    #[error(transparent)]
    Calibration(#[from] derm_calibration::Error),
    /// An image is over the limit. Nothing of it was decoded.
    #[error("{}: {got} {unit}: expected at most {maximum}", name.display())]
    ImageTooLarge {
        /// The file, or the name of the bytes.
        name: PathBuf,
        /// `bytes` or `pixels`.
        unit: &'static str,
        /// How many it has.
        got: u64,
        /// How many are taken.
        maximum: u64,
    },
    /// A weight cannot be kept in the format asked for.
    #[error("weight `{key}` cannot be kept as {format}: {reason}")]
    Weight {
        /// The weight's published key.
        key: String,
        /// The format.
        format: &'static str,
        /// Why not.
        reason: String,
    },
    /// The network gave something that is no score.
    #[error("the network's logits: {0}")]
    Logits(#[from] ValueError),
    /// A text was given to a model that reads none.
    #[error("this model reads no text: expected none")]
    UnexpectedText,
    /// Answers were given to a model that reads none.
    #[error("this model reads no questionnaire: expected no answers, got {given:?}")]
    UnexpectedAnswers {
        /// Names of the answers.
        given: Vec<String>,
    },
}
