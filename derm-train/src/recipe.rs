//! The recipe: every key of a run, in one place, with its default.

mod abstention;
pub(crate) mod check;
mod checkpoints;
mod conformal;
mod dataset;
mod distillation;
mod early_stopping;
mod ema;
mod evaluation;
mod loss;
mod model;
mod phases;
mod tasks;
mod text;
mod training;

pub use abstention::AbstentionRecipe;
pub use checkpoints::{CheckpointsRecipe, FinalWeights};
pub use conformal::ConformalRecipe;
pub use dataset::{DatasetRecipe, NearDuplicatePolicy};
pub use distillation::DistillationRecipe;
pub use early_stopping::EarlyStoppingRecipe;
pub use ema::EmaRecipe;
pub use evaluation::EvaluationRecipe;
pub use loss::{ClassWeights, LossName, LossRecipe};
pub use model::{ImageNorm, ModelRecipe};
pub use phases::{FreezeRecipe, PhaseRecipe};
pub use tasks::TaskRecipe;
pub(crate) use tasks::task_heads;
pub use text::TextRecipe;
pub use training::TrainingRecipe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use derm_losses::ClassificationLossConfig;
use serde::{Deserialize, Serialize};

use crate::{Error, recipe_file};
use check::check;

/// A run: data, network, training, distillation, calibration and where it goes.
///
/// In YAML; unknown keys are errors. Fractions lie in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Name of the run, used in reports and in the model card.
    pub name: String,
    /// Everything random derives from it. Default 0.
    pub seed: u64,
    /// The run folder; it is made, and a run that was interrupted in it goes on. Default `runs/<name>`.
    pub output: Option<PathBuf>,
    /// What is learned from.
    pub dataset: DatasetRecipe,
    /// The network.
    pub model: ModelRecipe,
    /// How it learns.
    pub training: TrainingRecipe,
    /// The tasks beside the diagnosis, by name; one set to nothing is left out. Default none.
    #[serde(deserialize_with = "tasks::present")]
    pub tasks: BTreeMap<String, TaskRecipe>,
    /// From whom it learns beside the labels; absent for a network that learns alone.
    pub distillation: Option<DistillationRecipe>,
    /// When it answers and when it refers.
    pub abstention: AbstentionRecipe,
    /// Which classes may be the true one.
    pub conformal: ConformalRecipe,
    /// How it is measured.
    pub evaluation: EvaluationRecipe,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: "run".to_owned(),
            seed: 0,
            output: None,
            dataset: DatasetRecipe::default(),
            model: ModelRecipe::default(),
            training: TrainingRecipe::default(),
            tasks: BTreeMap::new(),
            distillation: None,
            abstention: AbstentionRecipe::default(),
            conformal: ConformalRecipe::default(),
            evaluation: EvaluationRecipe::default(),
        }
    }
}

impl Recipe {
    /// Reads a recipe from a YAML file and sets each `key.path=value` of `overrides`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Yaml`], [`Error::Override`], [`Error::UnknownKey`], [`Error::Key`] for what
    /// cannot be read, [`Error::Value`] for an impossible value.
    pub fn read(path: impl AsRef<Path>, overrides: &[String]) -> Result<Self, Error> {
        let recipe: Self = recipe_file::read(path.as_ref(), overrides)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The same from a text; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, Error> {
        let recipe: Self = recipe_file::parse(text, origin, overrides)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The run folder.
    pub fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| Path::new("runs").join(&self.name))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, the value and the allowed range, within [`Error::Task`] where it is a task's;
    /// [`Error::Data`] for labels of a task that contradict each other; [`Error::Section`] for what another crate
    /// refuses.
    pub fn validate(&self) -> Result<(), Error> {
        let plain =
            |name: &String| !name.trim().is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        check("name", &self.name, "a name without `/` that begins with no dot", plain)?;
        self.dataset.validate()?;
        self.model.validate()?;
        self.training.validate()?;
        self.tasks.iter().try_for_each(|(name, task)| task.validate(name))?;
        if let Some(distillation) = &self.distillation {
            distillation.validate(&self.training)?;
        }
        self.abstention.validate()?;
        self.conformal.validate()?;
        self.evaluation.validate()
    }

    /// The loss that the recipe names, with what it needs from the counts of the training rows.
    ///
    /// # Errors
    /// As [`TrainingRecipe::loss_config`].
    pub fn loss(&self, class_counts: &[usize]) -> Result<ClassificationLossConfig, Error> {
        self.training.loss_config(class_counts)
    }
}
