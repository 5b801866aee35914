use burn_onnx::export::ExportError;

/// What can go wrong in an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bundle cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] derm_predict::Error),
    /// The bundle's network cannot be built.
    #[error(transparent)]
    Weights(#[from] derm_backbones::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] derm_core::FileError),
    /// The network computes something that the exporter cannot write, or only for a fixed batch.
    #[error("this network cannot be exported to ONNX: {reason}")]
    Unsupported {
        /// What the exporter says.
        reason: String,
    },
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        Self::Unsupported { reason: error.to_string() }
    }
}
