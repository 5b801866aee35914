//! Search files that cannot be right, and what a right one says of its trials.

use std::fs;
use std::path::Path;

use derm_losses::Gamma;
use derm_train::{Dimension, Error, Parameters, PrunerConfig, Recipe, Search, ValidationMetric};
use serde_json::json;

/// Writes a search with this space and gives what reading it gives.
fn read(space: &str, overrides: &[&str]) -> Result<Search, Error> {
    let place = tempfile::tempdir().unwrap();
    read_in(place.path(), &format!("name: made\nrecipe: base.yaml\nspace: {space}\n"), overrides)
}

fn read_in(place: &Path, text: &str, overrides: &[&str]) -> Result<Search, Error> {
    fs::write(place.join("base.yaml"), "training: { epochs: 3, loss: { ldam: { scale: 1 } } }").unwrap();
    fs::write(place.join("search.yaml"), text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Search::read(place.join("search.yaml"), &overrides)
}

#[test]
fn a_key_that_no_recipe_has_is_named_with_the_nearest_one() {
    let error = read("{ training.learning_rat: { uniform: [0.1, 0.2] } }", &[]).unwrap_err();
    let Error::UnknownKey { origin, key, hint } = &error else { panic!("{error}") };
    assert!(origin.ends_with("search.yaml"), "{error}");
    assert_eq!(key, "space.training.learning_rat");
    assert_eq!(hint, "did you mean `learning_rate`?");
    let error = read("{ trainings.epochs: { choices: [1] } }", &[]).unwrap_err();
    assert!(matches!(error, Error::UnknownKey { .. }), "{error}");
}

#[test]
fn values_that_the_recipe_refuses_are_refused_before_anything_is_trained() {
    for (space, word) in [
        // A type, a corner of a range, a choice, settings of a choice.
        ("{ training.batch_size: { uniform: [8, 64] } }", "training.batch_size"),
        ("{ training.learning_rate: { log_uniform: [1e-5, 2] } }", "training.learning_rate"),
        ("{ training.epochs: { integers: { from: 0, to: 4 } } }", "training.epochs"),
        ("{ training.loss: { choices: [cross_entropy, focall] } }", "did you mean `focal`"),
        ("{ training.loss: { choices: [{ focal: { gama: 2 } }] } }", "gama"),
        ("{ training.epochs.more: { choices: [1] } }", "training.epochs"),
    ] {
        let error = read(space, &[]).unwrap_err();
        assert!(error.to_string().contains(word), "{space}: {error}");
    }
    // The warm-up must fit into the epochs: what goes with some of the others passes.
    let together = "{ training.warmup_epochs: { choices: [0, 20] }, training.epochs: { choices: [10, 30] } }";
    let search = read(together, &[]).unwrap();
    let point = |warmup: u64, epochs: u64| -> Parameters {
        [("training.warmup_epochs".to_owned(), json!(warmup)), ("training.epochs".to_owned(), json!(epochs))]
            .into()
    };
    assert_eq!(search.recipe(&point(20, 30)).unwrap().training.epochs, 30);
    assert!(matches!(search.recipe(&point(20, 10)), Err(Error::Value { .. })));
    let error = read("{ training.warmup_epochs: { choices: [0, 20] } }", &[]).unwrap_err();
    assert!(error.to_string().contains("warmup_epochs"), "{error}");
}

#[test]
fn a_space_that_holds_nothing_is_refused() {
    for (space, word) in [
        ("{}", "one key or more"),
        ("{ training.learning_rate: { uniform: [0.1, 0.1] } }", "smaller one first"),
        ("{ training.learning_rate: { uniform: [0.2, .nan] } }", "smaller one first"),
        ("{ training.learning_rate: { log_uniform: [0, 0.1] } }", "above 0"),
        ("{ training.epochs: { integers: { from: 1, to: 9, step: 0 } } }", "step"),
        ("{ training.loss: { choices: [] } }", "empty"),
        ("{ training.clip_norm: { choices: [1, .nan] } }", "NaN"),
        ("{ training.loss: { choices: [focal, { focal: { gamma: .inf } }] } }", "NaN or infinite"),
        ("{ training.loss: { choices: [focal, focal] } }", "twice"),
        ("{ training.ema: { choices: [null] }, training.ema.decay: { uniform: [0, 0.5] } }", "lies within"),
    ] {
        let error = read(space, &[]).unwrap_err();
        assert!(matches!(error, Error::SearchSpace { .. }), "{space}: {error}");
        assert!(error.to_string().contains(word), "{space}: {error}");
    }
    let error = read("{ training.epochs: { integer: { from: 1, to: 9 } } }", &[]).unwrap_err();
    assert!(error.to_string().contains("did you mean `integers`"), "{error}");
    let error = read("{ training.epochs: { integers: { from: 1, too: 9 } } }", &[]).unwrap_err();
    assert!(matches!(error, Error::UnknownKey { .. }), "{error}");
}

#[test]
fn keys_that_would_spoil_the_comparison_are_refused() {
    for key in ["seed", "name", "dataset.split.seed", "dataset.workers", "evaluation.view", "conformal.alpha"]
    {
        let error = read(&format!("{{ {key}: {{ choices: [1] }} }}"), &[]).unwrap_err();
        assert!(matches!(error, Error::SearchSpace { .. }), "{key}: {error}");
        assert!(error.to_string().starts_with(&format!("`space.{key}`")), "{error}");
    }
    let space = "{ training.ema.decay: { uniform: [0.5, 0.9] } }";
    for text in ["training.ema.decay=0.9", "training.ema={ decay: 0.9 }", "training.ema.decay.x=1"] {
        let error = read(space, &[text]).unwrap_err();
        assert!(matches!(error, Error::Override { .. }), "{text}: {error}");
    }
    read(space, &["training.epochs=2"]).unwrap();
    let error = read(space, &["space.training.ema.decay={ uniform: [0.1, 0.2] }"]).unwrap_err();
    assert!(error.to_string().contains("as a whole"), "{error}");
}

#[test]
fn the_settings_of_the_search_are_checked() {
    let place = tempfile::tempdir().unwrap();
    let with = |more: &str| {
        let text = format!(
            "name: made\nrecipe: base.yaml\nspace: {{ training.learning_rate: {{ uniform: [0.1, 0.2] }} }}\n{more}"
        );
        read_in(place.path(), &text, &[])
    };
    for (more, word) in [
        ("trials: 0", "trials"),
        ("sampler: { gamma: 0 }", "sampler.gamma"),
        ("sampler: { candidates: 0 }", "sampler.candidates"),
        ("metric: macro_f2", "did you mean `macro_f1`"),
        ("pruner: { medians: {} }", "did you mean `median`"),
        ("pruner: { median: { warmup: 1 } }", "warmup"),
        ("tirals: 3", "did you mean `trials`"),
    ] {
        let error = with(more).unwrap_err();
        assert!(error.to_string().contains(word), "{more}: {error}");
    }
    let search = with("pruner: median").unwrap();
    assert_eq!(search.config.pruner, Some(PrunerConfig::Median { startup_trials: 5, warmup_epochs: 0 }));
    assert_eq!((search.config.metric, search.config.trials), (ValidationMetric::MacroF1, 30));
    assert_eq!((search.config.sampler.startup_trials, search.config.sampler.gamma), (10, 0.1));
    assert_eq!(search.output, Path::new("runs/made"));
    let error =
        read_in(place.path(), "name: made\nrecipe: 3\nspace: { training.epochs: { choices: [1] } }", &[]);
    assert!(matches!(error, Err(Error::Key { key, .. }) if key == "recipe"));
    let error = read_in(
        place.path(),
        "name: a/b\nrecipe: base.yaml\nspace: { training.epochs: { choices: [1] } }",
        &[],
    );
    assert!(matches!(error, Err(Error::Value { key: "name", .. })));
}

#[test]
fn a_value_takes_the_place_of_what_the_recipe_has() {
    let space = "{ training.loss: { choices: [focal, { focal: { gamma: 3 } }] }, training.clip_norm: { choices: [null, 1] } }";
    let search = read(space, &["training.batch_size=4", "trials=7"]).unwrap();
    assert_eq!(search.config.trials, 7);
    let Dimension::Choices(losses) = &search.config.space.dimensions["training.loss"] else { panic!() };
    let recipe = |loss: usize, clip: serde_json::Value| -> Recipe {
        let point =
            [("training.loss".to_owned(), losses[loss].clone()), ("training.clip_norm".to_owned(), clip)];
        search.recipe(&point.into()).unwrap()
    };
    let plain = recipe(0, json!(1));
    assert_eq!(
        (plain.training.clip_norm, plain.training.batch_size, plain.training.epochs),
        (Some(1.0), 4, 3)
    );
    assert_eq!(recipe(1, json!(null)).training.clip_norm, None);
    let gamma = |recipe: &Recipe| match recipe.loss(&[10, 20]).unwrap() {
        derm_losses::ClassificationLossConfig::Focal(focal) => focal.gamma,
        other => panic!("{other:?}"),
    };
    assert_eq!(gamma(&plain), Gamma::Constant(2.0));
    assert_eq!(gamma(&recipe(1, json!(1))), Gamma::Constant(3.0));

    // The recipe may stand in the file itself.
    let place = tempfile::tempdir().unwrap();
    let text = "name: made\nrecipe: { training: { epochs: 9 } }\nspace: { training.learning_rate: { uniform: [0.1, 0.2] } }";
    let search = read_in(place.path(), text, &[]).unwrap();
    let point = [("training.learning_rate".to_owned(), json!(0.125))].into();
    let recipe = search.recipe(&point).unwrap();
    assert_eq!((recipe.training.epochs, recipe.training.learning_rate), (9, 0.125));
    let error = read_in(place.path(), &text.replace("epochs: 9", "epoch: 9"), &[]).unwrap_err();
    assert!(matches!(&error, Error::UnknownKey { key, .. } if key == "recipe.training.epoch"), "{error}");
}
