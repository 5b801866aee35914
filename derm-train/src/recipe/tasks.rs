use std::collections::BTreeMap;

use derm_backbones::TaskConfig;
use derm_core::LabelMap;
use derm_data::{Dataset, TaskLabels};
use derm_losses::{ClassificationLossConfig, Gamma};
use serde::{Deserialize, Deserializer, Serialize};

use crate::inference::TASK;
use crate::recipe::check::check;
use crate::recipe::loss::{LossKeys, LossSettings};
use crate::{ClassWeights, Error, LossRecipe};

/// A task beside the diagnosis: a head of its own on the same network, its labels and its loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskRecipe {
    /// Where its labels come from.
    pub labels: TaskLabels,
    /// What its loss weighs beside the diagnosis' loss, which has 1, or beside the distillation's terms. Default 1.
    pub weight: f64,
    /// As `training.loss`, over the rows that are labelled for the task. Default `cross_entropy`.
    pub loss: LossRecipe,
    /// As `training.focal_gamma`. Default 2.
    pub focal_gamma: Gamma,
    /// As `training.label_smoothing`. Default 0.
    pub label_smoothing: f64,
    /// As `training.class_weights`, from the task's own training counts. Default `none`.
    pub class_weights: ClassWeights,
}

impl Default for TaskRecipe {
    fn default() -> Self {
        Self {
            labels: TaskLabels::default(),
            weight: 1.0,
            loss: LossRecipe::default(),
            focal_gamma: Gamma::Constant(2.0),
            label_smoothing: 0.0,
            class_weights: ClassWeights::default(),
        }
    }
}

/// The keys as errors name them, below the task's own.
const KEYS: LossKeys = LossKeys {
    focal_gamma: "focal_gamma",
    label_smoothing: "label_smoothing",
    class_weights: "class_weights",
};

impl TaskRecipe {
    fn settings(&self) -> LossSettings<'_> {
        LossSettings {
            loss: &self.loss,
            focal_gamma: &self.focal_gamma,
            label_smoothing: self.label_smoothing,
            class_weights: self.class_weights,
        }
    }

    /// The loss that the section names, with what it needs from the task's counts of the training rows.
    ///
    /// # Errors
    /// [`Error::Loss`] for class weights where a class has no row.
    pub fn loss_config(&self, class_counts: &[usize]) -> Result<ClassificationLossConfig, Error> {
        self.settings().config(class_counts)
    }

    pub(super) fn validate(&self, name: &str) -> Result<(), Error> {
        let wrong = |source: Error| Error::Task { task: name.to_owned(), source: Box::new(source) };
        let word = |name: &&str| {
            !name.is_empty() && *name != TASK && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let expected = "one word of letters, digits and `_`, which is not `diagnosis`";
        check("name", &name, expected, word).map_err(wrong)?;
        let weighs = |weight: &f64| weight.is_finite() && *weight > 0.0;
        check("weight", &self.weight, "above 0", weighs).map_err(wrong)?;
        self.settings().validate(&KEYS).map_err(wrong)?;
        Ok(self.labels.validate(name)?)
    }
}

/// The tasks that are not set to nothing, which undoes one of a file's base.
pub(super) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, TaskRecipe>, D::Error> {
    let tasks = BTreeMap::<String, Option<TaskRecipe>>::deserialize(deserializer)?;
    Ok(tasks.into_iter().filter_map(|(name, task)| Some((name, task?))).collect())
}

/// The head of each task: its name and its number of classes.
pub(crate) fn task_heads(dataset: &Dataset) -> Vec<TaskConfig> {
    let head = |(name, labels): (&String, &LabelMap)| TaskConfig {
        name: name.clone(),
        num_classes: labels.num_classes(),
    };
    dataset.tasks().iter().map(head).collect()
}
