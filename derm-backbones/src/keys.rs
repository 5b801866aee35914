use derm_core::Backbone;

use crate::{AnyBackbone, Classifier, ResNet, Stem};

/// How the parameters of a module are named in published weight files. All key handling stands here and in
/// [`weights`](crate::weights).
///
/// A path is the parameter's place in the module, joined by dots, enum variants left out: `stages.0.blocks.1.
/// conv1.weight`. The default names parameters by their paths, which is what a network without published weights
/// wants:
///
/// ```
/// use derm_backbones::PublishedKeys;
///
/// struct Mine;
/// impl PublishedKeys for Mine {
///     fn published_key(&self, path: &str) -> String {
///         path.replacen("encoder.", "features.", 1)
///     }
/// }
/// assert_eq!(Mine.published_key("encoder.0.weight"), "features.0.weight");
/// assert_eq!(Mine.published_head(), "head");
/// ```
pub trait PublishedKeys {
    /// The published key of the parameter at `path`.
    fn published_key(&self, path: &str) -> String {
        path.to_owned()
    }

    /// What the linear layer on top of the encoder is called.
    fn published_head(&self) -> &'static str {
        "head"
    }
}

/// torchvision's and timm's names; with the 3×3 stem `MedMNIST`'s, which differ in the shortcut and the head.
impl PublishedKeys for ResNet {
    fn published_key(&self, path: &str) -> String {
        let Some(rest) = path.strip_prefix("stages.") else { return path.to_owned() };
        let mut parts = rest.split('.');
        let stage: usize = parts.next().and_then(|index| index.parse().ok()).unwrap_or_default();
        let shortcut = match self.stem() {
            Stem::Conv7x7 => "downsample",
            Stem::Conv3x3 => "shortcut",
        };
        let rest = parts.filter(|part| *part != "blocks").collect::<Vec<_>>().join(".");
        let rest = rest.replacen("downsample.conv", &format!("{shortcut}.0"), 1).replacen(
            "downsample.norm",
            &format!("{shortcut}.1"),
            1,
        );
        format!("layer{}.{rest}", stage + 1)
    }

    fn published_head(&self) -> &'static str {
        match self.stem() {
            Stem::Conv7x7 => "fc",
            Stem::Conv3x3 => "linear",
        }
    }
}

impl PublishedKeys for AnyBackbone {
    fn published_key(&self, path: &str) -> String {
        match self {
            Self::ResNet(network) => network.published_key(path),
        }
    }

    fn published_head(&self) -> &'static str {
        match self {
            Self::ResNet(network) => network.published_head(),
        }
    }
}

/// The encoder's keys without a prefix, the head under the encoder's name for it, and `questionnaire.*` beside
/// them: an image-only classifier has exactly the keys that its published file has.
impl<B: Backbone + PublishedKeys> PublishedKeys for Classifier<B> {
    fn published_key(&self, path: &str) -> String {
        if let Some(path) = path.strip_prefix("backbone.") {
            self.backbone().published_key(path)
        } else if let Some(path) = path.strip_prefix("head.") {
            format!("{}.{path}", self.published_head())
        } else {
            path.to_owned()
        }
    }

    fn published_head(&self) -> &'static str {
        self.backbone().published_head()
    }
}
