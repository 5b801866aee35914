//! Whole trainings on a tiny made dataset.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod data_parallel;
mod early_stopping;
mod layer_decay;
mod logs;
mod losses;
mod observer;
mod passes;
mod phases;
mod resume;
mod tasks;
mod texts;
mod tiny;

use std::cell::Cell;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use derm_backbones::weights::{LoadOptions, load};
use derm_backbones::{
    Classifier, ClassifierConfig, ClassifierOutput, HeadConfig, ResNet, ResNetConfig, Stem,
};
use derm_core::{Backbone, LabelMap};
use derm_data::{
    Batch, EmptyBlock, ImageSource, LeakReport, LeakVerdict, MissingShare, MissingnessPrediction,
};
use derm_predict::{Bundle, BundleConfig, Predictor};
use derm_train::{Architecture, Error, ModelRecipe, Objective, OptimizerStep, Progress, run, run_with};

use tiny::{LosesIts, Start, alone, bytes, contents, device, latest, recipe, supervised, weights};

#[test]
fn equal_seeds_give_equal_bytes_for_any_number_of_workers() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let train = |name: &str, overrides: &[&str]| {
        let finished =
            run(&recipe(&place.path().join(name), overrides), &device(), Progress::Silent).unwrap();
        assert_eq!(finished.history.len(), 3);
        weights(&finished.folder)
    };
    let first = train("first", &[]);
    assert_eq!(first, train("workers", &["dataset.workers=2"]));
    assert_ne!(first, train("seed", &["seed=1"]));
}

#[test]
fn a_finished_run_is_only_measured_again() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let first = run(&recipe(&folder, &[]), &device(), Progress::Silent).unwrap();
    let bundle = contents(&first.bundle());
    let history = fs::read_to_string(folder.join("history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 3);
    // As if the process had been killed between its last checkpoint and what follows it.
    fs::remove_file(folder.join("history.jsonl")).unwrap();
    fs::remove_dir_all(folder.join("bundle")).unwrap();
    let again = run(&recipe(&folder, &[]), &device(), Progress::Silent).unwrap();
    assert_eq!(contents(&again.bundle()), bundle);
    assert_eq!(fs::read_to_string(folder.join("history.jsonl")).unwrap(), history);
    // Over a bundle that is there, with a setting that changes no weight.
    let other = run(&recipe(&folder, &["abstention.answer_risk=0.3"]), &device(), Progress::Silent).unwrap();
    assert_eq!(other.predictor.calibration().abstain.config.answer_risk, 0.3);
    assert!(fs::read_dir(&folder).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        !name.to_string_lossy().starts_with(".tmp-")
    }));
    let card = fs::read_to_string(other.bundle().join("MODEL_CARD.md")).unwrap();
    assert!(
        card.contains("view `identity`") && card.contains("made to hold the true one in at least 0.900"),
        "{card}"
    );
    assert!(card.contains("promised risk") && card.contains("| refer | else |"), "{card}");

    // Another recipe is refused and changes nothing, not even the recipe that the folder keeps.
    let before = contents(&folder);
    for overrides in ["training.epochs=4", "model.dropout=0.2", "dataset.synthetic.seed=9"] {
        let error = run(&recipe(&folder, &[overrides]), &device(), Progress::Silent).unwrap_err();
        assert!(matches!(error, Error::OtherRun { .. }), "{error}");
        assert!(error.to_string().contains(overrides.split('=').next().unwrap()), "{error}");
    }
    assert_eq!(contents(&folder), before);
}

#[test]
fn the_report_says_what_missing_answers_tell_where_the_network_reads_answers() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let section = |html: &str| -> Option<String> {
        // The first mention is in the table of contents.
        let (_, rest) = html.rsplit_once("What missing answers tell")?;
        Some(rest.split("</section>").next().unwrap().to_owned())
    };
    let train = |name: &str, overrides: &[&str]| {
        run(&recipe(&place.path().join(name), overrides), &device(), Progress::Silent).unwrap()
    };
    let html = |path: &Path| fs::read_to_string(path.join("report.html")).unwrap();
    let images = train("images", &["training.epochs=1", "model.use_answers=false"]);
    assert_eq!(section(&html(&images.folder)), None);

    let mut both = train("both", &["training.epochs=1"]);
    let shown = section(&html(&both.folder)).unwrap();
    assert!(shown.contains("training records of") && !shown.contains("Warning"), "{shown}");
    let missing = both.prepared.leak_report.features.iter().filter(|one| one.overall > 0.0);
    assert!(missing.clone().count() > 0);
    for one in missing {
        assert!(shown.contains(&format!("{:.3}", one.overall)) && shown.contains(&one.feature), "{shown}");
    }

    // The report of a dataset whose empty block tells the class.
    both.prepared.leak_report = LeakReport {
        schema: "made".to_owned(),
        classes: vec!["benign".to_owned(), "malignant".to_owned(), "rare".to_owned()],
        records: 100,
        groups: 90,
        features: vec![MissingShare {
            feature: "smoke".to_owned(),
            overall: 0.375,
            by_class: vec![Some(0.75), Some(0.0), None],
        }],
        blocks: vec![EmptyBlock {
            block: "history".to_owned(),
            leak: Some("Empty only without a biopsy.".to_owned()),
            overall: 0.25,
            by_class: vec![Some(0.5), Some(0.0), None],
        }],
        verdict: LeakVerdict::Measured(MissingnessPrediction {
            balanced_accuracy: 0.875,
            low: 0.8,
            high: 0.95,
            alpha: 0.05,
            chance: 0.5,
            classes: vec![0, 1],
            auroc: vec![Some(0.875), Some(0.876)],
            leaks: true,
        }),
    };
    let shown = section(&both.report(&[]).unwrap().to_html().unwrap()).unwrap();
    for words in [
        "Warning: 100 training records of 90 lesions or patients",
        "balanced accuracy 0.875 [0.800, 0.950]",
        "history: Empty only without a biopsy.",
        "all of history",
        "smoke",
        "0.750",
        "0.876",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn an_interrupted_training_ends_with_the_bytes_of_one_that_was_not() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let with_workers = |workers: usize| {
        Start::new(recipe(&place.path().join("unused"), &[&format!("dataset.workers={workers}")]))
    };
    let start = with_workers(0);
    let steps = start.prepared.training_loader(&start.recipe).unwrap().num_batches();
    assert!(steps >= 3, "{steps} steps an epoch");
    let whole = start.fit(&place.path().join("whole"), &supervised()).unwrap();
    let expected = bytes(&whole, place.path());

    let folder = place.path().join("interrupted");
    let other = with_workers(2);
    // Before the first checkpoint; within an epoch after one; in the next epoch.
    let mut done = 0;
    for (start, at) in [(&other, 1), (&start, 3), (&other, steps + 1), (&other, 1)] {
        let objective = LosesIts { objective: supervised(), at, calls: Cell::new(0) };
        let error = start.fit(&folder, &objective).unwrap_err();
        let Error::NotFinite { step, epoch, value } = error else { panic!("{error}") };
        assert!(value.is_nan());
        assert_eq!((step, epoch), (done + at, (done + at) / steps + 1));
        let checkpoints = folder.join("checkpoints");
        // The last step that wrote a checkpoint: every second one, and the end of an epoch.
        done = (0..=step).rev().find(|step| step % 2 == 0 || step % steps == 0).unwrap();
        if done == 0 {
            assert!(!checkpoints.exists());
        } else {
            assert_eq!(latest(&folder), format!("step-{done:08}"));
        }
    }
    // A failure leaves the checkpoint as it is.
    let before = contents(&folder.join("checkpoints"));
    let objective = LosesIts { objective: supervised(), at: 0, calls: Cell::new(0) };
    let error = other.fit(&folder, &objective).unwrap_err();
    assert!(error.to_string().contains(&format!("at step {done} ")), "{error}");
    assert_eq!(contents(&folder.join("checkpoints")), before);

    let resumed = other.fit(&folder, &supervised()).unwrap();
    assert!(bytes(&resumed, place.path()) == expected, "the weights differ");
    for (a, b) in resumed.history.iter().zip(&whole.history) {
        assert_eq!(
            (a.epoch, a.step, a.train_loss, &a.validation),
            (b.epoch, b.step, b.train_loss, &b.validation)
        );
    }
    assert_eq!(resumed.history.len(), whole.history.len());

    // The checkpoint of another training does not fit.
    let longer = Start::new(recipe(&place.path().join("unused"), &["training.batch_size=4"]));
    let error = longer.fit(&folder, &supervised()).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
    // A changed byte in it is found.
    let file = folder.join("checkpoints").join(latest(&folder)).join("optimizer.bpk");
    let mut damaged = fs::read(&file).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&file, damaged).unwrap();
    let error = start.fit(&folder, &supervised()).unwrap_err();
    assert!(error.to_string().contains("optimizer.bpk"), "{error}");
}

/// A loss that is finite with a gradient that is not: the root of zero.
struct InfiniteSlope;

impl<B: Backbone> Objective<B> for InfiniteSlope {
    fn loss(&self, output: ClassifierOutput, _batch: &Batch, _step: &OptimizerStep) -> Tensor<1> {
        output.logits.mul_scalar(0.0).sqrt().sum()
    }
}

#[test]
fn a_lost_weight_is_never_saved() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let start = Start::new(recipe(place.path(), &["training.checkpoint_steps=1", "training.clip_norm="]));
    let error = start.fit(place.path(), &InfiniteSlope).unwrap_err();
    assert!(matches!(error, Error::WeightNotFinite { step: 1, .. }), "{error}");
    assert!(!place.path().join("checkpoints").exists());
}

#[test]
fn a_batch_larger_than_the_training_split_is_refused() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(&place.path().join("run"), &["training.batch_size=500"]);
    let error = run(&recipe, &device(), Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::NoBatch { batch_size: 500, .. }), "{error}");
    assert!(!place.path().join("run").exists());
}

#[test]
fn what_cannot_begin_leaves_no_folder() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let absent = place.path().join("nowhere");
    let (root, teacher) =
        (format!("dataset.root={}", absent.display()), format!("distillation.teacher={}", absent.display()));
    let schema = format!("dataset.feature_schema_path={}", absent.display());
    for overrides in
        [&["dataset.source=ham10000", root.as_str()][..], &[teacher.as_str()], &[schema.as_str()]]
    {
        let error = run(&recipe(&folder, overrides), &device(), Progress::Silent).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert!(!folder.exists());
    }
}

#[test]
fn a_student_of_another_size_learns_from_a_teacher() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = run(&recipe(&place.path().join("teacher"), &[]), &device(), Progress::Silent).unwrap();
    let of_teacher = format!("distillation.teacher={}", teacher.bundle().display());
    let small = "model.backbone.resnet={ block: basic, depths: [1, 1], widths: [3, 5], stem: conv3x3 }";
    let overrides = [of_teacher.as_str(), "distillation.attention={}", small];
    let folder = place.path().join("student");
    let student = run(&recipe(&folder, &overrides), &device(), Progress::Silent).unwrap();
    assert!(student.parameters.trainable < teacher.parameters.trainable);
    assert!(student.history.iter().all(|log| log.train_loss.is_finite()));
    // The bundle alone says what the run said.
    let loaded = Predictor::load(student.bundle(), &device()).unwrap();
    let rows = &student.prepared.dataset.records()[..3];
    for record in rows {
        let ImageSource::Rgb(pixels) = &record.image else { panic!("not drawn") };
        let decision = loaded.predict(pixels, &record.answers).unwrap();
        assert_eq!(decision, student.predictor.predict(pixels, &record.answers).unwrap());
    }
    // The teacher changes what is learned.
    let alone = run(&recipe(&place.path().join("alone"), &[small]), &device(), Progress::Silent).unwrap();
    assert_ne!(weights(&alone.folder), weights(&student.folder));

    // The same folder with the weights of another teacher is another run.
    let other = run(&recipe(&place.path().join("other"), &["seed=5"]), &device(), Progress::Silent).unwrap();
    let of_other = format!("distillation.teacher={}", other.bundle().display());
    let error =
        run(&recipe(&folder, &[&of_other, "distillation.attention={}", small]), &device(), Progress::Silent);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::OtherRun { .. }) && error.to_string().contains("teacher"), "{error}");

    // What the teacher would misread is refused, and nothing is written.
    for (change, words) in [
        ("model.image_size=24", "image size"),
        ("model.interpolation=bicubic", "interpolation"),
        ("dataset.split.seed=5", "questionnaire"),
    ] {
        let fresh = place.path().join("fresh");
        let error = run(&recipe(&fresh, &[&of_teacher, change]), &device(), Progress::Silent).unwrap_err();
        assert!(
            matches!(&error, Error::TeacherInput { what, .. } if what.contains(words)),
            "{change}: {error}"
        );
        assert!(!fresh.exists());
    }

    // A teacher of other classes.
    let names: Vec<String> =
        teacher.predictor.labels().names().iter().map(|name| format!("{name}_")).collect();
    let mut calibration = teacher.predictor.calibration().clone();
    for (class, name) in calibration.abstain.expected.classes.iter_mut().zip(&names) {
        class.label.clone_from(name);
    }
    let config = fs::read_to_string(teacher.bundle().join("config.json")).unwrap();
    let config: BundleConfig<ClassifierConfig> = serde_json::from_str(&config).unwrap();
    let renamed = place.path().join("renamed");
    let model = config.model.init(&device().without_autodiff()).unwrap();
    let weights = teacher.bundle().join("model.safetensors");
    let (model, _) = load(model, weights, &LoadOptions::default()).unwrap();
    let bundle = Bundle {
        model: &model,
        config,
        labels: &LabelMap::new(names).unwrap(),
        schema: teacher.predictor.schema(),
        tokenizer: None,
        tasks: &[],
        calibration: &calibration,
        metrics: serde_json::Value::Null,
        model_card: String::new(),
        provenance: teacher.predictor.manifest().provenance.clone(),
    };
    bundle.write(&renamed).unwrap();
    let of_renamed = format!("distillation.teacher={}", renamed.display());
    let error =
        run(&recipe(&place.path().join("fresh"), &[&of_renamed]), &device(), Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::TeacherLabels { .. }), "{error}");
}

/// An architecture from elsewhere: one width, and a description of its own.
#[derive(Debug)]
struct Slim;

impl Architecture for Slim {
    type Backbone = ResNet;
    type Config = (usize, HeadConfig);

    fn config(_recipe: &ModelRecipe, head: HeadConfig) -> Self::Config {
        (4, head)
    }

    fn init(config: &Self::Config, device: &Device) -> Result<Classifier<ResNet>, derm_backbones::Error> {
        let (width, head) = config;
        let block = derm_backbones::BlockKind::Basic;
        let config = ResNetConfig { block, depths: vec![1], widths: vec![*width], stem: Stem::Conv3x3 };
        head.init(config.init(device)?, device)
    }
}

#[test]
fn a_network_of_ones_own_is_trained_and_served() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(&place.path().join("run"), &["training.epochs=1"]);
    let finished = run_with::<Slim>(&recipe, &device(), Progress::Silent).unwrap();
    let load = |config: &<Slim as Architecture>::Config, device: &Device| Ok(Slim::init(config, device)?);
    let loaded = Predictor::load_with(finished.bundle(), &device(), load).unwrap();
    assert_eq!(loaded.labels().num_classes(), 7);
    // The workspace's own loader does not know this description, and says in which file it stands.
    let error = Predictor::load(finished.bundle(), &device()).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
}
