//! Whole searches on a tiny made dataset.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use derm_train::{Error, Progress, Recipe, Search, SearchResults, Trial, TrialEnd, run_search};
use serde_json::json;

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rate that learns and one that stands still, dropout, and a batch that is larger than the training split.
const SEARCH: &str = "
name: made
recipe:
  dataset:
    synthetic: { num_lesions: 56, image_size: 16, min_views: 1, max_views: 2 }
    split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
    workers: 0
  model:
    backbone: { resnet: { block: basic, depths: [1], widths: [4], stem: conv3x3 } }
    image_size: 16
  training: { epochs: 3, warmup_epochs: 0, checkpoint_steps: 2 }
  evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 1 }
metric: nll
trials: 6
sampler: { startup_trials: 4, seed: 5 }
pruner: { median: { startup_trials: 1, warmup_epochs: 1 } }
space:
  training.learning_rate: { choices: [0.02, 1e-9] }
  training.batch_size: { choices: [8, 500] }
  model.dropout: { uniform: [0, 0.4] }
";

fn search(place: &Path, overrides: &[&str]) -> Search {
    let path = place.join("search.yaml");
    fs::write(&path, SEARCH).unwrap();
    let output = format!("output={}", place.join("search").display());
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).chain([output]).collect();
    Search::read(path, &overrides).unwrap()
}

fn run(place: &Path, overrides: &[&str]) -> Result<SearchResults, Error> {
    run_search(&search(place, overrides), &Device::default(), Progress::Silent)
}

fn lines(place: &Path) -> String {
    fs::read_to_string(place.join("search/search.jsonl")).unwrap_or_default()
}

fn count(results: &SearchResults, end: fn(&TrialEnd) -> bool) -> usize {
    results.trials.iter().filter(|trial| trial.end.as_ref().is_some_and(end)).count()
}

#[test]
fn a_search_finds_the_rate_that_learns_and_looks_at_no_test_row() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let results = run(place.path(), &[]).unwrap();
    assert_eq!(results.trials.len(), 6);
    let shown: Vec<_> = results.trials.iter().map(|trial| (&trial.parameters, &trial.end)).collect();
    assert!(count(&results, |end| matches!(end, TrialEnd::Pruned)) > 0, "none was pruned: {shown:?}");
    assert!(count(&results, |end| matches!(end, TrialEnd::Failed(_))) > 0, "none failed: {shown:?}");
    for trial in &results.trials {
        let batch = &trial.parameters["training.batch_size"];
        match &trial.end {
            Some(TrialEnd::Complete(value)) => assert_eq!(trial.epochs.last(), Some(&Some(*value))),
            // Never in its first epoch, nor after its last one.
            Some(TrialEnd::Pruned) => assert_eq!((trial.epochs.len(), batch), (2, &json!(8)), "{trial:?}"),
            Some(TrialEnd::Failed(reason)) => {
                assert!(batch == 500 && reason.contains("batch of 500"), "{reason}");
            }
            None => panic!("{trial:?}"),
        }
    }
    let still = |trial: &&Trial| trial.parameters["training.learning_rate"] == 1e-9;
    let pruned = results.trials.iter().filter(still).filter(|trial| trial.end == Some(TrialEnd::Pruned));
    assert!(pruned.count() > 0, "what stands still goes on: {shown:?}");
    let best = results.best().unwrap();
    assert_eq!(best.parameters["training.learning_rate"], 0.02);
    let least = results.trials.iter().filter_map(Trial::value).fold(f64::INFINITY, f64::min);
    assert_eq!(best.value(), Some(least));

    let output = place.path().join("search");
    for trial in fs::read_dir(output.join("trials")).unwrap() {
        let folder = trial.unwrap().path();
        assert!(folder.join("history.jsonl").is_file(), "{}", folder.display());
        for absent in
            ["predictions/test.csv", "predictions/calibration.csv", "metrics.json", "bundle", "report.html"]
        {
            assert!(!folder.join(absent).exists(), "{} has {absent}", folder.display());
        }
        assert!(!folder.join("checkpoints").exists() && !folder.join("best").exists());
    }

    // The best recipe is one that a run takes as it is.
    let text = fs::read_to_string(output.join("best.yaml")).unwrap();
    assert!(text.starts_with(&format!("# Trial {} of the search made: nll", best.number)), "{text}");
    let recipe = Recipe::read(output.join("best.yaml"), &[]).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.output()), ("made_best", output.join("best")));
    assert_eq!(recipe.training.learning_rate, 0.02);
    assert_eq!(Some(recipe.model.dropout), best.parameters["model.dropout"].as_f64());
    let finished = derm_train::run(&recipe, &Device::default(), Progress::Silent).unwrap();
    assert_eq!(finished.history.last().unwrap().validation["nll"], least, "the same training");
    assert!(finished.folder.join("predictions/test.csv").is_file());

    // What is written says what was found.
    let csv = fs::read_to_string(output.join("search.csv")).unwrap();
    let header = "trial,state,nll,epochs,model.dropout,training.batch_size,training.learning_rate,reason";
    assert_eq!(csv.lines().next(), Some(header));
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.contains(&format!("{},complete,{least},3,", best.number)), "{csv}");
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(output.join("search.json")).unwrap()).unwrap();
    assert_eq!(json["best"], best.number);
    assert_eq!(json["trials"][best.number]["end"]["complete"], least);
    let html = fs::read_to_string(output.join("search.html")).unwrap();
    for words in ["best of many", "best so far", "model.dropout", "pruned", "batch of 500", "median"] {
        assert!(html.contains(words), "{words}");
    }
    let told = results.to_string();
    assert!(told.contains(&format!("{}*", best.number)) && told.contains("best of many"), "{told}");

    // A finished search trains nothing.
    let before = lines(place.path());
    fs::remove_dir_all(output.join("trials")).unwrap();
    assert_eq!(run(place.path(), &[]).unwrap(), results);
    assert!(!output.join("trials").exists() && lines(place.path()) == before);

    // Another recipe is another search; workers are not.
    let error = run(place.path(), &["training.epochs=4"]).unwrap_err();
    assert!(matches!(error, Error::OtherSearch { .. }), "{error}");
    assert!(error.to_string().contains("`recipe.training.epochs` was 3 and is 4"), "{error}");
    assert_eq!(run(place.path(), &["dataset.workers=2", "training.log_steps=0"]).unwrap(), results);
}

#[test]
fn data_that_cannot_be_read_end_the_search_and_no_trial() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let nowhere = place.path().join("nowhere");
    let root = format!("dataset.root={}", nowhere.display());
    let error = run(place.path(), &["dataset.source=ham10000", &root]).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!lines(place.path()).contains("ended"), "{}", lines(place.path()));
}

/// Tells the child where its search is.
const PLACE: &str = "DERM_SEARCH_PLACE";

/// How long a child may take to get somewhere; only a hang takes that long.
const PATIENCE: Duration = Duration::from_mins(5);

#[test]
#[ignore = "the process that the other test starts and kills"]
fn child() {
    let Ok(place) = std::env::var(PLACE) else { return };
    run(Path::new(&place), &[]).unwrap();
}

fn start(place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "training::child", "--ignored"])
        .env(PLACE, place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_search_makes_the_trials_of_one_that_was_left_alone() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let results = run(whole.path(), &[]).unwrap();
    let place = tempfile::tempdir().unwrap();
    // Killed in the middle of a trial, twice: after some first and some later epoch.
    for events in [1, 5] {
        let mut child = start(place.path());
        let clock = Instant::now();
        while lines(place.path()).matches("\"epoch\"").count() < 2 * events {
            assert!(child.try_wait().unwrap().is_none(), "the child ended before it could be killed");
            assert!(clock.elapsed() < PATIENCE, "no epoch within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lines(place.path()).len() < lines(whole.path()).len(), "the child had finished");
    }
    let resumed = run(place.path(), &[]).unwrap();
    assert_eq!(resumed.trials, results.trials);
    assert_eq!(lines(place.path()), lines(whole.path()));
}
