//! Teacher and student through real networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use derm_backbones::{AnyBackbone, BackboneConfig, BlockKind, Classifier, HeadConfig, ResNetConfig, Stem};
use derm_core::{Backbone, Taps, Targets};
use derm_distill::{
    AttentionConfig, DistillationConfig, DistillationLoss, DistillationObjective, LayerPair, LayerPairs,
    NetworkOutput,
};
use derm_losses::{CrossEntropyLoss, CrossEntropyLossConfig, FocalLossConfig};
use proptest::prelude::*;

/// Two f32 evaluations of one expression in another order.
const F32_NOISE: f64 = 1e-5;

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// A term's value, before its weight.
fn value(loss: &DistillationLoss, name: &str) -> f64 {
    host(loss.term(name).unwrap().clone())[0]
}

fn network(widths: [usize; 2], stem: Stem, device: &Device) -> Classifier<AnyBackbone> {
    let backbone = BackboneConfig::Resnet(ResNetConfig {
        block: BlockKind::Basic,
        depths: vec![1, 1],
        widths: widths.to_vec(),
        stem,
    });
    HeadConfig::new(3).init(backbone.init(device).unwrap(), device).unwrap()
}

fn pixels(device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        (0..4 * 3 * 16 * 16).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [4, 3, 16, 16]), device)
}

fn output(network: &Classifier<AnyBackbone>, images: Tensor<4>, taps: &Taps) -> NetworkOutput {
    let output = network.forward(images, None, taps);
    NetworkOutput { logits: output.logits, features: Some(output.features) }
}

fn objective(
    config: &DistillationConfig,
    student: &Classifier<AnyBackbone>,
    teacher: &Classifier<AnyBackbone>,
    device: &Device,
) -> DistillationObjective<CrossEntropyLoss> {
    let hard = CrossEntropyLossConfig::default().init(3, device).unwrap();
    config.init(hard, 3, student.backbone().spec(), teacher.backbone().spec(), device).unwrap()
}

fn targets(device: &Device) -> Targets {
    Targets::from_indices(&[0, 1, 2, 1], 3, device).unwrap()
}

fn with_attention() -> DistillationConfig {
    DistillationConfig { attention: Some(AttentionConfig::default()), ..Default::default() }
}

/// Counts the parameters that got a gradient.
struct Graded<'a> {
    gradients: &'a Gradients,
    reached: usize,
    all: usize,
}

impl ModuleVisitor for Graded<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.all += usize::from(param.is_require_grad());
        self.reached += usize::from(param.val().grad(self.gradients).is_some());
    }
}

#[test]
fn a_plain_teacher_teaches_a_student_with_a_graph() {
    let plain = Device::default();
    let device = plain.clone().autodiff();
    // made on the training device, served without autodiff, with another stem: other sizes at no stride but one
    let teacher = network([6, 8], Stem::Conv7x7, &device).valid();
    let student = network([4, 6], Stem::Conv3x3, &device);
    let pair = |student: &str, teacher: &str| LayerPair {
        student: student.into(),
        teacher: teacher.into(),
        weight: 1.0,
    };
    let config = DistillationConfig {
        attention: Some(AttentionConfig {
            layers: LayerPairs::Pairs(vec![pair("layer1", "layer1"), pair("layer2", "layer1")]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let objective = objective(&config, &student, &teacher, &device);
    let images = pixels(&plain);
    let from_teacher = output(&teacher, images.clone(), &objective.teacher_taps());
    assert!(!from_teacher.logits.device().is_autodiff());
    let from_student = output(&student, images.clone().autodiff(), &objective.student_taps());
    let loss = objective.forward(&from_student, &from_teacher, &targets(&plain));
    let gradients = loss.total.backward();
    let mut graded = Graded { gradients: &gradients, reached: 0, all: 0 };
    student.visit(&mut graded);
    assert!(graded.all > 0 && graded.reached == graded.all, "{} of {}", graded.reached, graded.all);

    // a teacher that ran with a graph gets no gradient
    let from_student = output(&student, images.autodiff(), &objective.student_taps());
    let teacher = network([6, 8], Stem::Conv7x7, &device);
    let from_teacher = output(&teacher, pixels(&device), &objective.teacher_taps());
    let gradients = objective.forward(&from_student, &from_teacher, &targets(&device)).total.backward();
    let mut graded = Graded { gradients: &gradients, reached: 0, all: 0 };
    teacher.visit(&mut graded);
    assert_eq!(graded.reached, 0);
}

#[test]
fn a_student_that_equals_its_teacher_has_only_the_hard_loss() {
    let device = Device::default();
    let network = network([4, 6], Stem::Conv3x3, &device);
    let objective = objective(&with_attention(), &network, &network, &device);
    assert_eq!(objective.layer_pairs().count(), 2);
    let output = output(&network, pixels(&device), &objective.student_taps());
    let loss = objective.forward(&output, &output, &targets(&device));
    assert_eq!(value(&loss, "kd"), 0.0);
    assert_eq!(value(&loss, "attention"), 0.0);
    assert_eq!(host(loss.total.clone())[0], 0.5 * value(&loss, "hard"));
}

#[test]
fn each_layer_counts_by_its_weight() {
    let device = Device::default();
    let (student, teacher) =
        (network([4, 6], Stem::Conv3x3, &device), network([6, 4], Stem::Conv3x3, &device));
    let attention_of = |weights: [f64; 2]| {
        let pairs = ["layer1", "layer2"].into_iter().zip(weights);
        let pair =
            |(layer, weight): (&str, f64)| LayerPair { student: layer.into(), teacher: layer.into(), weight };
        let layers = LayerPairs::Pairs(pairs.map(pair).collect());
        let attention = Some(AttentionConfig { layers, ..Default::default() });
        let config = DistillationConfig { attention, ..Default::default() };
        let objective = objective(&config, &student, &teacher, &device);
        let from_student = output(&student, pixels(&device), &objective.student_taps());
        let from_teacher = output(&teacher, pixels(&device), &objective.teacher_taps());
        value(&objective.forward(&from_student, &from_teacher, &targets(&device)), "attention")
    };
    let (first, second) = (attention_of([1.0, 0.0]), attention_of([0.0, 1.0]));
    assert!(first > 0.0 && second > 0.0 && (first - second).abs() > F32_NOISE * first, "{first} {second}");
    let weighted = attention_of([0.5, 3.0]);
    let expected = 0.5 * first + 3.0 * second;
    assert!((weighted - expected).abs() <= F32_NOISE * expected, "{weighted} {expected}");
}

#[test]
fn without_attention_nothing_is_tapped() {
    let device = Device::default();
    let network = network([4, 6], Stem::Conv3x3, &device);
    let objective = objective(&DistillationConfig::default(), &network, &network, &device);
    assert_eq!((objective.student_taps(), objective.teacher_taps()), (Taps::none(), Taps::none()));
    let output = output(&network, pixels(&device), &objective.student_taps());
    assert!(objective.forward(&output, &output, &targets(&device)).term("attention").is_none());
}

#[test]
fn a_missing_tap_panics_by_name() {
    let device = Device::default();
    let network = network([4, 6], Stem::Conv3x3, &device);
    let objective = objective(&with_attention(), &network, &network, &device);
    let output = output(&network, pixels(&device), &Taps::stages(["layer2"]));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        objective.forward(&output, &output, &targets(&device));
    }));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("`layer1` were not tapped"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_total_is_the_weighted_sum_of_its_terms(
        hard_weight in 0.01..3.0f64, kd_weight in 0.01..3.0f64, weight in 0.01..100.0f64, temperature in 0.5..8.0f64,
    ) {
        let device = Device::default();
        let (student, teacher) =
            (network([4, 6], Stem::Conv3x3, &device), network([6, 4], Stem::Conv3x3, &device));
        let attention = Some(AttentionConfig { weight, ..Default::default() });
        let config = DistillationConfig { hard_weight, kd_weight, temperature, attention, ..Default::default() };
        let objective = objective(&config, &student, &teacher, &device);
        let from_teacher = output(&teacher, pixels(&device), &objective.teacher_taps());
        let from_student = output(&student, pixels(&device), &objective.student_taps());
        let targets = targets(&device);
        let loss = objective.forward(&from_student, &from_teacher, &targets);
        let total = host(loss.total.clone())[0];
        let sum = hard_weight * value(&loss, "hard") + kd_weight * value(&loss, "kd")
            + weight * value(&loss, "attention");
        prop_assert!((total - sum).abs() <= F32_NOISE * (1.0 + sum.abs()), "{total} {sum}");
        let per_sample = host(objective.per_sample(&from_student, &from_teacher, &targets).unwrap());
        let mean = per_sample.iter().sum::<f64>() / per_sample.len() as f64;
        prop_assert!((total - mean).abs() <= F32_NOISE * (1.0 + total.abs()), "{total} {mean}");
    }
}

#[test]
fn the_hard_criterion_follows_its_schedule() {
    /// A criterion that shows how far training is.
    #[derive(Debug, Clone)]
    struct Scheduled(f64);

    impl derm_core::Criterion for Scheduled {
        fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
            let focal = FocalLossConfig { gamma: self.0.into(), ..Default::default() };
            focal.init(3, &logits.device()).unwrap().per_sample(logits, targets)
        }

        fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
            self.per_sample(logits, targets).mean()
        }

        fn at(&self, progress: f64) -> Self {
            Self(progress)
        }
    }

    let device = Device::default();
    let network = network([4, 6], Stem::Conv3x3, &device);
    let spec = network.backbone().spec();
    let objective = DistillationConfig::default().init(Scheduled(0.0), 3, spec, spec, &device).unwrap();
    assert_eq!(objective.at(0.75).hard().0, 0.75);
}
