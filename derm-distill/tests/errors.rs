//! One test a variant and a range boundary.
#![allow(clippy::unwrap_used, clippy::panic)]

use burn::tensor::Device;
use derm_backbones::{BlockKind, ResNetConfig, Stem};
use derm_core::BackboneSpec;
use derm_distill::{
    AttentionConfig, AttentionTerm, CacheKey, CosineFeatureTerm, DistillationConfig, DistillationTerm, Error,
    HintTerm, LayerPair, LayerPairs, Network, Projection, RkdTerm, TeacherCache, TermLoss, WeightSchedule,
};
use derm_losses::{CrossEntropyLossConfig, DkdLossConfig, KdLossConfig, LogitStandardizedKdLossConfig};
use ndarray::Array3;

fn spec(stages: usize, stem: Stem) -> BackboneSpec {
    let config =
        ResNetConfig { block: BlockKind::Basic, depths: vec![1; stages], widths: vec![4; stages], stem };
    config.spec().unwrap()
}

fn init(config: &DistillationConfig, student: &BackboneSpec, teacher: &BackboneSpec) -> Error {
    let device = Device::default();
    let hard = CrossEntropyLossConfig::default().init(3, &device).unwrap();
    config.init(hard, 3, student, teacher, &device).map(|_| ()).unwrap_err()
}

/// What is wrong with the term at this place of the config.
fn of_term(error: Error, place: &str) -> Error {
    match error {
        Error::Term { term, source } if term == place => *source,
        other => panic!("expected an error of `{place}`: {other:?}"),
    }
}

fn layers(layers: LayerPairs) -> DistillationConfig {
    let attention = Some(AttentionConfig { layers, ..Default::default() });
    DistillationConfig { attention, ..Default::default() }
}

fn pair(student: &str, teacher: &str) -> LayerPair {
    LayerPair { student: student.to_owned(), teacher: teacher.to_owned(), weight: 1.0 }
}

fn weight_error(config: &DistillationConfig, key: &str) -> bool {
    matches!(config.validate(), Err(Error::Weight { parameter, .. }) if parameter == key)
}

fn rkd() -> TermLoss {
    TermLoss::Rkd(RkdTerm::default())
}

/// KD and a term beside it.
fn with(loss: TermLoss) -> DistillationConfig {
    DistillationConfig { terms: vec![DistillationTerm::new(loss, 1.0)], ..Default::default() }
}

#[test]
fn weights_must_be_finite_and_not_negative() {
    for value in [-1e-9, f64::NAN, f64::INFINITY] {
        let config = DistillationConfig { hard_weight: value, ..Default::default() };
        assert!(weight_error(&config, "hard_weight"));
        let config = DistillationConfig { kd_weight: value, ..Default::default() };
        assert!(weight_error(&config, "kd_weight"));
        let attention = Some(AttentionConfig { weight: value, ..Default::default() });
        let config = DistillationConfig { attention, ..Default::default() };
        assert!(weight_error(&config, "attention.weight"));
        let terms = vec![DistillationTerm::new(rkd(), 1.0), DistillationTerm::new(rkd(), value)];
        let config = DistillationConfig { terms, ..Default::default() };
        assert!(weight_error(&config, "terms[1].weight"));
    }
    let config = DistillationConfig { hard_weight: 0.0, ..Default::default() };
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn something_must_weigh() {
    let config = DistillationConfig { hard_weight: 0.0, kd_weight: 0.0, ..Default::default() };
    assert_eq!(config.validate(), Err(Error::NoWeight { progress: 0.5 }));
    let attention = Some(AttentionConfig { weight: 0.0, ..Default::default() });
    let terms = vec![DistillationTerm::new(rkd(), 0.0)];
    let config = DistillationConfig { attention, terms, ..config };
    assert!(matches!(config.validate(), Err(Error::NoWeight { .. })));
}

#[test]
fn something_must_weigh_at_any_time() {
    let late = WeightSchedule::Between { start: 0.25, end: 1.0 };
    let gone = |start| WeightSchedule::Linear { from: 1.0, to: 0.0, start, end: start + 0.25 };
    let config =
        |hard_schedule, kd_schedule| DistillationConfig { hard_schedule, kd_schedule, ..Default::default() };
    // the hard loss joins when KD has gone: a gap from 0.125 + 0.25 on would be nobody's
    assert_eq!(config(late, WeightSchedule::Constant).validate(), Ok(()));
    assert_eq!(config(late, gone(0.0)).validate(), Ok(()));
    let gap = WeightSchedule::Between { start: 0.5, end: 1.0 };
    assert_eq!(config(gap, gone(0.0)).validate(), Err(Error::NoWeight { progress: 0.375 }));
    assert_eq!(config(gone(0.5), gone(0.0)).validate(), Err(Error::NoWeight { progress: 0.875 }));
}

#[test]
fn schedules_keep_to_their_ranges() {
    let linear = |from, to, start, end| WeightSchedule::Linear { from, to, start, end };
    let cosine = |from, to, start, end| WeightSchedule::Cosine { from, to, start, end };
    let wrong = [
        (linear(-1.0, 1.0, 0.0, 1.0), "from"),
        (linear(f64::NAN, 1.0, 0.0, 1.0), "from"),
        (cosine(1.0, f64::INFINITY, 0.0, 1.0), "to"),
        (cosine(1.0, 1e300, 0.0, 1.0), "to"),
        (linear(0.0, 1.0, -0.1, 1.0), "start"),
        (linear(0.0, 1.0, f64::NAN, 1.0), "start"),
        (cosine(0.0, 1.0, 0.0, 1.1), "end"),
        (cosine(0.0, 1.0, 0.5, 0.5), "end"),
        (WeightSchedule::Between { start: 0.6, end: 0.4 }, "end"),
        (WeightSchedule::Between { start: 0.6, end: f64::NAN }, "end"),
    ];
    for (schedule, name) in wrong {
        let term = DistillationTerm { schedule, ..DistillationTerm::new(rkd(), 1.0) };
        let attention = Some(AttentionConfig { schedule, ..Default::default() });
        for (config, of) in [
            (DistillationConfig { hard_schedule: schedule, ..Default::default() }, "hard_schedule"),
            (DistillationConfig { kd_schedule: schedule, ..Default::default() }, "kd_schedule"),
            (DistillationConfig { attention, ..Default::default() }, "attention.schedule"),
            (DistillationConfig { terms: vec![term], ..Default::default() }, "terms[0].schedule"),
        ] {
            let error = config.validate().unwrap_err();
            let Error::Schedule { parameter, .. } = &error else { panic!("{error}") };
            assert_eq!(*parameter, format!("{of}.{name}"), "{error}");
        }
    }
}

#[test]
fn settings_of_a_term_are_named_with_it() {
    for (loss, term, words) in [
        (TermLoss::Kd(KdLossConfig { temperature: 0.0, ..Default::default() }), "kd", "temperature"),
        (TermLoss::Dkd(DkdLossConfig { beta: -1.0, ..Default::default() }), "dkd", "beta"),
        (
            TermLoss::LogitStandardizedKd(LogitStandardizedKdLossConfig {
                std_epsilon: f64::NAN,
                ..Default::default()
            }),
            "logit_standardized_kd",
            "std_epsilon",
        ),
        (
            TermLoss::CosineFeature(CosineFeatureTerm { norm_epsilon: 0.0, ..Default::default() }),
            "cosine_feature",
            "norm_epsilon",
        ),
        (
            TermLoss::Rkd(RkdTerm { distance_weight: 0.0, angle_weight: 0.0, ..Default::default() }),
            "rkd",
            "angle_weight",
        ),
        (
            TermLoss::Hint(HintTerm { layers: LayerPairs::Pairs(vec![]), ..Default::default() }),
            "hint",
            "empty",
        ),
    ] {
        let error = with(loss).validate().unwrap_err();
        assert!(error.to_string().starts_with(&format!("terms[0] ({term}): ")), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // two classes: known where the networks are
    let (device, spec) = (Device::default(), spec(2, Stem::Conv3x3));
    let hard = CrossEntropyLossConfig::default().init(2, &device).unwrap();
    let config = with(TermLoss::Dkd(DkdLossConfig::default()));
    let error = config.init(hard, 2, &spec, &spec, &device).map(|_| ()).unwrap_err();
    let error = of_term(error, "terms[0] (dkd)");
    assert!(matches!(error, Error::Loss(derm_losses::Error::DecoupledClasses { found: 2 })), "{error}");
}

#[test]
fn what_a_term_cannot_compare_is_refused() {
    let wide = |width| {
        let config = ResNetConfig {
            block: BlockKind::Basic,
            depths: vec![1; 2],
            widths: vec![4, width],
            stem: Stem::Conv3x3,
        };
        config.spec().unwrap()
    };
    let (student, teacher) = (wide(6), wide(8));
    // pooled features have no map
    let pooled = AttentionConfig { layers: LayerPairs::Pooled, ..Default::default() };
    let config = DistillationConfig { attention: Some(pooled), ..Default::default() };
    assert_eq!(of_term(init(&config, &student, &teacher), "attention"), Error::PooledAttention);
    let half = LayerPairs::Pairs(vec![pair("layer1", "pooled")]);
    let config = with(TermLoss::Attention(AttentionTerm { layers: half, ..Default::default() }));
    assert_eq!(of_term(init(&config, &student, &teacher), "terms[0] (attention)"), Error::PooledAttention);
    // other widths without a projector
    let never = CosineFeatureTerm { projector: Projection::Never, ..Default::default() };
    let config = with(TermLoss::CosineFeature(never));
    let error = of_term(init(&config, &student, &teacher), "terms[0] (cosine_feature)");
    let Error::Widths { student_width, teacher_width, .. } = &error else { panic!("{error}") };
    assert_eq!((*student_width, *teacher_width), (6, 8));
    let device = Device::default();
    let hard = CrossEntropyLossConfig::default().init(3, &device).unwrap();
    assert!(config.init(hard, 3, &student, &student, &device).is_ok());
    // a tap that the network lacks, with those that it has
    let layers = LayerPairs::Pairs(vec![pair("layer7", "pooled")]);
    let error = init(&with(TermLoss::Hint(HintTerm { layers, ..Default::default() })), &student, &teacher);
    let text = error.to_string();
    assert!(text.contains("student") && text.contains("layer7") && text.contains("layer2"), "{text}");
    // a projector for a term that has none
    let text = r#"{"terms": [{"loss": {"rkd": {"projector": "always"}}, "weight": 1}]}"#;
    let error = serde_json::from_str::<DistillationConfig>(text).unwrap_err();
    assert!(error.to_string().contains("projector"), "{error}");
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
        let error = of_term(init(&layers(LayerPairs::Pairs(vec![pair])), &spec, &spec), "attention");
        let Error::Layer { network: found, source } = &error else { panic!("{error}") };
        assert_eq!(*found, network);
        assert_eq!((source.tap.as_str(), source.known.len()), ("layer9", 2));
        assert!(error.to_string().contains(&network.to_string()), "{error}");
    }
}

#[test]
fn lists_of_layers_must_hold_something_once() {
    let spec = spec(2, Stem::Conv3x3);
    let refused = |pairs| of_term(init(&layers(LayerPairs::Pairs(pairs)), &spec, &spec), "attention");
    assert_eq!(refused(vec![]), Error::NoLayers);
    let twice = vec![pair("layer1", "layer2"), pair("layer1", "layer2")];
    assert!(matches!(refused(twice), Error::DuplicateLayers { .. }));
    // other weights do not make it another pair
    let [first, second] = [1.0, 2.0].map(|weight| LayerPair { weight, ..pair("layer1", "layer2") });
    assert!(matches!(refused(vec![first, second]), Error::DuplicateLayers { .. }));
}

#[test]
fn layer_weights_are_checked_before_the_networks_are_known() {
    let weighted = |weights: [f64; 2]| {
        let [first, second] = [("layer1", weights[0]), ("layer2", weights[1])]
            .map(|(layer, weight)| LayerPair { weight, ..pair(layer, layer) });
        layers(LayerPairs::Pairs(vec![first, second])).validate()
    };
    for value in [-1e-9, f64::NAN, f64::INFINITY] {
        let error = of_term(weighted([1.0, value]).unwrap_err(), "attention");
        let Error::LayerWeights { source: derm_losses::Error::LayerWeight { index, .. } } = error else {
            panic!("{error}")
        };
        assert_eq!(index, 1);
        assert!(error.to_string().starts_with("`layers`: the weight of layer 1 is"), "{error}");
    }
    let error = of_term(weighted([0.0, 0.0]).unwrap_err(), "attention");
    assert!(
        matches!(error, Error::LayerWeights { source: derm_losses::Error::ZeroWeights { .. } }),
        "{error}"
    );
    assert_eq!(weighted([0.0, 2.0]), Ok(()));
    let error = layers(LayerPairs::Pairs(vec![])).validate().unwrap_err();
    assert_eq!(of_term(error, "attention"), Error::NoLayers);
}

#[test]
fn networks_without_a_common_stride_need_named_layers() {
    let error = init(&layers(LayerPairs::Auto), &spec(2, Stem::Conv3x3), &spec(2, Stem::Conv7x7));
    assert_eq!(
        of_term(error, "attention"),
        Error::NoCommonStride { student: vec![1, 2], teacher: vec![4, 8] }
    );
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

#[test]
fn a_loss_that_is_none_is_told_the_known_ones() {
    let read = |loss: &str| {
        let text = format!(r#"{{"terms": [{{"loss": {loss}, "weight": 1}}]}}"#);
        serde_json::from_str::<DistillationConfig>(&text).map_err(|error| error.to_string())
    };
    assert_eq!(read(r#""rkd""#).unwrap().terms, [DistillationTerm::new(rkd(), 1.0)]);
    for name in [
        "kd",
        "dkd",
        "logit_standardized_kd",
        "attention",
        "hint",
        "cosine_feature",
        "similarity_preserving",
        "rkd",
    ] {
        let config = read(&format!("\"{name}\"")).unwrap();
        assert_eq!(config.terms[0].loss.name(), name);
        assert_eq!(read(&format!("{{\"{name}\": {{}}}}")).unwrap(), config, "the defaults of {name}");
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DistillationConfig>(&written).unwrap(), config);
    }
    for (loss, words) in [
        (r#""crd""#, "similarity_preserving"),
        (r#"{"crd": {}}"#, "similarity_preserving"),
        (r#"{"kd": {"temprature": 2}}"#, "temperature"),
        (r#"{"kd": {}, "dkd": {}}"#, "one name"),
        ("{}", "one name"),
        ("3", "the name of a loss"),
    ] {
        let error = read(loss).unwrap_err();
        assert!(error.contains(words), "{loss}: {error}");
    }
    let error = serde_json::from_str::<DistillationConfig>(r#"{"terms": [{"loss": "kd"}]}"#).unwrap_err();
    assert!(error.to_string().contains("weight"), "{error}");
}

fn key(weights: &str) -> CacheKey {
    CacheKey {
        weights: weights.to_owned(),
        records: "r".to_owned(),
        preparation: "p".to_owned(),
        views: vec!["upright".to_owned()],
        batch_size: 4,
    }
}

#[test]
fn a_cache_that_was_changed_or_is_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = TeacherCache::new(key("a"), Array3::from_elem((1, 3, 2), 0.5)).unwrap();
    let path = cache.write(folder.path()).unwrap();
    assert_eq!(TeacherCache::read(folder.path(), &key("a")).unwrap().as_ref(), Some(&cache));
    assert_eq!(TeacherCache::read(folder.path(), &key("b")).unwrap(), None);
    let refused = |words: &str| {
        let error = TeacherCache::read(folder.path(), &key("a")).unwrap_err();
        let Error::Cache { path: named, .. } = &error else { panic!("{error}") };
        assert_eq!(*named, path);
        assert!(error.to_string().contains(words), "{error}");
    };
    let whole = std::fs::read(&path).unwrap();
    // every byte counts: those of the lengths, the key, the digest and the logits
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        match TeacherCache::read(folder.path(), &key("a")) {
            Err(Error::Cache { .. }) => {}
            // padding and names of axes that say the same
            Ok(Some(read)) => assert_eq!(read, cache, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused("damaged");
    // the cache of another teacher under this name
    let other = TeacherCache::new(key("b"), Array3::from_elem((1, 3, 2), 0.5)).unwrap();
    std::fs::rename(other.write(folder.path()).unwrap(), &path).unwrap();
    refused("another teacher");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("cannot be read");

    for logit in [f32::NAN, f32::INFINITY] {
        let error = TeacherCache::new(key("a"), Array3::from_elem((1, 3, 2), logit)).unwrap_err();
        assert!(matches!(error, Error::TeacherLogits { .. }), "{error}");
    }
    let error = TeacherCache::new(key("a"), Array3::zeros((2, 3, 2))).unwrap_err();
    assert!(error.to_string().contains("2 views: expected 1"), "{error}");
}
