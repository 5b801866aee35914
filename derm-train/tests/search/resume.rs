//! A search that is stopped and goes on, on an objective that costs nothing.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use derm_train::{
    Dimension, Error, PrunerConfig, RunningTrial, SamplerConfig, SearchConfig, SearchSpace, Trial, TrialEnd,
    ValidationMetric, search_trials,
};
use serde_json::{Value, json};

fn config() -> SearchConfig {
    let dimensions = [
        ("x".to_owned(), Dimension::Uniform([-1.0, 1.0])),
        ("y".to_owned(), Dimension::Choices(vec![json!("a"), json!({ "b": [1, 2] })])),
    ];
    SearchConfig {
        metric: ValidationMetric::Nll,
        trials: 8,
        sampler: SamplerConfig { startup_trials: 3, ..SamplerConfig::default() },
        pruner: Some(PrunerConfig::Median { startup_trials: 2, warmup_epochs: 0 }),
        space: SearchSpace { dimensions: dimensions.into() },
    }
}

/// Three epochs that come down to the value; every point on one side is lost.
fn objective(trial: &mut RunningTrial<'_>) -> Result<TrialEnd, Error> {
    let x = trial.parameters()["x"].as_f64().unwrap();
    if x < -0.7 {
        return Ok(TrialEnd::Failed(format!("lost at {x}")));
    }
    let value = x * x + if trial.parameters()["y"] == "a" { 0.1 } else { 0.0 };
    for epoch in 1..=3 {
        let shown = value + 1.0 / f64::from(epoch);
        if trial.report(Some(shown).filter(|_| epoch != 2), epoch == 3)? == ControlFlow::Break(()) {
            assert!(trial.is_pruned());
            return Ok(TrialEnd::Pruned);
        }
    }
    Ok(TrialEnd::Complete(value + 1.0 / 3.0))
}

fn search(path: &Path) -> Result<Vec<Trial>, Error> {
    search_trials(&config(), path, &json!({ "model": 1 }), objective)
}

#[test]
fn cut_anywhere_it_ends_with_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("search.jsonl");
    let trials = search(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let states = |end: fn(&TrialEnd) -> bool| {
        trials.iter().filter(|trial| trial.end.as_ref().is_some_and(end)).count()
    };
    assert!(states(|end| matches!(end, TrialEnd::Complete(_))) > 2);
    assert!(states(|end| matches!(end, TrialEnd::Pruned)) > 0, "none was pruned: {trials:?}");
    assert!(states(|end| matches!(end, TrialEnd::Failed(_))) > 0, "none failed: {trials:?}");
    assert_eq!(trials.len(), 8);
    // A finished search is only read.
    assert_eq!(search(&path).unwrap(), trials);
    assert_eq!(fs::read(&path).unwrap(), whole);

    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1).collect();
    for pair in ends.windows(2) {
        // After a line, and within the next one.
        for cut in [pair[0], pair[1] - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(search(&path).unwrap(), trials, "cut at {cut}");
            assert!(fs::read(&path).unwrap() == whole, "cut at {cut}");
        }
    }
    // Within the first line, and a last line that is no JSON though it ends.
    for bytes in [&whole[..20], &[&whole[..ends[4]], &b"\0\0\0\n"[..]].concat()] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(search(&path).unwrap(), trials);
        assert!(fs::read(&path).unwrap() == whole);
    }
}

#[test]
fn an_error_of_the_objective_leaves_its_trial_to_the_next_search() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("search.jsonl");
    let mut calls = 0;
    let error = search_trials(&config(), &path, &json!({ "model": 1 }), |trial| {
        calls += 1;
        if calls == 4 {
            let _ = trial.report(Some(9.0), false)?;
            return Err(Error::UnknownRecord { id: "gone".to_owned() });
        }
        objective(trial)
    });
    assert!(matches!(error, Err(Error::UnknownRecord { .. })));
    let mut numbers = Vec::new();
    let trials = search_trials(&config(), &path, &json!({ "model": 1 }), |trial| {
        numbers.push(trial.number());
        objective(trial)
    });
    assert_eq!(numbers, [3, 4, 5, 6, 7]);
    // What the file had of its first epoch stays.
    assert_eq!(trials.unwrap()[3].epochs.first(), Some(&Some(9.0)));
}

#[test]
fn more_trials_go_on_from_those_that_are_there() {
    let place = tempfile::tempdir().unwrap();
    let (path, other) = (place.path().join("search.jsonl"), place.path().join("other.jsonl"));
    let subject = Value::Null;
    for trials in [2, 5, 8] {
        search_trials(&SearchConfig { trials, ..config() }, &path, &subject, objective).unwrap();
    }
    let at_once =
        search_trials(&SearchConfig { trials: 8, ..config() }, &other, &subject, objective).unwrap();
    assert_eq!(at_once.len(), 8);
    assert!(fs::read(&path).unwrap() == fs::read(&other).unwrap());
    // Fewer than there are: all of them are told of.
    let fewer = SearchConfig { trials: 3, ..config() };
    assert_eq!(search_trials(&fewer, &path, &subject, objective).unwrap(), at_once);
}

#[test]
fn a_value_that_is_no_number_is_a_failure() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("search.jsonl");
    let trials = search_trials(&SearchConfig { trials: 2, ..config() }, &path, &Value::Null, |trial| {
        let _ = trial.report(Some(f64::NAN), false)?;
        Ok(TrialEnd::Complete(if trial.number() == 0 { f64::NAN } else { f64::INFINITY }))
    });
    let trials = trials.unwrap();
    assert!(trials.iter().all(|trial| matches!(trial.end, Some(TrialEnd::Failed(_)))), "{trials:?}");
    assert_eq!(trials[0].epochs, [None]);
}

#[test]
fn another_search_and_a_damaged_one_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("search.jsonl");
    search(&path).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let sampler = SamplerConfig { seed: 1, startup_trials: 3, ..SamplerConfig::default() };
    let mut wider = config().space;
    wider.dimensions.insert("x".to_owned(), Dimension::Uniform([-2.0, 1.0]));
    for (other, subject, key) in [
        (SearchConfig { sampler, ..config() }, 1, "`sampler.seed` was 0 and is 1"),
        (SearchConfig { pruner: None, ..config() }, 1, "`pruner`"),
        (SearchConfig { metric: ValidationMetric::MacroF1, ..config() }, 1, "`metric` was \"nll\""),
        (SearchConfig { space: wider, ..config() }, 1, "`space.x.uniform`"),
        (config(), 2, "`recipe.model` was 1 and is 2"),
    ] {
        let error = search_trials(&other, &path, &json!({ "model": subject }), objective).unwrap_err();
        assert!(matches!(error, Error::OtherSearch { .. }), "{error}");
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), whole, "a refusal changes nothing");

    let lines: Vec<&str> = whole.lines().collect();
    let without = |gone: usize| -> Vec<&str> {
        lines.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, line)| *line).collect()
    };
    let replaced = |place: usize, line: &'static str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines
    };
    for (damaged, line) in [
        (without(0), 1),
        (without(1), 2),
        (without(2), 3),
        (replaced(2, "{ half"), 3),
        (replaced(2, r#"{"event":"epoch","trial":0,"epoch":1,"value":0.1,"more":2}"#), 3),
        (replaced(1, r#"{"event":"begun","trial":0,"parameters":{"x":5,"y":"a"}}"#), 2),
        (replaced(0, r#"{"event":"search","version":9,"settings":{}}"#), 1),
    ] {
        fs::write(&path, damaged.join("\n") + "\n").unwrap();
        let error = search(&path).unwrap_err();
        assert!(matches!(error, Error::SearchFile { line: found, .. } if found == line), "{line}: {error}");
        assert!(error.to_string().contains(&format!("search.jsonl line {line}")), "{error}");
    }
}
