//! The algebra that must hold for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closeness;
mod defined_losses;
mod half_precision;
mod host;

use std::collections::BTreeSet;

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use closeness::{F32_NOISE, close};
use defined_losses::defined_losses;
use derm_core::{Criterion, Targets};
use derm_losses::{
    AsymmetricSingleLabelLossConfig, BalancedSoftmaxLossConfig, ClassificationLoss, ClassificationLossConfig,
    CrossEntropyLossConfig, DeferredReweightingConfig, ElementReduction, FocalForm, FocalLossConfig, Gamma,
    GeneralizedCrossEntropyLossConfig, LdamLossConfig, LogitAdjustedLossConfig, MixedTargets,
    Poly1LossConfig, Reduction, SigmoidFocalLossConfig, SymmetricCrossEntropyLossConfig,
};
use half_precision::half_precisions;
use host::host;
use proptest::prelude::*;

/// Central differences with a step of 2⁻⁶ in f32: the truncation and the rounding of the difference.
const DIFFERENCE_TOLERANCE: f64 = 6e-3;
const STEP: f32 = 0.015625;

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

#[test]
fn every_criterion_is_in_the_list() {
    // Focal(FocalLossConfig { … })
    let name = |config: &ClassificationLossConfig| {
        let config = format!("{config:?}");
        let (_, config) = config.split_once('(').unwrap();
        config.split_once("Config").unwrap().0.to_owned()
    };
    let listed: BTreeSet<String> = criteria(3).iter().map(name).collect();
    let (criteria, _) = defined_losses();
    assert_eq!(listed, criteria);
}

#[test]
fn what_is_not_a_number_stays_that() {
    let sample = Sample {
        shape: [2, 3],
        logits: vec![0.5, f32::NAN, 1.0, 0.0, 2.0, 1.0],
        targets: vec![0, 1],
        weights: vec![],
    };
    for (name, loss) in initialized(3) {
        for targets in [sample.hard(), sample.soft()] {
            let per_sample = host(loss.per_sample(sample.logits(), &targets));
            // an element of the sigmoid loss sees no other class, but a sample is the sum of its elements
            assert!(per_sample[0].is_nan() && per_sample[1].is_finite(), "{name}: {per_sample:?}");
            assert!(host(loss.forward(sample.logits(), &targets))[0].is_nan(), "{name}");
        }
    }
}

/// Nothing broadcasts in silence: a shape that does not fit is refused, as the documentation says.
#[test]
fn shapes_that_do_not_fit_panic() {
    let device = Sample::device();
    let logits = |classes: usize| Tensor::<2>::zeros([2, classes], &device);
    let soft = |shape: [usize; 2]| Targets::Soft(Tensor::ones(shape, &device));
    let hard = |samples: usize| Targets::from_indices(&vec![0; samples], 3, &device).unwrap();
    let panics = |loss: &ClassificationLoss, classes, targets: &Targets| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loss.per_sample(logits(classes), targets)))
            .is_err()
    };
    for (name, loss) in initialized(3) {
        for targets in [soft([2, 1]), soft([1, 3]), soft([2, 4]), hard(1), hard(3)] {
            assert!(panics(&loss, 3, &targets), "{name}: {targets:?}");
        }
        assert!(!panics(&loss, 3, &hard(2)), "{name}");
        let has_class_values =
            ["class_weights: Some", "alpha: Some([", "counts"].iter().any(|key| name.contains(key));
        assert!(!has_class_values || (panics(&loss, 1, &hard(2)) && panics(&loss, 4, &hard(2))), "{name}");
    }
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
        size in prop_oneof![Just(60.0f32), Just(1e4), Just(1e15)],
    ) {
        // most entries at ± the size, so that probabilities are 0, 1 and shared
        let pick = |(&value, &corner): (&f32, &usize)| [value, -size, size, size][corner];
        let logits = sample.logits.iter().zip(corners.iter().cycle()).map(pick).collect();
        let sample = Sample { logits, ..sample };
        let targets = if soft { sample.soft() } else { sample.hard() };
        let counts = (1..=sample.shape[1]).collect();
        let ldam = LdamLossConfig { counts, ..Default::default() }; // with the authors' scale
        let ldam = ClassificationLossConfig::Ldam(ldam).init(sample.shape[1], &Sample::device()).unwrap();
        let losses = initialized(sample.shape[1]).into_iter().chain([("LDAM at its defaults".to_owned(), ldam)]);
        for (name, loss) in losses {
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
        for dtype in half_precisions(&Sample::device()) {
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

    /// What no golden case has, from the probabilities in f64.
    #[test]
    fn formulas_of_the_papers(sample in sample(8.0), q in 0.1..1.0f64) {
        let [n, c] = sample.shape;
        let device = Sample::device();
        let gammas: Vec<f64> = (0..c).map(|c| 0.3 + 0.7 * c as f64).collect();
        let focal = FocalLossConfig { gamma: Gamma::PerClass(gammas.clone()), ..Default::default() };
        let focal = focal.init(c, &device).unwrap();
        let generalized = GeneralizedCrossEntropyLossConfig { q, ..Default::default() }.init(c).unwrap();
        let symmetric = SymmetricCrossEntropyLossConfig { alpha: 0.3, beta: 0.6, log_zero: -4.0, ..Default::default() };
        let symmetric = symmetric.init(c).unwrap();
        for targets in [sample.hard(), sample.soft()] {
            let q_of = host(targets.to_distributions(c));
            let of_focal = host(focal.per_sample(sample.logits(), &targets));
            let of_generalized = host(generalized.per_sample(sample.logits(), &targets));
            let of_symmetric = host(symmetric.per_sample(sample.logits(), &targets));
            for i in 0..n {
                let row: Vec<f64> = sample.logits[i * c..(i + 1) * c].iter().map(|&z| f64::from(z)).collect();
                let p: Vec<f64> =
                    row.iter().map(|z| 1.0 / row.iter().map(|other| (other - z).exp()).sum::<f64>()).collect();
                let mean = |term: &dyn Fn(usize) -> f64| (0..c).map(|c_| q_of[i * c + c_] * term(c_)).sum::<f64>();
                let expected = mean(&|class| (1.0 - p[class]).powf(gammas[class]) * -p[class].ln());
                close(&[of_focal[i]], &[expected], F32_NOISE)?;
                close(&[of_generalized[i]], &[mean(&|class| (1.0 - p[class].powf(q)) / q)], F32_NOISE)?;
                let reverse: f64 =
                    (0..c).map(|class| p[class] * -q_of[i * c + class].ln().max(-4.0)).sum();
                close(&[of_symmetric[i]], &[0.3 * mean(&|class| -p[class].ln()) + 0.6 * reverse], F32_NOISE)?;
            }
        }
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
