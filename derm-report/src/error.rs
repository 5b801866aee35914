use derm_core::FileError;

/// A report that cannot be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two arguments that must go together differ in length.
    #[error("{what} has {got} entries: expected {expected}")]
    Length {
        /// What has the wrong length.
        what: String,
        /// Its length.
        got: usize,
        /// The length that was expected.
        expected: usize,
    },
    /// There is nothing to draw.
    #[error("{what}: expected at least one")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// An image that is neither PNG nor JPEG.
    #[error("image {position} ({caption:?}) is neither PNG nor JPEG")]
    Image {
        /// Position in the gallery, from 0.
        position: usize,
        /// Its caption.
        caption: String,
    },
    /// The report cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}
