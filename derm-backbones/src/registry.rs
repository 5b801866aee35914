use std::path::Path;
use std::sync::LazyLock;

use derm_core::{ImageInput, sha256_file};
use serde::{Deserialize, Serialize};

use crate::{BackboneConfig, Error, Naming, TextEncoderConfig};

/// Published weights, as data: what they are, what image they expect, where they lie and under which licence.
///
/// ```
/// use derm_backbones::{KnownArchitecture, WeightsSource, known_weights};
///
/// let weights = known_weights("resnet18.tv_imagenet1k_v1").ok_or("unknown")?;
/// assert_eq!(weights.parameters, 11_689_512);
/// assert_eq!(weights.source.url(), "https://download.pytorch.org/models/resnet18-f37072fd.pth");
/// if let KnownArchitecture::Image(backbone) = &weights.architecture {
///     assert_eq!(weights.input.map(|input| input.size), Some(backbone.spec()?.input.size));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownWeights {
    /// `architecture.tag`, unique.
    pub name: String,
    /// The network that they are for.
    pub architecture: KnownArchitecture,
    /// Whose key names the file has.
    pub naming: Naming,
    /// The image that they were trained or tested with; none for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<ImageInput>,
    /// Classes of the head in the file; none for a bare encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<usize>,
    /// Trainable parameters of the network with that head.
    pub parameters: u64,
    /// Where the file lies.
    pub source: WeightsSource,
    /// The licence of the weights, as their publisher states it. Data sets that they were trained on may have terms
    /// of their own.
    pub license: String,
    /// Whether the publisher asks for consent to terms first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gated: bool,
    /// SHA-256 of the file in lower-case hexadecimal, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The first digits of it, where only they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256_prefix: Option<String>,
}

/// The network that known weights are for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownArchitecture {
    /// An image encoder.
    Image(BackboneConfig),
    /// A text encoder.
    Text(TextEncoderConfig),
}

/// Where a file of weights lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WeightsSource {
    /// At an address of its own.
    Url {
        /// The address.
        url: String,
    },
    /// In a repository of the Hugging Face Hub.
    Hub {
        /// `owner/name`.
        hub: String,
        /// The file's name in it.
        file: String,
    },
}

impl WeightsSource {
    /// The address of the file.
    pub fn url(&self) -> String {
        match self {
            Self::Url { url } => url.clone(),
            Self::Hub { hub, file } => format!("https://huggingface.co/{hub}/resolve/main/{file}"),
        }
    }
}

impl KnownWeights {
    /// What is known of the file's SHA-256: all digits, the first ones, or none.
    pub fn digest(&self) -> Option<&str> {
        self.sha256.as_deref().or(self.sha256_prefix.as_deref())
    }

    /// Compares a file with what is known of its SHA-256; where nothing is, only that it can be read.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Digest`] for another file.
    pub fn verify(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        verify(path.as_ref(), self.digest().unwrap_or_default())
    }
}

/// Compares a file's SHA-256 with the digits that are known of it.
pub(crate) fn verify(path: &Path, expected: &str) -> Result<(), Error> {
    let (found, _) = sha256_file(path)?;
    if found.starts_with(expected) {
        Ok(())
    } else {
        Err(Error::Digest { path: path.to_owned(), expected: expected.to_owned(), found })
    }
}

static REGISTRY: LazyLock<Vec<KnownWeights>> =
    LazyLock::new(|| serde_json::from_str(include_str!("registry.json")).unwrap_or_default());

/// All published weights that this crate knows, in the order of its file.
///
/// # Source
/// torchvision's and timm's own tables and the Hugging Face Hub; `parity/make_registry.py` writes the file.
pub fn registry() -> &'static [KnownWeights] {
    &REGISTRY
}

/// The weights of that name, such as `resnet18.tv_imagenet1k_v1`.
pub fn known_weights(name: &str) -> Option<&'static KnownWeights> {
    registry().iter().find(|weights| weights.name == name)
}
