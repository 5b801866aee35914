use std::fmt;

use derm_losses::{
    ClassificationLossConfig, CrossEntropyLossConfig, FocalLossConfig, Gamma, WeightNormalization,
    WeightScheme, ZeroCounts, class_weights,
};
use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer};
use serde::de::{EnumAccess, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::check::{check, within};
use crate::{Error, TrainingRecipe};

/// The loss against the labels: a short name, or any loss of derm-losses with its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LossRecipe {
    /// `cross_entropy` or `focal`, with `training.focal_gamma`, `training.label_smoothing` and
    /// `training.class_weights`.
    Named(LossName),
    /// `ldam: {…}` and the like. Class counts and class weights that it leaves out come from the training rows and
    /// from `training.class_weights`.
    Configured(Box<ClassificationLossConfig>),
}

/// Losses by a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// `−log p_t`.
    #[default]
    CrossEntropy,
    /// `(1 − p_t)^γ (−log p_t)`.
    Focal,
}

impl Default for LossRecipe {
    fn default() -> Self {
        Self::Named(LossName::default())
    }
}

impl From<LossName> for LossRecipe {
    fn from(name: LossName) -> Self {
        Self::Named(name)
    }
}

impl From<ClassificationLossConfig> for LossRecipe {
    fn from(config: ClassificationLossConfig) -> Self {
        Self::Configured(Box::new(config))
    }
}

impl<'de> Deserialize<'de> for LossRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrSettings;
        impl<'de> Visitor<'de> for NameOrSettings {
            type Value = LossRecipe;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`cross_entropy`, `focal`, or one loss with its settings")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<LossRecipe, E> {
                LossName::deserialize(name.into_deserializer()).map(LossRecipe::Named)
            }

            fn visit_map<A: MapAccess<'de>>(self, settings: A) -> Result<LossRecipe, A::Error> {
                let config = ClassificationLossConfig::deserialize(MapAccessDeserializer::new(settings))?;
                Ok(config.into())
            }

            fn visit_enum<A: EnumAccess<'de>>(self, settings: A) -> Result<LossRecipe, A::Error> {
                let config = ClassificationLossConfig::deserialize(EnumAccessDeserializer::new(settings))?;
                Ok(config.into())
            }
        }
        deserializer.deserialize_any(NameOrSettings)
    }
}

/// Class weights from the counts of the training rows, before they are scaled to mean 1 over these rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClassWeights {
    /// All classes weigh the same.
    #[default]
    None,
    /// `1 / n_c`.
    InverseFrequency,
    /// `1 / √n_c`.
    SqrtInverseFrequency,
    /// `(1 − β) / (1 − β^{n_c})` (Cui et al. 2019).
    ClassBalanced {
        /// β in [0, 1).
        beta: f64,
    },
}

impl ClassWeights {
    fn scheme(self) -> Option<WeightScheme> {
        match self {
            Self::None => None,
            Self::InverseFrequency => Some(WeightScheme::InverseFrequency),
            Self::SqrtInverseFrequency => Some(WeightScheme::SqrtInverseFrequency),
            Self::ClassBalanced { beta } => Some(WeightScheme::ClassBalanced { beta }),
        }
    }

    fn of(self, class_counts: &[usize]) -> Result<Option<Vec<f32>>, Error> {
        let Some(scheme) = self.scheme() else { return Ok(None) };
        let weights = class_weights(class_counts, scheme, WeightNormalization::Balanced, ZeroCounts::Refuse)?;
        Ok(Some(weights.into_iter().map(|weight| weight as f32).collect()))
    }
}

/// The keys of a section that name a loss with its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossSettings<'a> {
    pub loss: &'a LossRecipe,
    pub focal_gamma: &'a Gamma,
    pub label_smoothing: f64,
    pub class_weights: ClassWeights,
}

/// What errors call them.
pub(crate) struct LossKeys {
    pub focal_gamma: &'static str,
    pub label_smoothing: &'static str,
    pub class_weights: &'static str,
}

const KEYS: LossKeys = LossKeys {
    focal_gamma: "training.focal_gamma",
    label_smoothing: "training.label_smoothing",
    class_weights: "training.class_weights",
};

impl LossSettings<'_> {
    pub(crate) fn config(self, class_counts: &[usize]) -> Result<ClassificationLossConfig, Error> {
        let weights = self.class_weights.of(class_counts)?;
        let label_smoothing = self.label_smoothing;
        Ok(match self.loss {
            LossRecipe::Named(LossName::CrossEntropy) => {
                ClassificationLossConfig::CrossEntropy(CrossEntropyLossConfig {
                    class_weights: weights,
                    label_smoothing,
                    ..CrossEntropyLossConfig::default()
                })
            }
            LossRecipe::Named(LossName::Focal) => ClassificationLossConfig::Focal(FocalLossConfig {
                gamma: self.focal_gamma.clone(),
                alpha: weights,
                label_smoothing,
                ..FocalLossConfig::default()
            }),
            LossRecipe::Configured(config) => {
                let mut config = config.as_ref().clone();
                fill(&mut config, class_counts, weights.as_ref());
                config
            }
        })
    }

    pub(crate) fn validate(self, keys: &LossKeys) -> Result<(), Error> {
        let gammas: &[f64] = match self.focal_gamma {
            Gamma::Constant(gamma) => std::slice::from_ref(gamma),
            Gamma::PerClass(gammas) => gammas,
            Gamma::Linear { from, to } | Gamma::Cosine { from, to } => &[*from, *to],
            Gamma::Flsd53 => &[],
        };
        let text = format!("{:?}", self.focal_gamma);
        check(keys.focal_gamma, &text, "0 or more", |_| {
            gammas.iter().all(|gamma| gamma.is_finite() && *gamma >= 0.0)
        })?;
        check(keys.label_smoothing, &self.label_smoothing, "0 to 1", |v| within(*v, 0.0, 1.0))?;
        if let ClassWeights::ClassBalanced { beta } = self.class_weights {
            let expected = "class_balanced with beta from 0 to below 1";
            check(keys.class_weights, &beta, expected, |v| (0.0..1.0).contains(v))?;
        }
        let LossRecipe::Configured(config) = self.loss else { return Ok(()) };
        let expected = "0, because the loss has settings of its own";
        check(keys.label_smoothing, &self.label_smoothing, expected, |v| *v == 0.0)?;
        let weights = format!("{:?}", self.class_weights);
        let expected = "none, because the loss takes no class weights, or has its own";
        check(keys.class_weights, &weights, expected, |_| {
            self.class_weights == ClassWeights::None
                || class_weights_of(&mut config.as_ref().clone()).is_some()
        })
    }
}

impl TrainingRecipe {
    fn loss_settings(&self) -> LossSettings<'_> {
        LossSettings {
            loss: &self.loss,
            focal_gamma: &self.focal_gamma,
            label_smoothing: self.label_smoothing,
            class_weights: self.class_weights,
        }
    }

    /// The loss that the section names, with what it needs from the counts of the training rows.
    ///
    /// # Errors
    /// [`Error::Loss`] for class weights where a class has no row.
    pub fn loss_config(&self, class_counts: &[usize]) -> Result<ClassificationLossConfig, Error> {
        self.loss_settings().config(class_counts)
    }

    pub(super) fn validate_loss(&self) -> Result<(), Error> {
        self.loss_settings().validate(&KEYS)
    }
}

/// Where the class weights of a loss go, if it takes some and has none.
fn class_weights_of(config: &mut ClassificationLossConfig) -> Option<&mut Option<Vec<f32>>> {
    let place = match config {
        ClassificationLossConfig::CrossEntropy(config) => &mut config.class_weights,
        ClassificationLossConfig::Focal(config) => &mut config.alpha,
        ClassificationLossConfig::Ldam(config) => &mut config.class_weights,
        ClassificationLossConfig::DeferredReweighting(config) => return class_weights_of(&mut config.loss),
        _ => return None,
    };
    place.is_none().then_some(place)
}

/// Where the class counts of a loss go, if it needs some and has none.
fn counts_of(config: &mut ClassificationLossConfig) -> Option<&mut Vec<usize>> {
    let place = match config {
        ClassificationLossConfig::Ldam(config) => &mut config.counts,
        ClassificationLossConfig::LogitAdjusted(config) => &mut config.counts,
        ClassificationLossConfig::BalancedSoftmax(config) => &mut config.counts,
        ClassificationLossConfig::DeferredReweighting(config) => return counts_of(&mut config.loss),
        _ => return None,
    };
    place.is_empty().then_some(place)
}

fn fill(config: &mut ClassificationLossConfig, class_counts: &[usize], weights: Option<&Vec<f32>>) {
    if let Some(place) = counts_of(config) {
        *place = class_counts.to_vec();
    }
    if let Some(place) = class_weights_of(config) {
        *place = weights.cloned();
    }
}
