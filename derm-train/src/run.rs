use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use derm_backbones::{Classifier, ParameterCount, PublishedKeys, count_parameters};
use derm_core::{
    Backbone, Calibration, FileError, Predictions, Role, SplitRole, Test, Validation, View, atomic,
};
use derm_predict::{Bundle, BundleConfig, Predictor, Provenance, WeightFormat};

use crate::architecture::{Architecture, Named};
use crate::assessment::Assessment;
use crate::inference::{TASK, TaskPredictions, predict_tasks};
use crate::model_card::model_card;
use crate::published_weights::{with_text_weights, with_weights};
use crate::recipe::task_heads;
use crate::recomputation::recomputation_of;
use crate::run_folder::{Inputs, LABELS, RunFolder, SCHEMA, task_labels};
use crate::seed::{Purpose, derive};
use crate::teacher::LoadedTeacher;
use crate::texts::{TOKENIZER, check_reads};
use crate::versions;
use crate::{
    Breakdown, DataParallel, Devices, Distilled, EpochLog, EpochObserver, Error, ModelEvaluation, MultiTask,
    Objective, Prepared, Progress, Recipe, Replica, Supervised, TaskAssessment, TaskLoss, Trained, Trainer,
};

/// A run that is done: what its folder holds, in memory.
#[derive(Debug)]
pub struct Finished<A: Architecture = Named> {
    /// The recipe.
    pub recipe: Recipe,
    /// The run folder.
    pub folder: PathBuf,
    /// The data.
    pub prepared: Prepared,
    /// What is known of each epoch.
    pub history: Vec<EpochLog>,
    /// Parameters and buffers of the network.
    pub parameters: ParameterCount,
    /// The network's scores on the test split.
    pub test: Predictions<Test>,
    /// All numbers.
    pub assessment: Assessment,
    /// A closer look at the same predictions.
    pub breakdown: Breakdown,
    /// The numbers of each task beside the diagnosis.
    pub tasks: BTreeMap<String, TaskAssessment>,
    /// The bundle, loaded back from its folder.
    pub predictor: Predictor<A::Backbone>,
    /// Seconds that this process took.
    pub seconds: f64,
}

impl<A: Architecture> Finished<A> {
    /// The bundle's folder.
    pub fn bundle(&self) -> PathBuf {
        self.folder.join("bundle")
    }
}

/// Runs a recipe with one of the workspace's own networks: data, training, predictions, calibration, policy,
/// metrics, bundle and report, all in the run folder.
///
/// An interrupted run goes on from its last checkpoint; a finished one is only measured and written again.
///
/// # Errors
/// [`Error`]; the run folder keeps what was complete before.
pub fn run(recipe: &Recipe, device: &Device, progress: Progress) -> Result<Finished, Error> {
    run_with::<Named>(recipe, device, progress)
}

/// The same with a network of one's own.
///
/// # Errors
/// As [`run`].
pub fn run_with<A: Architecture>(
    recipe: &Recipe,
    device: &Device,
    progress: Progress,
) -> Result<Finished<A>, Error> {
    run_on::<A>(recipe, &Devices::from(device), progress)
}

/// The same with its training on several devices, among which each step's micro-batches are shared; all else is done on
/// the first one.
///
/// # Errors
/// As [`run`], and [`Error::Value`] for more devices than `training.gradient_accumulation_steps`.
pub fn run_on<A: Architecture>(
    recipe: &Recipe,
    devices: &Devices,
    progress: Progress,
) -> Result<Finished<A>, Error> {
    let clock = Instant::now();
    let device = &devices.first.clone().without_autodiff();
    let TrainedRun { folder, prepared, config, parameters, trained } =
        train::<A>(recipe, devices, progress, None)?;

    progress.stage("predicting");
    let predictions = RolePredictions::new(&trained.model, &prepared, &recipe.evaluation.view, device)?;
    predictions.save(&folder)?;
    progress.stage("calibrating and measuring");
    let tasks = TaskAssessment::of_all(&predictions.validation.tasks, &predictions.test.tasks, recipe)?;
    let RolePredictions { validation, calibration, test } = predictions;
    let (validation, calibration, test) = (validation.diagnosis, calibration.diagnosis, test.diagnosis);
    let assessment = Assessment::new(
        &validation,
        &calibration,
        &test,
        &recipe.abstention,
        &recipe.conformal,
        &recipe.evaluation,
        recipe.seed,
    )?;
    let breakdown = Breakdown::new(
        &validation,
        &calibration,
        &test,
        &assessment.calibration,
        &recipe.evaluation,
        recipe.seed,
    )?;
    let mut evaluation = ModelEvaluation::new(recipe.name.clone(), assessment, breakdown);
    evaluation.tasks = tasks;
    let metrics = write_metrics(&folder, &evaluation)?;

    let ModelEvaluation { assessment, breakdown, tasks, .. } = evaluation;
    let labelled = tasks.iter().zip(prepared.dataset.tasks().values());
    let of_bundle: Vec<_> = labelled.map(|((name, task), labels)| task.for_bundle(name, labels)).collect();
    let bundle = Bundle {
        model: &trained.model,
        config: BundleConfig {
            task: TASK.to_owned(),
            model: config,
            resize: prepared.resize,
            normalization: prepared.normalization,
            view: recipe.evaluation.view.clone(),
            weights: WeightFormat::F32,
        },
        labels: prepared.dataset.labels(),
        schema: recipe.model.use_answers.then(|| prepared.dataset.schema()),
        tokenizer: prepared.tokenizer(),
        tasks: &of_bundle,
        calibration: &assessment.calibration,
        metrics,
        model_card: model_card(recipe, &prepared, parameters, &assessment, &tasks),
        provenance: provenance(recipe, &prepared),
    };
    let path = folder.replace("bundle", |place| Ok(bundle.write(place).map(drop)?))?;
    let predictor = Predictor::load_with(&path, device, |config, device| Ok(A::init(config, device)?))?;

    let finished = Finished {
        recipe: recipe.clone(),
        folder: folder.path().to_owned(),
        prepared,
        history: trained.history,
        parameters,
        test,
        assessment,
        breakdown,
        tasks,
        predictor,
        seconds: clock.elapsed().as_secs_f64(),
    };
    finished.report(&[])?.write(folder.join("report.html"))?;
    Ok(finished)
}

/// A run whose network is trained and not yet measured on the test rows.
pub(crate) struct TrainedRun<A: Architecture> {
    /// Its folder, which stays locked.
    pub folder: RunFolder,
    pub prepared: Prepared,
    pub config: A::Config,
    pub parameters: ParameterCount,
    pub trained: Trained<A::Backbone>,
}

/// The part of a run up to the trained network. No network sees a row of the calibration or the test split here.
pub(crate) fn train<A: Architecture>(
    recipe: &Recipe,
    devices: &Devices,
    progress: Progress,
    observer: Option<&dyn EpochObserver>,
) -> Result<TrainedRun<A>, Error> {
    recipe.validate()?;
    devices.check(recipe)?;
    let devices = &devices.without_autodiff();
    let device = &devices.first;
    RunFolder::check(recipe)?;
    let teacher_on = |device: &Device| {
        let section = recipe.distillation.as_ref();
        section.map(|section| LoadedTeacher::load(&section.teacher, device)).transpose()
    };
    let teacher = teacher_on(device)?;
    let prepared = Prepared::new(recipe, progress)?;
    if let Some(teacher) = &teacher {
        teacher.check(&prepared)?;
    }

    let num_classes = prepared.dataset.labels().num_classes();
    let head = recipe.model.head(num_classes, Some(prepared.dataset.schema()), task_heads(&prepared.dataset));
    let config = A::config(&recipe.model, head);
    let Start { model, weights, text_weights } = Start::new::<A>(recipe, &config, device, progress)?;
    let recompute = recomputation_of::<A>(&recipe.model)?;
    let parameters = count_parameters(&model);
    let rows = prepared.training_loader(recipe)?;
    Trainer::check(&recipe.training, &model, &rows, device)?;
    let others = devices.others.iter().map(teacher_on).collect::<Result<Vec<_>, _>>()?;
    let replicas = devices.others.iter().zip(&others).map(|(device, teacher)| {
        let objective = objective(recipe, &prepared, &model, teacher.as_ref(), device, progress)?;
        Ok(Replica { device: device.clone(), objective })
    });
    let replicas = replicas.collect::<Result<Vec<_>, Error>>()?;
    let parallel = (!replicas.is_empty()).then_some(DataParallel { replicas, reduction: devices.reduction });
    let objective = objective(recipe, &prepared, &model, teacher.as_ref(), device, progress)?;

    // Everything that can be refused is refused before this; from here on there is a folder.
    let inputs = Inputs {
        split: prepared.split.hash(),
        records: prepared.records_hash(),
        teacher: teacher.as_ref().map(|teacher| teacher.weights.clone()),
        weights,
        text_weights,
        tokenizer: prepared.tokenizer_hash(),
    };
    let folder = RunFolder::begin(recipe, &inputs)?;
    prepared.split.write(folder.join("split.json"))?;
    versions::record(&folder.join("versions.json"), recipe)?;
    describe(&folder, recipe, &prepared)?;
    progress.stage(&format!("training {}: {} parameters", recipe.name, parameters.trainable));
    let trainer = Trainer {
        recipe: &recipe.training,
        seed: recipe.seed,
        device,
        folder: folder.path(),
        progress,
        label: &recipe.name,
        observer,
    };
    let validation = prepared.loader(SplitRole::Validation)?;
    let trained = trainer.fit_by(model, objective.as_ref(), &rows, &validation, recompute, parallel)?;
    drop(objective);
    Ok(TrainedRun { folder, prepared, config, parameters, trained })
}

/// The network before its first step.
struct Start<B: Backbone> {
    model: Classifier<B>,
    /// SHA-256 of the published weights that it begins with.
    weights: Option<String>,
    /// SHA-256 of those of its text encoder.
    text_weights: Option<String>,
}

impl<B: Backbone + PublishedKeys> Start<B> {
    fn new<A: Architecture<Backbone = B>>(
        recipe: &Recipe,
        config: &A::Config,
        device: &Device,
        progress: Progress,
    ) -> Result<Self, Error> {
        device.seed(derive(recipe.seed, Purpose::Weights, 0));
        let model = A::init(config, device)?;
        check_reads(&model, recipe)?;
        if !model.tasks().iter().eq(recipe.tasks.keys()) {
            let (got, expected) = (model.tasks().to_vec(), recipe.tasks.keys().cloned().collect());
            return Err(Error::TaskHeads { got, expected });
        }
        let (model, weights) = with_weights(model, recipe.model.weights.as_deref(), progress)?;
        let (model, text_weights) = with_text_weights(model, recipe.model.text.as_ref(), device, progress)?;
        Ok(Self { model, weights, text_weights })
    }
}

/// Writes what a checkpoint does not say of its network: its classes, its questionnaire and its tokenizer.
fn describe(folder: &RunFolder, recipe: &Recipe, prepared: &Prepared) -> Result<(), Error> {
    prepared.dataset.labels().write(folder.join(LABELS))?;
    for (task, labels) in prepared.dataset.tasks() {
        labels.write(folder.join(&task_labels(task)))?;
    }
    if recipe.model.use_answers {
        prepared.dataset.schema().write(folder.join(SCHEMA))?;
    }
    if let Some(tokenizer) = prepared.tokenizer() {
        tokenizer.save(folder.join(TOKENIZER))?;
    }
    Ok(())
}

/// Writes `metrics.json` and gives what it holds.
fn write_metrics(folder: &RunFolder, evaluation: &ModelEvaluation) -> Result<serde_json::Value, Error> {
    let path = folder.join("metrics.json");
    let metrics = serde_json::to_value(evaluation)
        .map_err(|error| FileError::new(&path, "write", io::Error::from(error)))?;
    atomic::write_file(&path, |file| {
        serde_json::to_writer_pretty(&mut *file, &metrics).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;
    Ok(metrics)
}

/// What the recipe minimises: the diagnosis' objective, and the loss of each further task.
fn objective<'a, B: Backbone + 'a>(
    recipe: &Recipe,
    prepared: &Prepared,
    student: &Classifier<B>,
    teacher: Option<&'a LoadedTeacher>,
    device: &Device,
    progress: Progress,
) -> Result<Box<dyn Objective<B> + Send + 'a>, Error> {
    let diagnosis = diagnosis(recipe, prepared, student, teacher, device, progress)?;
    if recipe.tasks.is_empty() {
        return Ok(diagnosis);
    }
    let mut tasks = Vec::new();
    for (name, task) in &recipe.tasks {
        let counts = prepared.task_training_counts(name)?;
        let criterion = || {
            let config = task.loss_config(&counts)?;
            Ok(config.init(counts.len(), &device.clone().autodiff())?)
        };
        let wrong = |source: Error| Error::Task { task: name.clone(), source: Box::new(source) };
        tasks.push(TaskLoss {
            name: name.clone(),
            weight: task.weight,
            criterion: criterion().map_err(wrong)?,
        });
    }
    Ok(Box::new(MultiTask { diagnosis, tasks }))
}

/// What is minimised for the diagnosis.
fn diagnosis<'a, B: Backbone>(
    recipe: &Recipe,
    prepared: &Prepared,
    student: &Classifier<B>,
    teacher: Option<&'a LoadedTeacher>,
    device: &Device,
    progress: Progress,
) -> Result<Box<dyn Objective<B> + Send + 'a>, Error> {
    let counts = prepared.training_counts()?;
    let criterion = recipe.loss(&counts)?.init(counts.len(), &device.clone().autodiff())?;
    let Some((section, teacher)) = recipe.distillation.as_ref().zip(teacher) else {
        return Ok(Box::new(Supervised { criterion }));
    };
    let config = section.objective();
    let soft = prepared.dataset.records().iter().any(|record| record.soft_label.is_some());
    if let (Some(term), true) = (config.hard_target_term(), soft) {
        let reason = "takes one class a picture; the dataset has distributions".to_owned();
        return Err(Error::DistillationTerm { term, reason });
    }
    let (student, spec) = (student.backbone().spec(), teacher.model.backbone().spec());
    device.seed(derive(recipe.seed, Purpose::Projectors, 0));
    let objective = config.init(criterion, counts.len(), student, spec, device)?;
    let known = section.cache.as_deref();
    let known =
        known.map(|folder| teacher.known_logits(folder, recipe, prepared, device, progress)).transpose()?;
    let teacher = teacher.for_student(prepared, device)?.with_known_logits(known);
    Ok(Box::new(Distilled { teacher, objective }))
}

fn provenance(recipe: &Recipe, prepared: &Prepared) -> Provenance {
    Provenance {
        seed: recipe.seed,
        split_hash: prepared.split.hash(),
        source_revision: versions::SOURCE_REVISION.map(str::to_owned),
        crate_versions: versions::crates(),
    }
}

/// The predictions of one network on every role that is not trained on.
struct RolePredictions {
    validation: TaskPredictions<Validation>,
    calibration: TaskPredictions<Calibration>,
    test: TaskPredictions<Test>,
}

impl RolePredictions {
    fn new<B: Backbone>(
        model: &Classifier<B>,
        prepared: &Prepared,
        view: &View,
        device: &Device,
    ) -> Result<Self, Error> {
        let Prepared { dataset, split, .. } = prepared;
        let loader = |role| prepared.loader(role);
        Ok(Self {
            validation: predict_tasks(model, dataset, split, &loader(SplitRole::Validation)?, view, device)?,
            calibration: predict_tasks(
                model,
                dataset,
                split,
                &loader(SplitRole::Calibration)?,
                view,
                device,
            )?,
            test: predict_tasks(model, dataset, split, &loader(SplitRole::Test)?, view, device)?,
        })
    }

    fn save(&self, folder: &RunFolder) -> Result<(), Error> {
        save(&self.validation, folder)?;
        save(&self.calibration, folder)?;
        save(&self.test, folder)
    }
}

fn save<R: Role>(predictions: &TaskPredictions<R>, folder: &RunFolder) -> Result<(), Error> {
    let TaskPredictions { diagnosis, tasks } = predictions;
    diagnosis.save(folder.join(&format!("predictions/{}.csv", R::ROLE)))?;
    for (name, table) in tasks {
        table.save(folder.join(&format!("predictions/{}.{name}.csv", R::ROLE)))?;
    }
    Ok(())
}

impl<A: Architecture> fmt::Display for Finished<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.assessment)?;
        for (name, task) in &self.tasks {
            writeln!(f, "task {name}: {task}")?;
        }
        writeln!(f, "bundle  {}", self.bundle().display())?;
        write!(f, "report  {}", self.folder.join("report.html").display())
    }
}
