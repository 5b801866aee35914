use std::path::PathBuf;

use derm_distill::{AttentionConfig, DistillationConfig, DistillationTerm, WeightSchedule};
use serde::{Deserialize, Serialize};

use crate::recipe::check::section;
use crate::{Error, TrainingRecipe};

/// From whom the network learns beside the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationRecipe {
    /// The teacher: a bundle, a run folder or a checkpoint in one.
    pub teacher: PathBuf,
    /// Weight of the loss against the labels. Default 0.5.
    #[serde(default = "half")]
    pub hard_weight: f64,
    /// Factor on it over training. Default `constant`.
    #[serde(default)]
    pub hard_schedule: WeightSchedule,
    /// Weight of T² KL(teacher ‖ student). Default 0.5.
    #[serde(default = "half")]
    pub kd_weight: f64,
    /// Factor on it over training. Default `constant`.
    #[serde(default)]
    pub kd_schedule: WeightSchedule,
    /// T, positive. Default 4.
    #[serde(default = "four")]
    pub temperature: f64,
    /// Attention transfer; absent for none.
    #[serde(default)]
    pub attention: Option<AttentionConfig>,
    /// Further terms. Default none.
    #[serde(default)]
    pub terms: Vec<DistillationTerm>,
    /// Folder in which the teacher's logits are kept; absent for a teacher that runs at every step.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

fn half() -> f64 {
    0.5
}

fn four() -> f64 {
    4.0
}

impl DistillationRecipe {
    /// Learning from `teacher` with the default of every other key.
    pub fn new(teacher: impl Into<PathBuf>) -> Self {
        Self {
            teacher: teacher.into(),
            hard_weight: half(),
            hard_schedule: WeightSchedule::Constant,
            kd_weight: half(),
            kd_schedule: WeightSchedule::Constant,
            temperature: four(),
            attention: None,
            terms: Vec::new(),
            cache: None,
        }
    }

    /// The objective that the section describes.
    pub fn objective(&self) -> DistillationConfig {
        DistillationConfig {
            hard_weight: self.hard_weight,
            hard_schedule: self.hard_schedule,
            kd_weight: self.kd_weight,
            kd_schedule: self.kd_schedule,
            temperature: self.temperature,
            attention: self.attention.clone(),
            terms: self.terms.clone(),
            ..DistillationConfig::default()
        }
    }

    /// Checks the objective, and whether the batches that `training` makes serve it.
    pub(super) fn validate(&self, training: &TrainingRecipe) -> Result<(), Error> {
        let objective = self.objective();
        objective.validate().map_err(section("distillation"))?;
        let mixes = training.batch_mix.is_on();
        if let (Some(term), true) = (objective.hard_target_term(), mixes) {
            let reason = "takes one class a picture; `training.batch_mix` mixes them".to_owned();
            return Err(Error::DistillationTerm { term, reason });
        }
        let Some(folder) = &self.cache else { return Ok(()) };
        let refuse = |expected| {
            Err(Error::Value { key: "distillation.cache", value: folder.display().to_string(), expected })
        };
        if mixes {
            return refuse("absent where `training.batch_mix` mixes pictures: none looks the same twice");
        }
        if training.augmentation.orientations().is_none() {
            return refuse(
                "absent where `training.augmentation` does more than flips and quarter turns: no picture looks \
                 the same twice",
            );
        }
        if objective.feature_term().is_some() {
            return refuse("absent where a term compares layers: only logits are kept");
        }
        Ok(())
    }
}
