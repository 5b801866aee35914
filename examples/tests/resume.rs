//! A training that is killed in the middle of an epoch and taken up by a new process ends with the same bytes as
//! one that was left alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use derm_backbones::{BackboneConfig, BlockKind, ResNetConfig, Stem};
use derm_data::{Augmentation, SyntheticConfig};
use derm_train::{LossName, Prepared, Progress, Recipe, run};

/// Tells the child its run folder and its number of loader threads.
const FOLDER: &str = "DERM_RESUME_FOLDER";
const WORKERS: &str = "DERM_RESUME_WORKERS";

const CHECKPOINT_STEPS: usize = 4;

/// How long a child goes on after the checkpoint: a step or so, far from the rest of the epoch.
const LOST: Duration = Duration::from_millis(8);

/// What kill(1) calls KILL.
const SIGKILL: i32 = 9;

/// How long a child may take to get somewhere; only a hang takes that long.
const PATIENCE: Duration = Duration::from_mins(5);

/// Everything random that a run has is on: dropout before the head and within the questionnaire encoder, turned
/// images, rows in random order.
fn recipe(folder: &Path, workers: usize) -> Recipe {
    let mut recipe = Recipe { name: "resume".to_owned(), seed: 11, ..Recipe::default() };
    recipe.output = Some(folder.to_owned());
    recipe.dataset.synthetic =
        SyntheticConfig { num_lesions: 84, image_size: 16, ..SyntheticConfig::default() };
    recipe.dataset.workers = workers;
    recipe.model.backbone = BackboneConfig::Resnet(ResNetConfig {
        block: BlockKind::Basic,
        depths: vec![1, 1],
        widths: vec![4, 8],
        stem: Stem::Conv3x3,
    });
    recipe.model.image_size = 16;
    recipe.model.use_answers = true;
    recipe.model.dropout = 0.3;
    recipe.training.epochs = 3;
    recipe.training.batch_size = 4;
    recipe.training.loss = LossName::Focal.into();
    recipe.training.clip_norm = Some(1.0);
    recipe.training.augmentation = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
    recipe.training.checkpoint_steps = CHECKPOINT_STEPS;
    recipe.evaluation.bootstrap_replicates = 20;
    recipe.evaluation.calibration_bins = 5;
    recipe.evaluation.report_images = 2;
    recipe
}

#[test]
#[ignore = "the process that the other test starts and kills"]
fn child() {
    let (Ok(folder), Ok(workers)) = (std::env::var(FOLDER), std::env::var(WORKERS)) else {
        println!("{FOLDER} is not set: this test is only the other one's child");
        return;
    };
    let recipe = recipe(Path::new(&folder), workers.parse().unwrap());
    run(&recipe, &examples::device().unwrap(), Progress::Terminal).unwrap();
}

fn start(folder: &Path, workers: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(WORKERS, workers.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a child that is left alone; returns what it told.
fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "the child failed: {}\n{told}", output.status);
    told
}

/// The step of the latest checkpoint.
fn latest(folder: &Path) -> Option<usize> {
    let line = fs::read_to_string(folder.join("checkpoints/latest")).ok()?;
    Some(line.trim_end().strip_prefix("step-").expect("a checkpoint's name").parse().expect("its step"))
}

/// Starts a child and kills it once a checkpoint past step `after` lies within an epoch. Returns the step at which
/// the next process must go on.
fn kill_in_mid_epoch(folder: &Path, workers: usize, after: usize, steps_per_epoch: usize) -> usize {
    let mut child = start(folder, workers);
    let clock = Instant::now();
    let early = |step: usize| step > after && (1..=CHECKPOINT_STEPS).contains(&(step % steps_per_epoch));
    while !latest(folder).is_some_and(early) {
        assert!(child.try_wait().unwrap().is_none(), "the child ended before it could be killed");
        assert!(clock.elapsed() < PATIENCE, "no checkpoint within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    // A few steps that no checkpoint holds are lost as well.
    std::thread::sleep(LOST);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(SIGKILL), "the child was not killed: {status}");
    let step = latest(folder).unwrap();
    assert_ne!(step % steps_per_epoch, 0, "the last checkpoint is that of an epoch's end");
    assert!(!folder.join("bundle").exists(), "the child had finished");
    step
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let (whole, killed) = (place.path().join("whole"), place.path().join("killed"));
    let left_alone = start(&whole, 1);

    let recipe = recipe(&killed, 1);
    let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
    let steps_per_epoch = prepared.training_loader(&recipe).unwrap().num_batches();
    let steps = steps_per_epoch * recipe.training.epochs;
    assert!(steps_per_epoch > 4 * CHECKPOINT_STEPS, "{steps_per_epoch} steps leave no time to kill in");
    finish(left_alone);

    // Killed in the first epoch, then a second time in another one, each time with other loader threads.
    let first = kill_in_mid_epoch(&killed, 2, 0, steps_per_epoch);
    let second = kill_in_mid_epoch(&killed, 0, steps_per_epoch.max(first), steps_per_epoch);
    assert!(first < second && second < steps, "{first}, {second} of {steps}");
    let told = finish(start(&killed, 3));
    let (epoch, batch) = (second / steps_per_epoch + 1, second % steps_per_epoch);
    let expected = format!("goes on at epoch {epoch}, batch {batch}");
    assert!(told.contains(&expected), "expected `{expected}`:\n{told}");

    println!("killed at steps {first} and {second} of {steps}, {steps_per_epoch} an epoch");
    for file in ["bundle/model.safetensors", "predictions/test.csv"] {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert!(read(&whole) == read(&killed), "{file} differs from that of the run that was left alone");
    }
    let model = fs::read(whole.join("bundle/model.safetensors")).unwrap();
    assert!(model.len() > 4 * 1000, "the network has no weights: {} bytes", model.len());
}
