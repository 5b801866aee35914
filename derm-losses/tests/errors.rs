//! One test a variant and a range boundary.
#![allow(clippy::unwrap_used, clippy::panic)]

use burn::tensor::Device;
use derm_losses::{
    ClassificationLossConfig, CrossEntropyLossConfig, Error, FocalLossConfig, KdLossConfig,
    WeightNormalization, WeightScheme, class_weights,
};

fn cross_entropy(weights: Vec<f32>) -> Result<(), Error> {
    let config = CrossEntropyLossConfig { class_weights: Some(weights), ..Default::default() };
    config.init(3, &Device::default()).map(|_| ())
}

fn focal(config: FocalLossConfig) -> Result<(), Error> {
    ClassificationLossConfig::Focal(config).init(3, &Device::default()).map(|_| ())
}

#[test]
fn gamma_below_zero_nan_and_infinity_are_refused() {
    for gamma in [-f64::MIN_POSITIVE, -1.0, f64::NAN, f64::INFINITY] {
        let error = focal(FocalLossConfig { gamma, ..Default::default() }).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "gamma", .. }), "{error}");
    }
    assert_eq!(focal(FocalLossConfig { gamma: 0.0, ..Default::default() }), Ok(()));
}

#[test]
fn label_smoothing_outside_0_to_1_is_refused() {
    for label_smoothing in [-1e-9, 1.0 + 1e-9, f64::NAN] {
        let error = focal(FocalLossConfig { label_smoothing, ..Default::default() }).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "label_smoothing", .. }), "{error}");
        let config = CrossEntropyLossConfig { label_smoothing, ..Default::default() };
        assert!(ClassificationLossConfig::CrossEntropy(config).validate(3).is_err());
    }
    for label_smoothing in [0.0, 1.0] {
        assert_eq!(focal(FocalLossConfig { label_smoothing, ..Default::default() }), Ok(()));
    }
}

#[test]
fn temperature_must_be_finite_and_positive() {
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = KdLossConfig { temperature, ..Default::default() }.init().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "temperature", .. }), "{error}");
    }
}

#[test]
fn beta_must_lie_below_one() {
    for beta in [-0.1, 1.0, f64::NAN] {
        for scheme in [WeightScheme::ClassBalanced { beta }, WeightScheme::EffectiveNumber { beta }] {
            let error = class_weights(&[1, 2], scheme, WeightNormalization::None).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { parameter: "beta", .. }), "{error}");
        }
    }
}

#[test]
fn a_bad_class_weight_is_named() {
    for value in [-0.5, f32::NAN, f32::INFINITY] {
        let error = cross_entropy(vec![1.0, value, 1.0]).unwrap_err();
        assert!(matches!(error, Error::ClassWeight { parameter: "class_weights", index: 1, .. }), "{error}");
    }
    assert_eq!(cross_entropy(vec![1.0, 0.0, 1.0]), Ok(()));
}

#[test]
fn the_number_of_weights_must_be_the_number_of_classes() {
    let error = cross_entropy(vec![1.0, 1.0]).unwrap_err();
    assert_eq!(error, Error::WeightCount { parameter: "class_weights", found: 2, num_classes: 3 });
    assert_eq!(error.to_string(), "class_weights has 2 entries; expected one for each of the 3 classes");
    let error = focal(FocalLossConfig { alpha: Some(vec![1.0; 4]), ..Default::default() }).unwrap_err();
    assert_eq!(error, Error::WeightCount { parameter: "alpha", found: 4, num_classes: 3 });
}

#[test]
fn weights_that_are_all_zero_are_refused() {
    assert_eq!(cross_entropy(vec![0.0; 3]), Err(Error::ZeroWeights { parameter: "class_weights" }));
}

#[test]
fn one_class_is_no_classification() {
    for num_classes in [0, 1] {
        let result = CrossEntropyLossConfig::default().init(num_classes, &Device::default());
        assert_eq!(result.map(|_| ()), Err(Error::TooFewClasses { found: num_classes }));
    }
}

#[test]
fn counts_without_a_sample_are_refused() {
    for counts in [&[][..], &[0, 0][..]] {
        let result = class_weights(counts, WeightScheme::InverseFrequency, WeightNormalization::Balanced);
        assert_eq!(result, Err(Error::NoSamples { num_classes: counts.len() }));
    }
}

#[test]
fn an_unknown_key_in_a_file_is_refused() {
    let error = serde_json::from_str::<ClassificationLossConfig>(r#"{"focal": {"gama": 2.0}}"#).unwrap_err();
    assert!(error.to_string().contains("gama"), "{error}");
}
