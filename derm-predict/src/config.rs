use derm_core::{Normalization, View};
use derm_data::Resize;
use serde::{Deserialize, Serialize};

use crate::WeightFormat;

/// `config.json`: how an image and answers become logits.
///
/// `M` describes the network. It is [`ClassifierConfig`](derm_backbones::ClassifierConfig) where this workspace's
/// own networks are served; a network from elsewhere brings its own type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleConfig<M> {
    /// The task's name; its classes stand in `labels/<task>.txt`.
    pub task: String,
    /// The network.
    pub model: M,
    /// Side, crop rule and interpolation by which an image is brought to the network.
    pub resize: Resize,
    /// Standardisation of the pixels.
    pub normalization: Normalization,
    /// What the network looks at: the image as it is, a mirror image, or the mean probability over `flips`. The
    /// calibrator was fitted on this view and holds for no other.
    pub view: View,
    /// How `model.safetensors` keeps the weights.
    #[serde(default, skip_serializing_if = "WeightFormat::is_f32")]
    pub weights: WeightFormat,
}
