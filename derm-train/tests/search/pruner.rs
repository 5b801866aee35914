//! When a trial is given up: by hand, and as Optuna decides.

use std::path::Path;

use derm_train::PrunerConfig;
use serde::Deserialize;

fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn median(startup_trials: usize, warmup_epochs: usize) -> PrunerConfig {
    PrunerConfig::Median { startup_trials, warmup_epochs }
}

#[test]
fn the_best_so_far_against_the_median_at_the_epoch() {
    let complete = [some(&[0.2, 0.4, 0.9]), some(&[0.3, 0.5, 0.6]), some(&[0.4, 0.8])];
    let complete: Vec<&[Option<f64>]> = complete.iter().map(Vec::as_slice).collect();
    let prunes =
        |pruner: PrunerConfig, epochs: &[f64], higher: bool| pruner.prunes(&some(epochs), &complete, higher);
    let at_once = || median(1, 0);
    // Medians: 0.3, 0.5, and 0.75 of the two that came so far.
    assert!(prunes(at_once(), &[0.29], true));
    assert!(!prunes(at_once(), &[0.3], true), "equal is not worse");
    assert!(!prunes(at_once(), &[0.51, 0.1], true), "the best so far counts");
    assert!(prunes(at_once(), &[0.45, 0.49], true));
    assert!(prunes(at_once(), &[0.1, 0.2, 0.74], true));
    assert!(!prunes(at_once(), &[0.1, 0.2, 0.75], true));
    assert!(!prunes(at_once(), &[0.1, 0.1, 0.1, 0.1], true), "nobody came to the fourth epoch");
    // Of a loss less is better.
    assert!(prunes(at_once(), &[0.31], false) && !prunes(at_once(), &[0.29], false));
    // Too few trials, too early.
    assert!(!prunes(median(4, 0), &[0.0], true) && prunes(median(3, 0), &[0.0], true));
    assert!(!prunes(median(1, 2), &[0.0, 0.0], true) && prunes(median(1, 2), &[0.0, 0.0, 0.0], true));
    assert!(!at_once().prunes(&some(&[0.0]), &[], true), "there is nobody to compare with");
    assert!(!median(0, 0).prunes(&some(&[0.0]), &[], true));
    assert!(!prunes(at_once(), &[], true), "there is nothing to compare");
}

/// A case of `golden/median_pruner.py`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    higher_is_better: bool,
    startup_trials: usize,
    warmup_epochs: usize,
    complete: Vec<Vec<Option<f64>>>,
    epochs: Vec<Option<f64>>,
    prunes: bool,
}

#[test]
fn it_decides_as_optuna_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search/golden/median_pruner.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    assert!(cases.iter().filter(|case| case.prunes).count() > 50);
    for (place, case) in cases.iter().enumerate() {
        let complete: Vec<&[Option<f64>]> = case.complete.iter().map(Vec::as_slice).collect();
        let pruner = median(case.startup_trials, case.warmup_epochs);
        let prunes = pruner.prunes(&case.epochs, &complete, case.higher_is_better);
        assert_eq!(prunes, case.prunes, "case {place}");
    }
}
