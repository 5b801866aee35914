//! The algebra that must hold for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use derm_core::{Criterion, Targets};
use derm_losses::{
    AsymmetricSingleLabelLossConfig, BalancedSoftmaxLossConfig, ClassificationLoss, ClassificationLossConfig,
    CrossEntropyLossConfig, DeferredReweighting, DeferredReweightingConfig, ElementReduction, FocalForm,
    FocalLossConfig, Gamma, GeneralizedCrossEntropyLossConfig, LdamLossConfig, LogitAdjustedLossConfig,
    MixedTargets, Poly1LossConfig, Reduction, SigmoidFocalLossConfig, SymmetricCrossEntropyLossConfig,
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

    /// A distribution over all classes, of the logits in another order.
    fn soft(&self) -> Targets {
        Targets::Soft(burn::tensor::activation::softmax(self.logits().without_autodiff().flip([1]) * 0.3, 1))
    }

    fn one_hot(&self) -> Targets {
        Targets::Soft(self.hard().to_distributions(self.shape[1]))
    }
}

fn sample(limit: f32) -> impl Strategy<Value = Sample> {
    sample_of(limit, 6, 9)
}

/// Central differences take two forward passes a logit and a loss.
fn small_sample(limit: f32) -> impl Strategy<Value = Sample> {
    sample_of(limit, 3, 5)
}

fn sample_of(limit: f32, samples: usize, classes: usize) -> impl Strategy<Value = Sample> {
    (1..samples, 2..classes).prop_flat_map(move |(n, c)| {
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
    FocalLossConfig {
        gamma: gamma.into(),
        alpha,
        label_smoothing: epsilon,
        form,
        reduction: Reduction::BatchMean,
    }
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

}

#[test]
fn a_named_loss_equals_the_loss_itself() {
    let device = Device::default().autodiff();
    let config: ClassificationLossConfig = serde_json::from_str(r#"{"focal": {"gamma": 1.5}}"#).unwrap();
    let named = config.init(3, &device).unwrap();
    let itself = FocalLossConfig { gamma: 1.5.into(), ..Default::default() }.init(3, &device).unwrap();
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

/// Every criterion, in every form that it has, for C classes.
fn criteria(num_classes: usize) -> Vec<ClassificationLossConfig> {
    use ClassificationLossConfig as Loss;
    let weights: Vec<f32> = (0..num_classes).map(|c| 0.5 + c as f32).collect();
    let counts: Vec<usize> = (0..num_classes).map(|c| 1 + 7 * c * c).collect();
    let cross_entropy = CrossEntropyLossConfig {
        class_weights: Some(weights.clone()),
        label_smoothing: 0.1,
        reduction: Reduction::WeightedMean,
    };
    let focal = |gamma, form| FocalLossConfig {
        gamma,
        alpha: Some(weights.clone()),
        label_smoothing: 0.1,
        form,
        reduction: Reduction::BatchMean,
    };
    let ldam = LdamLossConfig {
        counts: counts.clone(),
        max_margin: 0.5,
        scale: 2.0,
        class_weights: Some(weights.clone()),
        reduction: Reduction::WeightedMean,
    };
    let mut losses = vec![
        Loss::CrossEntropy(cross_entropy),
        Loss::LogitAdjusted(LogitAdjustedLossConfig {
            counts: counts.clone(),
            tau: 1.5,
            ..Default::default()
        }),
        Loss::BalancedSoftmax(BalancedSoftmaxLossConfig { counts, reduction: Reduction::Sum }),
        Loss::AsymmetricSingleLabel(AsymmetricSingleLabelLossConfig::default()),
        Loss::AsymmetricSingleLabel(AsymmetricSingleLabelLossConfig {
            gamma_pos: 0.5,
            gamma_neg: 0.3,
            ..Default::default()
        }),
        Loss::Poly1(Poly1LossConfig::default()),
        Loss::GeneralizedCrossEntropy(GeneralizedCrossEntropyLossConfig::default()),
        Loss::GeneralizedCrossEntropy(GeneralizedCrossEntropyLossConfig { q: 1.0, ..Default::default() }),
        Loss::SymmetricCrossEntropy(SymmetricCrossEntropyLossConfig::default()),
        Loss::SigmoidFocal(SigmoidFocalLossConfig::default()),
        Loss::SigmoidFocal(SigmoidFocalLossConfig {
            alpha: None,
            gamma: 0.5,
            reduction: ElementReduction::BatchMean,
        }),
        Loss::DeferredReweighting(DeferredReweightingConfig {
            from: 0.5,
            loss: Box::new(Loss::Ldam(ldam.clone())),
        }),
        Loss::Ldam(ldam),
    ];
    for form in [FocalForm::Probability, FocalForm::CrossEntropy] {
        let gammas = [
            Gamma::Constant(2.0),
            Gamma::Constant(0.5),
            Gamma::PerClass((0..num_classes).map(|c| 0.4 * c as f64).collect()),
            Gamma::Linear { from: 3.0, to: 0.5 },
            Gamma::Cosine { from: 0.0, to: 2.0 },
            Gamma::Flsd53,
        ];
        losses.extend(gammas.into_iter().map(|gamma| Loss::Focal(focal(gamma, form))));
    }
    losses
}

/// Every criterion, half-way through training.
fn initialized(num_classes: usize) -> Vec<(String, ClassificationLoss)> {
    let device = Sample::device();
    let init = |config: ClassificationLossConfig| {
        (format!("{config:?}"), config.init(num_classes, &device).unwrap().at(0.5))
    };
    criteria(num_classes).into_iter().map(init).collect()
}

/// Whether a probability, or `e^{−ce}`, may cross the boundary of FLSD-53 under a small change. The loss jumps.
fn near_flsd_boundary(sample: &Sample, targets: &Targets) -> bool {
    let near = |p: f64| (p - 0.2).abs() < 0.05;
    let logits = sample.logits();
    let p = host(burn::tensor::activation::softmax(logits.clone(), 1));
    let config = CrossEntropyLossConfig {
        class_weights: Some((0..sample.shape[1]).map(|c| 0.5 + c as f32).collect()),
        label_smoothing: 0.1,
        reduction: Reduction::Sum,
    };
    let ce = config.init(sample.shape[1], &Sample::device()).unwrap().per_sample(logits, targets);
    p.into_iter().any(near) || host(ce).into_iter().any(|ce| near((-ce).exp()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_gradient_equals_central_differences(sample in small_sample(3.0), soft: bool) {
        let targets = if soft { sample.soft() } else { sample.hard() };
        let near_boundary = near_flsd_boundary(&sample, &targets);
        for (name, loss) in initialized(sample.shape[1]) {
            if near_boundary && name.contains("Flsd53") {
                continue;
            }
            let (_, gradient) = value_and_gradient(&loss, &sample, &targets);
            for (i, gradient) in gradient.into_iter().enumerate() {
                let moved = |step: f32| {
                    let mut values = sample.logits.clone();
                    values[i] += step;
                    host(loss.forward(sample.logits_from(values), &targets))[0]
                };
                let difference = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
                prop_assert!((difference - gradient).abs() <= DIFFERENCE_TOLERANCE * (1.0 + gradient.abs()),
                    "{name}: difference {difference}, gradient {gradient}");
            }
        }
    }

    #[test]
    fn every_value_and_gradient_is_finite_at_the_extremes(
        sample in small_sample(60.0), corners in prop::collection::vec(0usize..4, 12), soft: bool,
    ) {
        // most entries at ±60, so that probabilities are 0, 1 and shared
        let pick = |(&value, &corner): (&f32, &usize)| [value, -60.0, 60.0, 60.0][corner];
        let logits = sample.logits.iter().zip(corners.iter().cycle()).map(pick).collect();
        let sample = Sample { logits, ..sample };
        let targets = if soft { sample.soft() } else { sample.hard() };
        for (name, loss) in initialized(sample.shape[1]) {
            let (value, gradient) = value_and_gradient(&loss, &sample, &targets);
            prop_assert!(value.iter().chain(&gradient).all(|v| v.is_finite()), "{name}: {value:?} {gradient:?}");
        }
    }

    #[test]
    fn every_one_hot_soft_target_equals_the_hard_one(sample in sample(8.0)) {
        for (name, loss) in initialized(sample.shape[1]) {
            let hard = value_and_gradient(&loss, &sample, &sample.hard());
            let soft = value_and_gradient(&loss, &sample, &sample.one_hot());
            close(&soft.0, &hard.0, F32_NOISE).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
            close(&soft.1, &hard.1, F32_NOISE).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
        }
    }

    #[test]
    fn leading_axes_flatten(sample in sample(8.0)) {
        let [n, c] = sample.shape;
        let targets = sample.hard();
        for (_, loss) in initialized(c) {
            let flat = host(loss.per_sample(sample.logits(), &targets));
            close(&host(loss.per_sample(sample.logits().reshape([n, 1, c]), &targets)), &flat, 0.0)?;
            close(&host(loss.per_sample(sample.logits().reshape([1, n, 1, c]), &targets)), &flat, 0.0)?;
            let value = host(loss.forward(sample.logits(), &targets));
            close(&host(loss.forward(sample.logits().reshape([1, n, c]), &targets)), &value, 0.0)?;
        }
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter(sample in sample(8.0)) {
        let [_, c] = sample.shape;
        let reversed = Sample {
            logits: sample.logits.chunks(c).rev().flatten().copied().collect(),
            targets: sample.targets.iter().rev().copied().collect(),
            ..sample.clone()
        };
        for (name, loss) in initialized(c) {
            let mut per_sample = host(loss.per_sample(reversed.logits(), &reversed.hard()));
            per_sample.reverse();
            close(&per_sample, &host(loss.per_sample(sample.logits(), &sample.hard())), 0.0)?;
            let (value, _) = value_and_gradient(&loss, &sample, &sample.hard());
            let (other, _) = value_and_gradient(&loss, &reversed, &reversed.hard());
            close(&other, &value, F32_NOISE).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
        }
    }

    #[test]
    fn half_precision_logits_are_widened(sample in sample(8.0)) {
        let targets = sample.hard();
        // ndarray has neither
        for dtype in [FloatDType::F16, FloatDType::BF16].into_iter().filter(|&d| Sample::device().supports_dtype(d)) {
            let half = sample.logits().cast(dtype);
            for (_, loss) in initialized(sample.shape[1]) {
                let widened = host(loss.per_sample(half.clone().cast(FloatDType::F32), &targets));
                close(&host(loss.per_sample(half.clone(), &targets)), &widened, 0.0)?;
            }
        }
    }

    /// Each family at the parameter where it is cross-entropy, or a formula that the host computes.
    #[test]
    fn the_families_meet(sample in sample(8.0), gamma in 0.0..4.0f64) {
        let [n, c] = sample.shape;
        let (device, targets) = (Sample::device(), sample.hard());
        let of = |loss: &dyn Fn(Tensor<2>) -> Tensor<1>| {
            let logits = sample.logits();
            let value = loss(logits.clone());
            let gradient = host(logits.grad(&value.clone().sum().backward()).unwrap());
            (host(value), gradient)
        };
        let plain = cross_entropy(&sample, 0.0, false, Reduction::Sum);
        let ce = of(&|logits| plain.per_sample(logits, &targets));
        let counts: Vec<usize> = (1..=c).map(|c| 3 * c).collect();

        let ldam = LdamLossConfig { counts: counts.clone(), max_margin: 0.0, scale: 1.0, ..Default::default() };
        let ldam = ldam.init(c, &device).unwrap();
        let adjusted = |tau| {
            LogitAdjustedLossConfig { counts: counts.clone(), tau, ..Default::default() }.init(c, &device).unwrap()
        };
        let unadjusted = adjusted(0.0);
        let poly1 = Poly1LossConfig { epsilon: 0.0, ..Default::default() }.init(c).unwrap();
        let symmetric = SymmetricCrossEntropyLossConfig { alpha: 1.0, beta: 0.0, ..Default::default() };
        let symmetric = symmetric.init(c).unwrap();
        let generalized = |q| GeneralizedCrossEntropyLossConfig { q, ..Default::default() }.init(c).unwrap();
        let nearly = generalized(1e-6);
        for other in [
            of(&|logits| ldam.per_sample(logits, &targets)),
            of(&|logits| unadjusted.per_sample(logits, &targets)),
            of(&|logits| poly1.per_sample(logits, &targets)),
            of(&|logits| symmetric.per_sample(logits, &targets)),
            of(&|logits| nearly.per_sample(logits, &targets)),
        ] {
            close(&other.0, &ce.0, F32_NOISE)?;
            close(&other.1, &ce.1, F32_NOISE)?;
        }

        let asymmetric = AsymmetricSingleLabelLossConfig { gamma_pos: 0.0, gamma_neg: 0.0, ..Default::default() };
        let asymmetric = asymmetric.init(c).unwrap();
        let smoothed = cross_entropy(&sample, 0.1, false, Reduction::Sum);
        let got = of(&|logits| asymmetric.per_sample(logits, &targets));
        let expected = of(&|logits| smoothed.per_sample(logits, &targets));
        close(&got.0, &expected.0, F32_NOISE)?;
        close(&got.1, &expected.1, F32_NOISE)?;

        let balanced = BalancedSoftmaxLossConfig { counts: counts.clone(), reduction: Reduction::Sum };
        let balanced = balanced.init(c, &device).unwrap();
        let at_one = adjusted(1.0);
        prop_assert_eq!(of(&|logits| balanced.per_sample(logits, &targets)),
                        of(&|logits| at_one.per_sample(logits, &targets)));

        // one γ for every class is that γ
        let per_class = FocalLossConfig { gamma: Gamma::PerClass(vec![gamma; c]), ..Default::default() };
        let per_class = per_class.init(c, &device).unwrap();
        let constant = FocalLossConfig { gamma: gamma.into(), ..Default::default() }.init(c, &device).unwrap();
        let got = of(&|logits| per_class.per_sample(logits, &targets));
        let expected = of(&|logits| constant.per_sample(logits, &targets));
        close(&got.0, &expected.0, F32_NOISE)?;
        close(&got.1, &expected.1, F32_NOISE)?;

        // in f64 on the host
        let absolute = generalized(1.0);
        let absolute = host(absolute.per_sample(sample.logits(), &targets));
        let sigmoid = SigmoidFocalLossConfig { alpha: None, gamma: 0.0, ..Default::default() }.init().unwrap();
        let binary = host(sigmoid.elementwise(sample.logits(), &targets));
        for (i, &y) in sample.targets.iter().enumerate() {
            let row: Vec<f64> = sample.logits[i * c..(i + 1) * c].iter().map(|&z| f64::from(z)).collect();
            let p_y = 1.0 / row.iter().map(|z| (z - row[y]).exp()).sum::<f64>();
            close(&[absolute[i]], &[1.0 - p_y], F32_NOISE)?;
            let expected: Vec<f64> =
                row.iter().enumerate().map(|(j, z)| (if j == y { -z } else { *z }).exp().ln_1p()).collect();
            close(&binary[i * c..(i + 1) * c], &expected, F32_NOISE)?;
        }
        prop_assert_eq!(binary.len(), n * c);
    }

    #[test]
    fn flsd_53_is_focal_at_5_or_3(sample in sample(4.0), form in form()) {
        let c = sample.shape[1];
        let per_sample = |gamma| {
            let config = FocalLossConfig { gamma, form, ..Default::default() };
            host(config.init(c, &Sample::device()).unwrap().per_sample(sample.logits(), &sample.hard()))
        };
        let p = host(burn::tensor::activation::softmax(sample.logits(), 1));
        let (at_5, at_3) = (per_sample(5.0.into()), per_sample(3.0.into()));
        for (i, got) in per_sample(Gamma::Flsd53).into_iter().enumerate() {
            let p_t = p[i * c + sample.targets[i]];
            prop_assume!((p_t - 0.2).abs() > F32_NOISE);
            close(&[got], &[if p_t < 0.2 { at_5[i] } else { at_3[i] }], F32_NOISE)?;
        }
    }

    #[test]
    fn mixed_losses_and_mixed_targets_agree_where_the_loss_is_linear(sample in sample(8.0), lambda in 0.0..=1.0f64) {
        let c = sample.shape[1];
        let rotated: Vec<usize> = sample.targets.iter().map(|y| (y + 1) % c).collect();
        let other = Targets::from_indices(&rotated, c, &Sample::device()).unwrap();
        let mixed = MixedTargets::mixup(sample.hard(), other, lambda).unwrap();
        for (name, loss) in initialized(c) {
            let linear = !name.contains("CrossEntropy, reduction") && !name.starts_with("SymmetricCrossEntropy");
            if linear {
                let by_losses = host(mixed.per_sample(&loss, sample.logits()));
                let by_targets = host(loss.per_sample(sample.logits(), &mixed.soft(c)));
                close(&by_losses, &by_targets, F32_NOISE).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
            }
        }
    }
}

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
        for progress in [0.0, 0.79] {
            assert_eq!(value(&deferred.at(progress)), value(&unweighted.at(progress)));
        }
        for progress in [0.8, 1.0] {
            assert_eq!(value(&deferred.at(progress)), value(&weighted.at(progress)));
            assert_eq!(value(&deferred.at(progress).at(0.1)), value(&unweighted.at(0.1)), "and back");
        }
    }
    let always = CrossEntropyLossConfig { class_weights: Some(weights), ..Default::default() };
    assert!(DeferredReweighting::new(always.init(3, &device).unwrap(), 0.0).unwrap().reweights());
}

#[test]
fn cutmix_weighs_by_the_pixels_that_were_kept() {
    let device = Device::default();
    let targets = |index| Targets::from_indices(&[index], 2, &device).unwrap();
    for (patch, lambda) in [([0, 5], 1.0), ([4, 4], 0.75), ([8, 8], 0.0)] {
        let mixed = MixedTargets::cutmix(targets(0), targets(1), [8, 8], patch).unwrap();
        assert_eq!(mixed.lambda(), lambda);
        let Targets::Soft(soft) = mixed.soft(2) else { panic!("soft targets") };
        assert_eq!(host(soft), [lambda, 1.0 - lambda]);
    }
}

#[test]
fn every_configuration_survives_a_file() {
    for config in criteria(4) {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ClassificationLossConfig>(&text).unwrap(), config, "{text}");
    }
}
