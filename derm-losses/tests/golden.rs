//! Every case of `losses.json`: value, per-sample values and gradients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod host;

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use derm_core::{Criterion, Targets};
use derm_golden::{Case, GoldenFile, Got};
use derm_losses::{
    AsymmetricSingleLabelLossConfig, AttentionMode, AttentionPool, AttentionTransferLoss,
    BalancedSoftmaxLossConfig, CosineFeatureLossConfig, CrossEntropyLossConfig, DegreesOfFreedom,
    DkdLossConfig, ElementReduction, Error, FocalForm, FocalLossConfig, HintLossConfig, HintReduction,
    KdLossConfig, KdScale, LayerWeights, LdamLossConfig, LogitAdjustedLossConfig,
    LogitStandardizedKdLossConfig, MixedTargets, Poly1LossConfig, Reduction, RkdAngleLoss, RkdDistanceLoss,
    RkdLossConfig, SigmoidFocalLossConfig, SimilarityPreservingLoss, WeightNormalization, WeightScheme,
    ZeroCounts, class_weights,
};
use host::host;

/// The combination of a hard term with distillation is derm-distill's; its golden test runs these.
const IN_DERM_DISTILL: &[&str] = &["kd_ce_convex", "kd_ce_weighted", "kd_ce_at"];

fn device() -> Device {
    Device::default().autodiff()
}

fn float<const D: usize>(case: &Case, key: &str) -> Tensor<D> {
    let input = case.input(key);
    Tensor::from_data(TensorData::new(input.f32s(), input.shape.clone()), &device())
}

fn variable<const D: usize>(case: &Case, key: &str) -> Tensor<D> {
    float(case, key).require_grad()
}

fn class_values(case: &Case, key: &str) -> Option<Vec<f32>> {
    case.has_input(key).then(|| case.input(key).f32s())
}

fn indices(case: &Case, key: &str) -> Tensor<1, Int> {
    let indices: Vec<i32> = case.input(key).indices().into_iter().map(|index| index as i32).collect();
    let shape = [indices.len()];
    Tensor::from_data(TensorData::new(indices, shape), &device())
}

fn hard(case: &Case, key: &str) -> Targets {
    Targets::Hard(indices(case, key))
}

fn got<const D: usize>(tensor: Tensor<D>) -> Got {
    host(tensor).into()
}

fn reduction(case: &Case) -> Reduction {
    match case.text("reduction") {
        "mean" => Reduction::WeightedMean,
        "sum" => Reduction::Sum,
        other => case.unknown(other),
    }
}

fn kd_scale(case: &Case) -> KdScale {
    if case.flag("t_squared") { KdScale::TemperatureSquared } else { KdScale::One }
}

/// Value and per-sample values of a criterion, and the gradient of the logits.
fn check_criterion(case: &Case, criterion: &impl Criterion, targets: &Targets) -> bool {
    let logits = variable::<2>(case, "logits");
    let per_sample = criterion.per_sample(logits.clone(), targets);
    let value = criterion.forward(logits.clone(), targets);
    check(case, &value, Some(got(per_sample)), &[("logits", logits)])
}

fn check<const D: usize>(
    case: &Case,
    value: &Tensor<1>,
    per_sample: Option<Got>,
    variables: &[(&str, Tensor<D>)],
) -> bool {
    let gradients = value.backward();
    let mut all = vec![("value".to_owned(), got(value.clone()))];
    all.extend(per_sample.map(|per_sample| ("per_sample".to_owned(), per_sample)));
    for (name, variable) in variables {
        all.push((format!("grad.{name}"), got(variable.grad(&gradients).expect("a gradient"))));
    }
    case.check(all);
    true
}

fn num_classes(case: &Case, key: &str) -> usize {
    case.input(key).shape[1]
}

fn cross_entropy(case: &Case) -> bool {
    let config = CrossEntropyLossConfig {
        class_weights: class_values(case, "class_weights"),
        label_smoothing: case.optional_number("epsilon").unwrap_or(0.0),
        reduction: reduction(case),
    };
    let loss = config.init(num_classes(case, "logits"), &device()).unwrap();
    check_criterion(case, &loss, &hard(case, "targets"))
}

fn focal(case: &Case, form: FocalForm, weights: &str) -> bool {
    let config = FocalLossConfig {
        gamma: case.number("gamma").into(),
        alpha: class_values(case, weights),
        label_smoothing: case.optional_number("epsilon").unwrap_or(0.0),
        form,
        reduction: match case.optional_text("normalization") {
            None | Some("batch") => Reduction::BatchMean,
            Some("alpha_sum") => Reduction::WeightedMean,
            Some(other) => case.unknown(other),
        },
    };
    let loss = config.init(num_classes(case, "logits"), &device()).unwrap();
    check_criterion(case, &loss, &hard(case, "targets"))
}

fn sigmoid_focal(case: &Case) -> bool {
    let alpha = case.number("alpha");
    let config = SigmoidFocalLossConfig {
        alpha: (alpha != -1.0).then_some(alpha),
        gamma: case.number("gamma"),
        reduction: match case.text("reduction") {
            "mean" => ElementReduction::ElementMean,
            "sum" => ElementReduction::Sum,
            other => case.unknown(other),
        },
    };
    let loss = config.init().unwrap();
    let targets = Targets::Soft(float(case, "target_matrix"));
    let logits = variable::<2>(case, "logits");
    let value = loss.forward(logits.clone(), &targets);
    check(case, &value, Some(got(loss.elementwise(logits.clone(), &targets))), &[("logits", logits)])
}

fn soft_target_ce(case: &Case) -> bool {
    assert_eq!(case.text("reduction"), "mean");
    let targets = Targets::Soft(float(case, "target_probs"));
    let config = CrossEntropyLossConfig { reduction: Reduction::BatchMean, ..Default::default() };
    check_criterion(case, &config.init(num_classes(case, "logits"), &device()).unwrap(), &targets)
}

fn mixup_ce(case: &Case) -> bool {
    let (a, b) = (hard(case, "targets_a"), hard(case, "targets_b"));
    let mixed = MixedTargets::mixup(a, b, case.number("lambda")).unwrap();
    let config = CrossEntropyLossConfig { reduction: reduction(case), ..Default::default() };
    let num_classes = num_classes(case, "logits");
    let loss = config.init(num_classes, &device()).unwrap();
    let logits = variable::<2>(case, "logits");
    let per_sample = mixed.per_sample(&loss, logits.clone());
    let value = mixed.forward(&loss, logits.clone());
    check(case, &value, Some(got(per_sample)), &[("logits", logits)]);
    // cross-entropy is linear in the target: the mixed loss is the loss of the mixed target
    check_criterion(case, &loss, &mixed.soft(num_classes))
}

fn weights(case: &Case) -> bool {
    let scheme = match case.text("scheme") {
        "inverse_frequency" => WeightScheme::InverseFrequency,
        "sqrt_inverse_frequency" => WeightScheme::SqrtInverseFrequency,
        "class_balanced" => WeightScheme::ClassBalanced { beta: case.number("beta") },
        "effective_number" => WeightScheme::EffectiveNumber { beta: case.number("beta") },
        other => case.unknown(other),
    };
    let normalization = match case.optional_text("normalize") {
        None => WeightNormalization::None,
        Some("sum_to_classes") => WeightNormalization::SumToClasses,
        Some("balanced") => WeightNormalization::Balanced,
        Some(other) => case.unknown(other),
    };
    let counts = case.input("counts").indices();
    let weights = class_weights(&counts, scheme, normalization, ZeroCounts::CountAsOne).unwrap();
    let refused = class_weights(&counts, scheme, normalization, ZeroCounts::Refuse);
    match counts.iter().position(|&count| count == 0) {
        Some(index) => assert_eq!(refused, Err(Error::ZeroCount { index })),
        None => assert_eq!(refused.unwrap(), weights),
    }
    case.check([("weights", weights.into())]);
    true
}

fn prior_loss(case: &Case) -> bool {
    let counts = case.input("counts").indices();
    let reduction = reduction(case);
    let num_classes = num_classes(case, "logits");
    let targets = hard(case, "targets");
    match case.op.as_str() {
        "ldam" => {
            let (max_margin, scale) = (case.number("max_margin"), case.number("scale"));
            let config = LdamLossConfig { counts, max_margin, scale, class_weights: None, reduction };
            check_criterion(case, &config.init(num_classes, &device()).unwrap(), &targets)
        }
        "logit_adjusted_ce" => {
            let config = LogitAdjustedLossConfig { counts, tau: case.number("tau"), reduction };
            check_criterion(case, &config.init(num_classes, &device()).unwrap(), &targets)
        }
        _ => {
            let config = BalancedSoftmaxLossConfig { counts, reduction };
            check_criterion(case, &config.init(num_classes, &device()).unwrap(), &targets)
        }
    }
}

fn asymmetric_single_label(case: &Case) -> bool {
    let config = AsymmetricSingleLabelLossConfig {
        gamma_pos: case.number("gamma_pos"),
        gamma_neg: case.number("gamma_neg"),
        label_smoothing: case.number("epsilon"),
        reduction: reduction(case),
    };
    check_criterion(case, &config.init(num_classes(case, "logits")).unwrap(), &hard(case, "targets"))
}

fn poly1(case: &Case) -> bool {
    let config = Poly1LossConfig { epsilon: case.number("epsilon"), reduction: reduction(case) };
    check_criterion(case, &config.init(num_classes(case, "logits")).unwrap(), &hard(case, "targets"))
}

fn logits_of(case: &Case) -> (Tensor<2>, Tensor<2>) {
    (variable(case, "student_logits"), float(case, "teacher_logits"))
}

fn kd(case: &Case) -> bool {
    let loss =
        KdLossConfig { temperature: case.number("temperature"), scale: kd_scale(case) }.init().unwrap();
    let (student, teacher) = logits_of(case);
    let per_sample = got(loss.per_sample(student.clone(), teacher.clone()));
    check(case, &loss.forward(student.clone(), teacher), Some(per_sample), &[("student_logits", student)])
}

fn dkd(case: &Case) -> bool {
    let (alpha, beta, temperature) = (case.number("alpha"), case.number("beta"), case.number("temperature"));
    let (student, teacher) = logits_of(case);
    let targets = indices(case, "targets");
    let num_classes = student.dims()[1];
    let loss = DkdLossConfig { alpha, beta, temperature }.init(num_classes);
    if num_classes == 2 {
        println!("{}: two classes are refused; alpha times KD has the reference's value", case.name);
        assert!(matches!(loss, Err(Error::DecoupledClasses { found: 2 })));
        let kd = KdLossConfig { temperature, scale: KdScale::TemperatureSquared }.init().unwrap();
        let per_sample = got(kd.per_sample(student.clone(), teacher.clone()) * alpha);
        let value = kd.forward(student.clone(), teacher) * alpha;
        return check(case, &value, Some(per_sample), &[("student_logits", student)]);
    }
    let loss = loss.unwrap();
    let per_sample = got(loss.per_sample(student.clone(), teacher.clone(), &targets));
    let value = loss.forward(student.clone(), teacher, &targets);
    check(case, &value, Some(per_sample), &[("student_logits", student)])
}

fn logit_standardized_kd(case: &Case) -> bool {
    let config = LogitStandardizedKdLossConfig {
        temperature: case.number("temperature"),
        scale: kd_scale(case),
        degrees_of_freedom: match case.count("ddof") {
            0 => DegreesOfFreedom::Population,
            1 => DegreesOfFreedom::Sample,
            other => case.unknown(&other.to_string()),
        },
        std_epsilon: case.number("std_eps"),
    };
    let loss = config.init().unwrap();
    let (student, teacher) = logits_of(case);
    let per_sample = got(loss.per_sample(student.clone(), teacher.clone()));
    check(case, &loss.forward(student.clone(), teacher), Some(per_sample), &[("student_logits", student)])
}

fn attention_transfer(case: &Case) -> bool {
    let loss = |pool| AttentionTransferLoss {
        mode: match case.text("mode") {
            "mean_squared" => AttentionMode::MeanSquared,
            "l2" => AttentionMode::L2,
            other => case.unknown(other),
        },
        pool,
    };
    // where nothing is pooled, either choice must give the value
    let pools = match case.text("pool") {
        "none" => vec![AttentionPool::Features, AttentionPool::Attention],
        "features" => vec![AttentionPool::Features],
        "attention" => vec![AttentionPool::Attention],
        other => case.unknown(other),
    };
    let names: Vec<(String, String)> = if case.op == "attention_transfer" {
        vec![("student".to_owned(), "teacher".to_owned())]
    } else {
        (0..case.count("layers")).map(|i| (format!("student_{i}"), format!("teacher_{i}"))).collect()
    };
    for pool in pools {
        let loss = loss(pool);
        let maps: Vec<(Tensor<4>, Tensor<4>)> =
            names.iter().map(|(student, teacher)| (variable(case, student), float(case, teacher))).collect();
        let equal = LayerWeights::equal(maps.len()).unwrap();
        let value = loss.forward_layers(maps.clone(), &equal);
        let per_sample = Some(got(loss.per_sample_layers(maps.clone(), &equal)));
        if let [(student, teacher)] = &maps[..] {
            // one layer alone is the same sum
            let of_one = loss.per_sample(student.clone(), teacher.clone());
            assert_eq!(host(of_one.clone()), host(loss.per_sample_layers(maps.clone(), &equal)));
            assert_eq!(host(of_one.mean()), host(loss.forward(student.clone(), teacher.clone())));
        }
        let students = maps.into_iter().map(|(student, _)| student);
        let variables: Vec<(&str, Tensor<4>)> =
            names.iter().map(|(name, _)| name.as_str()).zip(students).collect();
        check(case, &value, per_sample, &variables);
    }
    true
}

fn hint(case: &Case) -> bool {
    let weight = case.input("regressor_weight");
    let [teacher_channels, student_channels] = weight.shape[..] else { panic!("a matrix") };
    let reduction = match case.text("reduction") {
        "mean" => HintReduction::Mean,
        "half_batch_sum" => HintReduction::HalfBatchSum,
        other => case.unknown(other),
    };
    let config = HintLossConfig { student_channels, teacher_channels, reduction };
    let mut loss = config.init(&device()).unwrap();
    let kernel = float::<2>(case, "regressor_weight").reshape([teacher_channels, student_channels, 1, 1]);
    loss.regressor.weight = Param::from_tensor(kernel);
    loss.regressor.bias = Some(Param::from_tensor(float(case, "regressor_bias")));

    let (student, teacher) = (variable::<4>(case, "student"), float::<4>(case, "teacher"));
    let per_sample = loss.per_sample(student.clone(), teacher.clone());
    let value = loss.forward(student.clone(), teacher);
    let gradients = value.backward();
    let bias = loss.regressor.bias.as_ref().unwrap();
    case.check([
        ("value", got(value)),
        ("per_sample", got(per_sample)),
        ("grad.student", got(student.grad(&gradients).unwrap())),
        ("grad.regressor_weight", got(loss.regressor.weight.val().grad(&gradients).unwrap())),
        ("grad.regressor_bias", got(bias.val().grad(&gradients).unwrap())),
    ]);
    true
}

/// Relations of features of any rank.
fn relational<const D: usize>(case: &Case) -> bool {
    let (student, teacher) = (variable::<D>(case, "student"), float::<D>(case, "teacher"));
    let value = match case.op.as_str() {
        "rkd_distance" => RkdDistanceLoss.forward(student.clone(), teacher),
        "rkd_angle" => RkdAngleLoss.forward(student.clone(), teacher),
        "rkd" => {
            let (distance_weight, angle_weight) =
                (case.number("distance_weight"), case.number("angle_weight"));
            let loss = RkdLossConfig { distance_weight, angle_weight }.init().unwrap();
            loss.forward(student.clone(), teacher)
        }
        _ => SimilarityPreservingLoss.forward(student.clone(), teacher),
    };
    check(case, &value, None, &[("student", student)])
}

fn cosine_feature(case: &Case) -> bool {
    let loss = CosineFeatureLossConfig { norm_epsilon: case.number("eps") }.init().unwrap();
    let (student, teacher) = (variable::<2>(case, "student"), float::<2>(case, "teacher"));
    let per_sample = got(loss.per_sample(student.clone(), teacher.clone()));
    check(case, &loss.forward(student.clone(), teacher), Some(per_sample), &[("student", student)])
}

#[test]
fn losses_equal_their_references() {
    println!("on {:?}", device());
    let file = GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "losses.json");
    file.run(IN_DERM_DISTILL, |case| match case.op.as_str() {
        "cross_entropy" | "label_smoothing" => cross_entropy(case),
        "focal" | "soft_focal" => focal(case, FocalForm::Probability, "alpha"),
        "focal_of_ce" => focal(case, FocalForm::CrossEntropy, "class_weights"),
        "sigmoid_focal" => sigmoid_focal(case),
        "class_weights" => weights(case),
        "ldam" | "logit_adjusted_ce" | "balanced_softmax" => prior_loss(case),
        "asymmetric_single_label" => asymmetric_single_label(case),
        "poly1" => poly1(case),
        "soft_target_ce" => soft_target_ce(case),
        "mixup_ce" => mixup_ce(case),
        "kd" => kd(case),
        "dkd" => dkd(case),
        "logit_standardized_kd" => logit_standardized_kd(case),
        "attention_transfer" | "attention_transfer_multi" => attention_transfer(case),
        "hint_mse" => hint(case),
        "rkd_distance" | "rkd_angle" | "rkd" | "similarity_preserving" => {
            match case.input("student").shape.len() {
                2 => relational::<2>(case),
                4 => relational::<4>(case),
                other => panic!("{}: features of rank {other}", case.name),
            }
        }
        "cosine_feature" => cosine_feature(case),
        _ => false,
    });
}
