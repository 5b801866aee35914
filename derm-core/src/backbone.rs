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

/// What a head, a fusion block or a student must know of an image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneSpec {
    /// The architecture's name, as timm and torchvision write it.
    pub architecture: String,
    /// Width D of the pooled features.
    pub embedding: usize,
    /// The stages that can be tapped, in forward order.
    pub stages: Vec<StageSpec>,
    /// The image it expects.
    pub input: ImageInput,
}

impl BackboneSpec {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Checks that the encoder has every stage that `taps` names.
    ///
    /// # Errors
    /// [`TapError`] with the name that it lacks and those that it has.
    pub fn check(&self, taps: &Taps) -> Result<(), TapError> {
        match taps.names.iter().find(|name| self.stage(name).is_none()) {
            None => Ok(()),
            Some(missing) => Err(TapError {
                architecture: self.architecture.clone(),
                tap: missing.clone(),
                stages: self.stages.iter().map(|stage| stage.name.clone()).collect(),
            }),
        }
    }
}

/// A tap that an encoder does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{architecture} has no stage `{tap}`; it has {stages:?}")]
pub struct TapError {
    /// The encoder.
    pub architecture: String,
    /// The stage that was asked for.
    pub tap: String,
    /// The stages that exist.
    pub stages: Vec<String>,
}

/// The stages whose feature maps a forward pass shall keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taps {
    names: Vec<String>,
}

impl Taps {
    /// No feature map: only the pooled features.
    pub fn none() -> Self {
        Self::default()
    }

    /// The stages of these names. Check them once with [`BackboneSpec::check`]: a forward pass passes over
    /// names that it does not know.
    pub fn stages<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
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

/// What an image encoder gives: pooled features and the feature maps that were asked for.
#[derive(Debug, Clone)]
pub struct Features {
    /// Pooled features, shape [B, D].
    pub pooled: Tensor<2>,
    /// Name and feature map [B, C, H, W] of each tapped stage, in forward order.
    pub maps: Vec<(String, Tensor<4>)>,
}

impl Features {
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
}
