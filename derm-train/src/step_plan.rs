use std::path::Path;

use crate::checkpoint::State;
use crate::phases::phase_of;
use crate::{Error, TrainingRecipe, WarmupCosine};

/// How a training's batches become optimizer steps: a pure function of the recipe and the number of batches.
#[derive(Debug)]
pub(crate) struct StepPlan {
    epochs: usize,
    /// Micro-batches an epoch.
    pub batches_per_epoch: usize,
    /// Micro-batches a step; the last step of an epoch has those that are left.
    pub accumulated: usize,
    schedule: WarmupCosine,
}

impl StepPlan {
    pub(crate) fn new(recipe: &TrainingRecipe, batches_per_epoch: usize) -> Self {
        let accumulated = recipe.gradient_accumulation_steps;
        let steps_per_epoch = batches_per_epoch.div_ceil(accumulated);
        let schedule = WarmupCosine {
            peak: recipe.learning_rate,
            final_share: recipe.final_learning_rate_share,
            warmup_steps: (recipe.warmup_epochs * steps_per_epoch as f64).round() as usize,
            total_steps: recipe.epochs * steps_per_epoch,
        };
        Self { epochs: recipe.epochs, batches_per_epoch, accumulated, schedule }
    }

    /// Optimizer steps that this many micro-batches of an epoch make.
    pub(crate) fn steps(&self, batches: usize) -> usize {
        batches.div_ceil(self.accumulated)
    }

    /// The share of the steps that are done before `step`, from 0.
    pub(crate) fn progress(&self, step: usize) -> f64 {
        step as f64 / self.schedule.total_steps as f64
    }

    /// The learning rate of a step, from 0: that of the whole training's curve, under its phase's peak.
    pub(crate) fn learning_rate(&self, recipe: &TrainingRecipe, step: usize) -> f64 {
        let epoch = step / self.steps(self.batches_per_epoch);
        let peak = phase_of(recipe, epoch).and_then(|phase| phase.learning_rate);
        WarmupCosine { peak: peak.unwrap_or(self.schedule.peak), ..self.schedule }.at(step)
    }

    /// Whether a checkpoint was written by a training with these steps.
    pub(crate) fn check(&self, path: &Path, state: &State) -> Result<(), Error> {
        let State { step, epoch, batches_done, .. } = *state;
        let Self { epochs, batches_per_epoch, accumulated, .. } = *self;
        let fits = batches_done < batches_per_epoch
            && batches_done.is_multiple_of(accumulated)
            && step == epoch * self.steps(batches_per_epoch) + self.steps(batches_done)
            && epoch + usize::from(batches_done > 0) <= epochs;
        if fits {
            return Ok(());
        }
        let reason = format!(
            "step {step}, epoch {epoch}, batch {batches_done}: expected a training of {epochs} epochs of \
             {batches_per_epoch} batches, {accumulated} a step"
        );
        Err(Error::Checkpoint { path: path.to_owned(), reason })
    }
}
