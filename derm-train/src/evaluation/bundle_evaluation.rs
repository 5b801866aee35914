use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_backbones::{Classifier, ClassifierConfig, ParameterCount, count_parameters};
use derm_core::{Backbone, Calibration, Predictions, Role, Test, Validation, View};
use derm_data::{Corruption, CorruptionKind, Loader};
use derm_predict::Predictor;

use crate::inference::{TaskPredictions, predict, predict_tasks, predict_view};
use crate::texts::Tokenizer;
use crate::{
    Assessment, Breakdown, Efficiency, EfficiencyConfig, Error, ModelEvaluation, Prepared, Progress, Recipe,
    Robustness, TaskAssessment, TeacherComparison, ViewComparison,
};

/// What is measured of a bundle beyond its predictions.
#[derive(Debug, Clone, Default)]
pub struct BundleEvaluation {
    /// Kinds of corruption, each at its five levels; none leaves robustness out.
    pub corruptions: Vec<CorruptionKind>,
    /// How latency is taken; absent leaves efficiency out.
    pub efficiency: Option<EfficiencyConfig>,
    /// The teacher: a bundle, or a file of its test predictions.
    pub teacher: Option<PathBuf>,
    /// Whether the mean over flips is compared with the picture as it is; not where the bundle's own view is an average.
    pub compare_flips: bool,
}

impl BundleEvaluation {
    /// Measures the bundle at `folder` on the data of `recipe`, which must give the bundle's split.
    ///
    /// # Errors
    /// What reading the data or the bundle gives; [`Error::Predictions`] where the recipe's split is not the bundle's,
    /// [`Error::BundleLabels`] where its classes are not, [`Error::TeacherRows`] where the teacher's are not.
    pub fn run(
        &self,
        folder: &Path,
        recipe: &Recipe,
        device: &Device,
        progress: Progress,
    ) -> Result<ModelEvaluation, Error> {
        recipe.validate()?;
        let device = &device.clone().without_autodiff();
        let (predictor, parameters) = load(folder, device)?;
        // Texts go by the bundle's own tokenizer, wherever the one is that the run was given.
        let prepared = Prepared::with_tokenizer(recipe, Tokenizer::of_bundle(&predictor), progress)?;
        let (bundle, dataset) = (predictor.labels().names(), prepared.dataset.labels().names());
        if bundle != dataset {
            return Err(Error::BundleLabels { bundle: bundle.to_vec(), dataset: dataset.to_vec() });
        }
        progress.stage("predicting");
        let model = predictor.model();
        let view = predictor.view();
        check_tasks(&predictor, &prepared)?;
        let test: TaskPredictions<Test> = every_head(model, &prepared, view, device)?;
        test.diagnosis.check_split(&predictor.manifest().provenance.split_hash)?;
        let validation: TaskPredictions<Validation> = every_head(model, &prepared, view, device)?;
        let calibration: &Predictions<Calibration> = &seen(model, &prepared, view, device)?;
        progress.stage("calibrating and measuring");
        let of_tasks = TaskAssessment::of_all(&validation.tasks, &test.tasks, recipe)?;
        let (validation, plain) = (&validation.diagnosis, test.diagnosis);
        let test = &plain;
        let (settings, seed) = (&recipe.evaluation, recipe.seed);
        let (abstention, conformal) = (&recipe.abstention, &recipe.conformal);
        let assessment =
            Assessment::new(validation, calibration, test, abstention, conformal, settings, seed)?;
        let breakdown =
            Breakdown::new(validation, calibration, test, &assessment.calibration, settings, seed)?;
        let mut evaluation = ModelEvaluation::new(recipe.name.clone(), assessment, breakdown);
        evaluation.tasks = of_tasks;

        if self.compare_flips && *view == View::Identity {
            progress.stage("flips");
            let flips = seen(model, &prepared, &View::Flips, device)?;
            let (replicates, alpha) = (settings.bootstrap_replicates, 1.0 - settings.confidence);
            let others = [("mean of four flips", &flips)];
            evaluation.views = Some(ViewComparison::new(&plain, &others, replicates, alpha, seed)?);
        }
        if let Some(teacher) = &self.teacher {
            progress.stage("the teacher");
            let name =
                teacher.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let name = if name == "bundle" { "teacher".to_owned() } else { name };
            let of_teacher = teacher_predictions(teacher, &prepared, device)?;
            evaluation.teacher = Some(TeacherComparison::new(&name, &of_teacher, &plain, settings, seed)?);
        }
        if !self.corruptions.is_empty() {
            let mut last = None;
            let corrupted = |corruption: Corruption| {
                if last.replace(corruption.kind()) != Some(corruption.kind()) {
                    progress.line(&format!("corruption {}", corruption.kind().name()));
                }
                let loader = prepared.loader(Test::ROLE)?.with_corruption(corruption, seed);
                predict_on(model, &prepared, &loader, device)
            };
            // Corrupted pictures are seen as they are, and so are the ones they are compared with.
            let clean = identity(model, &prepared, device)?;
            evaluation.robustness =
                Some(Robustness::measure(&clean, &self.corruptions, settings, seed, corrupted)?);
        }
        if let Some(config) = &self.efficiency {
            progress.stage("timing");
            let size = predictor.resize().size();
            evaluation.efficiency =
                Some(Efficiency::measure(model, parameters, size, folder, config, device)?);
        }
        Ok(evaluation)
    }
}

/// The bundle and the parameters of its network as it was trained, before batch norms were folded.
fn load(folder: &Path, device: &Device) -> Result<(Predictor, ParameterCount), Error> {
    let mut parameters = ParameterCount::default();
    let predictor = Predictor::load_with(folder, device, |config: &ClassifierConfig, device| {
        let model = config.init_undrawn(device)?;
        parameters = count_parameters(&model);
        Ok(model)
    })?;
    Ok((predictor, parameters))
}

/// The predictions of a role on pictures as they are.
fn identity<R: Role, B: Backbone>(
    model: &Classifier<B>,
    prepared: &Prepared,
    device: &Device,
) -> Result<Predictions<R>, Error> {
    predict_on(model, prepared, &prepared.loader(R::ROLE)?, device)
}

fn predict_on<R: Role, B: Backbone>(
    model: &Classifier<B>,
    prepared: &Prepared,
    loader: &Loader,
    device: &Device,
) -> Result<Predictions<R>, Error> {
    predict(model, &prepared.dataset, &prepared.split, loader, device)
}

/// The predictions of a role as a view shows the pictures.
fn seen<R: Role, B: Backbone>(
    model: &Classifier<B>,
    prepared: &Prepared,
    view: &View,
    device: &Device,
) -> Result<Predictions<R>, Error> {
    predict_view(model, &prepared.dataset, &prepared.split, &prepared.loader(R::ROLE)?, view, device)
}

/// The predictions of a role for the diagnosis and every further task, as a view shows the pictures.
fn every_head<R: Role, B: Backbone>(
    model: &Classifier<B>,
    prepared: &Prepared,
    view: &View,
    device: &Device,
) -> Result<TaskPredictions<R>, Error> {
    predict_tasks(model, &prepared.dataset, &prepared.split, &prepared.loader(R::ROLE)?, view, device)
}

/// Refuses a task that bundle and recipe have both, with other classes. One that only one of them has is not measured.
fn check_tasks(predictor: &Predictor, prepared: &Prepared) -> Result<(), Error> {
    for task in predictor.tasks() {
        let (bundle, dataset) = (&task.labels, prepared.dataset.tasks().get(&task.name));
        if let Some(dataset) = dataset.filter(|dataset| *dataset != bundle) {
            let (bundle, dataset) = (bundle.names().to_vec(), dataset.names().to_vec());
            let source = Box::new(Error::BundleLabels { bundle, dataset });
            return Err(Error::Task { task: task.name.clone(), source });
        }
    }
    Ok(())
}

/// A teacher's predictions on the test rows: from its file, or by its bundle on the same pictures.
fn teacher_predictions(
    path: &Path,
    prepared: &Prepared,
    device: &Device,
) -> Result<Predictions<Test>, Error> {
    if path.is_file() {
        return Ok(Predictions::load(path)?);
    }
    let (teacher, _) = load(path, device)?;
    let differs =
        |what, teacher: String, student: String| Err(Error::TeacherInput { what, teacher, student });
    if teacher.resize() != prepared.resize {
        let (teacher, student) = (format!("{:?}", teacher.resize()), format!("{:?}", prepared.resize));
        return differs("image size, crop or interpolation", teacher, student);
    }
    if teacher.normalization() != prepared.normalization {
        let (teacher, student) = (teacher.normalization(), prepared.normalization);
        return differs("standardisation", format!("{teacher:?}"), format!("{student:?}"));
    }
    let (answers, width) = (teacher.model().num_answers(), prepared.answers_width());
    if answers != width {
        return differs("questionnaire", format!("{answers:?} numbers"), format!("{width:?} numbers"));
    }
    if teacher.labels() != prepared.dataset.labels() {
        let (teacher, student) =
            (teacher.labels().names().to_vec(), prepared.dataset.labels().names().to_vec());
        return Err(Error::TeacherLabels { teacher, student });
    }
    let loader = prepared.loader_by(Test::ROLE, teacher.tokenizer())?;
    predict_on(teacher.model(), prepared, &loader, device)
}
