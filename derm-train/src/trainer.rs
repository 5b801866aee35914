use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use derm_backbones::Classifier;
use derm_core::{Backbone, Logits, atomic};
use derm_data::{Batch, Loader};
use derm_metrics::{ClassSet, NLL_CLIP, accuracy, balanced_accuracy, nll};
use ndarray::Array2;

use crate::accumulation::gradients;
use crate::checkpoint::{Checkpoints, State};
use crate::finite::first_not_finite;
use crate::gradient_norm::clip_global_norm;
use crate::history::EpochLog;
use crate::inference::logits;
use crate::optimizer::adamw;
use crate::progress::Progress;
use crate::seed::{Purpose, derive};
use crate::{Error, Objective, TrainingRecipe, WarmupCosine};

/// The training loop: `AdamW`, one learning rate a step, checkpoints, exact resume.
///
/// Everything that a step depends on is the network, the optimizer's state and the step itself: the order of
/// the rows, their augmentation, the dropout masks and the learning rate derive from the seed and the step. A
/// run that is killed at any time and resumed from its last checkpoint therefore ends, on a device whose
/// arithmetic repeats (flex does, with any number of threads), with the same bytes as one that was not.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// The recipe's section.
    pub recipe: &'a TrainingRecipe,
    /// The run's seed.
    pub seed: u64,
    /// The device without autodiff; the trainer adds it.
    pub device: &'a Device,
    /// Where checkpoints and `history.jsonl` go; a training that was interrupted here goes on.
    pub folder: &'a Path,
    /// Where progress is told.
    pub progress: Progress,
    /// What progress calls this training.
    pub label: &'a str,
}

/// A network that was trained.
#[derive(Debug, Clone)]
pub struct Trained<B: Backbone> {
    /// The network in inference mode, on the device without autodiff.
    pub model: Classifier<B>,
    /// What is known of each epoch.
    pub history: Vec<EpochLog>,
}

impl Trainer<'_> {
    /// Trains `model`, or takes up the training that was interrupted in the folder.
    ///
    /// `train` drops its last partial batch or not as it was configured; `validation` must be sequential.
    ///
    /// # Errors
    /// [`Error::NoBatch`], [`Error::NotFinite`], [`Error::WeightNotFinite`], [`Error::Checkpoint`], and what
    /// reading data and writing files gives.
    pub fn fit<B: Backbone>(
        &self,
        model: Classifier<B>,
        objective: &(impl Objective<B> + ?Sized),
        train: &Loader,
        validation: &Loader,
    ) -> Result<Trained<B>, Error> {
        let device = self.device.clone().autodiff();
        let accumulated = self.recipe.gradient_accumulation_steps;
        let batches_per_epoch = train.num_batches();
        let steps_per_epoch = batches_per_epoch.div_ceil(accumulated);
        Self::check_rows(self.recipe, train)?;
        let schedule = self.schedule(steps_per_epoch);
        let checkpoints = Checkpoints::new(self.folder.join("checkpoints"));

        let mut model = model.train();
        let mut state = State::default();
        let latest = checkpoints.latest()?;
        if let Some(path) = &latest {
            state = Checkpoints::state(path)?;
            self.check_position(path, &state, batches_per_epoch)?;
            model = Checkpoints::model(path, model)?;
        }
        let mut optimizer = adamw(self.recipe, &model);
        if let Some(path) = &latest {
            optimizer = Checkpoints::optimizer(path, optimizer, &state)?;
            let (epoch, batch) = (state.epoch + 1, state.batches_done);
            if epoch <= self.recipe.epochs {
                self.progress.line(&format!("{} goes on at epoch {epoch}, batch {batch}", self.label));
            }
            // The process that wrote the checkpoint may have ended before it wrote this.
            self.write_history(&state.history)?;
        }

        while state.epoch < self.recipe.epochs {
            let label = format!("{} {}/{}", self.label, state.epoch + 1, self.recipe.epochs);
            let bar = self.progress.bar(&label, batches_per_epoch, state.batches_done);
            let mut clock = Instant::now();
            let mut batches = train.device_batches(state.epoch as u64, state.batches_done, &device, AHEAD);
            loop {
                let group: Vec<Batch> = batches.by_ref().take(accumulated).collect::<Result<_, _>>()?;
                if group.is_empty() {
                    break;
                }
                device.seed(derive(self.seed, Purpose::Step, state.step as u64));
                let progress = state.step as f64 / schedule.total_steps as f64;
                let (loss, mut gradients) = gradients(&model, objective, &group, progress);
                let value: f32 = loss.into_scalar();
                if !value.is_finite() {
                    return Err(Error::NotFinite { step: state.step, epoch: state.epoch + 1, value });
                }
                if let Some(norm) = self.recipe.clip_norm {
                    clip_global_norm(&mut gradients, &model, norm);
                }
                model = optimizer.step(schedule.at(state.step), model, gradients);
                state.step += 1;
                state.batches_done += group.len();
                state.loss_sum += f64::from(value);
                bar.advance(group.len(), state.loss_sum / state.batches_done.div_ceil(accumulated) as f64);
                if state.step.is_multiple_of(self.recipe.checkpoint_steps)
                    && state.batches_done < batches_per_epoch
                {
                    state.seconds += clock.elapsed().as_secs_f64();
                    clock = Instant::now();
                    save(&checkpoints, &model, &optimizer, &state)?;
                }
            }
            bar.finish();
            state.seconds += clock.elapsed().as_secs_f64();
            let log = self.validate(&model, validation, &state, schedule.at(state.step - 1))?;
            self.progress.epoch(self.label, self.recipe.epochs, &log);
            state.history.push(log);
            state.epoch += 1;
            state.batches_done = 0;
            state.loss_sum = 0.0;
            state.seconds = 0.0;
            save(&checkpoints, &model, &optimizer, &state)?;
            self.write_history(&state.history)?;
        }
        Ok(Trained { model: model.valid(), history: state.history })
    }

    /// Whether there is a batch to train on.
    pub(crate) fn check_rows(recipe: &TrainingRecipe, train: &Loader) -> Result<(), Error> {
        if train.num_batches() > 0 {
            return Ok(());
        }
        Err(Error::NoBatch { rows: train.sampler().len(), batch_size: recipe.batch_size })
    }

    /// Whether the checkpoint was written by a training with these epochs.
    fn check_position(&self, path: &Path, state: &State, batches_per_epoch: usize) -> Result<(), Error> {
        let State { step, epoch, batches_done, .. } = *state;
        let accumulated = self.recipe.gradient_accumulation_steps;
        let fits = batches_done < batches_per_epoch
            && batches_done.is_multiple_of(accumulated)
            && step == epoch * batches_per_epoch.div_ceil(accumulated) + batches_done / accumulated
            && epoch + usize::from(batches_done > 0) <= self.recipe.epochs;
        if fits {
            return Ok(());
        }
        let epochs = self.recipe.epochs;
        let reason = format!(
            "step {step}, epoch {epoch}, batch {batches_done}: expected a training of {epochs} epochs of \
             {batches_per_epoch} batches, {accumulated} a step"
        );
        Err(Error::Checkpoint { path: path.to_owned(), reason })
    }

    fn schedule(&self, steps_per_epoch: usize) -> WarmupCosine {
        WarmupCosine {
            peak: self.recipe.learning_rate,
            final_share: self.recipe.final_learning_rate_share,
            warmup_steps: (self.recipe.warmup_epochs * steps_per_epoch as f64).round() as usize,
            total_steps: self.recipe.epochs * steps_per_epoch,
        }
    }

    fn validate<B: Backbone>(
        &self,
        model: &Classifier<B>,
        validation: &Loader,
        state: &State,
        learning_rate: f64,
    ) -> Result<EpochLog, Error> {
        let clock = Instant::now();
        let (rows, values) = logits(&model.valid(), validation, self.device)?;
        let targets: Vec<usize> = rows.iter().map(|&row| validation.samples().targets()[row]).collect();
        let values: Array2<f64> = values.mapv(f64::from);
        let probabilities = Logits::new(values)?.softmax();
        Ok(EpochLog {
            epoch: state.epoch + 1,
            step: state.step,
            train_loss: state.loss_sum
                / state.batches_done.div_ceil(self.recipe.gradient_accumulation_steps) as f64,
            validation_nll: nll(&probabilities, &targets, NLL_CLIP)?,
            validation_accuracy: accuracy(&probabilities, &targets)?,
            validation_balanced_accuracy: balanced_accuracy(&probabilities, &targets, ClassSet::Present)?,
            learning_rate,
            train_seconds: state.seconds,
            validation_seconds: clock.elapsed().as_secs_f64(),
        })
    }

    fn write_history(&self, history: &[EpochLog]) -> Result<(), Error> {
        Ok(atomic::write_file(self.folder.join("history.jsonl"), |file| {
            for log in history {
                serde_json::to_writer(&mut *file, log).map_err(std::io::Error::from)?;
                std::io::Write::write_all(file, b"\n")?;
            }
            Ok(())
        })?)
    }
}

/// Batches that wait on the device.
const AHEAD: usize = 1;

/// Saves a checkpoint, unless a weight is lost: a run could never get away from that one.
fn save<M: Module>(
    checkpoints: &Checkpoints,
    model: &M,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<(), Error> {
    match first_not_finite(model) {
        None => checkpoints.save(model, optimizer, state),
        Some(parameter) => Err(Error::WeightNotFinite { step: state.step, parameter }),
    }
}
