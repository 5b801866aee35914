//! Exact resume with everything on, in new processes, and what a checkpoint that cannot be written leaves behind.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use burn::tensor::Tensor;
use derm_backbones::ClassifierOutput;
use derm_core::{Backbone, Taps};
use derm_data::Batch;
use derm_train::{Error, FinalWeights, Objective, OptimizerStep, StepEntry, Supervised, Trained};

use crate::tiny::{Start, alone, bytes, contents, device, latest, recipe};

/// Tells the child its folder, its loader threads, and in which call of the loss it dies.
const FOLDER: &str = "DERM_RESUME_FOLDER";
const WORKERS: &str = "DERM_RESUME_WORKERS";
const DIES_AT: &str = "DERM_RESUME_DIES_AT";

/// Dropout is on in the network; everything else that a recipe can turn on is on here.
fn start(folder: &Path, workers: usize) -> Start {
    Start::new(recipe(
        folder,
        &[
            &format!("dataset.workers={workers}"),
            // Classes of unequal size, so that weights and sampler matter.
            "dataset.synthetic.num_lesions=100",
            "training.epochs=4",
            "training.batch_size=4",
            "training.gradient_accumulation_steps=2",
            "training.learning_rate=0.02",
            "training.layer_decay=0.7",
            "training.phases=[{ epochs: 1, freeze: backbone, learning_rate: 0.05 }, { epochs: 1, freeze: stem }]",
            "training.loss={ deferred_reweighting: { from: 0.4, loss: { focal: { label_smoothing: 0.1 } } } }",
            "training.class_weights=inverse_frequency",
            "training.sampler=square_root_balanced",
            "training.batch_mix={ mixup_alpha: 0.4, cutmix_alpha: 1 }",
            "training.augmentation={ quarter_turns: 0.5 }",
            "training.ema={ decay: 0.9 }",
            "training.early_stopping={ metric: macro_f1, patience: 3 }",
            "training.checkpoints={ metric: macro_auroc, keep_best: 2 }",
            "training.final_weights=ema",
            "training.log_steps=1",
            "training.tensorboard=true",
        ],
    ))
}

/// Ends the process in the middle of a step, without a word.
struct Dies<O> {
    objective: O,
    at: usize,
    calls: Cell<usize>,
}

impl<B: Backbone, O: Objective<B>> Objective<B> for Dies<O> {
    fn taps(&self) -> Taps {
        self.objective.taps()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let call = self.calls.replace(self.calls.get() + 1);
        if call == self.at {
            std::process::abort();
        }
        self.objective.loss(output, batch, step)
    }
}

fn fit(start: &Start, folder: &Path, at: usize) -> Result<Trained<derm_backbones::AnyBackbone>, Error> {
    let counts = start.prepared.training_counts().unwrap();
    let config = start.recipe.loss(&counts).unwrap();
    let criterion = config.init(counts.len(), &device().autodiff()).unwrap();
    start.fit(folder, &Dies { objective: Supervised { criterion }, at, calls: Cell::new(0) })
}

#[test]
#[ignore = "the process that the other tests start"]
fn child() {
    let (Ok(folder), Ok(workers), Ok(at)) =
        (std::env::var(FOLDER), std::env::var(WORKERS), std::env::var(DIES_AT))
    else {
        return;
    };
    let folder = Path::new(&folder);
    let result = fit(&start(folder, workers.parse().unwrap()), folder, at.parse().unwrap());
    match result {
        Ok(trained) => drop(bytes(&trained, folder)),
        Err(error) => {
            fs::write(folder.join("error.txt"), error.to_string()).unwrap();
            std::process::exit(17);
        }
    }
}

/// Runs the child through `shell`, which is given the test program as `"$0"` and its arguments.
fn child_in(shell: &str, folder: &Path, workers: usize, at: usize) -> Output {
    Command::new("bash")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "resume::child", "--ignored"])
        .env(FOLDER, folder)
        .env(WORKERS, workers.to_string())
        .env(DIES_AT, at.to_string())
        .output()
        .unwrap()
}

/// Never: a training has fewer micro-batches.
const NEVER: usize = 1_000_000;

/// What must not depend on whether the training was interrupted.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The lines of the epochs, but for their seconds.
    epochs: Vec<String>,
    /// Step, loss and learning rate.
    steps: Vec<(usize, f64, f64)>,
    /// Folder and value of the best epochs.
    best: Vec<(String, f64)>,
    /// Bytes of the moving average at the end.
    last: Vec<u8>,
    /// Bytes of the best epoch's weights.
    of_best: Vec<u8>,
}

impl Outcome {
    fn of(folder: &Path) -> Self {
        let lines = |name: &str| -> Vec<String> {
            fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_owned).collect()
        };
        let without_seconds = |line: &String| line.split(",\"train_seconds\"").next().unwrap().to_owned();
        let step = |line: &String| {
            let entry: StepEntry = serde_json::from_str(line).unwrap();
            (entry.step, entry.loss, entry.learning_rate)
        };
        let mut best: Vec<(String, f64)> = fs::read_dir(folder.join("best"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = fs::read_to_string(entry.path().join("epoch.json")).unwrap();
                let described: serde_json::Value = serde_json::from_str(&text).unwrap();
                (entry.file_name().into_string().unwrap(), described["value"].as_f64().unwrap())
            })
            .collect();
        best.sort_by(|a, b| a.0.cmp(&b.0));
        let last = fs::read(folder.join("weights.safetensors")).unwrap();
        // The training is over: only other weights are asked for.
        let mut start = start(folder, 0);
        start.recipe.training.final_weights = FinalWeights::Best;
        let of_best = bytes(&fit(&start, folder, 0).unwrap(), folder);
        Self {
            epochs: lines("history.jsonl").iter().map(without_seconds).collect(),
            steps: lines("steps.jsonl").iter().map(step).collect(),
            best,
            last,
            of_best,
        }
    }
}

#[test]
#[cfg(unix)]
fn a_killed_training_with_everything_on_ends_with_the_same_bytes() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    fs::create_dir(&whole).unwrap();
    let output = child_in("exec \"$0\" \"$@\"", &whole, 0, NEVER);
    assert!(output.status.success(), "{output:?}");
    let expected = Outcome::of(&whole);
    assert!(expected.steps.len() >= 8 && expected.best.len() == 2);

    let killed = place.path().join("killed");
    fs::create_dir(&killed).unwrap();
    // Each process dies a few micro-batches after it began: before a checkpoint, in the middle of a step, in each of
    // the phases. A checkpoint is written every second step.
    let mut at = Vec::new();
    for (workers, dies) in [(2, 2), (0, 5), (1, 9), (2, 6), (0, 7), (2, 5)] {
        let output = child_in("exec \"$0\" \"$@\"", &killed, workers, dies);
        assert!(!output.status.success() && !killed.join("error.txt").exists(), "{output:?}");
        at.push(fs::read_to_string(killed.join("checkpoints/latest")).unwrap_or_default());
    }
    at.dedup();
    assert!(at.len() >= 4, "the trainings died at too few places: {at:?}");
    let output = child_in("exec \"$0\" \"$@\"", &killed, 2, NEVER);
    assert!(output.status.success(), "{output:?}");
    let got = Outcome::of(&killed);
    assert_eq!((&got.epochs, &got.steps, &got.best), (&expected.epochs, &expected.steps, &expected.best));
    assert!(got.last == expected.last, "the moving averages differ");
    assert!(got.of_best == expected.of_best, "the best epochs' weights differ");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_names_the_file_and_keeps_the_checkpoint_before() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    fs::create_dir(&whole).unwrap();
    assert!(child_in("exec \"$0\" \"$@\"", &whole, 0, NEVER).status.success());

    let full = place.path().join("full");
    fs::create_dir(&full).unwrap();
    // Two steps and a checkpoint, then a kill.
    assert!(!child_in("exec \"$0\" \"$@\"", &full, 0, 5).status.success());
    let before = contents(&full.join("checkpoints"));
    assert_eq!(latest(&full), "step-00000002");
    // No file may grow beyond 3 KiB, and writing beyond that is an error, as on a full disk.
    let output = child_in("trap '' XFSZ; ulimit -f 3; exec \"$0\" \"$@\"", &full, 0, NEVER);
    assert_eq!(output.status.code(), Some(17), "{output:?}");
    let error = fs::read_to_string(full.join("error.txt")).unwrap();
    assert!(error.contains("model.bpk") && error.to_lowercase().contains("too large"), "{error}");
    assert_eq!(contents(&full.join("checkpoints")), before);

    // With room again it goes on, to the same end.
    assert!(child_in("exec \"$0\" \"$@\"", &full, 1, NEVER).status.success());
    assert!(Outcome::of(&full).last == Outcome::of(&whole).last, "the weights differ");
}
