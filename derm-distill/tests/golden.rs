//! The cases of `losses.json` that combine a hard loss with distillation. derm-losses runs the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use burn::tensor::{Device, Int, Tensor, TensorData};
use derm_core::{BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Targets};
use derm_distill::{AttentionConfig, DistillationConfig, LayerPair, LayerPairs, NetworkOutput};
use derm_golden::{Case, GoldenFile, Got};
use derm_losses::{AttentionMode, AttentionPool, CombinationRule, CrossEntropyLossConfig, KdScale};

/// What derm-losses runs.
const IN_DERM_LOSSES: &[&str] = &[
    "cross_entropy",
    "label_smoothing",
    "focal",
    "soft_focal",
    "focal_of_ce",
    "sigmoid_focal",
    "class_weights",
    "ldam",
    "logit_adjusted_ce",
    "balanced_softmax",
    "asymmetric_single_label",
    "poly1",
    "soft_target_ce",
    "mixup_ce",
    "kd",
    "dkd",
    "logit_standardized_kd",
    "attention_transfer",
    "attention_transfer_multi",
    "hint_mse",
    "rkd_distance",
    "rkd_angle",
    "rkd",
    "similarity_preserving",
    "cosine_feature",
];

fn device() -> Device {
    Device::default().autodiff()
}

fn float<const D: usize>(case: &Case, key: &str) -> Tensor<D> {
    let input = case.input(key);
    Tensor::from_data(TensorData::new(input.f32s(), input.shape.clone()), &device())
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn config(case: &Case) -> DistillationConfig {
    let alpha = case.number("alpha");
    let rule = match case.op.as_str() {
        "kd_ce_weighted" => CombinationRule::Weighted { alpha, beta: case.number("beta") },
        _ => CombinationRule::Convex { alpha },
    };
    DistillationConfig {
        temperature: case.number("temperature"),
        kd_scale: if case.flag("t_squared") { KdScale::TemperatureSquared } else { KdScale::One },
        attention: (case.op == "kd_ce_at").then(|| attention(case)),
        ..DistillationConfig::combined(rule).unwrap()
    }
}

fn attention(case: &Case) -> AttentionConfig {
    let pair =
        |i| LayerPair { student: format!("student_{i}"), teacher: format!("teacher_{i}"), weight: 1.0 };
    AttentionConfig {
        weight: case.number("at_beta"),
        mode: match case.text("mode") {
            "mean_squared" => AttentionMode::MeanSquared,
            "l2" => AttentionMode::L2,
            other => case.unknown(other),
        },
        pool: match case.text("pool") {
            "features" => AttentionPool::Features,
            "attention" => AttentionPool::Attention,
            other => case.unknown(other),
        },
        layers: LayerPairs::Pairs((0..case.count("layers")).map(pair).collect()),
        ..AttentionConfig::default()
    }
}

/// The network whose maps the case holds, by the prefix of their names.
fn spec(case: &Case, prefix: &str) -> BackboneSpec {
    let maps = case.input_names().filter(|key| key.starts_with(prefix) && *key != format!("{prefix}logits"));
    let stage = |key: &str| StageSpec { name: key.to_owned(), channels: case.input(key).shape[1], stride: 1 };
    let input = ImageInput {
        size: 1,
        normalization: Normalization::HALF,
        interpolation: Interpolation::Bilinear,
        crop_pct: 1.0,
    };
    BackboneSpec::new(prefix, 1, maps.map(stage).collect(), input)
}

fn output(case: &Case, prefix: &str, spec: &BackboneSpec) -> NetworkOutput {
    let maps = spec.stages.iter().map(|stage| (stage.name.clone(), float(case, &stage.name).require_grad()));
    NetworkOutput {
        logits: float(case, &format!("{prefix}logits")).require_grad(),
        features: Some(Features { maps: maps.collect(), ..Features::new(Tensor::zeros([1, 1], &device())) }),
    }
}

fn check(case: &Case) -> bool {
    let (student_spec, teacher_spec) = (spec(case, "student_"), spec(case, "teacher_"));
    let student = output(case, "student_", &student_spec);
    let teacher = output(case, "teacher_", &teacher_spec);
    let targets: Vec<i32> = case.input("targets").indices().into_iter().map(|index| index as i32).collect();
    let targets = Targets::Hard(Tensor::<1, Int>::from_ints(targets.as_slice(), &device()));
    let num_classes = student.logits.dims()[1];
    let hard = CrossEntropyLossConfig::default().init(num_classes, &device()).unwrap();
    let objective = config(case).init(hard, num_classes, &student_spec, &teacher_spec, &device()).unwrap();

    let loss = objective.forward(&student, &teacher, &targets);
    let gradients = loss.total.backward();
    let mut got: Vec<(String, Got)> = vec![("value".to_owned(), host(loss.total.clone()).into())];
    if case.expects("per_sample") {
        let per_sample = objective.per_sample(&student, &teacher, &targets).unwrap();
        got.push(("per_sample".to_owned(), host(per_sample).into()));
    }
    let of_logits = host(student.logits.grad(&gradients).expect("a gradient"));
    got.push(("grad.student_logits".to_owned(), of_logits.into()));
    for (name, map) in &student.features.unwrap().maps {
        got.push((format!("grad.{name}"), host(map.grad(&gradients).expect("a gradient")).into()));
    }
    case.check(got);

    assert!(teacher.logits.grad(&gradients).is_none(), "{}: the teacher got a gradient", case.name);
    for (name, map) in &teacher.features.unwrap().maps {
        assert!(map.grad(&gradients).is_none(), "{}: {name} got a gradient", case.name);
    }
    true
}

#[test]
fn combined_losses_equal_their_references() {
    println!("on {:?}", device());
    let file = GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "losses.json");
    file.run(IN_DERM_LOSSES, |case| match case.op.as_str() {
        "kd_ce_convex" | "kd_ce_weighted" | "kd_ce_at" => check(case),
        _ => false,
    });
}
