//! What changes in the course of training.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod host;

use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use derm_losses::{
    ClassificationLoss, ClassificationLossConfig, CrossEntropyLossConfig, DeferredReweighting,
    FocalLossConfig, Gamma,
};
use host::host;

#[test]
fn gamma_follows_its_schedule() {
    let gamma = |gamma, progress| {
        let config = FocalLossConfig { gamma, ..Default::default() };
        config.init(3, &Device::default()).unwrap().at(progress).gamma()
    };
    let linear = Gamma::Linear { from: 4.0, to: 1.0 };
    let cosine = Gamma::Cosine { from: 4.0, to: 1.0 };
    for (schedule, expected) in [
        (&linear, [4.0, 3.25, 2.5, 1.75, 1.0]),
        (&cosine, [4.0, 2.5 + 1.5 * 0.5_f64.sqrt(), 2.5, 2.5 - 1.5 * 0.5_f64.sqrt(), 1.0]),
        (&Gamma::Constant(2.0), [2.0; 5]),
    ] {
        for (progress, expected) in [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().zip(expected) {
            let gamma = gamma(schedule.clone(), progress).unwrap();
            assert!((gamma - expected).abs() < 1e-12, "{schedule:?} at {progress}: {gamma}");
        }
    }
    // before, and outside of, training
    let config = FocalLossConfig { gamma: linear.clone(), ..Default::default() };
    assert_eq!(config.init(3, &Device::default()).unwrap().gamma(), Some(4.0));
    assert_eq!(gamma(linear.clone(), -1.0), Some(4.0));
    assert_eq!(gamma(linear.clone(), f64::NAN), Some(4.0));
    assert_eq!(gamma(linear, 2.0), Some(1.0));
    assert_eq!(gamma(Gamma::Flsd53, 0.5), None);
    assert_eq!(gamma(Gamma::PerClass(vec![1.0, 2.0, 3.0]), 0.5), None);
}

#[test]
fn class_weights_wait_for_their_share_of_training() {
    let device = Device::default();
    let logits = Tensor::<2>::from_floats([[0.3, -1.0, 2.0], [1.0, 0.0, -0.5]], &device);
    let targets = Targets::from_indices(&[0, 2], 3, &device).unwrap();
    let weights = vec![0.5, 1.0, 4.0];
    let read = |text: &str| {
        serde_json::from_str::<ClassificationLossConfig>(text).unwrap().init(3, &device).unwrap()
    };
    for [weighted, unweighted] in [
        [r#"{"cross_entropy": {"class_weights": [0.5, 1, 4]}}"#, r#"{"cross_entropy": {}}"#],
        [
            r#"{"focal": {"alpha": [0.5, 1, 4], "gamma": {"linear": {"from": 3, "to": 1}}}}"#,
            r#"{"focal": {"gamma": {"linear": {"from": 3, "to": 1}}}}"#,
        ],
        [
            r#"{"ldam": {"counts": [9, 5, 1], "class_weights": [0.5, 1, 4]}}"#,
            r#"{"ldam": {"counts": [9, 5, 1]}}"#,
        ],
    ] {
        let deferred = read(&format!(r#"{{"deferred_reweighting": {{"from": 0.8, "loss": {weighted}}}}}"#));
        let (weighted, unweighted) = (read(weighted), read(unweighted));
        let value = |loss: &ClassificationLoss| host(loss.forward(logits.clone(), &targets));
        assert_ne!(value(&weighted), value(&unweighted));
        assert_eq!(value(&deferred), value(&unweighted), "before training");
        // outside of training counts as its nearer end, and NaN as its start
        for progress in [0.0, 0.79, -1.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(value(&deferred.at(progress)), value(&unweighted.at(progress)));
        }
        for progress in [0.8, 1.0, 2.0, f64::INFINITY] {
            assert_eq!(value(&deferred.at(progress)), value(&weighted.at(progress)));
            assert_eq!(value(&deferred.at(progress).at(0.1)), value(&unweighted.at(0.1)), "and back");
        }
    }
    let always = CrossEntropyLossConfig { class_weights: Some(weights), ..Default::default() };
    assert!(DeferredReweighting::new(always.init(3, &device).unwrap(), 0.0).unwrap().reweights());
}
