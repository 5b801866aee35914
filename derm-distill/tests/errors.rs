//! One test a variant and a range boundary.
#![allow(clippy::unwrap_used, clippy::panic)]

use burn::tensor::Device;
use derm_backbones::{BlockKind, ResNetConfig, Stem};
use derm_core::BackboneSpec;
use derm_distill::{AttentionConfig, DistillationConfig, Error, LayerPair, LayerPairs, Network};
use derm_losses::CrossEntropyLossConfig;

fn spec(stages: usize, stem: Stem) -> BackboneSpec {
    let config =
        ResNetConfig { block: BlockKind::Basic, depths: vec![1; stages], widths: vec![4; stages], stem };
    config.spec().unwrap()
}

fn init(config: &DistillationConfig, student: &BackboneSpec, teacher: &BackboneSpec) -> Error {
    let hard = CrossEntropyLossConfig::default().init(3, &Device::default()).unwrap();
    config.init(hard, student, teacher).map(|_| ()).unwrap_err()
}

fn layers(layers: LayerPairs) -> DistillationConfig {
    let attention = Some(AttentionConfig { layers, ..Default::default() });
    DistillationConfig { attention, ..Default::default() }
}

fn pair(student: &str, teacher: &str) -> LayerPair {
    LayerPair { student: student.to_owned(), teacher: teacher.to_owned(), weight: 1.0 }
}

#[test]
fn weights_must_be_finite_and_not_negative() {
    for value in [-1e-9, f64::NAN, f64::INFINITY] {
        let config = DistillationConfig { hard_weight: value, ..Default::default() };
        assert!(matches!(config.validate(), Err(Error::Weight { parameter: "hard_weight", .. })));
        let config = DistillationConfig { kd_weight: value, ..Default::default() };
        assert!(matches!(config.validate(), Err(Error::Weight { parameter: "kd_weight", .. })));
        let attention = Some(AttentionConfig { weight: value, ..Default::default() });
        let config = DistillationConfig { attention, ..Default::default() };
        assert!(matches!(config.validate(), Err(Error::Weight { parameter: "attention.weight", .. })));
    }
    let config = DistillationConfig { hard_weight: 0.0, ..Default::default() };
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn something_must_weigh() {
    let config = DistillationConfig { hard_weight: 0.0, kd_weight: 0.0, ..Default::default() };
    assert_eq!(config.validate(), Err(Error::NoWeight));
}

#[test]
fn temperature_must_be_positive() {
    for temperature in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        let config = DistillationConfig { temperature, ..Default::default() };
        let error = config.validate().unwrap_err();
        assert!(
            matches!(error, Error::Loss(derm_losses::Error::OutOfRange { parameter: "temperature", .. })),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_layer_is_named_with_those_that_exist() {
    let spec = spec(2, Stem::Conv3x3);
    for (network, pair) in
        [(Network::Student, pair("layer9", "layer1")), (Network::Teacher, pair("layer1", "layer9"))]
    {
        let error = init(&layers(LayerPairs::Pairs(vec![pair])), &spec, &spec);
        let Error::Layer { network: found, source } = &error else { panic!("{error}") };
        assert_eq!(*found, network);
        assert_eq!((source.tap.as_str(), source.known.len()), ("layer9", 2));
        assert!(error.to_string().contains(&network.to_string()), "{error}");
    }
}

#[test]
fn lists_of_layers_must_hold_something_once() {
    let spec = spec(2, Stem::Conv3x3);
    assert_eq!(init(&layers(LayerPairs::Pairs(vec![])), &spec, &spec), Error::NoLayers);
    let twice = LayerPairs::Pairs(vec![pair("layer1", "layer2"), pair("layer1", "layer2")]);
    assert!(matches!(init(&layers(twice), &spec, &spec), Error::DuplicateLayers { .. }));
    // other weights do not make it another pair
    let [first, second] = [1.0, 2.0].map(|weight| LayerPair { weight, ..pair("layer1", "layer2") });
    let twice = LayerPairs::Pairs(vec![first, second]);
    assert!(matches!(init(&layers(twice), &spec, &spec), Error::DuplicateLayers { .. }));
}

#[test]
fn layer_weights_are_checked_before_the_networks_are_known() {
    let weighted = |weights: [f64; 2]| {
        let [first, second] = [("layer1", weights[0]), ("layer2", weights[1])]
            .map(|(layer, weight)| LayerPair { weight, ..pair(layer, layer) });
        layers(LayerPairs::Pairs(vec![first, second])).validate()
    };
    for value in [-1e-9, f64::NAN, f64::INFINITY] {
        let error = weighted([1.0, value]).unwrap_err();
        let Error::LayerWeights { source: derm_losses::Error::LayerWeight { index, .. } } = error else {
            panic!("{error}")
        };
        assert_eq!(index, 1);
        assert!(error.to_string().starts_with("attention.layers: the weight of layer 1 is"), "{error}");
    }
    let error = weighted([0.0, 0.0]).unwrap_err();
    assert!(
        matches!(error, Error::LayerWeights { source: derm_losses::Error::ZeroWeights { .. } }),
        "{error}"
    );
    assert_eq!(weighted([0.0, 2.0]), Ok(()));
    assert_eq!(layers(LayerPairs::Pairs(vec![])).validate(), Err(Error::NoLayers));
}

#[test]
fn networks_without_a_common_stride_need_named_layers() {
    let error = init(&layers(LayerPairs::Auto), &spec(2, Stem::Conv3x3), &spec(2, Stem::Conv7x7));
    assert_eq!(error, Error::NoCommonStride { student: vec![1, 2], teacher: vec![4, 8] });
}

#[test]
fn files_name_their_keys() {
    let text = r#"{"kd_weight": 0.9, "attention": {"layers": {"pairs": [{"student": "layer1", "teacher": "layer2"}]}}}"#;
    let config: DistillationConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.kd_weight, 0.9);
    assert_eq!(config.attention.unwrap().layers, LayerPairs::Pairs(vec![pair("layer1", "layer2")]));
    let weighted = text.replace(r#""layer2"}"#, r#""layer2", "weight": 0.5}"#);
    let config: DistillationConfig = serde_json::from_str(&weighted).unwrap();
    let half = LayerPair { weight: 0.5, ..pair("layer1", "layer2") };
    assert_eq!(config.attention.unwrap().layers, LayerPairs::Pairs(vec![half]));
    let auto: DistillationConfig = serde_json::from_str(r#"{"attention": {"layers": "auto"}}"#).unwrap();
    assert_eq!(auto.attention.unwrap(), AttentionConfig::default());
    let error = serde_json::from_str::<DistillationConfig>(r#"{"alpha": 0.9}"#).unwrap_err();
    assert!(error.to_string().contains("alpha"), "{error}");
}
