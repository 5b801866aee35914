//! Early stopping, best epochs, and which weights become the result.

use std::fs;

use derm_train::{FinalWeights, ValidationMetric};

use crate::tiny::{Start, alone, bytes, contents, recipe, supervised};

#[test]
fn a_training_stops_and_stays_stopped() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    // Weights that hardly move: the share of right answers is that of the first epoch.
    let overrides = [
        "training.epochs=9",
        "training.learning_rate=1e-12",
        "training.early_stopping={ metric: accuracy, patience: 2, min_delta: 0.5 }",
    ];
    let start = Start::new(recipe(place.path(), &overrides));
    let trained = start.fit(place.path(), &supervised()).unwrap();
    assert_eq!(trained.history.len(), 3);
    let before = contents(&place.path().join("checkpoints"));
    let again = start.fit(place.path(), &supervised()).unwrap();
    assert_eq!(again.history, trained.history);
    assert_eq!(contents(&place.path().join("checkpoints")), before);
    assert_eq!(bytes(&again, place.path()), bytes(&trained, place.path()));
}

#[test]
fn the_result_is_the_last_the_best_or_the_average() {
    let _alone = alone();
    // Past two epochs the rate is far too high: the last epoch is not the best one.
    let common = [
        "training.epochs=5",
        "training.warmup_epochs=0",
        "training.learning_rate=1",
        "training.phases=[{ epochs: 2, learning_rate: 0.001 }]",
    ];
    let fit = |overrides: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let start = Start::new(recipe(place.path(), &[&common[..], overrides].concat()));
        let trained = start.fit(place.path(), &supervised()).unwrap();
        let weights = bytes(&trained, place.path());
        let mut best: Vec<String> = fs::read_dir(place.path().join("best"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        best.sort();
        (weights, trained.history, best, place)
    };
    let (last, history, _, _) = fit(&[]);
    let nll = |index: usize| history[index].validation["nll"];
    let best = (0..5).min_by(|a, b| nll(*a).total_cmp(&nll(*b))).unwrap();
    let all: Vec<f64> = (0..5).map(nll).collect();
    assert_ne!(best, 4, "the last epoch is the best one, which tells nothing: {all:?}");

    let (weights, _, folders, place) = fit(&["training.final_weights=best"]);
    assert_eq!(folders, [format!("epoch-{:04}", best + 1)]);
    assert_ne!(weights, last);
    let described =
        fs::read_to_string(place.path().join("best").join(&folders[0]).join("epoch.json")).unwrap();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["value"].as_f64(), Some(nll(best)));
    assert_eq!(described["metric"], "nll");

    // The best two by another metric, and none.
    let (_, history, folders, _) = fit(&["training.checkpoints={ metric: macro_f1, keep_best: 2 }"]);
    let f1 = |index: usize| history[index].validation["macro_f1"];
    let mut ranked: Vec<usize> = (0..5).collect();
    ranked.sort_by(|a, b| f1(*b).total_cmp(&f1(*a)).then(a.cmp(b)));
    let mut expected: Vec<String> =
        ranked[..2].iter().map(|index| format!("epoch-{:04}", index + 1)).collect();
    expected.sort();
    assert_eq!(folders, expected);
    assert_eq!(fit(&["training.checkpoints.keep_best=0"]).2, Vec::<String>::new());

    // An average that keeps nothing of itself is the network; another one is not.
    let ema = ["training.ema={ decay: 0 }", "training.final_weights=ema"];
    let (weights, history, _, _) = fit(&ema);
    assert_eq!(weights, last);
    assert!(history.iter().all(|log| log.ema_validation.as_ref() == Some(&log.validation)));
    let (weights, history, _, _) = fit(&["training.ema={ decay: 0.9 }", "training.final_weights=ema"]);
    assert_ne!(weights, last);
    assert!(history.iter().all(|log| log.ema_validation.is_some()));
    assert_ne!(history[4].ema_validation.as_ref(), Some(&history[4].validation));
}

#[test]
fn every_metric_has_the_name_that_a_recipe_gives_it() {
    for metric in ValidationMetric::ALL {
        let name = serde_json::to_value(metric).unwrap();
        assert_eq!(name.as_str(), Some(metric.name().as_str()));
    }
    assert_eq!(FinalWeights::default(), FinalWeights::Last);
}
