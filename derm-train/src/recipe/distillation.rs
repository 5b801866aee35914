use std::path::PathBuf;

use derm_distill::{AttentionConfig, DistillationConfig};
use serde::{Deserialize, Serialize};

/// From whom the network learns beside the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationRecipe {
    /// Bundle of the teacher.
    pub teacher: PathBuf,
    /// Weight of the loss against the labels. Default 0.5.
    #[serde(default = "half")]
    pub hard_weight: f64,
    /// Weight of T² KL(teacher ‖ student). Default 0.5.
    #[serde(default = "half")]
    pub kd_weight: f64,
    /// T, positive. Default 4.
    #[serde(default = "four")]
    pub temperature: f64,
    /// Attention transfer; absent for none.
    #[serde(default)]
    pub attention: Option<AttentionConfig>,
}

fn half() -> f64 {
    0.5
}

fn four() -> f64 {
    4.0
}

impl DistillationRecipe {
    /// The objective that the section describes.
    pub fn objective(&self) -> DistillationConfig {
        DistillationConfig {
            hard_weight: self.hard_weight,
            kd_weight: self.kd_weight,
            temperature: self.temperature,
            attention: self.attention.clone(),
            ..DistillationConfig::default()
        }
    }
}
