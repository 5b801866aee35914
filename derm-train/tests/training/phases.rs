//! What stands still in which epoch.

use std::fs;

use derm_train::{Error, Progress, StepEntry, run};

use crate::tiny::{Start, alone, device, recipe, supervised, values};

/// The paths whose values differ between the network before its first step and after `overrides`.
fn moved(overrides: &[&str]) -> (Vec<String>, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let start = Start::new(recipe(&place.path().join("unused"), overrides));
    let before = values(&start.model());
    let trained = start.fit(place.path(), &supervised()).unwrap();
    let after = values(&trained.model);
    let differs = |path: &&String| before[*path] != after[*path];
    before.keys().cloned().partition(|path| differs(&path))
}

fn of<'a>(paths: &'a [String], beginning: &'a str) -> impl Iterator<Item = &'a String> {
    paths.iter().filter(move |path| path.starts_with(beginning))
}

#[test]
fn what_is_frozen_is_bit_identical_after_its_phase() {
    let _alone = alone();
    let frozen = "training.phases=[{ epochs: 1, freeze: backbone }]";
    let (moves, stays) = moved(&["training.epochs=1", frozen]);
    assert_eq!(of(&moves, "backbone").count(), 0, "{moves:?}");
    // Running statistics too, which no gradient moves.
    assert!(of(&stays, "backbone").any(|path| path.contains("running")), "{stays:?}");
    for part in ["head", "questionnaire"] {
        assert!(of(&moves, part).count() > 0 && of(&stays, part).count() == 0, "{stays:?}");
    }

    // In the next epoch everything trains.
    let (_, stays) = moved(&["training.epochs=2", frozen]);
    assert_eq!(stays, Vec::<String>::new());

    // The beginning of layer groups' names; a list; nothing.
    let (moves, stays) =
        moved(&["training.epochs=1", "training.phases=[{ epochs: 1, freeze: [stem, layer1] }]"]);
    assert!(of(&stays, "backbone.conv1").count() > 0 && of(&moves, "backbone.conv1").count() == 0);
    assert!(of(&stays, "backbone.stages.0").count() > 0 && of(&moves, "backbone.stages.0").count() == 0);
    assert_eq!(of(&stays, "backbone.stages.1").count(), 0, "{stays:?}");
    let (_, stays) = moved(&["training.epochs=1", "training.phases=[{ epochs: 1, freeze: none }]"]);
    assert_eq!(stays, Vec::<String>::new());
}

#[test]
fn a_phase_has_a_peak_of_its_own_on_the_trainings_curve() {
    let _alone = alone();
    let rates = |overrides: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let all = [&["training.log_steps=1", "training.epochs=2"], overrides].concat();
        Start::new(recipe(place.path(), &all)).fit(place.path(), &supervised()).unwrap();
        let text = fs::read_to_string(place.path().join("steps.jsonl")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<StepEntry>(line).unwrap());
        entries.map(|entry| (entry.epoch, entry.learning_rate)).collect::<Vec<_>>()
    };
    let plain = rates(&["training.learning_rate=0.01"]);
    let phased = rates(&[
        "training.learning_rate=0.01",
        "training.phases=[{ epochs: 1, freeze: backbone, learning_rate: 0.04 }]",
    ]);
    assert_eq!(plain.len(), phased.len());
    for ((epoch, plain), (_, phased)) in plain.into_iter().zip(phased) {
        let factor = if epoch == 1 { 4.0 } else { 1.0 };
        assert!((phased - factor * plain).abs() <= 1e-15, "{epoch}: {phased} {plain}");
    }
}

#[test]
fn a_phase_that_cannot_be_is_refused_before_there_is_a_folder() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    for (phases, words) in [
        ("[{ epochs: 1, freeze: text }]", "no layer group `text`"),
        ("[{ epochs: 1 }, { epochs: 1, freeze: [layer9] }]", "no layer group `layer9`"),
        ("[{ epochs: 1, freeze: [backbone, head] }]", "the whole network"),
    ] {
        let recipe = recipe(&folder, &[&format!("training.phases={phases}")]);
        let error = run(&recipe, &device(), Progress::Silent).unwrap_err();
        assert!(matches!(error, Error::Backbone(_) | Error::AllFrozen { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!folder.exists());
    }
}
