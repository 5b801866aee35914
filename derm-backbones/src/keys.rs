//! How parameters are named in published weight files: one file an architecture.

mod bert;
mod convnext_v2;
mod efficientnet;
mod inverted_residual_trunk;
mod mobilenet_v2;
mod mobilevit;
mod resnet;
mod siglip;
mod vit;

use derm_core::Backbone;
use serde::{Deserialize, Serialize};

use crate::{AnyBackbone, Classifier, PositionTable};

/// Who published the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Naming {
    /// torchvision.
    Torchvision,
    /// timm (PyTorch Image Models).
    Timm,
    /// Hugging Face transformers.
    HuggingFace,
    /// `MedMNIST`.
    MedMnist,
    /// The authors' own repository, where a library renamed it.
    Original,
    /// The module's own paths.
    Paths,
}

/// How one parameter stands in a published file: under one key, or in equal parts along the first axis under
/// several, with axes of length 1 that the module does not have.
///
/// ```
/// use derm_backbones::Published;
///
/// // queries, keys and values that the module keeps as one [3D, D]
/// let separate = Published::parts(["q_proj.weight", "k_proj.weight", "v_proj.weight"]);
/// assert_eq!(separate.keys(), ["q_proj.weight", "k_proj.weight", "v_proj.weight"]);
/// assert_eq!(separate.shape(&[192, 64]), [64, 64]);
/// // a linear layer published as a 1×1 convolution
/// assert_eq!(Published::key("mlp.fc1.weight").with_trailing_axes(2).shape(&[160, 40]), [160, 40, 1, 1]);
/// // a vector published with leading axes
/// assert_eq!(Published::key("grn.weight").with_leading_axes(3).shape(&[160]), [1, 1, 1, 160]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    keys: Vec<String>,
    leading: usize,
    trailing: usize,
}

impl Published {
    /// The whole parameter under one key.
    pub fn key(key: impl Into<String>) -> Self {
        Self::parts([key])
    }

    /// Equal parts along the first axis, in this order.
    pub fn parts<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), leading: 0, trailing: 0 }
    }

    /// With axes of length 1 before the module's.
    #[must_use]
    pub fn with_leading_axes(self, count: usize) -> Self {
        Self { leading: count, ..self }
    }

    /// With axes of length 1 behind the module's.
    #[must_use]
    pub fn with_trailing_axes(self, count: usize) -> Self {
        Self { trailing: count, ..self }
    }

    /// The same under a prefix and a dot.
    pub(crate) fn below(self, prefix: &str) -> Self {
        let keys = self.keys.iter().map(|key| format!("{prefix}.{key}")).collect();
        Self { keys, ..self }
    }

    /// The keys, in the order of the parts.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The shape of each part in the file for a parameter of this shape (linear weights as [out, in]).
    pub fn shape(&self, parameter: &[usize]) -> Vec<usize> {
        let mut part = parameter.to_vec();
        if let Some(first) = part.first_mut() {
            *first /= self.keys.len().max(1);
        }
        let ones = |count| std::iter::repeat_n(1, count);
        ones(self.leading).chain(part).chain(ones(self.trailing)).collect()
    }
}

/// How the parameters of a module are named in published weight files. All key handling stands in this module and
/// in [`weights`](crate::weights).
///
/// A path is the parameter's place in the module, joined by dots, enum variants left out, layer norms with torch's
/// names: `stages.0.blocks.1.conv1.conv.weight`. The default names parameters by their paths, which is what a
/// network without published weights wants:
///
/// ```
/// use derm_backbones::{Naming, Published, PublishedKeys};
///
/// struct Mine;
/// impl PublishedKeys for Mine {
///     fn published(&self, path: &str, _naming: Naming) -> Published {
///         Published::key(path.replacen("encoder.", "features.", 1))
///     }
/// }
/// assert_eq!(Mine.published("encoder.0.weight", Naming::Paths), Published::key("features.0.weight"));
/// assert_eq!(Mine.published_head(Naming::Paths), "head");
/// ```
pub trait PublishedKeys {
    /// The namings under which this network's weights are published. The first one is written; a file is read
    /// under the one that fits it best.
    fn namings(&self) -> &'static [Naming] {
        &[Naming::Paths]
    }

    /// How the parameter at `path` stands in a file of this naming, one of [`PublishedKeys::namings`].
    fn published(&self, path: &str, naming: Naming) -> Published {
        let _ = naming;
        Published::key(path)
    }

    /// What the linear layer on top of the encoder is called.
    fn published_head(&self, naming: Naming) -> &'static str {
        let _ = naming;
        "head"
    }

    /// What the linear layer on top of the distillation token is called.
    fn published_distillation_head(&self, naming: Naming) -> &'static str {
        let _ = naming;
        "head_dist"
    }

    /// Prefixes of keys that published files of this network hold and it knowingly leaves out, such as the text
    /// tower beside a vision tower. Other unused keys are an error.
    fn left_out(&self, naming: Naming) -> &'static [&'static str] {
        let _ = naming;
        &[]
    }

    /// The prefix that [`PublishedKeys::published`] puts before the encoder's keys, such as `vision_model.`; it is
    /// written, and may be absent in a file that is read.
    fn published_prefix(&self, naming: Naming) -> &'static str {
        let _ = naming;
        ""
    }

    /// The key of this naming for one that older files use in its place, such as `LayerNorm.gamma` for
    /// `LayerNorm.weight`; none for a key that has not changed.
    fn renamed(&self, key: &str, naming: Naming) -> Option<String> {
        let _ = (key, naming);
        None
    }

    /// Whether the parameter at `path` belongs to a head, which a loader may be asked to leave as it is.
    fn is_head(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// What the parameter at `path` holds if it is a table of position embeddings, [rows, D] with any leading
    /// axes, which a loader may be asked to resample from a file's table of another size.
    fn position_table(&self, path: &str) -> Option<PositionTable> {
        let _ = path;
        None
    }
}

/// Rewrites a path by the first of `rules` whose pattern is its beginning. `*` stands for one segment, and each
/// `*` of the replacement for the segment that the pattern's `*` of the same place took; the rest of the path
/// follows. A path without a rule stays as it is.
pub(crate) fn rewrite(path: &str, rules: &[(&str, &str)]) -> String {
    let segments: Vec<&str> = path.split('.').collect();
    for (pattern, replacement) in rules {
        let pattern: Vec<&str> = pattern.split('.').collect();
        let fits = pattern.len() <= segments.len()
            && pattern.iter().zip(&segments).all(|(pattern, segment)| *pattern == "*" || pattern == segment);
        if !fits {
            continue;
        }
        let mut taken = pattern.iter().zip(&segments).filter(|(p, _)| **p == "*").map(|(_, s)| *s);
        let start = replacement.split('.').filter(|segment| !segment.is_empty());
        let start = start.map(|segment| if segment == "*" { taken.next().unwrap_or("*") } else { segment });
        return start.chain(segments[pattern.len()..].iter().copied()).collect::<Vec<_>>().join(".");
    }
    path.to_owned()
}

impl PublishedKeys for AnyBackbone {
    fn namings(&self) -> &'static [Naming] {
        self.keys().namings()
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        self.keys().published(path, naming)
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        self.keys().published_head(naming)
    }

    fn published_distillation_head(&self, naming: Naming) -> &'static str {
        self.keys().published_distillation_head(naming)
    }

    fn left_out(&self, naming: Naming) -> &'static [&'static str] {
        self.keys().left_out(naming)
    }

    fn published_prefix(&self, naming: Naming) -> &'static str {
        self.keys().published_prefix(naming)
    }

    fn renamed(&self, key: &str, naming: Naming) -> Option<String> {
        self.keys().renamed(key, naming)
    }

    fn is_head(&self, path: &str) -> bool {
        self.keys().is_head(path)
    }

    fn position_table(&self, path: &str) -> Option<PositionTable> {
        self.keys().position_table(path)
    }
}

/// The encoder's keys as published, the head under the encoder's name for it, and `questionnaire.*`, `text.*`,
/// `fusion.*` and `tasks.NAME.*` beside them: an image-only classifier of one task has exactly the keys that its
/// published file has.
impl<B: Backbone + PublishedKeys> PublishedKeys for Classifier<B> {
    fn namings(&self) -> &'static [Naming] {
        self.backbone().namings()
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        if let Some(path) = path.strip_prefix("backbone.") {
            self.backbone().published(path, naming)
        } else if let Some(path) = path.strip_prefix("head.") {
            Published::key(format!("{}.{path}", self.published_head(naming)))
        } else if let Some(path) = path.strip_prefix("distillation_head.") {
            Published::key(format!("{}.{path}", self.published_distillation_head(naming)))
        } else if let (Some(path), Some(text)) = (path.strip_prefix("text."), self.text()) {
            text.published(path, Naming::HuggingFace).below("text")
        } else if let Some((index, parameter)) =
            path.strip_prefix("task_heads.").and_then(|path| path.split_once('.'))
        {
            let task = index.parse().ok().and_then(|index: usize| self.tasks().get(index));
            Published::key(format!("tasks.{}.{parameter}", task.map_or(index, String::as_str)))
        } else {
            Published::key(path)
        }
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        self.backbone().published_head(naming)
    }

    fn published_distillation_head(&self, naming: Naming) -> &'static str {
        self.backbone().published_distillation_head(naming)
    }

    fn left_out(&self, naming: Naming) -> &'static [&'static str] {
        self.backbone().left_out(naming)
    }

    fn published_prefix(&self, naming: Naming) -> &'static str {
        self.backbone().published_prefix(naming)
    }

    fn renamed(&self, key: &str, naming: Naming) -> Option<String> {
        match (key.strip_prefix("text."), self.text()) {
            (Some(key), Some(text)) => {
                text.renamed(key, Naming::HuggingFace).map(|key| format!("text.{key}"))
            }
            _ => self.backbone().renamed(key, naming),
        }
    }

    fn is_head(&self, path: &str) -> bool {
        match path.strip_prefix("backbone.") {
            Some(path) => self.backbone().is_head(path),
            None => ["head.", "distillation_head.", "task_heads."].iter().any(|head| path.starts_with(head)),
        }
    }

    fn position_table(&self, path: &str) -> Option<PositionTable> {
        self.backbone().position_table(path.strip_prefix("backbone.")?)
    }
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn the_first_rule_that_fits_rewrites_the_beginning() {
        let rules = [("a.*.b", "x.*.y"), ("a", "z"), ("gone", "")];
        assert_eq!(rewrite("a.3.b.weight", &rules), "x.3.y.weight");
        assert_eq!(rewrite("a.3.c.weight", &rules), "z.3.c.weight");
        assert_eq!(rewrite("gone.c.weight", &rules), "c.weight");
        assert_eq!(rewrite("ab.3.b", &rules), "ab.3.b");
        assert_eq!(rewrite("a", &rules), "z");
    }
}
