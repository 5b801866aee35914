//! The algebra that must hold for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::{Device, Tensor, TensorData};
use derm_core::{Criterion, Targets};
use derm_losses::{
    AttentionMode, AttentionPool, AttentionTransferLoss, ClassificationLossConfig, CrossEntropyLossConfig,
    FocalForm, FocalLossConfig, KdLossConfig, KdScale, Reduction,
};
use proptest::prelude::*;

/// Two f32 evaluations of one expression in another order.
const F32_NOISE: f64 = 2e-5;
/// Central differences with a step of 2⁻⁶ in f32: the truncation and the rounding of the difference.
const DIFFERENCE_TOLERANCE: f64 = 6e-3;
const STEP: f32 = 0.015625;

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} and {b}");
    }
    Ok(())
}

#[derive(Debug, Clone)]
struct Sample {
    shape: [usize; 2],
    logits: Vec<f32>,
    targets: Vec<usize>,
    weights: Vec<f32>,
}

impl Sample {
    fn device() -> Device {
        Device::default().autodiff()
    }

    fn logits(&self) -> Tensor<2> {
        self.logits_from(self.logits.clone())
    }

    fn logits_from(&self, values: Vec<f32>) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, self.shape), &Self::device()).require_grad()
    }

    fn hard(&self) -> Targets {
        Targets::from_indices(&self.targets, self.shape[1], &Self::device()).unwrap()
    }

    fn one_hot(&self) -> Targets {
        Targets::Soft(self.hard().to_distributions(self.shape[1]))
    }
}

fn sample(limit: f32) -> impl Strategy<Value = Sample> {
    (1usize..6, 2usize..9).prop_flat_map(move |(n, c)| {
        (
            prop::collection::vec(-limit..limit, n * c),
            prop::collection::vec(0..c, n),
            prop::collection::vec(0.1f32..4.0, c),
        )
            .prop_map(move |(logits, targets, weights)| Sample {
                shape: [n, c],
                logits,
                targets,
                weights,
            })
    })
}

fn value_and_gradient(loss: &impl Criterion, sample: &Sample, targets: &Targets) -> (Vec<f64>, Vec<f64>) {
    let logits = sample.logits();
    let value = loss.forward(logits.clone(), targets);
    let gradients = value.backward();
    (host(value), host(logits.grad(&gradients).unwrap()))
}

fn cross_entropy(sample: &Sample, epsilon: f64, weighted: bool, reduction: Reduction) -> impl Criterion {
    let class_weights = weighted.then(|| sample.weights.clone());
    CrossEntropyLossConfig { class_weights, label_smoothing: epsilon, reduction }
        .init(sample.shape[1], &Sample::device())
        .unwrap()
}

fn focal(sample: &Sample, gamma: f64, epsilon: f64, weighted: bool, form: FocalForm) -> impl Criterion {
    let alpha = weighted.then(|| sample.weights.clone());
    FocalLossConfig { gamma, alpha, label_smoothing: epsilon, form, reduction: Reduction::BatchMean }
        .init(sample.shape[1], &Sample::device())
        .unwrap()
}

fn form() -> impl Strategy<Value = FocalForm> {
    prop_oneof![Just(FocalForm::Probability), Just(FocalForm::CrossEntropy)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn focal_at_gamma_zero_is_cross_entropy(
        sample in sample(60.0), epsilon in prop_oneof![Just(0.0), 0.0..0.4f64], weighted: bool, form in form(),
    ) {
        let targets = sample.hard();
        let focal = value_and_gradient(&focal(&sample, 0.0, epsilon, weighted, form), &sample, &targets);
        let ce = cross_entropy(&sample, epsilon, weighted, Reduction::BatchMean);
        let ce = value_and_gradient(&ce, &sample, &targets);
        close(&focal.0, &ce.0, F32_NOISE)?;
        close(&focal.1, &ce.1, F32_NOISE)?;
    }

    #[test]
    fn focal_is_finite_and_below_cross_entropy(
        sample in sample(60.0), gamma in prop_oneof![0.05..1.0f64, 1.0..6.0f64], form in form(),
    ) {
        let targets = sample.hard();
        let loss = focal(&sample, gamma, 0.0, false, form);
        let (value, gradient) = value_and_gradient(&loss, &sample, &targets);
        prop_assert!(value.iter().chain(&gradient).all(|v| v.is_finite()), "{value:?} {gradient:?}");
        let (ce, _) = value_and_gradient(
            &cross_entropy(&sample, 0.0, false, Reduction::BatchMean), &sample, &targets);
        prop_assert!(value[0] >= 0.0 && value[0] <= ce[0] * (1.0 + F32_NOISE));
    }

    #[test]
    fn one_hot_soft_targets_equal_hard_ones(
        sample in sample(8.0), epsilon in 0.0..0.4f64, gamma in 0.0..4.0f64, form in form(),
    ) {
        for reduction in [Reduction::WeightedMean, Reduction::BatchMean, Reduction::Sum] {
            let loss = cross_entropy(&sample, epsilon, true, reduction);
            let hard = value_and_gradient(&loss, &sample, &sample.hard());
            let soft = value_and_gradient(&loss, &sample, &sample.one_hot());
            close(&soft.0, &hard.0, F32_NOISE)?;
            close(&soft.1, &hard.1, F32_NOISE)?;
        }
        let loss = focal(&sample, gamma, epsilon, true, form);
        let hard = value_and_gradient(&loss, &sample, &sample.hard());
        let soft = value_and_gradient(&loss, &sample, &sample.one_hot());
        close(&soft.0, &hard.0, F32_NOISE)?;
        close(&soft.1, &hard.1, F32_NOISE)?;
    }

    #[test]
    fn gradients_equal_central_differences(
        sample in sample(4.0), gamma in 0.0..4.0f64, epsilon in 0.0..0.3f64, form in form(),
    ) {
        let targets = sample.hard();
        let focal = focal(&sample, gamma, epsilon, true, form);
        let ce = cross_entropy(&sample, epsilon, true, Reduction::WeightedMean);
        let gradients = [value_and_gradient(&focal, &sample, &targets).1,
                         value_and_gradient(&ce, &sample, &targets).1];
        for i in 0..sample.logits.len() {
            let moved = |step: f32| {
                let mut values = sample.logits.clone();
                values[i] += step;
                let logits = sample.logits_from(values);
                [host(focal.forward(logits.clone(), &targets))[0], host(ce.forward(logits, &targets))[0]]
            };
            let (up, down) = (moved(STEP), moved(-STEP));
            for loss in 0..2 {
                let difference = (up[loss] - down[loss]) / f64::from(2.0 * STEP);
                let gradient = gradients[loss][i];
                prop_assert!((difference - gradient).abs() <= DIFFERENCE_TOLERANCE * (1.0 + gradient.abs()),
                    "loss {loss}: difference {difference}, gradient {gradient}");
            }
        }
    }

    #[test]
    fn leading_axes_flatten(sample in sample(8.0), gamma in 0.0..3.0f64) {
        let [n, c] = sample.shape;
        let targets = sample.hard();
        let loss = focal(&sample, gamma, 0.1, true, FocalForm::Probability);
        let flat = host(loss.per_sample(sample.logits(), &targets));
        close(&host(loss.per_sample(sample.logits().reshape([n, 1, c]), &targets)), &flat, 0.0)?;
        close(&host(loss.per_sample(sample.logits().reshape([1, n, 1, c]), &targets)), &flat, 0.0)?;
        let kd = KdLossConfig::default().init().unwrap();
        let teacher = sample.logits().neg();
        let flat = host(kd.per_sample(sample.logits(), teacher.clone()));
        let deep = host(kd.per_sample(sample.logits().reshape([1, n, c]), teacher.reshape([1, n, c])));
        close(&deep, &flat, 0.0)?;
    }

    #[test]
    fn batches_merge_as_their_sums(sample in sample(8.0)) {
        let loss = cross_entropy(&sample, 0.1, true, Reduction::Sum);
        let whole = host(loss.forward(sample.logits(), &sample.hard()))[0];
        let [n, c] = sample.shape;
        let parts: f64 = (0..n).map(|i| {
            let logits = sample.logits().slice([i..i + 1, 0..c]);
            let targets = Targets::from_indices(&sample.targets[i..=i], c, &Sample::device()).unwrap();
            host(loss.forward(logits, &targets))[0]
        }).sum();
        close(&[whole], &[parts], F32_NOISE)?;
    }

    #[test]
    fn kd_of_equal_logits_is_zero_with_zero_gradient(sample in sample(60.0), temperature in 0.5..8.0f64) {
        let kd = KdLossConfig { temperature, scale: KdScale::TemperatureSquared }.init().unwrap();
        let student = sample.logits();
        let loss = kd.forward(student.clone(), sample.logits());
        let gradient = host(student.grad(&loss.backward()).unwrap());
        prop_assert_eq!(host(loss)[0], 0.0);
        close(&gradient, &vec![0.0; gradient.len()], F32_NOISE)?;
    }

    #[test]
    fn kd_is_not_negative_and_leaves_the_teacher_alone(sample in sample(20.0), temperature in 0.5..8.0f64) {
        let kd = KdLossConfig { temperature, scale: KdScale::One }.init().unwrap();
        let (student, teacher) = (sample.logits(), sample.logits().neg().detach().require_grad());
        let loss = kd.forward(student.clone(), teacher.clone());
        let gradients = loss.backward();
        prop_assert!(host(loss)[0] >= -F32_NOISE);
        prop_assert!(student.grad(&gradients).is_some());
        prop_assert!(teacher.grad(&gradients).is_none());
    }

    #[test]
    fn attention_ignores_scale_and_sign(
        values in prop::collection::vec(0.1f32..2.0, 2 * 3 * 4 * 4), scale in 0.3f32..3.0, l2: bool, features: bool,
    ) {
        let device = Sample::device();
        let loss = AttentionTransferLoss {
            mode: if l2 { AttentionMode::L2 } else { AttentionMode::MeanSquared },
            pool: if features { AttentionPool::Features } else { AttentionPool::Attention },
        };
        let map: Tensor<4> = Tensor::from_data(TensorData::new(values, [2, 3, 4, 4]), &device);
        let student = map.clone().require_grad();
        let value = loss.forward(student.clone(), map.clone() * -scale);
        let gradient = host(student.grad(&value.backward()).unwrap());
        prop_assert!(host(value)[0].abs() < F32_NOISE);
        prop_assert!(gradient.iter().all(|g| g.is_finite()));
        // and it is the batch mean of the per-sample form
        let other = map.clone().flip([3]);
        let per_sample = host(loss.per_sample(map.clone(), other.clone()));
        close(&[per_sample.iter().sum::<f64>() / 2.0], &host(loss.forward(map, other)), F32_NOISE)?;
    }
}

#[test]
fn a_named_loss_equals_the_loss_itself() {
    let device = Device::default().autodiff();
    let config: ClassificationLossConfig = serde_json::from_str(r#"{"focal": {"gamma": 1.5}}"#).unwrap();
    let named = config.init(3, &device).unwrap();
    let itself = FocalLossConfig { gamma: 1.5, ..Default::default() }.init(3, &device).unwrap();
    let logits = Tensor::<2>::from_floats([[0.3, -1.0, 2.0], [1.0, 0.0, -0.5]], &device);
    let targets = Targets::from_indices(&[0, 2], 3, &device).unwrap();
    for progress in [0.0, 0.5, 1.0] {
        let named = named.at(progress);
        assert_eq!(
            host(named.forward(logits.clone(), &targets)),
            host(itself.forward(logits.clone(), &targets))
        );
        assert_eq!(
            host(named.per_sample(logits.clone(), &targets)),
            host(itself.per_sample(logits.clone(), &targets))
        );
    }
}

#[test]
fn a_loss_made_on_a_training_device_serves_plain_tensors() {
    let device = Device::default();
    let config = CrossEntropyLossConfig { class_weights: Some(vec![1.0, 2.0]), ..Default::default() };
    let loss = config.init(2, &device.clone().autodiff()).unwrap();
    let logits = Tensor::<2>::from_floats([[0.3, -1.0]], &device);
    let targets = Targets::from_indices(&[1], 2, &device).unwrap();
    let value = loss.forward(logits, &targets);
    assert!(!value.device().is_autodiff());
    assert!((host(value)[0] - (1.0 + 1.3_f64.exp()).ln()).abs() < F32_NOISE);
}
