//! Studies: their files, their runs, and what they say of variants.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use burn::tensor::Device;
use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Test, Validation,
    View,
};
use derm_metrics::{IntervalMethod, RunPairing};
use derm_train::{
    ComparisonConfig, CountedNoise, Error, LossName, Progress, Study, StudyTeacher, VariantFolders,
    VariantResult, Verdict, compare_runs, run_study,
};
use ndarray::Array2;

const RECIPE: &str = "
name: small
dataset:
  synthetic: { num_lesions: 56, image_size: 16, max_views: 1 }
  workers: 0
  split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
model:
  backbone: { resnet: { block: basic, depths: [1], widths: [4], stem: conv3x3 } }
  image_size: 16
training: { epochs: 1, warmup_epochs: 0, batch_size: 16 }
evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 1 }
";

const STUDY: &str = "
name: made
recipe: recipes/small.yaml
teacher: recipes/teacher.yaml
seeds: [4, 7]
baseline: alone
comparison: { bootstrap_replicates: 50, latency_passes: 2 }
variants:
  alone: {}
  distilled: { distillation: { kd_weight: 0.9 } }
  focal: { seeds: [7], training: { loss: focal } }
";

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with a study and its recipes.
fn folder(study: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("recipes")).unwrap();
    fs::write(place.path().join("study.yaml"), study).unwrap();
    fs::write(place.path().join("recipes/small.yaml"), RECIPE).unwrap();
    fs::write(place.path().join("recipes/teacher.yaml"), "base: small.yaml\nname: teacher\nseed: 9").unwrap();
    place
}

fn read(place: &tempfile::TempDir, overrides: &[&str]) -> Result<Study, Error> {
    let output = format!("output={}", place.path().join("out").display());
    let overrides: Vec<String> =
        std::iter::once(output).chain(overrides.iter().map(|text| (*text).to_owned())).collect();
    Study::read(place.path().join("study.yaml"), &overrides)
}

#[test]
fn a_study_plans_its_runs_seed_by_seed() {
    let place = folder(STUDY);
    let study = read(&place, &["training.epochs=3", "comparison.confidence=0.9"]).unwrap();
    let runs: Vec<(&str, u64)> =
        study.runs.iter().map(|run| (run.variant.as_str(), run.recipe.seed)).collect();
    assert_eq!(runs, [("alone", 4), ("distilled", 4), ("focal", 7), ("alone", 7), ("distilled", 7)]);
    let output = place.path().join("out");
    let run = &study.runs[1].recipe;
    assert_eq!(run.output(), output.join("distilled/seed-4"));
    assert_eq!(run.distillation.as_ref().unwrap().teacher, output.join("teacher/bundle"));
    assert_eq!(run.distillation.as_ref().unwrap().kd_weight, 0.9);
    assert_eq!(study.runs[2].recipe.training.loss, LossName::Focal.into());
    assert!(study.runs[0].recipe.distillation.is_none());
    // What is no key of a study goes to every recipe.
    assert!(study.runs.iter().all(|run| run.recipe.training.epochs == 3));
    assert_eq!(study.comparison.confidence, 0.9);
    let Some(StudyTeacher::Recipe(teacher)) = &study.teacher else { panic!("{:?}", study.teacher) };
    assert_eq!((teacher.seed, teacher.training.epochs, teacher.output()), (9, 3, output.join("teacher")));
    // A teacher that is there is taken as it is.
    let there = format!("teacher={}", place.path().join("recipes").display());
    let study = read(&place, &[&there]).unwrap();
    assert_eq!(study.teacher.unwrap().folder(), place.path().join("recipes"));
}

#[test]
fn an_error_names_the_file_and_the_key() {
    let with = |key: &str| STUDY.replace("  alone: {}", key);
    let cases = [
        (
            with("  alone: { training: { los: focal } }"),
            "study.yaml: unknown key `variants.alone.training.los`",
        ),
        (with("  alone: { training: { epochs: few } }"), "study.yaml: `variants.alone.training.epochs`"),
        (with("  alone: { seed: 3 }"), "`variants.alone.seed`: the study sets it"),
        (with("  alone: { seeds: [a] }"), "`variants.alone.seeds`"),
        (with("  alone: { seeds: [1, 1] }"), "`seeds` is [1, 1]"),
        (with("  alone: 3"), "`variants.alone`: expected keys of a recipe"),
        (with("  other: {}"), "`baseline` is alone"),
        (with("  alone: {}\n  teacher: {}"), "`variants` is teacher"),
        (with("  alone: {}\n  a/b: {}"), "`variants` is a/b"),
        (STUDY.replace("seeds: [4, 7]", "seeds: []"), "`seeds` is []"),
        (STUDY.replace("seeds:", "seed:"), "unknown key `seed`; did you mean `seeds`?"),
        (STUDY.replace("bootstrap_replicates: 50", "metric: f1"), "`comparison.metric` is f1"),
        (STUDY.replace("bootstrap_replicates: 50", "confidence: .nan"), "`comparison.confidence` is NaN"),
        (STUDY.replace("recipe: recipes/small.yaml", ""), "`recipe`: missing"),
        (STUDY.replace("recipes/small.yaml", "recipes/none.yaml"), "none.yaml"),
        (format!("{STUDY}compare: {{ alone: [x] }}"), "`compare` is alone"),
    ];
    for (text, words) in cases {
        let error = read(&folder(&text), &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let error = read(&folder(STUDY), &["seed=3"]).unwrap_err();
    assert!(matches!(&error, Error::Override { .. }) && error.to_string().contains("`seeds`"), "{error}");
    let place = folder(STUDY);
    fs::write(place.path().join("recipes/small.yaml"), "trainings: {}").unwrap();
    let error = read(&place, &[]).unwrap_err().to_string();
    assert!(error.contains("small.yaml: unknown key `trainings`"), "{error}");
}

/// When each run was last written.
fn times(study: &Study) -> BTreeMap<PathBuf, SystemTime> {
    let written = |run: &derm_train::PlannedRun| {
        let folder = run.recipe.output();
        (folder.clone(), fs::metadata(folder.join("report.html")).unwrap().modified().unwrap())
    };
    study.runs.iter().map(written).collect()
}

#[test]
fn a_study_runs_and_goes_on() {
    let _alone = alone();
    let place = folder(STUDY);
    let study = read(&place, &[]).unwrap();
    let device = Device::default();
    let results = run_study(&study, &device, Progress::Silent).unwrap();
    let names: Vec<&str> = results.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["alone", "distilled", "focal"]);
    let [alone, distilled, focal] = results.variants.as_slice() else { panic!() };
    assert_eq!(alone.verdict, None);
    // Two seeds on both sides: it is decided. One: it is not.
    assert_eq!(distilled.pairing, Some(RunPairing::BySeed));
    assert!(distilled.verdict.is_some_and(|verdict| verdict != Verdict::Unproven));
    assert_eq!((focal.verdict, focal.pairing), (Some(Verdict::Unproven), None));
    assert_eq!(alone.retention.len(), alone.metrics.len());
    let cost = alone.cost.as_ref().unwrap();
    assert!(cost.parameters > 0 && cost.macs_conv_and_linear > 0);
    assert!(cost.latency[0].repeats == 2 && cost.latency[0].p50_ms > 0.0);
    let written = |name: &str| fs::read_to_string(study.output.join(name)).unwrap();
    assert_eq!(written("runs.csv").lines().count(), 1 + 5);
    assert_eq!(written("variants.csv").lines().count(), 1 + 3);
    let report = written("report.html");
    assert!(report.contains("unproven") && report.contains("What is kept of the teacher"));
    let json: serde_json::Value = serde_json::from_str(&written("study.json")).unwrap();
    assert_eq!(json["variants"][2]["verdict"], "unproven");

    // Started again, it makes only what is not there.
    let before = times(&study);
    let lost = study.runs[3].recipe.output();
    fs::remove_dir_all(&lost).unwrap();
    let again = run_study(&study, &device, Progress::Silent).unwrap();
    for (folder, time) in times(&study) {
        assert_eq!(time == before[&folder], folder != lost, "{}", folder.display());
    }
    // Flex repeats itself, so the lost run is what it was.
    let values = |variant: &VariantResult| -> Vec<_> {
        variant.metrics.iter().map(|named| (named.name.clone(), named.estimate.runs.clone())).collect()
    };
    assert_eq!(values(&again.variants[0]), values(alone));
}

#[test]
fn a_failed_run_is_named_and_the_others_go_on() {
    let _alone = alone();
    let text = STUDY.replace("{ distillation: { kd_weight: 0.9 } }", "{ training: { batch_size: 4096 } }");
    let place = folder(&text.replace("teacher: recipes/teacher.yaml\n", ""));
    let study = read(&place, &[]).unwrap();
    let error = run_study(&study, &Device::default(), Progress::Silent).unwrap_err();
    let Error::StudyRuns { failed } = &error else { panic!("{error:?}") };
    let names: Vec<&str> = failed.iter().map(|failed| failed.run.as_str()).collect();
    assert_eq!(names, ["distilled, seed 4", "distilled, seed 7"]);
    assert!(error.to_string().contains("distilled, seed 4: the training split has"), "{error}");
    let json = fs::read_to_string(study.output.join("study.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["variants"].as_array().unwrap().len(), 2);
    assert_eq!(json["failed"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(study.output.join("report.html")).unwrap().contains("distilled, seed 7"));
}

const CLASSES: [&str; 3] = ["mel", "nv", "bcc"];

/// How made runs are told apart.
#[derive(Clone, Copy)]
struct Made {
    seed: u64,
    /// Share of the lesions that are right, in thousandths.
    right: usize,
    /// Rows from the last to the first.
    reversed: bool,
    split: &'static str,
}

const GOOD: Made = Made { seed: 0, right: 800, reversed: false, split: "0f3a" };

/// 300 images of 150 lesions; which are right depends on the seed, and is the same for both images of a lesion.
fn table<R: Role>(made: Made) -> Predictions<R> {
    let mut order: Vec<usize> = (0..300).collect();
    if made.reversed {
        order.reverse();
    }
    let prefix = R::ROLE.name();
    let target = |row: usize| (row / 2) % 3;
    let right = |row: usize| (row / 2 * 7919 + made.seed as usize * 104_729 + 13) % 1000 < made.right;
    let values = Array2::from_shape_fn((300, 3), |(place, class)| {
        let row = order[place];
        let said = if right(row) { target(row) } else { (target(row) + 1) % 3 };
        if class == said { 2.0 } else { (row % 7) as f32 / 20.0 }
    });
    let columns = PredictionColumns {
        ids: order.iter().map(|row| format!("{prefix}_{row}")).collect(),
        groups: order.iter().map(|row| format!("{prefix}_lesion_{}", row / 2)).collect(),
        cases: order.iter().map(|row| format!("{prefix}_{row}")).collect(),
        targets: order.iter().map(|row| target(*row)).collect(),
        ..PredictionColumns::default()
    };
    let metadata = PredictionMetadata {
        task: "diagnosis".to_owned(),
        view: View::Identity,
        labels: LabelMap::new(CLASSES).unwrap(),
        split_hash: made.split.to_owned(),
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

/// A run folder with predictions and a recipe.
fn run_folder(place: &Path, name: &str, made: Made) -> PathBuf {
    let folder = place.join(name);
    table::<Test>(made).save(folder.join("predictions/test.csv")).unwrap();
    table::<Validation>(Made { reversed: false, ..made })
        .save(folder.join("predictions/validation.csv"))
        .unwrap();
    fs::write(folder.join("config.yaml"), format!("seed: {}\nkey_of_a_later_version: 3", made.seed)).unwrap();
    folder
}

/// A variant with runs of these seeds.
fn variant(place: &Path, name: &str, runs: &[Made]) -> VariantFolders {
    let folders = runs.iter().enumerate().map(|(n, made)| run_folder(place, &format!("{name}-{n}"), *made));
    VariantFolders { name: name.to_owned(), folders: folders.collect() }
}

fn seeds(seeds: &[u64], right: usize) -> Vec<Made> {
    seeds.iter().map(|&seed| Made { seed, right, ..GOOD }).collect()
}

fn config() -> ComparisonConfig {
    ComparisonConfig {
        bootstrap_replicates: 200,
        metric: "accuracy".to_owned(),
        ..ComparisonConfig::default()
    }
}

#[test]
fn verdicts_weigh_runs_and_lesions() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    let reversed: Vec<Made> =
        seeds(&[0, 1, 2], 700).into_iter().map(|made| Made { reversed: true, ..made }).collect();
    let variants = [
        variant(at, "better", &seeds(&[0, 1, 2], 930)),
        variant(at, "base", &seeds(&[0, 1, 2], 700)),
        variant(at, "worse", &seeds(&[0, 1, 2], 450)),
        variant(at, "other_seeds", &seeds(&[5, 6, 7], 710)),
        variant(at, "single", &seeds(&[2], 990)),
        variant(at, "same", &reversed),
    ];
    let teacher = run_folder(at, "the_teacher", Made { right: 950, ..GOOD });
    let results =
        compare_runs("made", "base", &variants, Some(&teacher), &config(), &Device::default()).unwrap();
    assert_eq!((results.images, results.lesions, results.support.as_slice()), (300, 150, &[100; 3][..]));
    let found = |name: &str| results.variants.iter().find(|variant| variant.name == name).unwrap();
    assert_eq!(results.variants[0].name, "base");
    assert_eq!(found("better").verdict, Some(Verdict::Better));
    assert_eq!(found("worse").verdict, Some(Verdict::Worse));
    assert_eq!(found("other_seeds").verdict, Some(Verdict::NoFinding));
    assert_eq!(found("single").verdict, Some(Verdict::Unproven));
    // The same runs with their test rows in another order: no difference, to the last digit, and nothing to test.
    let same = found("same");
    assert_eq!((same.verdict, same.adjusted_p_value), (Some(Verdict::NoFinding), None));
    assert!(same.differences.iter().all(|difference| difference.estimate == Some(0.0)));
    assert_eq!(found("better").pairing, Some(RunPairing::BySeed));
    assert_eq!(found("other_seeds").pairing, Some(RunPairing::Independent));
    // Three were tested: the smallest p-value counts three times.
    let p = |name: &str| {
        let variant = found(name);
        let accuracy = variant.differences.iter().find(|difference| difference.name == "accuracy").unwrap();
        (accuracy.p_value.unwrap(), variant.adjusted_p_value)
    };
    let mut ps = ["better", "worse", "other_seeds"].map(p);
    ps.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(ps[0].1, Some(3.0 * ps[0].0));

    // The single run is compared with the baseline's of its seed, by lesions alone.
    let single = found("single");
    let accuracy = &single.differences[0];
    assert_eq!((accuracy.name.as_str(), accuracy.counts), ("accuracy", CountedNoise::Lesions));
    assert_eq!(accuracy.interval.unwrap().method, IntervalMethod::PercentileBootstrap);
    let of = |variant: &VariantResult, run: usize| variant.metrics[0].estimate.runs[run].unwrap();
    assert_eq!(accuracy.estimate, Some(of(single, 0) - of(found("base"), 2)));

    // Means, recall and what is kept of the teacher, against what the tables say.
    let right = |made: Made| {
        let table = table::<Test>(made);
        let predicted = table.probabilities().predicted();
        let hits = predicted.iter().zip(table.targets()).filter(|(said, is)| said == is).count();
        hits as f64 / 300.0
    };
    let of_seeds: Vec<f64> = seeds(&[0, 1, 2], 930).into_iter().map(right).collect();
    let mean = of_seeds.iter().sum::<f64>() / 3.0;
    let better = found("better");
    assert!((better.metrics[0].estimate.estimate.unwrap() - mean).abs() < 1e-12);
    let of_teacher = right(Made { right: 950, ..GOOD });
    let kept = &better.retention[0].estimate;
    assert!((kept.estimate.unwrap() - mean / of_teacher).abs() < 1e-12);
    assert!(kept.interval.is_some_and(|interval| interval.contains(mean / of_teacher)));
    let recall: f64 = better.recall.iter().map(|class| class.estimate.estimate.unwrap()).sum();
    assert!((recall / 3.0 - mean).abs() < 1e-12, "the classes are of one size");
    // Temperatures were fitted, and change the likelihood alone.
    assert!(better.runs.iter().all(|run| run.temperature.is_some()));
    let value = |name: &str| {
        better.metrics.iter().find(|named| named.name == name).unwrap().estimate.estimate.unwrap()
    };
    assert!(value("nll") < value("uncalibrated_nll"));
    results.write(at.join("results")).unwrap();
    let rows = fs::read_to_string(at.join("results/comparisons.csv")).unwrap();
    // Nine metrics and three classes of five variants.
    assert_eq!(rows.lines().count(), 1 + 5 * (9 + 3));
    assert!(rows.lines().any(|row| row.starts_with("better,base,accuracy,") && row.ends_with(",better")));
    let text = results.to_string();
    assert!(text.contains("unproven: a single run") && text.contains("no finding"), "{text}");
}

#[test]
fn of_a_loss_less_is_better() {
    let place = tempfile::tempdir().unwrap();
    let variants = [
        variant(place.path(), "base", &seeds(&[0, 1, 2], 600)),
        variant(place.path(), "other", &seeds(&[0, 1, 2], 950)),
    ];
    let config = ComparisonConfig { metric: "brier".to_owned(), ..config() };
    let results = compare_runs("made", "base", &variants, None, &config, &Device::default()).unwrap();
    assert!(results.variants[1].differences.iter().any(|d| d.name == "brier" && d.estimate.unwrap() < 0.0));
    assert_eq!(results.variants[1].verdict, Some(Verdict::Better));
}

#[test]
fn what_cannot_be_compared() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    let device = Device::default();
    let base = variant(at, "base", &seeds(&[0, 1], 700));
    let compare = |other: &VariantFolders| {
        compare_runs("made", "base", &[base.clone(), other.clone()], None, &config(), &device)
    };
    let other = variant(at, "other", &[Made { split: "ffff", ..GOOD }]);
    let error = compare(&other).unwrap_err();
    assert!(matches!(&error, Error::StudyTables { what: "split", .. }), "{error:?}");
    assert!(error.to_string().contains("other-0"), "{error}");
    let absent = VariantFolders { name: "absent".to_owned(), folders: vec![at.join("absent")] };
    assert!(compare(&absent).unwrap_err().to_string().contains("absent"));
    let config = config();
    assert!(matches!(
        compare_runs("made", "base", &[], None, &config, &device),
        Err(Error::NoRuns { study }) if study == "made"
    ));
    // Without the baseline there are numbers and no verdicts, and the report says so.
    let only = [variant(at, "only", &seeds(&[0, 1], 700))];
    let results = compare_runs("made", "base", &only, None, &config, &device).unwrap();
    assert_eq!(results.variants[0].verdict, None);
    results.write(at.join("out")).unwrap();
    assert!(fs::read_to_string(at.join("out/report.html")).unwrap().contains("Nothing was compared"));
    // A folder of predictions alone serves; without validation rows they are taken as they are.
    let plain = at.join("plain");
    table::<Test>(GOOD).save(plain.join("test.safetensors")).unwrap();
    let plain = VariantFolders { name: "plain".to_owned(), folders: vec![plain] };
    let results = compare(&plain).unwrap();
    let run = &results.variants[1].runs[0];
    assert_eq!((run.seed, run.temperature), (None, None));
    assert_eq!(results.variants[1].verdict, Some(Verdict::Unproven));
}
