use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use derm_backbones::{Blocks, Classifier, HalfPrecision, LayerGroups, Recompute};
use derm_core::{Backbone, Logits, atomic};
use derm_data::{Batch, DeviceBatches, Loader};
use ndarray::Array2;

use crate::accumulation::{Passes, gradients};
use crate::best_checkpoints::BestCheckpoints;
use crate::checkpoint::{Checkpoints, State};
use crate::data_parallel::DataParallel;
use crate::ema::Ema;
use crate::finite::first_not_finite;
use crate::gradient_norm::clip_global_norm;
use crate::history::EpochLog;
use crate::inference::{Outputs, outputs};
use crate::layer_decay::LayerDecay;
use crate::learner::Learner;
use crate::optimizer::adamw;
use crate::peak_memory::{peak_process_memory, reserved_device_memory};
use crate::phases::{freeze, frozen_in};
use crate::precision::all_finite;
use crate::progress::{Bar, Progress};
use crate::recomputation::Recomputation;
use crate::seed::{Purpose, derive};
use crate::step_plan::StepPlan;
use crate::training_log::TrainingLog;
use crate::{
    EpochObserver, Error, FinalWeights, LossTerms, Objective, StepEntry, TermEntry, TrainingRecipe,
    ValidationMetric, recomputed,
};

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
    /// Where checkpoints and logs go; a training that was interrupted here goes on.
    pub folder: &'a Path,
    /// Where progress is told.
    pub progress: Progress,
    /// What progress calls this training.
    pub label: &'a str,
    /// Who is told of each epoch and may end the training.
    pub observer: Option<&'a dyn EpochObserver>,
}

/// A network that was trained.
#[derive(Debug, Clone)]
pub struct Trained<B: Backbone> {
    /// The network in inference mode, on the device without autodiff, with the weights that
    /// [`TrainingRecipe::final_weights`] names.
    pub model: Classifier<B>,
    /// What is known of each epoch.
    pub history: Vec<EpochLog>,
}

/// A training under way.
struct Session<B: Backbone> {
    learner: Learner<B>,
    recompute: Recomputation<B>,
    /// Layer groups that stand still.
    frozen: Vec<String>,
    ema: Option<Ema<B>>,
    optimizer: ModuleOptimizer,
    layer_decay: LayerDecay,
    state: State,
    log: TrainingLog,
}

impl Trainer<'_> {
    /// Trains `model`, or takes up the training that was interrupted in the folder.
    ///
    /// `train` drops its last partial batch or not as it was configured; `validation` must be sequential.
    ///
    /// # Errors
    /// [`Error::Precision`], [`Error::NoBatch`], [`Error::AllFrozen`], [`Error::NotFinite`], [`Error::WeightNotFinite`],
    /// [`Error::Checkpoint`], [`Error::NoBestEpoch`], and what reading data and writing files gives.
    pub fn fit<B: Backbone + LayerGroups>(
        &self,
        model: Classifier<B>,
        objective: &(impl Objective<B> + ?Sized),
        train: &Loader,
        validation: &Loader,
    ) -> Result<Trained<B>, Error> {
        self.fit_by(model, objective, train, validation, None, None)
    }

    /// [`Trainer::fit`] with activations that are computed again in segments of `blocks` blocks instead of kept. On
    /// flex the weights are the same but for the rounding that [`Recompute`] states, and for dropout's masks.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn fit_recomputing<B: Blocks + LayerGroups>(
        &self,
        model: Classifier<B>,
        objective: &(impl Objective<B> + ?Sized),
        train: &Loader,
        validation: &Loader,
        blocks: NonZeroUsize,
    ) -> Result<Trained<B>, Error> {
        self.fit_by(model, objective, train, validation, Some((blocks, recomputed)), None)
    }

    /// [`Trainer::fit`] on several devices: the micro-batches of [`TrainingRecipe::gradient_accumulation_steps`] are
    /// shared among them, so that the training is that of one device but for the order in which gradients are added
    /// and, with batch norms, for the running statistics, which only the first device's micro-batches move. A process
    /// has one generator of dropout masks; with dropout, who draws first decides, and a run does not repeat.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn fit_on<B: Backbone + LayerGroups>(
        &self,
        model: Classifier<B>,
        objective: &(impl Objective<B> + ?Sized),
        train: &Loader,
        validation: &Loader,
        parallel: DataParallel<'_, B>,
    ) -> Result<Trained<B>, Error> {
        self.fit_by(model, objective, train, validation, None, Some(parallel))
    }

    pub(crate) fn fit_by<B: Backbone + LayerGroups>(
        &self,
        model: Classifier<B>,
        objective: &(impl Objective<B> + ?Sized),
        train: &Loader,
        validation: &Loader,
        recompute: Recomputation<B>,
        mut parallel: Option<DataParallel<'_, B>>,
    ) -> Result<Trained<B>, Error> {
        Self::check(self.recipe, &model, train, self.device)?;
        let device = self.device.clone().autodiff();
        let plan = StepPlan::new(self.recipe, train.num_batches());
        let checkpoints = Checkpoints::new(self.folder.join("checkpoints"));
        let best = BestCheckpoints::new(self.folder.join("best"), self.recipe.checkpoints);
        let learner = Learner::new(model, objective.projectors());
        let mut session = self.begin(learner, recompute, &plan, &checkpoints)?;
        best.tidy(&session.state.best)?;

        let stopping = self.recipe.early_stopping.as_ref();
        let mut ended = self.ends_at(&session.state.history)?;
        while !ended && session.state.epoch < self.recipe.epochs && !session.state.stopping.is_over(stopping)
        {
            session = self.enter_phase(session)?;
            let (epoch, done) = (session.state.epoch, session.state.batches_done);
            let label = format!("{} {}/{}", self.label, epoch + 1, self.recipe.epochs);
            let bar = self.progress.bar(&label, plan.batches_per_epoch, done);
            let batches = train.device_batches(epoch as u64, done, &device, AHEAD);
            let parallel = parallel.as_mut();
            session =
                self.train_epoch(session, objective, parallel, batches, &device, &plan, &checkpoints, &bar)?;
            bar.finish();
            self.end_epoch(&mut session, validation, &plan, &best)?;
            save(&checkpoints, &session)?;
            best.tidy(&session.state.best)?;
            self.write_history(&session.state.history)?;
            ended = self.ends_at(session.state.history.last())?;
        }
        if session.state.epoch < self.recipe.epochs {
            let epochs = session.state.epoch;
            self.progress.line(&format!("{} stops early, after {epochs} epochs", self.label));
        }
        let model = match (self.recipe.final_weights, session.ema) {
            (FinalWeights::Best, _) => best.load(&session.state.best, session.learner.model.valid())?,
            (FinalWeights::Ema, Some(ema)) => ema.model,
            (FinalWeights::Last, _) | (FinalWeights::Ema, None) => session.learner.model.valid(),
        };
        Ok(Trained { model, history: session.state.history })
    }

    /// Tells the observer of these epochs; whether the training ends with one of them.
    fn ends_at<'log>(&self, logs: impl IntoIterator<Item = &'log EpochLog>) -> Result<bool, Error> {
        let Some(observer) = self.observer else { return Ok(false) };
        for log in logs {
            if observer.epoch(log)?.is_break() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this network can be trained on these rows and this device by this recipe.
    pub(crate) fn check<B: Backbone + LayerGroups>(
        recipe: &TrainingRecipe,
        model: &Classifier<B>,
        train: &Loader,
        device: &Device,
    ) -> Result<(), Error> {
        if let Some(format) = recipe.amp_dtype.filter(|format| !format.is_supported(device)) {
            return Err(Error::Precision { format, device: format!("{device:?}") });
        }
        if train.num_batches() == 0 {
            return Err(Error::NoBatch { rows: train.sampler().len(), batch_size: recipe.batch_size });
        }
        let mut epoch = 0;
        for phase in &recipe.phases {
            frozen_in(recipe, epoch, model)?;
            epoch += phase.epochs;
        }
        LayerDecay::new(recipe.layer_decay, model).map(drop)
    }

    /// The training from its latest checkpoint on, or from the start.
    fn begin<B: Backbone + LayerGroups>(
        &self,
        mut learner: Learner<B>,
        recompute: Recomputation<B>,
        plan: &StepPlan,
        checkpoints: &Checkpoints,
    ) -> Result<Session<B>, Error> {
        let mut state = State::default();
        let latest = checkpoints.latest()?;
        if let Some(path) = &latest {
            state = Checkpoints::state(path)?;
            plan.check(path, &state)?;
            learner = Checkpoints::learner(path, learner)?;
        }
        let mut optimizer = adamw(self.recipe, &learner);
        let mut ema = self.recipe.ema.map(|recipe| Ema::new(recipe, &learner.model));
        if let Some(path) = &latest {
            optimizer = Checkpoints::optimizer(path, optimizer, &state)?;
            ema = ema.map(|ema| ema.try_map(|model| Checkpoints::ema(path, model))).transpose()?;
            let (epoch, batch) = (state.epoch + 1, state.batches_done);
            if epoch <= self.recipe.epochs && !state.stopping.is_over(self.recipe.early_stopping.as_ref()) {
                self.progress.line(&format!("{} goes on at epoch {epoch}, batch {batch}", self.label));
            }
            // The process that wrote the checkpoint may have ended before it wrote this.
            self.write_history(&state.history)?;
        }
        let layer_decay = LayerDecay::new(self.recipe.layer_decay, &learner.model)?;
        let log = TrainingLog::open(self.recipe, self.folder, state.step)?;
        Ok(Session { learner, recompute, frozen: Vec::new(), ema, optimizer, layer_decay, state, log })
    }

    /// Freezes what the epoch's phase freezes.
    fn enter_phase<B: Backbone + LayerGroups>(&self, session: Session<B>) -> Result<Session<B>, Error> {
        let frozen = frozen_in(self.recipe, session.state.epoch, &session.learner.model)?;
        if frozen == session.frozen {
            return Ok(session);
        }
        let Learner { model, projectors } = session.learner;
        let learner = Learner { model: freeze(model, &session.frozen, &frozen)?, projectors };
        Ok(Session { learner, frozen, ..session })
    }

    /// The optimizer steps of an epoch that are left.
    #[expect(clippy::too_many_arguments, reason = "the places of one loop, each of them used once")]
    fn train_epoch<B: Backbone>(
        &self,
        mut session: Session<B>,
        objective: &(impl Objective<B> + ?Sized),
        mut parallel: Option<&mut DataParallel<'_, B>>,
        mut batches: DeviceBatches,
        device: &Device,
        plan: &StepPlan,
        checkpoints: &Checkpoints,
        bar: &Bar,
    ) -> Result<Session<B>, Error> {
        let mut clock = Instant::now();
        let mut logged = (Instant::now(), 0);
        loop {
            let group = batches.by_ref().take(plan.accumulated).collect::<Result<Vec<Batch>, _>>()?;
            if group.is_empty() {
                break;
            }
            let step = session.state.step;
            let seed = derive(self.seed, Purpose::Step, step as u64);
            device.seed(seed);
            let passes = self.passes(&session, seed);
            let (loss, mut gradients) = gradients(
                &session.learner,
                objective,
                parallel.as_deref_mut(),
                &group,
                plan.progress(step),
                &passes,
            );
            let (loss, terms) = loss.map_or((f32::NAN, Vec::new()), |LossTerms { total, terms }| {
                (total.into_scalar::<f32>(), terms)
            });
            if !loss.is_finite() {
                return Err(Error::NotFinite { step, epoch: session.state.epoch + 1, value: loss });
            }
            let rate = plan.learning_rate(self.recipe, step);
            let mut norm = None;
            if self.bears(&mut session.state, &session.learner, &gradients)? {
                let clip = |norm| clip_global_norm(&mut gradients, &session.learner, norm);
                norm = self.recipe.clip_norm.and_then(clip);
                let rates = session.layer_decay.rates(rate);
                session.learner = session.optimizer.step(rates, session.learner, gradients);
            }
            if let Some(ema) = &mut session.ema {
                ema.update(&session.learner.model, step + 1);
            }

            let state = &mut session.state;
            state.step += 1;
            state.batches_done += group.len();
            state.loss_sum += f64::from(loss);
            logged.1 += group.iter().map(|batch| batch.indices.len()).sum::<usize>();
            bar.advance(group.len(), state.loss_sum / plan.steps(state.batches_done) as f64);
            if session.log.wants(state.step) {
                let images_per_second = logged.1 as f64 / logged.0.elapsed().as_secs_f64();
                logged = (Instant::now(), 0);
                session.log.step(&StepEntry {
                    step: state.step,
                    epoch: state.epoch + 1,
                    loss: f64::from(loss),
                    terms: terms.into_iter().map(TermEntry::of).collect(),
                    learning_rate: rate,
                    gradient_norm: norm.map(|norm| f64::from(norm.into_scalar::<f32>())),
                    images_per_second,
                })?;
            }
            if state.step.is_multiple_of(self.recipe.checkpoint_steps)
                && state.batches_done < plan.batches_per_epoch
            {
                state.seconds += clock.elapsed().as_secs_f64();
                clock = Instant::now();
                save(checkpoints, &session)?;
            }
        }
        session.state.seconds += clock.elapsed().as_secs_f64();
        Ok(session)
    }

    /// How the passes of the session's next step are made.
    fn passes<B: Backbone>(&self, session: &Session<B>, seed: u64) -> Passes<B> {
        let half = self.recipe.amp_dtype;
        let scaled = half == Some(HalfPrecision::F16);
        Passes {
            half,
            loss_scale: if scaled { session.state.loss_scale.factor } else { 1.0 },
            recompute: session.recompute.map(|(every, backward)| (Recompute { every, seed }, backward)),
        }
    }

    /// Whether the optimizer may take these gradients. In f16 a step whose gradients are not finite is left out, and
    /// the loss scale follows.
    fn bears<M: Module>(
        &self,
        state: &mut State,
        model: &M,
        gradients: &GradientsParams,
    ) -> Result<bool, Error> {
        if self.recipe.amp_dtype != Some(HalfPrecision::F16) {
            return Ok(true);
        }
        let finite = all_finite(gradients, model);
        state.loss_scale = state.loss_scale.after(finite);
        if state.loss_scale.factor < 1.0 {
            return Err(Error::GradientNotFinite { step: state.step, epoch: state.epoch + 1 });
        }
        Ok(finite)
    }

    /// Measures the epoch, keeps its weights where they are among the best, and turns to the next one.
    fn end_epoch<B: Backbone>(
        &self,
        session: &mut Session<B>,
        validation: &Loader,
        plan: &StepPlan,
        best: &BestCheckpoints,
    ) -> Result<(), Error> {
        let clock = Instant::now();
        let model = session.learner.model.valid();
        let metrics = self.measure(&model, validation)?;
        let ema_metrics = session.ema.as_ref().map(|ema| self.measure(&ema.model, validation)).transpose()?;
        let state = &mut session.state;
        let log = EpochLog {
            epoch: state.epoch + 1,
            step: state.step,
            train_loss: state.loss_sum / plan.steps(state.batches_done) as f64,
            validation: metrics,
            ema_validation: ema_metrics,
            learning_rate: plan.learning_rate(self.recipe, state.step - 1),
            train_seconds: state.seconds,
            validation_seconds: clock.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_process_memory(),
            device_memory_bytes: reserved_device_memory(self.device),
        };
        self.progress.epoch(self.label, self.recipe.epochs, &log);
        session.log.epoch(&log)?;
        if let Some(recipe) = &self.recipe.early_stopping {
            state.stopping.update(recipe, log.judged());
        }
        let judged = session.ema.as_ref().map_or(&model, |ema| &ema.model);
        best.offer(&mut state.best, log.epoch, log.judged(), judged)?;
        state.history.push(log);
        state.epoch += 1;
        state.batches_done = 0;
        state.loss_sum = 0.0;
        state.seconds = 0.0;
        Ok(())
    }

    fn measure<B: Backbone>(
        &self,
        model: &Classifier<B>,
        validation: &Loader,
    ) -> Result<BTreeMap<String, f64>, Error> {
        let Outputs { rows, logits: values, .. } = outputs(model, validation, self.device)?;
        let targets: Vec<usize> = rows.iter().map(|&row| validation.samples().targets()[row]).collect();
        let values: Array2<f64> = values.mapv(f64::from);
        ValidationMetric::measure(&Logits::new(values)?.softmax(), &targets)
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
fn save<B: Backbone>(checkpoints: &Checkpoints, session: &Session<B>) -> Result<(), Error> {
    let Session { learner, ema, optimizer, state, .. } = session;
    let Learner { model, projectors } = learner;
    match first_not_finite(model).or_else(|| first_not_finite(projectors)) {
        None => checkpoints.save(model, ema.as_ref().map(|ema| &ema.model), projectors, optimizer, state),
        Some(parameter) => Err(Error::WeightNotFinite { step: state.step, parameter }),
    }
}
