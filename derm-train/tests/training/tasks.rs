//! Heads beside the diagnosis: labels, losses, numbers and what is served.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use derm_backbones::{AnyBackbone, Classifier, ClassifierConfig, HeadConfig};
use derm_calibration::Calibrator;
use derm_core::{Predictions, SplitRole, Test};
use derm_data::ImageSource;
use derm_losses::{ClassificationLoss, CrossEntropyLoss};
use derm_predict::Request;
use derm_train::{
    Architecture, Error, ModelRecipe, MultiTask, Named, Prepared, Progress, Recipe, StepEntry, Supervised,
    TaskLoss, run, run_with,
};
use serde_json::Value;

use crate::tiny::{self, LosesIts, Start, alone, bytes, device, supervised};

const MALIGNANCY: &str = "tasks.malignancy={ labels: { groups: { malignant: [melanoma, basal_cell_carcinoma, \
    actinic_keratosis], benign: [melanocytic_nevus, benign_keratosis, dermatofibroma, vascular_lesion] } }, \
    weight: 0.3, loss: focal }";
/// Some of the people are left out.
const AGE: &str = "tasks.age={ labels: { column: age_band, classes: [30_to_49, 70_and_over], \
    unlisted: unlabelled }, weight: 0.5, label_smoothing: 0.1 }";

/// A served network has its batch norms folded: the same sums, rounded elsewhere.
const FOLDING_NOISE: f64 = 1e-5;
/// Values are read from the device as f32.
const F32: f64 = 1e-5;

/// A few validation rows are labelled for the age.
fn recipe(output: &Path, overrides: &[&str]) -> Recipe {
    tiny::recipe(output, &[overrides, &["evaluation.calibration_bins=2"]].concat())
}

fn steps(folder: &Path) -> Vec<StepEntry> {
    let text = fs::read_to_string(folder.join("steps.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// That the terms of every step are these, and that they sum to its loss.
fn assert_terms(folder: &Path, names: &[&str]) {
    for entry in steps(folder) {
        assert_eq!(entry.terms.keys().map(String::as_str).collect::<Vec<_>>(), names);
        let sum: f64 = entry.terms.values().map(|term| term.weight * term.value).sum();
        assert!((sum - entry.loss).abs() <= F32 * entry.loss.abs().max(1.0), "{entry:?}: {sum}");
    }
}

#[test]
fn a_run_has_labels_numbers_and_answers_for_every_task() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let logs = ["training.log_steps=1", "training.tensorboard=true", "training.epochs=2"];
    let of_run = recipe(&folder, &[&[MALIGNANCY, AGE], &logs[..]].concat());
    let finished = run(&of_run, &device(), Progress::Silent).unwrap();
    assert_terms(&folder, &["diagnosis", "task.age", "task.malignancy"]);
    let first = &steps(&folder)[0].terms;
    assert_eq!((first["diagnosis"].weight, first["task.age"].weight), (1.0, 0.5));
    let event = fs::read_dir(folder.join("tensorboard")).unwrap().next().unwrap().unwrap();
    let event = fs::read(event.path()).unwrap();
    let tag = b"train/terms/task.malignancy";
    assert!(event.windows(tag.len()).any(|window| window == tag));

    // Predictions are those of the labelled rows.
    let dataset = &finished.prepared.dataset;
    let test = finished.prepared.split.indices(dataset, SplitRole::Test).unwrap();
    for (task, everyone) in [("malignancy", true), ("age", false)] {
        let table = Predictions::<Test>::load(folder.join(format!("predictions/test.{task}.csv"))).unwrap();
        let labelled = test.iter().map(|&row| &dataset.records()[row]);
        let labelled: Vec<_> = labelled.filter(|record| record.tasks.contains_key(task)).collect();
        assert_eq!(labelled.len() == test.len(), everyone);
        assert_eq!(table.ids(), labelled.iter().map(|record| record.id.clone()).collect::<Vec<_>>());
        let classes: Vec<usize> = labelled.iter().map(|record| record.tasks[task].get()).collect();
        assert_eq!((table.targets(), table.labels()), (&classes[..], &dataset.tasks()[task]));
        for role in ["validation", "calibration"] {
            assert!(folder.join(format!("predictions/{role}.{task}.csv")).is_file());
        }

        // What is served is what was measured.
        let assessment = &finished.tasks[task];
        assert!(matches!(assessment.calibrator, Calibrator::Temperature(_)));
        let probabilities = assessment.calibrator.calibrate(&table).unwrap();
        for (row, record) in labelled.iter().enumerate().take(4) {
            let ImageSource::Rgb(pixels) = &record.image else { panic!("drawn images are in memory") };
            let decision = finished.predictor.decide(&Request::pixels(pixels, &record.answers)).unwrap();
            assert_eq!(
                decision.tasks.iter().map(|task| task.task.as_str()).collect::<Vec<_>>(),
                ["age", "malignancy"]
            );
            let served = decision.tasks.iter().find(|served| served.task == task).unwrap();
            assert_eq!(served.ranking.len(), table.num_classes());
            for class in &served.ranking {
                let column = table.labels().class_index(&class.label).unwrap().get();
                let expected = probabilities.view()[[row, column]];
                assert!((class.probability - expected).abs() < FOLDING_NOISE, "{class:?}: {expected}");
            }
        }
    }

    let metrics: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("metrics.json")).unwrap()).unwrap();
    for task in ["malignancy", "age"] {
        let of_task = &metrics["tasks"][task];
        assert!(of_task["calibrated"]["metrics"][0]["interval"].is_object(), "{of_task}");
        assert_eq!(of_task["calibrated"]["samples"], finished.tasks[task].calibrated.samples);
        assert!(finished.to_string().contains(&format!("task {task}: ")));
    }
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("Further tasks") && report.contains("malignancy"));
    let card = fs::read_to_string(folder.join("bundle/MODEL_CARD.md")).unwrap();
    assert!(card.contains("| age | accuracy |"), "{card}");
    let text = fs::read_to_string(folder.join("labels.age.txt")).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), ["30_to_49", "70_and_over"]);

    // A distillation beside the tasks, from a teacher that has others, and from its checkpoint.
    let student = place.path().join("student");
    let epoch = fs::read_dir(folder.join("best")).unwrap().next().unwrap().unwrap().path();
    let teacher = format!("distillation.teacher={}", epoch.display());
    run(&recipe(&student, &[&teacher, AGE, logs[0], "training.epochs=1"]), &device(), Progress::Silent)
        .unwrap();
    assert_terms(&student, &["hard", "kd", "task.age"]);

    // The same folder with a task less is another run.
    let error =
        run(&recipe(&folder, &[&[AGE], &logs[..]].concat()), &device(), Progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::OtherRun { key, .. } if key.contains("tasks.malignancy")), "{error}");
}

#[test]
fn each_task_is_learned() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let settings =
        ["training.log_steps=1", "training.epochs=12", "training.learning_rate=0.01", "model.dropout=0"];
    run(&recipe(&folder, &[&[MALIGNANCY, AGE], &settings[..]].concat()), &device(), Progress::Silent)
        .unwrap();
    let entries = steps(&folder);
    let mean = |entries: &[StepEntry], name: &str| {
        entries.iter().map(|entry| entry.terms[name].value).sum::<f64>() / entries.len() as f64
    };
    for name in ["diagnosis", "task.age", "task.malignancy"] {
        let (before, after) = (mean(&entries[..4], name), mean(&entries[entries.len() - 4..], name));
        assert!(after < 0.85 * before, "{name}: {before} {after}");
    }
}

type Tasks = MultiTask<Supervised<CrossEntropyLoss>, ClassificationLoss>;

fn objective(recipe: &Recipe, prepared: &Prepared) -> Tasks {
    let task = |(name, task): (&String, &derm_train::TaskRecipe)| {
        let counts = prepared.task_training_counts(name).unwrap();
        let criterion = task.loss_config(&counts).unwrap().init(counts.len(), &device().autodiff()).unwrap();
        TaskLoss { name: name.clone(), weight: task.weight, criterion }
    };
    MultiTask { diagnosis: supervised(), tasks: recipe.tasks.iter().map(task).collect() }
}

#[test]
fn an_interrupted_training_of_tasks_ends_with_the_bytes_of_one_that_was_not() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let overrides = [
        MALIGNANCY,
        AGE,
        "training.gradient_accumulation_steps=2",
        "training.batch_size=4",
        "training.batch_mix={ mixup_alpha: 0.4, cutmix_alpha: 1 }",
        "tasks.age.class_weights=inverse_frequency",
    ];
    let start = Start::new(recipe(place.path(), &overrides));
    let whole = place.path().join("whole");
    let expected = bytes(&start.fit(&whole, &objective(&start.recipe, &start.prepared)).unwrap(), &whole);
    let cut = place.path().join("cut");
    let objective = || objective(&start.recipe, &start.prepared);
    let stops = LosesIts { objective: objective(), at: 11, calls: Cell::new(0) };
    assert!(matches!(start.fit(&cut, &stops), Err(Error::NotFinite { .. })));
    assert!(cut.join("checkpoints/latest").is_file());
    assert_eq!(bytes(&start.fit(&cut, &objective()).unwrap(), &cut), expected);
}

/// Leaves the heads of further tasks out.
#[derive(Debug)]
struct Headless;

impl Architecture for Headless {
    type Backbone = AnyBackbone;
    type Config = ClassifierConfig;

    fn config(recipe: &ModelRecipe, head: HeadConfig) -> ClassifierConfig {
        Named::config(recipe, HeadConfig { tasks: Vec::new(), ..head })
    }

    fn init(
        config: &ClassifierConfig,
        device: &Device,
    ) -> Result<Classifier<AnyBackbone>, derm_backbones::Error> {
        config.init(device)
    }
}

#[test]
fn tasks_that_cannot_be_learned_or_measured_are_refused() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let fails = |overrides: &[&str]| {
        let error = run(&recipe(&folder, overrides), &device(), Progress::Silent).unwrap_err();
        assert!(!folder.exists(), "{error}");
        error
    };
    let error =
        fails(&["tasks.t.labels={ column: age_band, classes: [under_30, never], unlisted: unlabelled }"]);
    assert!(
        matches!(&error, Error::TaskRows { role: SplitRole::Train, classes: 1, expected: 2, .. }),
        "{error}"
    );
    let error = fails(&["tasks.t.labels={ column: sex }"]);
    assert!(matches!(&error, Error::TaskIsAnswer { column, .. } if column == "sex"), "{error}");
    let error = fails(&["tasks.t.labels={ column: camera }"]);
    assert!(matches!(error, Error::Data(derm_data::Error::UnknownTaskColumn { .. })), "{error}");
    let weights = "class_weights: inverse_frequency";
    let classes = "classes: [under_30, 30_to_49, 50_to_69, 70_and_over, never]";
    let error = fails(&[&format!("tasks.t={{ labels: {{ column: age_band, {classes} }}, {weights} }}")]);
    let Error::Task { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, Error::Loss(derm_losses::Error::ZeroCount { .. })), "{error}");
    let error = run_with::<Headless>(&recipe(&folder, &[AGE]), &device(), Progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::TaskHeads { got, expected } if got.is_empty() && expected == &["age"]));
    // Where the network does not read the answers, it may learn to give them.
    let allowed = recipe(&folder, &["tasks.t.labels={ column: sex }", "model.use_answers=false"]);
    let prepared = Prepared::new(&allowed, Progress::Silent).unwrap();
    assert_eq!(prepared.dataset.tasks().keys().collect::<Vec<_>>(), ["t"]);
    let counts: BTreeMap<_, _> =
        allowed.tasks.keys().map(|t| (t, prepared.task_training_counts(t).unwrap())).collect();
    assert!(counts.values().flatten().all(|count| *count > 0));
}
