//! Points that are drawn, without any training.

use derm_train::{Dimension, Error, Parameters, SamplerConfig, SearchSpace, Trial, TrialEnd};
use serde_json::json;

/// A learning rate, a smoothing, a size and a loss.
fn space() -> SearchSpace {
    let dimensions = [
        ("rate", Dimension::LogUniform([1e-6, 1.0])),
        ("smoothing", Dimension::Uniform([0.0, 1.0])),
        ("size", Dimension::Integers { from: 8, to: 64, step: 8 }),
        ("loss", Dimension::Choices(["a", "b", "c", "d"].map(Into::into).to_vec())),
    ];
    SearchSpace { dimensions: dimensions.map(|(key, dimension)| (key.to_owned(), dimension)).into() }
}

/// A made loss with one valley: rate 1e-3, smoothing 0.2, size 32, loss c.
fn loss(point: &Parameters) -> f64 {
    let number = |key: &str| point[key].as_f64().unwrap();
    let rate = (number("rate").log10() + 3.0) / 3.0;
    let smoothing = number("smoothing") - 0.2;
    let size = (number("size") - 32.0) / 32.0;
    let loss = match point["loss"].as_str().unwrap() {
        "c" => 0.0,
        "b" => 0.15,
        _ => 0.3,
    };
    rate * rate + smoothing * smoothing + 0.3 * size * size + loss
}

fn search(sampler: &SamplerConfig, trials: usize) -> Vec<Trial> {
    let space = space();
    let mut made: Vec<Trial> = Vec::new();
    for number in 0..trials {
        let parameters = sampler.suggest(&space, &made, false).unwrap().unwrap();
        let end = Some(TrialEnd::Complete(loss(&parameters)));
        made.push(Trial { number, parameters, epochs: vec![], end });
    }
    made
}

fn best(trials: &[Trial]) -> f64 {
    trials.iter().filter_map(Trial::value).fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn it_finds_better_points_than_chance() {
    const TRIALS: usize = 60;
    let found = |startup_trials: usize| -> Vec<f64> {
        let sampler = |seed| SamplerConfig { seed, startup_trials, ..SamplerConfig::default() };
        (0..15).map(|seed| best(&search(&sampler(seed), TRIALS))).collect()
    };
    let (tpe, chance) = (found(10), found(TRIALS));
    let wins = tpe.iter().zip(&chance).filter(|(tpe, chance)| tpe < chance).count();
    // Half the loss of the random search at the least, and better for most seeds.
    assert!(median(tpe.clone()) < 0.5 * median(chance.clone()), "{tpe:?}\n{chance:?}");
    assert!(wins >= 12, "{wins} of 15: {tpe:?}\n{chance:?}");
}

#[test]
fn it_turns_to_the_better_choice_and_the_better_numbers() {
    let trials = search(&SamplerConfig { seed: 3, ..SamplerConfig::default() }, 60);
    let late = &trials[30..];
    let good = late.iter().filter(|trial| trial.parameters["loss"] == "c").count();
    assert!(good > 15, "{good} of 30 have the best loss, a quarter would be chance");
    let near = late.iter().filter(|trial| {
        let rate = trial.parameters["rate"].as_f64().unwrap();
        (1e-4..1e-2).contains(&rate)
    });
    assert!(near.count() > 15, "a third would be chance");
}

#[test]
fn a_point_depends_on_the_seed_and_the_trials_before_it() {
    let sampler = SamplerConfig { seed: 1, startup_trials: 5, ..SamplerConfig::default() };
    let trials = search(&sampler, 12);
    assert_eq!(search(&sampler, 12), trials);
    for number in [0, 4, 5, 11] {
        let again = sampler.suggest(&space(), &trials[..number], false).unwrap().unwrap();
        assert_eq!(again, trials[number].parameters);
    }
    let other = search(&SamplerConfig { seed: 2, ..sampler.clone() }, 12);
    assert!(trials.iter().zip(&other).all(|(a, b)| a.parameters != b.parameters));
    // What the trials before it were worth counts past the random ones.
    let mut turned = trials.clone();
    for trial in &mut turned {
        trial.end = trial.value().map(|value| TrialEnd::Complete(-value));
    }
    let next = |trials: &[Trial]| sampler.suggest(&space(), trials, false).unwrap();
    assert_eq!(next(&turned[..4]), next(&trials[..4]));
    assert_ne!(next(&turned), next(&trials));
    assert_eq!(sampler.suggest(&space(), &turned, true).unwrap(), next(&trials));
}

#[test]
fn values_lie_in_their_ranges_and_integers_on_their_steps() {
    for trial in search(&SamplerConfig::default(), 60) {
        let number = |key: &str| trial.parameters[key].as_f64().unwrap();
        assert!((1e-6..=1.0).contains(&number("rate")) && (0.0..=1.0).contains(&number("smoothing")));
        let size = trial.parameters["size"].as_i64().unwrap();
        assert!((8..=64).contains(&size) && size % 8 == 0, "{size}");
    }
}

#[test]
fn every_point_of_a_small_space_is_tried_once() {
    let dimensions = [
        ("x".to_owned(), Dimension::Choices(vec![json!(1), json!({ "two": 2 }), json!(null)])),
        ("y".to_owned(), Dimension::Integers { from: -1, to: 2, step: 1 }),
    ];
    let space = SearchSpace { dimensions: dimensions.into() };
    for startup_trials in [0, 3, 100] {
        let sampler = SamplerConfig { startup_trials, ..SamplerConfig::default() };
        let mut trials: Vec<Trial> = Vec::new();
        while let Some(parameters) = sampler.suggest(&space, &trials, true).unwrap() {
            assert!(trials.iter().all(|trial| trial.parameters != parameters));
            let (number, end) = (trials.len(), Some(TrialEnd::Complete(0.0)));
            trials.push(Trial { number, parameters, epochs: vec![], end });
        }
        assert_eq!(trials.len(), 12);
    }
}

#[test]
fn trials_without_a_value_are_worse_than_those_with_one() {
    // All that fails has a rate above 1e-3: late points lie below.
    let space = SearchSpace { dimensions: [("rate".to_owned(), Dimension::LogUniform([1e-6, 1.0]))].into() };
    let sampler = SamplerConfig::default();
    let mut trials: Vec<Trial> = Vec::new();
    for number in 0..40 {
        let parameters = sampler.suggest(&space, &trials, false).unwrap().unwrap();
        let lost = parameters["rate"].as_f64().unwrap() > 1e-3;
        let end = Some(if lost { TrialEnd::Failed("lost".to_owned()) } else { TrialEnd::Complete(1.0) });
        trials.push(Trial { number, parameters, epochs: vec![], end });
    }
    let lost = |trials: &[Trial]| trials.iter().filter(|trial| trial.value().is_none()).count();
    assert!(lost(&trials[..10]) > 2, "the first ones fell on both sides");
    assert!(lost(&trials[20..]) < 5, "{} of 20", lost(&trials[20..]));
}

#[test]
fn settings_and_trials_that_cannot_be_are_refused() {
    for gamma in [0.0, 1.0, f64::NAN, -0.1] {
        let sampler = SamplerConfig { gamma, ..SamplerConfig::default() };
        let error = sampler.suggest(&space(), &[], false).unwrap_err();
        assert!(matches!(error, Error::Value { key: "sampler.gamma", .. }), "{error}");
    }
    let none = SamplerConfig { candidates: 0, ..SamplerConfig::default() };
    let error = none.suggest(&space(), &[], false).unwrap_err();
    assert!(matches!(error, Error::Value { key: "sampler.candidates", .. }), "{error}");
    let error = SamplerConfig::default().suggest(&SearchSpace::default(), &[], false).unwrap_err();
    assert!(matches!(error, Error::SearchSpace { .. }), "{error}");
    let mut trials = search(&SamplerConfig::default(), 1);
    trials[0].parameters.insert("size".to_owned(), json!(9));
    let error = SamplerConfig::default().suggest(&space(), &trials, false).unwrap_err();
    assert!(error.to_string().contains("trial 0"), "{error}");
}
