use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::ImageInput;

/// A stage of an image encoder whose feature map can be tapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The module's published name, such as `layer3`.
    pub name: String,
    /// Channels of its feature map.
    pub channels: usize,
    /// Input pixels a feature-map pixel, along one axis.
    pub stride: usize,
}

/// A block of a transformer whose attention can be tapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionSpec {
    /// The block's name, such as `blocks.11`.
    pub name: String,
    /// Attention heads.
    pub heads: usize,
    /// Tokens before those of the patches: class token, distillation token.
    #[serde(default)]
    pub extra_tokens: usize,
}

/// What a head, a fusion block or a student must know of an image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneSpec {
    /// The architecture's name, as timm and torchvision write it.
    pub architecture: String,
    /// Width D of the pooled features.
    pub embedding: usize,
    /// The stages that can be tapped, in forward order.
    pub stages: Vec<StageSpec>,
    /// The blocks whose attention can be tapped, in forward order; none in a convolutional network.
    #[serde(default)]
    pub attention: Vec<AttentionSpec>,
    /// Whether it has a distillation token beside the pooled features, as distilled `DeiT`s do.
    #[serde(default)]
    pub distillation: bool,
    /// The image it expects.
    pub input: ImageInput,
}

impl BackboneSpec {
    /// A network without attention and without distillation token.
    pub fn new(
        architecture: impl Into<String>,
        embedding: usize,
        stages: Vec<StageSpec>,
        input: ImageInput,
    ) -> Self {
        let architecture = architecture.into();
        Self { architecture, embedding, stages, attention: Vec::new(), distillation: false, input }
    }

    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Checks that the encoder has every stage and every attention block that `taps` names.
    ///
    /// # Errors
    /// [`TapError`] with the name that it lacks and those that it has.
    pub fn check(&self, taps: &Taps) -> Result<(), TapError> {
        let stages = self.stages.iter().map(|stage| &stage.name);
        let attention = self.attention.iter().map(|block| &block.name);
        self.find("stage", stages, &taps.names)?;
        self.find("attention of", attention, &taps.attention)
    }

    fn find<'a>(
        &self,
        kind: &'static str,
        known: impl Iterator<Item = &'a String> + Clone,
        wanted: &[String],
    ) -> Result<(), TapError> {
        match wanted.iter().find(|name| !known.clone().any(|known| known == *name)) {
            None => Ok(()),
            Some(missing) => Err(TapError {
                architecture: self.architecture.clone(),
                kind,
                tap: missing.clone(),
                known: known.cloned().collect(),
            }),
        }
    }
}

/// A tap that an encoder does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{architecture} has no {kind} `{tap}`; it has {known:?}")]
pub struct TapError {
    /// The encoder.
    pub architecture: String,
    /// What was asked for: `stage` or `attention of`.
    pub kind: &'static str,
    /// The name that was asked for.
    pub tap: String,
    /// The names that exist.
    pub known: Vec<String>,
}

/// The stages whose feature maps, and the blocks whose attention, a forward pass shall keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taps {
    names: Vec<String>,
    attention: Vec<String>,
}

impl Taps {
    /// No feature map: only the pooled features.
    pub fn none() -> Self {
        Self::default()
    }

    /// The stages of these names. Check them once with [`BackboneSpec::check`]: a forward pass passes over
    /// names that it does not know.
    pub fn stages<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), attention: Vec::new() }
    }

    /// These stages too.
    #[must_use]
    pub fn with_stages<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names.extend(names.into_iter().map(Into::into));
        self
    }

    /// The attention of these blocks too. It is computed once more for each of them, because the fast forward
    /// pass never holds it.
    #[must_use]
    pub fn with_attention<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.attention.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whether the attention of block `name` is asked for.
    pub fn contains_attention(&self, name: &str) -> bool {
        self.attention.iter().any(|known| known == name)
    }

    /// Whether the stage `name` is asked for.
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The names asked for.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// What an image encoder gives: pooled features and what else was asked for.
#[derive(Debug, Clone)]
pub struct Features {
    /// Pooled features, shape [B, D].
    pub pooled: Tensor<2>,
    /// Name and feature map [B, C, H, W] of each tapped stage, in forward order.
    pub maps: Vec<(String, Tensor<4>)>,
    /// Name and attention [B, heads, T, T] of each tapped block, in forward order: row q holds how much token q
    /// takes from each token, and sums to 1. A head that pools by attention has one row, [B, heads, 1, T].
    pub attention: Vec<(String, Tensor<4>)>,
    /// The distillation token [B, D] of a distilled `DeiT`, which a second head reads.
    pub distillation: Option<Tensor<2>>,
}

impl Features {
    /// Pooled features [B, D] and nothing else.
    pub fn new(pooled: Tensor<2>) -> Self {
        Self { pooled, maps: Vec::new(), attention: Vec::new(), distillation: None }
    }

    /// The attention [B, heads, T, T] of block `name`, if it was tapped.
    pub fn attention(&self, name: &str) -> Option<&Tensor<4>> {
        self.attention.iter().find(|(known, _)| known == name).map(|(_, map)| map)
    }

    /// The feature map [B, C, H, W] of stage `name`, if it was tapped.
    pub fn map(&self, name: &str) -> Option<&Tensor<4>> {
        self.maps.iter().find(|(known, _)| known == name).map(|(_, map)| map)
    }
}

/// An image encoder.
///
/// Training, distillation and prediction are generic over this trait, so that a downstream crate brings its
/// own network. `#[derive(Module)]` gives both supertraits.
pub trait Backbone: Module + ModuleDisplay {
    /// images [B, 3, H, W] → pooled features [B, D] and the feature maps that `taps` asks for.
    ///
    /// # Panics
    /// May panic, as Burn's layers do, when the image is too small for the network's strides.
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features;

    /// What this encoder is.
    fn spec(&self) -> &BackboneSpec;

    /// The form for inference: batch norms folded into the convolutions before them. The outputs are the same up
    /// to rounding; the result neither trains nor saves. A network without batch norms stays as it is.
    #[must_use]
    fn fold_batch_norm(self) -> Self
    where
        Self: Sized,
    {
        self
    }

    /// As [`Backbone::fold_batch_norm`], from the operations alone that other runtimes have too: what a network does
    /// for the memory of one device is left out. By default the same.
    #[must_use]
    fn fold_for_export(self) -> Self
    where
        Self: Sized,
    {
        self.fold_batch_norm()
    }
}
