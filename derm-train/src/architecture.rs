use burn::tensor::Device;
use derm_backbones::{AnyBackbone, Classifier, ClassifierConfig, HeadConfig, LayerGroups, PublishedKeys};
use derm_core::Backbone;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ModelRecipe, RecomputedBackward, recomputed};

/// A family of networks that a run can train and a bundle can describe.
///
/// [`Named`] is the workspace's own, chosen by the recipe. A downstream crate implements this trait for its own
/// encoder and gives it to [`run_with`](crate::run_with).
pub trait Architecture {
    /// The image encoder, with the groups of its layers, which phases freeze and layer-wise decay goes by, and the key
    /// names under which its weights are saved.
    type Backbone: Backbone + LayerGroups + PublishedKeys;
    /// What describes the network in a bundle's `config.json`.
    type Config: Serialize + DeserializeOwned;

    /// The network that the recipe asks for, with `head` on top of its image encoder
    /// ([`HeadConfig::init`](derm_backbones::HeadConfig::init)): the number of classes, the further tasks, and what it
    /// reads beside the image. A network without one of these is refused.
    fn config(recipe: &ModelRecipe, head: HeadConfig) -> Self::Config;

    /// Builds the network with fresh weights.
    ///
    /// # Errors
    /// Where the description is impossible.
    fn init(
        config: &Self::Config,
        device: &Device,
    ) -> Result<Classifier<Self::Backbone>, derm_backbones::Error>;

    /// How activations are computed again instead of kept, for `model.gradient_checkpointing`:
    /// [`recomputed`] for an encoder that is a chain of [`Blocks`](derm_backbones::Blocks). Default none: a recipe that
    /// asks for it is refused.
    fn recomputation() -> Option<RecomputedBackward<Self::Backbone>> {
        None
    }
}

/// The workspace's own networks, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named;

impl Architecture for Named {
    type Backbone = AnyBackbone;
    type Config = ClassifierConfig;

    fn config(recipe: &ModelRecipe, head: HeadConfig) -> ClassifierConfig {
        ClassifierConfig { backbone: recipe.backbone(), head }
    }

    fn init(
        config: &ClassifierConfig,
        device: &Device,
    ) -> Result<Classifier<AnyBackbone>, derm_backbones::Error> {
        config.init(device)
    }

    fn recomputation() -> Option<RecomputedBackward<AnyBackbone>> {
        Some(recomputed)
    }
}
