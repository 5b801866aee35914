//! One command that measures a model: a bundle on its data, or predictions files.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_core::{Calibration, Predictions, PredictionsError, Role, Test, Validation};
use derm_data::CorruptionKind;
use derm_train::{
    Assessment, Breakdown, BundleEvaluation, EfficiencyConfig, Error, ModelEvaluation, Progress, Recipe,
    TeacherComparison,
};

use crate::load_predictions;

/// What is measured, and where it goes.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A run folder, or a folder with the three predictions files.
    pub folder: Option<PathBuf>,
    /// A bundle and the recipe that gives its data, in place of a folder.
    pub bundle: Option<(PathBuf, PathBuf)>,
    /// Predictions of the validation, calibration and test split, in place of a folder.
    pub predictions: Option<[PathBuf; 3]>,
    /// Where everything goes; `evaluation` in the folder, or here, where it is absent.
    pub output: Option<PathBuf>,
    /// Test predictions of a teacher, or its bundle where a bundle is measured.
    pub teacher: Option<PathBuf>,
    /// Kinds of corruption; for a bundle.
    pub corruptions: Vec<CorruptionKind>,
    /// Passes that latency is taken from; 0 leaves costs out, absent takes 50. For a bundle.
    pub repeats: Option<usize>,
    /// Keys of the recipe to set.
    pub overrides: Vec<String>,
}

/// Measures and writes; gives the short table.
///
/// # Errors
/// Where something cannot be read, does not fit together or cannot be written.
pub fn run(options: &Options, device: &Device) -> Result<String, Error> {
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| options.folder.clone().unwrap_or_default().join("evaluation"));
    let evaluation = match (&options.folder, &options.bundle, &options.predictions) {
        (_, Some((bundle, recipe)), _) => {
            let split = recipe.with_file_name("split.json");
            of_bundle(options, bundle, recipe, Some(split).filter(|split| split.is_file()), device)?
        }
        (_, _, Some([validation, calibration, test])) => of_predictions(
            options,
            &Predictions::load(validation)?,
            &Predictions::load(calibration)?,
            &Predictions::load(test)?,
        )?,
        (Some(folder), ..) if folder.join("config.yaml").is_file() => {
            let split = Some(folder.join("split.json"));
            of_bundle(options, &folder.join("bundle"), &folder.join("config.yaml"), split, device)?
        }
        (folder, ..) => {
            let folder = folder.clone().unwrap_or_default();
            of_predictions(options, &table(&folder)?, &table(&folder)?, &table(&folder)?)?
        }
    };
    evaluation.write(&output)?;
    let report = output.join("report.html");
    Ok(format!("{}\nreport  {}", evaluation.assessment, report.display()))
}

fn table<R: Role>(folder: &Path) -> Result<Predictions<R>, PredictionsError> {
    load_predictions(folder)
}

/// A bundle on the data of a recipe, by the very split of its run where that lies beside the recipe.
fn of_bundle(
    options: &Options,
    bundle: &Path,
    recipe: &Path,
    split: Option<PathBuf>,
    device: &Device,
) -> Result<ModelEvaluation, Error> {
    let mut recipe = Recipe::read(recipe, &options.overrides)?;
    if let Some(split) = split {
        recipe.dataset.split_path = Some(split);
        recipe.dataset.published_split = None;
    }
    let mut efficiency = EfficiencyConfig::default();
    efficiency.repeats = options.repeats.unwrap_or(efficiency.repeats);
    let measured = BundleEvaluation {
        corruptions: options.corruptions.clone(),
        efficiency: Some(efficiency).filter(|config| config.repeats > 0),
        teacher: options.teacher.clone(),
        compare_flips: true,
    };
    measured.run(bundle, &recipe, device, Progress::Terminal)
}

/// Predictions alone. The recipe is the default one with the overrides.
fn of_predictions(
    options: &Options,
    validation: &Predictions<Validation>,
    calibration: &Predictions<Calibration>,
    test: &Predictions<Test>,
) -> Result<ModelEvaluation, Error> {
    for (key, given) in
        [("corruptions", !options.corruptions.is_empty()), ("repeats", options.repeats.is_some())]
    {
        if given {
            let expected = "absent where only predictions are measured, which have no network";
            return Err(Error::Value { key, value: "there".to_owned(), expected });
        }
    }
    let recipe = Recipe::parse("name: predictions", "the default recipe", &options.overrides)?;
    let (abstention, settings, seed) = (&recipe.abstention, &recipe.evaluation, recipe.seed);
    let assessment =
        Assessment::new(validation, calibration, test, abstention, &recipe.conformal, settings, seed)?;
    let breakdown = Breakdown::new(validation, calibration, test, &assessment.calibration, settings, seed)?;
    let mut evaluation = ModelEvaluation::new(recipe.name.clone(), assessment, breakdown);
    if let Some(path) = &options.teacher {
        let teacher: Predictions<Test> = Predictions::load(path)?;
        evaluation.teacher = Some(TeacherComparison::new("teacher", &teacher, test, settings, seed)?);
    }
    Ok(evaluation)
}
