use derm_losses::{AttentionMode, AttentionPool, CombinationRule, KdLossConfig, KdScale};
use serde::{Deserialize, Serialize};

use crate::layer_pairs::layer_weights;
use crate::{Error, LayerPairs};

/// Distillation on feature maps.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `weight` | 1000 (Zagoruyko and Komodakis 2017, with `mean_squared`) | weighs the weighted sum over the layers | finite, ≥ 0 |
/// | `mode` | `mean_squared` | distance of two attention maps | |
/// | `pool` | `features` | what is averaged where sizes differ | |
/// | `layers` | `auto` | the layers compared, and what each weighs | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionConfig {
    /// Weight of the weighted sum over the layers.
    pub weight: f64,
    /// Distance of two attention maps; its size depends on it by orders, so weight and mode go together.
    pub mode: AttentionMode,
    /// What is averaged where the maps differ in size.
    pub pool: AttentionPool,
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            weight: 1000.0,
            mode: AttentionMode::MeanSquared,
            pool: AttentionPool::Features,
            layers: LayerPairs::Auto,
        }
    }
}

/// Configuration of [`DistillationObjective`](crate::DistillationObjective). The weights are named by what they
/// weigh, because α and β mean different things in every paper.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `hard_weight` | 0.5 | weighs the loss on the targets | finite, ≥ 0 |
/// | `kd_weight` | 0.5 | weighs the divergence from the teacher | finite, ≥ 0 |
/// | `temperature` | 4 | temperature of the divergence | finite, > 0 |
/// | `kd_scale` | `temperature_squared` | factor inside the divergence | |
/// | `attention` | none | distillation on feature maps | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Weight of the loss on the targets.
    pub hard_weight: f64,
    /// Weight of the divergence from the teacher.
    pub kd_weight: f64,
    /// Temperature of the divergence.
    pub temperature: f64,
    /// The factor inside the divergence.
    pub kd_scale: KdScale,
    /// Distillation on feature maps; none leaves it out.
    pub attention: Option<AttentionConfig>,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            hard_weight: 0.5,
            kd_weight: 0.5,
            temperature: 4.0,
            kd_scale: KdScale::TemperatureSquared,
            attention: None,
        }
    }
}

impl DistillationConfig {
    /// The weights of a rule of the literature, with everything else as by default.
    ///
    /// ```
    /// use derm_distill::DistillationConfig;
    /// use derm_losses::CombinationRule;
    ///
    /// let config = DistillationConfig::combined(CombinationRule::Convex { alpha: 0.1 })?;
    /// assert_eq!((config.hard_weight, config.kd_weight), (0.1, 0.9));
    /// # Ok::<(), derm_distill::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Loss`] for a weight out of range.
    pub fn combined(rule: CombinationRule) -> Result<Self, Error> {
        let [hard_weight, kd_weight] = rule.weights()?;
        Ok(Self { hard_weight, kd_weight, ..Self::default() })
    }

    pub(crate) fn kd(&self) -> KdLossConfig {
        KdLossConfig { temperature: self.temperature, scale: self.kd_scale }
    }

    /// Checks the weights and the temperature; the names of layers are checked where the networks are known.
    ///
    /// # Errors
    /// [`Error::Weight`], [`Error::NoWeight`], [`Error::NoLayers`], [`Error::LayerWeights`] or [`Error::Loss`].
    pub fn validate(&self) -> Result<(), Error> {
        let attention_weight = self.attention.as_ref().map_or(0.0, |attention| attention.weight);
        let weights = [
            ("hard_weight", self.hard_weight),
            ("kd_weight", self.kd_weight),
            ("attention.weight", attention_weight),
        ];
        for (parameter, value) in weights {
            if !((value as f32).is_finite() && value >= 0.0) {
                return Err(Error::Weight { parameter, value });
            }
        }
        if weights.iter().all(|(_, value)| *value == 0.0) {
            return Err(Error::NoWeight);
        }
        if let Some(AttentionConfig { layers: LayerPairs::Pairs(pairs), .. }) = &self.attention {
            layer_weights(pairs)?;
        }
        Ok(self.kd().validate()?)
    }
}
