//! What a run writes down beside its weights.

use std::fs;

use derm_train::{Progress, StepEntry, run};
use serde_json::Value;

use crate::tiny::{alone, device, recipe};

#[test]
fn a_run_writes_its_steps_epochs_events_and_versions() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let overrides = ["training.log_steps=2", "training.tensorboard=true", "training.ema={}"];
    let finished = run(&recipe(&folder, &overrides), &device(), Progress::Silent).unwrap();
    let steps = finished.history.last().unwrap().step;

    let text = fs::read_to_string(folder.join("steps.jsonl")).unwrap();
    let entries: Vec<StepEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<usize> = (1..=steps).filter(|step| step % 2 == 0).collect();
    assert_eq!(entries.iter().map(|entry| entry.step).collect::<Vec<_>>(), expected);
    for entry in &entries {
        assert!(entry.loss.is_finite() && entry.learning_rate > 0.0 && entry.images_per_second > 0.0);
        assert!(entry.gradient_norm.is_some_and(|norm| norm > 0.0), "{entry:?}");
    }

    let text = fs::read_to_string(folder.join("history.jsonl")).unwrap();
    let epochs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (epoch, log) in epochs.iter().zip(&finished.history) {
        assert_eq!(epoch["validation"]["macro_auroc"].as_f64(), log.validation.get("macro_auroc").copied());
        assert!(epoch["ema_validation"]["nll"].as_f64().is_some(), "{epoch}");
    }

    let mut events = fs::read_dir(folder.join("tensorboard")).unwrap();
    let file = events.next().unwrap().unwrap();
    assert!(file.file_name().to_string_lossy().starts_with("events.out.tfevents."));
    let bytes = fs::read(file.path()).unwrap();
    for tag in ["train/loss", "train/gradient_norm", "validation/macro_f1", "ema_validation/nll"] {
        assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
    }

    let versions: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("versions.json")).unwrap()).unwrap();
    assert_eq!(versions[0]["crates"]["burn"], "0.22.1");
    assert_eq!(versions[0]["seed"], 0);
    // Measured again by the same build: one entry. Another logging interval is the same run.
    run(&recipe(&folder, &["training.log_steps=0", "training.ema={}"]), &device(), Progress::Silent).unwrap();
    let again: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("versions.json")).unwrap()).unwrap();
    assert_eq!(again, versions);
}

#[test]
fn no_steps_are_logged_where_none_are_asked_for() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    run(&recipe(&folder, &["training.log_steps=0", "training.epochs=1"]), &device(), Progress::Silent)
        .unwrap();
    assert!(!folder.join("steps.jsonl").exists() && !folder.join("tensorboard").exists());
}
