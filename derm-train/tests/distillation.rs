//! Whole distillations on a tiny made dataset.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_backbones::weights::save_safetensors;
use derm_backbones::{BackboneConfig, BlockKind, ClassifierConfig, ClassifierOutput, ResNetConfig, Stem};
use derm_core::{Backbone, SplitRole, Taps};
use derm_data::Batch;
use derm_distill::{NormalizationMap, Projectors};
use derm_losses::CrossEntropyLossConfig;
use derm_train::{
    Architecture, Distilled, Error, Finished, ModelRecipe, Named, Objective, OptimizerStep, Prepared,
    Progress, Recipe, Teacher, Trainer, run,
};

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device() -> Device {
    Device::default()
}

/// 56 lesions at 16 pixels, dropout on, three steps an epoch.
fn recipe(output: &Path, overrides: &[&str]) -> Recipe {
    let text = "
dataset:
  synthetic: { num_lesions: 56, image_size: 16, min_views: 1, max_views: 2 }
  split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 } }
  image_size: 16
  use_answers: true
  answers_widths: [8, 4]
  dropout: 0.3
training: { epochs: 2, batch_size: 8, checkpoint_steps: 2, clip_norm: 1.0 }
evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 2 }
";
    let output = format!("output={}", output.display());
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).chain([output]).collect();
    Recipe::parse(text, "test.yaml", &overrides).unwrap()
}

fn ran(output: &Path, overrides: &[&str]) -> Finished {
    run(&recipe(output, overrides), &device(), Progress::Silent).unwrap()
}

fn refused(output: &Path, overrides: &[&str]) -> Error {
    let error = run(&recipe(output, overrides), &device(), Progress::Silent).unwrap_err();
    assert!(!output.exists(), "{overrides:?}: {error}");
    error
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("bundle/model.safetensors")).unwrap()
}

fn of(teacher: &Path) -> String {
    format!("distillation.teacher={}", teacher.display())
}

const SMALL: &str = "model.backbone.resnet={ block: basic, depths: [1, 1], widths: [3, 5], stem: conv3x3 }";

/// Terms with projectors, and one that compares the samples of a batch.
const TERMS: &str = "distillation.terms=[{ loss: hint, weight: 0.5, schedule: { cosine: { from: 1, to: 0.5 } } }, \
    { loss: { cosine_feature: { layers: auto } }, weight: 1 }, { loss: rkd, weight: 0.1 }]";

fn latest(folder: &Path) -> PathBuf {
    let name = fs::read_to_string(folder.join("checkpoints/latest")).unwrap();
    folder.join("checkpoints").join(name.trim_end())
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn projectors_are_in_checkpoints_and_not_in_the_bundle() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = ran(&place.path().join("teacher"), &[]);
    let teacher = of(&teacher.folder);
    let folder = place.path().join("whole");
    let whole = ran(&folder, &[&teacher, TERMS, SMALL]);
    assert!(latest(&folder).join("projectors.bpk").is_file());

    // The bundle is the student alone: the same keys as without any of it.
    let plain = ran(&place.path().join("plain"), &[SMALL]);
    let keys = |finished: &Finished| {
        let bytes = weights(&finished.folder);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        header.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&whole), keys(&plain));
    assert_ne!(weights(&whole.folder), weights(&plain.folder));
    assert!(!latest(&plain.folder).join("projectors.bpk").exists());

    // A damaged projector is found.
    let file = latest(&folder).join("projectors.bpk");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = run(&recipe(&folder, &[&teacher, TERMS, SMALL]), &device(), Progress::Silent).unwrap_err();
    assert!(error.to_string().contains("projectors.bpk"), "{error}");
}

/// Loses its loss at one call.
struct LosesIts<O> {
    objective: O,
    at: usize,
    calls: Cell<usize>,
}

impl<B: Backbone, O: Objective<B>> Objective<B> for LosesIts<O> {
    fn taps(&self) -> Taps {
        self.objective.taps()
    }

    fn projectors(&self) -> Projectors {
        self.objective.projectors()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let loss = self.objective.loss(output, batch, step);
        let call = self.calls.replace(self.calls.get() + 1);
        if call == self.at { loss * f64::NAN } else { loss }
    }
}

#[test]
fn an_interrupted_distillation_ends_with_the_bytes_of_one_that_was_not() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(
        &place.path().join("unused"),
        &["distillation.teacher=unread", TERMS, "distillation.kd_schedule={ linear: { from: 0, to: 1 } }"],
    );
    let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
    let config = |widths| {
        let block = BlockKind::Basic;
        let backbone = ResNetConfig { block, depths: vec![1, 1], widths, stem: Stem::Conv3x3 };
        let recipe = ModelRecipe { backbone: BackboneConfig::Resnet(backbone), ..recipe.model.clone() };
        Named::config(&recipe, recipe.head(7, Some(prepared.dataset.schema()), Vec::new()))
    };
    device().seed(1);
    let teacher = config(vec![6, 9]).init(&device()).unwrap().valid();
    let rows = prepared.training_loader(&recipe).unwrap();
    let validation = prepared.loader(SplitRole::Validation).unwrap();
    let fit = |folder: &Path, seed: u64, at: usize| {
        device().seed(2);
        let student = config(vec![3, 5]).init(&device()).unwrap();
        let hard = CrossEntropyLossConfig::default().init(7, &device().autodiff()).unwrap();
        device().seed(seed);
        let objective = recipe.distillation.as_ref().unwrap().objective();
        let (spec, of_teacher) = (student.backbone().spec(), teacher.backbone().spec());
        let objective = objective.init(hard, 7, spec, of_teacher, &device()).unwrap();
        let objective = Distilled { teacher: Teacher::new(&teacher), objective };
        let objective = LosesIts { objective, at, calls: Cell::new(0) };
        let trainer = Trainer {
            recipe: &recipe.training,
            seed: recipe.seed,
            device: &device(),
            folder,
            progress: Progress::Silent,
            label: "test",
            observer: None,
        };
        let trained = trainer.fit(student, &objective, &rows, &validation)?;
        let path = folder.join("weights.safetensors");
        save_safetensors(&trained.model, &path).unwrap();
        Ok::<_, Error>(fs::read(path).unwrap())
    };
    let never = usize::MAX;
    let whole = fit(&place.path().join("whole"), 4, never).unwrap();
    let folder = place.path().join("interrupted");
    for at in [3, 1] {
        let error = fit(&folder, 4, at).unwrap_err();
        assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    }
    // Other projectors are drawn at the start: what counts is what had been learned.
    let resumed = fit(&folder, 5, never).unwrap();
    assert!(resumed == whole, "the weights differ");
    assert!(fit(&place.path().join("other"), 5, never).unwrap() != whole, "projectors matter");

    // A checkpoint without them is none of this training.
    fs::remove_file(latest(&folder).join("projectors.bpk")).unwrap();
    let error = fit(&folder, 4, never).unwrap_err();
    assert!(error.to_string().contains("projectors.bpk"), "{error}");
}

#[test]
fn a_cache_changes_no_byte() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = ran(&place.path().join("teacher"), &[]);
    let teacher = of(&teacher.folder);
    let kept = place.path().join("kept");
    let cache = format!("distillation.cache={}", kept.display());
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    for (number, augmentation) in [
        "training.augmentation={ horizontal_flip: 0, vertical_flip: 0 }",
        "training.augmentation={ quarter_turns: 0.5 }",
    ]
    .into_iter()
    .enumerate()
    {
        let name = |name: &str| place.path().join(format!("{name}-{number}"));
        let without = ran(&name("without"), &[&teacher, SMALL, augmentation]);
        let with = ran(&name("with"), &[&teacher, SMALL, augmentation, &cache]);
        assert!(weights(&with.folder) == weights(&without.folder), "{augmentation}");
        assert_eq!(files().len(), number + 1, "another view, another cache");
        // Another student finds it, on another seed.
        let before: Vec<_> =
            files().iter().map(|file| fs::metadata(file).unwrap().modified().unwrap()).collect();
        ran(&name("other"), &[&teacher, augmentation, &cache, "seed=9"]);
        let after: Vec<_> =
            files().iter().map(|file| fs::metadata(file).unwrap().modified().unwrap()).collect();
        assert_eq!(before, after);
        // What only says where logits are kept may change in a run that goes on.
        let moved = format!("distillation.cache={}", place.path().join("elsewhere").display());
        let again = ran(&name("with"), &[&teacher, SMALL, augmentation, &moved]);
        assert!(weights(&again.folder) == weights(&without.folder));
    }
    // It is the cache that is read: changed, it is refused by name; honestly sealed logits of something else are too.
    let file = files().remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let errors = ["{ horizontal_flip: 0, vertical_flip: 0 }", "{ quarter_turns: 0.5 }"].map(|augmentation| {
        let augmentation = format!("training.augmentation={augmentation}");
        let fresh = place.path().join(format!("fresh{}", augmentation.len()));
        run(&recipe(&fresh, &[&teacher, SMALL, &augmentation, &cache]), &device(), Progress::Silent).err()
    });
    let told: Vec<String> = errors.iter().flatten().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains(&file.display().to_string()), "{told:?}");
}

#[test]
fn a_teacher_is_a_bundle_a_run_or_a_checkpoint() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = ran(&place.path().join("teacher"), &[]);
    let taught = |name: &str, teacher: &Path| {
        weights(&ran(&place.path().join(name), &[&of(teacher), SMALL, "training.epochs=1"]).folder)
    };
    let of_bundle = taught("of-bundle", &teacher.bundle());
    assert!(taught("of-run", &teacher.folder) == of_bundle);
    assert!(taught("of-checkpoint", &latest(&teacher.folder)) == of_bundle);
    // A run that is not done.
    let running = place.path().join("running");
    copied(&teacher.folder, &running);
    fs::remove_dir_all(running.join("bundle")).unwrap();
    assert!(taught("of-running", &running) == of_bundle);

    let fresh = place.path().join("fresh");
    let lacking = |what: &str, words: &[&str]| {
        let folder = place.path().join(format!("lacking-{}", what.replace('/', "-")));
        copied(&running, &folder);
        let gone = folder.join(what);
        if gone.is_dir() {
            fs::remove_dir_all(&gone).unwrap();
        } else {
            fs::remove_file(&gone).unwrap();
        }
        let error = refused(&fresh, &[&of(&folder), SMALL]).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{what}: {error}");
    };
    lacking("labels.txt", &["labels.txt"]);
    lacking("feature_schema.json", &["feature_schema.json"]);
    lacking("checkpoints", &["lacking-checkpoints", "without a checkpoint"]);
    lacking("config.yaml", &["lacking-config.yaml", "no bundle"]);
    let file = latest(&running).join("model.bpk");
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&file, bytes).unwrap();
    for teacher in [running.clone(), latest(&running)] {
        let error = refused(&fresh, &[&of(&teacher), SMALL]).to_string();
        assert!(error.contains("model.bpk"), "{error}");
    }
}

#[test]
fn another_standardisation_is_adapted() {
    /// A network's logits on pixels that differ by f32 rounding.
    const TOLERANCE: f32 = 1e-5;
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let batch = |norm: &str| {
        let recipe = recipe(&place.path().join("unused"), &[norm]);
        let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
        let loader = prepared.loader(SplitRole::Train).unwrap();
        let batch = loader.epoch(0).next().unwrap().unwrap();
        (Batch::to_device(batch, &device()).unwrap(), prepared)
    };
    let (of_student, prepared) = batch("model.image_norm=siglip");
    let (of_teacher, for_teacher) = batch("model.image_norm=imagenet");
    device().seed(3);
    let recipe = recipe(&place.path().join("unused"), &[]);
    let config: ClassifierConfig =
        Named::config(&recipe.model, recipe.model.head(7, Some(prepared.dataset.schema()), Vec::new()));
    let model = config.init(&device()).unwrap().valid();
    let map = NormalizationMap::new(prepared.normalization, for_teacher.normalization);
    let logits = |teacher: &Teacher<'_, _>, batch: &Batch| {
        teacher.output(batch, &Taps::none()).logits.into_data().iter::<f32>().collect::<Vec<_>>()
    };
    let expected = logits(&Teacher::new(&model), &of_teacher);
    let got = logits(&Teacher::new(&model).with_normalization(map), &of_student);
    assert!(got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < TOLERANCE));
    let unadapted = logits(&Teacher::new(&model), &of_student);
    assert!(
        unadapted.iter().zip(&expected).any(|(got, expected)| (got - expected).abs() > 100.0 * TOLERANCE)
    );

    // In a run: the student of another standardisation learns.
    let teacher = ran(&place.path().join("teacher"), &["training.epochs=1"]);
    let student = ran(
        &place.path().join("student"),
        &[&of(&teacher.folder), SMALL, "model.image_norm=siglip", "training.epochs=1"],
    );
    assert!(student.history[0].train_loss.is_finite());
}

#[test]
fn either_may_read_answers_without_the_other() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let both = ran(&place.path().join("both"), &["training.epochs=1"]);
    let images = ran(&place.path().join("images"), &["training.epochs=1", "model.use_answers=false"]);
    let student = ran(
        &place.path().join("image-student"),
        &[&of(&both.folder), SMALL, "model.use_answers=false", "training.epochs=1"],
    );
    assert!(student.predictor.schema().is_none());
    let other =
        ran(&place.path().join("answers-student"), &[&of(&images.folder), SMALL, "training.epochs=1"]);
    assert!(other.predictor.schema().is_some());

    // A questionnaire that is scaled by other rows is another one.
    let fresh = place.path().join("fresh");
    for answers in ["model.use_answers=true", "model.use_answers=false"] {
        let error = refused(&fresh, &[&of(&both.folder), answers, "dataset.split.seed=5"]);
        assert!(
            matches!(&error, Error::TeacherInput { what, .. } if what.contains("questionnaire")),
            "{answers}: {error}"
        );
    }
}

#[test]
fn a_layer_that_is_not_there_is_told_before_anything_is_written() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = ran(&place.path().join("teacher"), &["training.epochs=1"]);
    let pairs = "distillation.terms=[{ loss: { hint: { layers: { pairs: [{ student: layer2, teacher: layer9 }] } } }, \
        weight: 1 }]";
    let error = refused(&place.path().join("fresh"), &[&of(&teacher.folder), pairs]).to_string();
    for word in ["terms[0] (hint)", "teacher", "layer9", "layer1", "layer2"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_teacher_that_weighs_nothing_is_not_asked() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let teacher = ran(&place.path().join("teacher"), &["training.epochs=1"]);
    let teacher = of(&teacher.folder);
    let off = "distillation.kd_schedule={ between: { start: 0.99 } }";
    let student = ran(&place.path().join("student"), &[&teacher, SMALL, off, "distillation.hard_weight=1"]);
    let alone = ran(&place.path().join("alone"), &[SMALL]);
    // Four to six steps of two epochs lie before 0.99: the labels alone teach, by the same weights.
    assert!(weights(&student.folder) == weights(&alone.folder));
}
