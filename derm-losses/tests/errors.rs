//! One test a variant and a range boundary.
#![allow(clippy::unwrap_used, clippy::panic)]

use burn::tensor::Device;
use derm_core::Targets;
use derm_losses::{
    AsymmetricSingleLabelLossConfig, ClassificationLossConfig, CombinationRule, CosineFeatureLossConfig,
    CrossEntropyLossConfig, DeferredReweighting, DkdLossConfig, Error, FocalLossConfig, Gamma,
    GeneralizedCrossEntropyLossConfig, HintLossConfig, HintReduction, KdLossConfig, LayerWeights,
    LdamLossConfig, LogitAdjustedLossConfig, LogitStandardizedKdLossConfig, MixedTargets, Poly1LossConfig,
    RkdLossConfig, SigmoidFocalLossConfig, SymmetricCrossEntropyLossConfig, WeightNormalization,
    WeightScheme, ZeroCounts, class_weights,
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
    // 1e39 is no f32
    for gamma in [-f64::MIN_POSITIVE, -1.0, f64::NAN, f64::INFINITY, 1e39] {
        let of = |gamma| focal(FocalLossConfig { gamma, ..Default::default() });
        for (gamma, name) in [
            (Gamma::Constant(gamma), "gamma"),
            (Gamma::Linear { from: gamma, to: 1.0 }, "gamma.from"),
            (Gamma::Linear { from: 1.0, to: gamma }, "gamma.to"),
            (Gamma::Cosine { from: gamma, to: 1.0 }, "gamma.from"),
            (Gamma::Cosine { from: 1.0, to: gamma }, "gamma.to"),
        ] {
            let error = of(gamma).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { parameter, .. } if parameter == name), "{error}");
        }
        let error = of(Gamma::PerClass(vec![1.0, 0.0, gamma])).unwrap_err();
        assert!(matches!(error, Error::PerClassValue { parameter: "gamma", index: 2, .. }), "{error}");
    }
    let error = focal(FocalLossConfig { gamma: Gamma::PerClass(vec![1.0; 2]), ..Default::default() });
    assert_eq!(error, Err(Error::PerClassLength { parameter: "gamma", found: 2, num_classes: 3 }));
    for gamma in
        [0.0.into(), Gamma::PerClass(vec![0.0; 3]), Gamma::Linear { from: 0.0, to: 0.0 }, Gamma::Flsd53]
    {
        assert_eq!(focal(FocalLossConfig { gamma, ..Default::default() }), Ok(()));
    }
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
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e39] {
        let error = KdLossConfig { temperature, ..Default::default() }.init().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "temperature", .. }), "{error}");
    }
}

#[test]
fn beta_must_lie_below_one() {
    for beta in [-0.1, 1.0, f64::NAN] {
        for scheme in [WeightScheme::ClassBalanced { beta }, WeightScheme::EffectiveNumber { beta }] {
            let error =
                class_weights(&[1, 2], scheme, WeightNormalization::None, ZeroCounts::Refuse).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { parameter: "beta", .. }), "{error}");
        }
    }
}

#[test]
fn a_bad_class_weight_is_named() {
    for value in [-0.5, f32::NAN, f32::INFINITY] {
        let error = cross_entropy(vec![1.0, value, 1.0]).unwrap_err();
        assert!(
            matches!(error, Error::PerClassValue { parameter: "class_weights", index: 1, .. }),
            "{error}"
        );
    }
    assert_eq!(cross_entropy(vec![1.0, 0.0, 1.0]), Ok(()));
}

#[test]
fn the_number_of_weights_must_be_the_number_of_classes() {
    let error = cross_entropy(vec![1.0, 1.0]).unwrap_err();
    assert_eq!(error, Error::PerClassLength { parameter: "class_weights", found: 2, num_classes: 3 });
    assert_eq!(error.to_string(), "class_weights has 2 entries; expected one for each of the 3 classes");
    let error = focal(FocalLossConfig { alpha: Some(vec![1.0; 4]), ..Default::default() }).unwrap_err();
    assert_eq!(error, Error::PerClassLength { parameter: "alpha", found: 4, num_classes: 3 });
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
fn counts_that_give_no_weights_are_refused() {
    let weights = |counts: &[usize], zero_counts| {
        class_weights(counts, WeightScheme::InverseFrequency, WeightNormalization::Balanced, zero_counts)
    };
    for zero_counts in [ZeroCounts::Refuse, ZeroCounts::CountAsOne] {
        for counts in [&[][..], &[0, 0][..]] {
            assert_eq!(weights(counts, zero_counts), Err(Error::NoSamples { num_classes: counts.len() }));
        }
        assert_eq!(weights(&[5], zero_counts), Err(Error::TooFewClasses { found: 1 }));
    }
    assert_eq!(weights(&[3, 0, 1, 0], ZeroCounts::Refuse), Err(Error::ZeroCount { index: 1 }));
    assert_eq!(weights(&[3, 0, 1], ZeroCounts::CountAsOne), weights(&[3, 1, 1], ZeroCounts::Refuse));
}

fn validate(text: &str) -> Result<(), Error> {
    let config = serde_json::from_str::<ClassificationLossConfig>(text).unwrap();
    let validated = config.validate(3);
    assert_eq!(config.init(3, &Device::default()).map(|_| ()), validated, "{text}");
    assert_eq!(config.validate(1), Err(Error::TooFewClasses { found: 1 }), "{text}");
    validated
}

#[test]
fn losses_of_class_counts_need_every_class() {
    for loss in ["ldam", "logit_adjusted", "balanced_softmax"] {
        let with = |counts: &str| validate(&format!(r#"{{"{loss}": {{"counts": {counts}}}}}"#));
        assert_eq!(with("[3, 2, 1]"), Ok(()));
        assert_eq!(with("[3, 2, 0]"), Err(Error::ZeroCount { index: 2 }));
        assert_eq!(
            with("[3, 2]"),
            Err(Error::PerClassLength { parameter: "counts", found: 2, num_classes: 3 })
        );
        assert_eq!(with("[]"), Err(Error::PerClassLength { parameter: "counts", found: 0, num_classes: 3 }));
    }
}

#[test]
fn numbers_outside_their_range_are_named() {
    let refused = |text: &str, name: &str| {
        let error = validate(text).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter, .. } if parameter == name), "{text}: {error}");
    };
    refused(r#"{"ldam": {"counts": [1, 2, 3], "max_margin": -0.1}}"#, "max_margin");
    refused(r#"{"ldam": {"counts": [1, 2, 3], "scale": 0}}"#, "scale");
    refused(r#"{"logit_adjusted": {"counts": [1, 2, 3], "tau": -1}}"#, "tau");
    refused(r#"{"poly1": {"epsilon": -1.01}}"#, "epsilon");
    refused(r#"{"asymmetric_single_label": {"gamma_pos": -1}}"#, "gamma_pos");
    refused(r#"{"asymmetric_single_label": {"gamma_neg": -1}}"#, "gamma_neg");
    refused(r#"{"asymmetric_single_label": {"label_smoothing": 1.1}}"#, "label_smoothing");
    refused(r#"{"generalized_cross_entropy": {"q": 0}}"#, "q");
    refused(r#"{"generalized_cross_entropy": {"q": 1.01}}"#, "q");
    refused(r#"{"symmetric_cross_entropy": {"alpha": -1}}"#, "alpha");
    refused(r#"{"symmetric_cross_entropy": {"beta": -1}}"#, "beta");
    refused(r#"{"symmetric_cross_entropy": {"log_zero": 0}}"#, "log_zero");
    refused(r#"{"sigmoid_focal": {"alpha": -1}}"#, "alpha");
    refused(r#"{"sigmoid_focal": {"alpha": 1.1}}"#, "alpha");
    refused(r#"{"sigmoid_focal": {"gamma": -1}}"#, "gamma");
    let deferred = |from: f64| {
        format!(
            r#"{{"deferred_reweighting": {{"from": {from}, "loss": {{"focal": {{"alpha": [1, 1, 2]}}}}}}}}"#
        )
    };
    refused(&deferred(-0.1), "from");
    refused(&deferred(1.1), "from");
    for allowed in [
        r#"{"poly1": {"epsilon": -1}}"#,
        r#"{"generalized_cross_entropy": {"q": 1}}"#,
        r#"{"sigmoid_focal": {"alpha": null, "gamma": 0}}"#,
        &deferred(0.0),
        &deferred(1.0),
    ] {
        assert_eq!(validate(allowed), Ok(()), "{allowed}");
    }
}

#[test]
fn not_a_number_is_no_parameter() {
    let nan = f64::NAN;
    let errors = [
        LdamLossConfig { counts: vec![1, 2], max_margin: nan, ..Default::default() }.validate(2),
        LdamLossConfig { counts: vec![1, 2], scale: nan, ..Default::default() }.validate(2),
        LogitAdjustedLossConfig { counts: vec![1, 2], tau: nan, ..Default::default() }.validate(2),
        Poly1LossConfig { epsilon: nan, ..Default::default() }.validate(2),
        AsymmetricSingleLabelLossConfig { gamma_pos: nan, ..Default::default() }.validate(2),
        AsymmetricSingleLabelLossConfig { gamma_neg: nan, ..Default::default() }.validate(2),
        AsymmetricSingleLabelLossConfig { label_smoothing: nan, ..Default::default() }.validate(2),
        GeneralizedCrossEntropyLossConfig { q: nan, ..Default::default() }.validate(2),
        SymmetricCrossEntropyLossConfig { alpha: nan, ..Default::default() }.validate(2),
        SymmetricCrossEntropyLossConfig { beta: nan, ..Default::default() }.validate(2),
        SymmetricCrossEntropyLossConfig { log_zero: nan, ..Default::default() }.validate(2),
        SigmoidFocalLossConfig { alpha: Some(nan), ..Default::default() }.validate(),
        SigmoidFocalLossConfig { gamma: nan, ..Default::default() }.validate(),
        DkdLossConfig { alpha: nan, ..Default::default() }.validate(3),
        DkdLossConfig { beta: nan, ..Default::default() }.validate(3),
        DkdLossConfig { temperature: nan, ..Default::default() }.validate(3),
        LogitStandardizedKdLossConfig { temperature: nan, ..Default::default() }.validate(),
        LogitStandardizedKdLossConfig { std_epsilon: nan, ..Default::default() }.validate(),
        RkdLossConfig { distance_weight: nan, ..Default::default() }.validate(),
        RkdLossConfig { angle_weight: nan, ..Default::default() }.validate(),
        CosineFeatureLossConfig { norm_epsilon: nan }.validate(),
        CombinationRule::Convex { alpha: nan }.weights().map(|_| ()),
        CombinationRule::Weighted { alpha: nan, beta: 1.0 }.weights().map(|_| ()),
        CombinationRule::Weighted { alpha: 1.0, beta: nan }.weights().map(|_| ()),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert!(
            matches!(error, Err(Error::OutOfRange { value, .. }) if value.is_nan()),
            "{index}: {error:?}"
        );
    }
}

#[test]
fn weights_that_leave_no_loss_are_refused() {
    assert_eq!(
        validate(r#"{"symmetric_cross_entropy": {"alpha": 0, "beta": 0}}"#),
        Err(Error::ZeroWeights { parameter: "alpha and beta" })
    );
    let dkd = DkdLossConfig { alpha: 0.0, beta: 0.0, ..Default::default() };
    assert_eq!(dkd.validate(3), Err(Error::ZeroWeights { parameter: "alpha and beta" }));
    let rkd = RkdLossConfig { distance_weight: 0.0, angle_weight: 0.0 };
    assert_eq!(rkd.validate(), Err(Error::ZeroWeights { parameter: "distance_weight and angle_weight" }));
    let rule = CombinationRule::Weighted { alpha: 0.0, beta: 0.0 };
    assert_eq!(rule.weights(), Err(Error::ZeroWeights { parameter: "alpha and beta" }));
}

#[test]
fn a_deferral_without_class_weights_is_refused() {
    for loss in [
        r#"{"cross_entropy": {}}"#,
        r#"{"focal": {}}"#,
        r#"{"ldam": {"counts": [1, 2, 3]}}"#,
        r#"{"poly1": {}}"#,
    ] {
        let text = format!(r#"{{"deferred_reweighting": {{"from": 0.8, "loss": {loss}}}}}"#);
        let config = serde_json::from_str::<ClassificationLossConfig>(&text).unwrap();
        assert_eq!(config.validate(3), Err(Error::NoClassWeights), "{text}");
        assert_eq!(config.init(3, &Device::default()).map(|_| ()), Err(Error::NoClassWeights), "{text}");
    }
    let plain = CrossEntropyLossConfig::default().init(3, &Device::default()).unwrap();
    assert_eq!(DeferredReweighting::new(plain, 0.5).map(|_| ()), Err(Error::NoClassWeights));
}

#[test]
fn distillation_refuses_what_it_cannot_use() {
    let dkd = |num_classes| DkdLossConfig::default().init(num_classes).map(|_| ());
    assert_eq!(dkd(1), Err(Error::TooFewClasses { found: 1 }));
    assert_eq!(dkd(2), Err(Error::DecoupledClasses { found: 2 }));
    assert_eq!(dkd(3), Ok(()));
    let out_of_range = |result: Result<(), Error>, name: &str| {
        assert!(
            matches!(result, Err(Error::OutOfRange { parameter, .. }) if parameter == name),
            "{result:?}"
        );
    };
    out_of_range(DkdLossConfig { alpha: -1.0, ..Default::default() }.validate(3), "alpha");
    out_of_range(DkdLossConfig { beta: -1.0, ..Default::default() }.validate(3), "beta");
    out_of_range(DkdLossConfig { temperature: 0.0, ..Default::default() }.validate(3), "temperature");
    let standardized = LogitStandardizedKdLossConfig { std_epsilon: 0.0, ..Default::default() };
    out_of_range(standardized.validate(), "std_epsilon");
    let standardized = LogitStandardizedKdLossConfig { temperature: 0.0, ..Default::default() };
    out_of_range(standardized.validate(), "temperature");
    out_of_range(RkdLossConfig { distance_weight: -1.0, ..Default::default() }.validate(), "distance_weight");
    out_of_range(RkdLossConfig { angle_weight: -1.0, ..Default::default() }.validate(), "angle_weight");
    out_of_range(CosineFeatureLossConfig { norm_epsilon: 0.0 }.validate(), "norm_epsilon");
    let hint = HintLossConfig { student_channels: 1, teacher_channels: 1, reduction: HintReduction::Mean };
    out_of_range(HintLossConfig { student_channels: 0, ..hint }.validate(), "student_channels");
    out_of_range(HintLossConfig { teacher_channels: 0, ..hint }.validate(), "teacher_channels");
    for alpha in [-0.1, 1.1] {
        out_of_range(CombinationRule::Convex { alpha }.weights().map(|_| ()), "alpha");
    }
    out_of_range(CombinationRule::Weighted { alpha: -1.0, beta: 1.0 }.weights().map(|_| ()), "alpha");
    out_of_range(CombinationRule::Weighted { alpha: 1.0, beta: -1.0 }.weights().map(|_| ()), "beta");
}

#[test]
fn a_bad_layer_weight_is_named() {
    for value in [-0.5, f64::NAN, f64::INFINITY, 1e39] {
        let error = LayerWeights::new(vec![1.0, 0.0, value]).unwrap_err();
        assert!(matches!(error, Error::LayerWeight { index: 2, .. }), "{error}");
    }
    assert_eq!(LayerWeights::new(vec![0.0; 2]), Err(Error::ZeroWeights { parameter: "layer weights" }));
    for weights in [LayerWeights::new(Vec::new()), LayerWeights::equal(0)] {
        assert_eq!(weights, Err(Error::NoLayers));
    }
    assert_eq!(LayerWeights::new(vec![0.0, 2.0]).unwrap().as_slice(), [0.0, 2.0]);
}

#[test]
fn mixing_needs_a_share() {
    let targets = || Targets::from_indices(&[0], 2, &Device::default()).unwrap();
    let two = Targets::from_indices(&[0, 1], 2, &Device::default()).unwrap();
    let errors = [
        MixedTargets::mixup(targets(), two.clone(), 0.5),
        MixedTargets::cutmix(targets(), two, [4, 4], [1, 1]),
    ];
    for error in errors {
        assert!(matches!(error, Err(Error::MixedSamples { a: 1, b: 2 })), "{error:?}");
    }
    for lambda in [-0.1, 1.1, f64::NAN] {
        let error = MixedTargets::mixup(targets(), targets(), lambda).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "lambda", .. }), "{error}");
    }
    for (image, patch, name) in [
        ([4, 4], [5, 1], "patch height"),
        ([4, 4], [1, 5], "patch width"),
        ([0, 4], [0, 0], "image height"),
        ([4, 0], [0, 0], "image width"),
    ] {
        let error = MixedTargets::cutmix(targets(), targets(), image, patch).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter, .. } if parameter == name), "{error}");
    }
}

#[test]
fn an_unknown_key_in_a_file_is_refused() {
    let error = serde_json::from_str::<ClassificationLossConfig>(r#"{"focal": {"gama": 2.0}}"#).unwrap_err();
    assert!(error.to_string().contains("gama"), "{error}");
}

#[test]
fn a_gamma_that_cannot_be_read_says_why() {
    for (gamma, names) in [
        (r#"{"linear": {"from": 1, "too": 2}}"#, "too"),
        (r#"{"linear": {"from": 1}}"#, "missing field `to`"),
        (r#"{"liner": {"from": 1, "to": 2}}"#, "liner"),
        (r#""flsd""#, "flsd"),
        (r#"[1, "x"]"#, "string \"x\""),
        ("true", "true"),
    ] {
        let error = serde_json::from_str::<Gamma>(gamma).unwrap_err().to_string();
        assert!(error.contains(names), "{gamma}: {error}");
    }
}
