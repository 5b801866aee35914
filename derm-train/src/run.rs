use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use derm_backbones::{Classifier, ParameterCount, count_parameters};
use derm_core::{Backbone, Calibration, FileError, Predictions, SplitRole, Test, Validation, View, atomic};
use derm_predict::{Bundle, BundleConfig, Predictor, Provenance};

use crate::architecture::{Architecture, Named};
use crate::assessment::Assessment;
use crate::inference::{TASK, predict};
use crate::model_card::model_card;
use crate::run_folder::{Inputs, RunFolder};
use crate::seed::{Purpose, derive};
use crate::versions;
use crate::{
    Breakdown, Distilled, EpochLog, Error, ModelEvaluation, Objective, Prepared, Progress, Recipe,
    Supervised, Trainer,
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
    let clock = Instant::now();
    recipe.validate()?;
    RunFolder::check(recipe)?;
    let device = &device.clone().without_autodiff();
    let teacher = recipe.distillation.as_ref();
    let teacher = teacher.map(|section| Predictor::load(&section.teacher, device)).transpose()?;
    let prepared = Prepared::new(recipe, progress)?;
    if let Some(teacher) = &teacher {
        check_teacher(teacher, recipe, &prepared)?;
    }

    let num_classes = prepared.dataset.labels().num_classes();
    let config = A::config(&recipe.model, num_classes, prepared.answers_width());
    device.seed(derive(recipe.seed, Purpose::Weights, 0));
    let model = A::init(&config, device)?;
    let parameters = count_parameters(&model);
    let rows = prepared.training_loader(recipe)?;
    Trainer::check(&recipe.training, &model, &rows)?;
    let objective = objective(recipe, &prepared, &model, teacher.as_ref(), device)?;

    // Everything that can be refused is refused before this; from here on there is a folder.
    let weights = teacher.as_ref().and_then(|teacher| teacher.manifest().files.get("model.safetensors"));
    let inputs = Inputs {
        split: prepared.split.hash(),
        records: prepared.records_hash(),
        teacher: weights.map(|file| file.sha256.clone()),
    };
    let folder = RunFolder::begin(recipe, &inputs)?;
    prepared.split.write(folder.join("split.json"))?;
    versions::record(&folder.join("versions.json"), recipe)?;
    progress.stage(&format!("training {}: {} parameters", recipe.name, parameters.trainable));
    let trainer = Trainer {
        recipe: &recipe.training,
        seed: recipe.seed,
        device,
        folder: folder.path(),
        progress,
        label: &recipe.name,
    };
    let trained = trainer.fit(model, objective.as_ref(), &rows, &prepared.loader(SplitRole::Validation)?)?;

    progress.stage("predicting");
    let predictions = RolePredictions::new(&trained.model, &prepared, device)?;
    predictions.save(&folder)?;
    progress.stage("calibrating and measuring");
    let RolePredictions { validation, calibration, test } = predictions;
    let assessment = Assessment::new(
        &validation,
        &calibration,
        &test,
        &recipe.abstention,
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
    let evaluation = ModelEvaluation::new(recipe.name.clone(), assessment, breakdown);
    let path = folder.join("metrics.json");
    let metrics = serde_json::to_value(&evaluation)
        .map_err(|error| FileError::new(&path, "write", io::Error::from(error)))?;
    atomic::write_file(&path, |file| {
        serde_json::to_writer_pretty(&mut *file, &metrics).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;

    let ModelEvaluation { assessment, breakdown, .. } = evaluation;
    let bundle = Bundle {
        model: &trained.model,
        config: BundleConfig {
            task: TASK.to_owned(),
            model: config,
            resize: prepared.resize,
            normalization: prepared.normalization,
            view: View::Identity,
        },
        labels: prepared.dataset.labels(),
        schema: recipe.model.use_answers.then(|| prepared.dataset.schema()),
        calibration: &assessment.calibration,
        metrics,
        model_card: model_card(recipe, &prepared, parameters, &assessment),
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
        predictor,
        seconds: clock.elapsed().as_secs_f64(),
    };
    finished.report(&[])?.write(folder.join("report.html"))?;
    Ok(finished)
}

/// What the recipe minimises.
fn objective<'a, B: Backbone>(
    recipe: &Recipe,
    prepared: &Prepared,
    student: &Classifier<B>,
    teacher: Option<&'a Predictor>,
    device: &Device,
) -> Result<Box<dyn Objective<B> + 'a>, Error> {
    let counts = prepared.training_counts()?;
    let criterion = recipe.loss(&counts)?.init(counts.len(), &device.clone().autodiff())?;
    Ok(match recipe.distillation.as_ref().zip(teacher) {
        None => Box::new(Supervised { criterion }),
        Some((section, teacher)) => {
            let teacher = teacher.model();
            let (student, spec) = (student.backbone().spec(), teacher.backbone().spec());
            Box::new(Distilled { teacher, objective: section.objective().init(criterion, student, spec)? })
        }
    })
}

/// Checks that a batch made for the student means the same to the teacher.
fn check_teacher(teacher: &Predictor, recipe: &Recipe, prepared: &Prepared) -> Result<(), Error> {
    let (of_teacher, of_student) = (teacher.labels().names(), prepared.dataset.labels().names());
    if of_teacher != of_student {
        return Err(Error::TeacherLabels { teacher: of_teacher.to_vec(), student: of_student.to_vec() });
    }
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
    let schema = recipe.model.use_answers.then(|| prepared.dataset.schema());
    if teacher.schema() != schema {
        let columns = |schema: Option<&derm_data::FeatureSchema>| match schema {
            None => "none".to_owned(),
            Some(schema) => schema.column_names().join(", "),
        };
        return differs("questionnaire or its scaling", columns(teacher.schema()), columns(schema));
    }
    Ok(())
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
    validation: Predictions<Validation>,
    calibration: Predictions<Calibration>,
    test: Predictions<Test>,
}

impl RolePredictions {
    fn new<B: Backbone>(model: &Classifier<B>, prepared: &Prepared, device: &Device) -> Result<Self, Error> {
        let Prepared { dataset, split, .. } = prepared;
        let loader = |role| prepared.loader(role);
        Ok(Self {
            validation: predict(model, dataset, split, &loader(SplitRole::Validation)?, device)?,
            calibration: predict(model, dataset, split, &loader(SplitRole::Calibration)?, device)?,
            test: predict(model, dataset, split, &loader(SplitRole::Test)?, device)?,
        })
    }

    fn save(&self, folder: &RunFolder) -> Result<(), Error> {
        self.validation.save(folder.join("predictions/validation.csv"))?;
        self.calibration.save(folder.join("predictions/calibration.csv"))?;
        Ok(self.test.save(folder.join("predictions/test.csv"))?)
    }
}

impl<A: Architecture> fmt::Display for Finished<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.assessment)?;
        writeln!(f, "bundle  {}", self.bundle().display())?;
        write!(f, "report  {}", self.folder.join("report.html").display())
    }
}
