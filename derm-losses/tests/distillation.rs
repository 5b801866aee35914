//! The algebra of the distillation losses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closeness;
mod defined_losses;
mod half_precision;
mod host;

use std::collections::BTreeSet;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use closeness::{F32_NOISE, close};
use defined_losses::defined_losses;
use derm_losses::{
    AttentionMode, AttentionPool, AttentionTransferLoss, CosineFeatureLossConfig, DegreesOfFreedom,
    DkdLossConfig, HintLoss, HintLossConfig, HintReduction, KdLossConfig, KdScale, LayerWeights,
    LogitStandardizedKdLossConfig, RkdAngleLoss, RkdDistanceLoss, RkdLossConfig, SimilarityPreservingLoss,
};
use half_precision::half_precisions;
use host::host;
use proptest::prelude::*;

/// Central differences with steps of 2⁻⁶ and 2⁻⁷ in f32, extrapolated: the truncation and the rounding. The
/// relations are steep where samples come close.
const DIFFERENCE_TOLERANCE: f64 = 1e-2;
const STEP: f32 = 0.015625;

/// Numbers a sample: logits of 8 classes, features of width 8, or maps of 2 channels and 2 × 2 pixels.
const WIDTH: usize = 8;
const MAP: [usize; 3] = [2, 2, 2];

fn device() -> Device {
    Device::default().autodiff()
}

fn tensor(values: &[f32]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / WIDTH, WIDTH]), &device())
}

fn map(rows: Tensor<2>) -> Tensor<4> {
    let [channels, height, width] = MAP;
    let batch = rows.dims()[0];
    rows.reshape([batch, channels, height, width])
}

type Forward = Box<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>>;

/// A distillation loss on rows [B, 8] of student and teacher.
struct Loss {
    /// Begins with the type's name.
    name: String,
    forward: Forward,
    /// Whether it is on logits, and so has to bear any of them.
    on_logits: bool,
    /// Whether it is 0 where the student is the teacher.
    is_distance: bool,
}

fn classes_of(batch: usize) -> Tensor<1, Int> {
    let classes: Vec<i32> = (0..batch as i32).map(|row| (3 * row + 1) % WIDTH as i32).collect();
    Tensor::from_data(TensorData::new(classes, [batch]), &device())
}

fn hint(reduction: HintReduction) -> HintLoss {
    let config = HintLossConfig { student_channels: MAP[0], teacher_channels: MAP[0], reduction };
    config.init(&device()).unwrap()
}

/// Every distillation loss, in every form that it has.
fn losses() -> Vec<Loss> {
    let mut losses = Vec::new();
    let mut add = |name: String, on_logits, is_distance, forward| {
        losses.push(Loss { name, forward, on_logits, is_distance });
    };
    for scale in [KdScale::TemperatureSquared, KdScale::One] {
        let kd = KdLossConfig { temperature: 2.0, scale }.init().unwrap();
        let forward: Forward = Box::new(move |s, t| kd.forward(s, t));
        add(format!("{kd:?}"), true, true, forward);
    }
    for temperature in [1.0, 3.0] {
        let dkd = DkdLossConfig { alpha: 0.7, beta: 2.0, temperature }.init(WIDTH).unwrap();
        let forward: Forward = Box::new(move |s, t| {
            let targets = classes_of(s.dims()[0]);
            dkd.forward(s, t, &targets)
        });
        add(format!("{dkd:?}"), true, true, forward);
    }
    for degrees_of_freedom in [DegreesOfFreedom::Sample, DegreesOfFreedom::Population] {
        let config = LogitStandardizedKdLossConfig { degrees_of_freedom, ..Default::default() };
        let kd = config.init().unwrap();
        let forward: Forward = Box::new(move |s, t| kd.forward(s, t));
        add(format!("{kd:?}"), true, true, forward);
    }
    for mode in [AttentionMode::MeanSquared, AttentionMode::L2, AttentionMode::SquaredL2] {
        for pool in [AttentionPool::Features, AttentionPool::Attention] {
            let attention = AttentionTransferLoss { mode, pool };
            let forward: Forward = Box::new(move |s, t| attention.forward(map(s), map(t)));
            add(format!("{attention:?}"), false, true, forward);
            // and with a teacher of another size: 2 channels of 1 × 4 pixels, so that both are pooled
            let forward: Forward = Box::new(move |s, t| {
                let batch = t.dims()[0];
                attention.forward(map(s), t.reshape([batch, 2, 4, 1]))
            });
            add(format!("{attention:?}, pooled"), false, false, forward);
        }
    }
    for reduction in [HintReduction::Mean, HintReduction::HalfBatchSum] {
        let hint = hint(reduction);
        let forward: Forward = Box::new(move |s, t| hint.forward(map(s), map(t)));
        add(format!("HintLoss {reduction:?}"), false, false, forward);
    }
    let forward: Forward = Box::new(|s, t| RkdDistanceLoss.forward(s, t));
    add("RkdDistanceLoss".to_owned(), false, true, forward);
    let forward: Forward = Box::new(|s, t| RkdAngleLoss.forward(s, t));
    add("RkdAngleLoss".to_owned(), false, true, forward);
    let rkd = RkdLossConfig { distance_weight: 1.0, angle_weight: 2.0 }.init().unwrap();
    let forward: Forward = Box::new(move |s, t| rkd.forward(s, t));
    add("RkdLoss".to_owned(), false, true, forward);
    let forward: Forward = Box::new(|s, t| SimilarityPreservingLoss.forward(s, t));
    add("SimilarityPreservingLoss".to_owned(), false, true, forward);
    let cosine = CosineFeatureLossConfig::default().init().unwrap();
    let forward: Forward = Box::new(move |s, t| cosine.forward(s, t));
    add("CosineFeatureLoss".to_owned(), false, true, forward);
    losses
}

impl Loss {
    fn value_and_gradient(&self, student: &[f32], teacher: &[f32]) -> (f64, Vec<f64>) {
        let student = tensor(student).require_grad();
        let value = (self.forward)(student.clone(), tensor(teacher));
        let gradient = host(student.grad(&value.backward()).expect("a gradient"));
        (host(value)[0], gradient)
    }
}

fn rows(batch: std::ops::Range<usize>, limit: f32) -> impl Strategy<Value = [Vec<f32>; 2]> {
    batch.prop_flat_map(move |batch| {
        let values = || prop::collection::vec(-limit..limit, batch * WIDTH);
        (values(), values()).prop_map(|(student, teacher)| [student, teacher])
    })
}

/// Every pixel of a map k × k times.
fn upsampled(maps: Tensor<4>, k: usize) -> Tensor<4> {
    let [batch, channels, height, width] = maps.dims();
    let pixels: Tensor<6> = maps.reshape([batch, channels, height, 1, width, 1]);
    pixels.repeat_dim(3, k).repeat_dim(5, k).reshape([batch, channels, height * k, width * k])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn every_gradient_equals_central_differences([student, teacher] in rows(2..4, 2.0)) {
        for loss in losses() {
            // a norm has a kink at 0, beside which differences say nothing
            let value_of = |row| {
                let [student, teacher] = [&student, &teacher].map(|rows| tensor(&rows[row..row + WIDTH]));
                host((loss.forward)(student, teacher))[0]
            };
            if loss.name.contains("mode: L2") && (0..student.len()).step_by(WIDTH).any(|row| value_of(row) < 0.1) {
                continue;
            }
            let (_, gradient) = loss.value_and_gradient(&student, &teacher);
            for (i, gradient) in gradient.into_iter().enumerate() {
                let moved = |step: f32| {
                    let mut values = student.clone();
                    values[i] += step;
                    host((loss.forward)(tensor(&values), tensor(&teacher)))[0]
                };
                let slope = |step: f32| (moved(step) - moved(-step)) / f64::from(2.0 * step);
                let difference = (4.0 * slope(STEP / 2.0) - slope(STEP)) / 3.0;
                prop_assert!((difference - gradient).abs() <= DIFFERENCE_TOLERANCE * (1.0 + gradient.abs()),
                    "{}: difference {difference}, gradient {gradient}", loss.name);
            }
        }
    }

    #[test]
    fn a_student_that_is_the_teacher_has_nothing_to_learn([student, _] in rows(1..5, 20.0)) {
        for loss in losses() {
            let (value, gradient) = loss.value_and_gradient(&student, &student);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "{}: {gradient:?}", loss.name);
            if loss.is_distance {
                prop_assert!(value.abs() < F32_NOISE, "{}: {value}", loss.name);
                prop_assert!(gradient.iter().all(|g| g.abs() < F32_NOISE), "{}: {gradient:?}", loss.name);
            }
        }
    }

    #[test]
    fn kd_of_equal_logits_is_exactly_zero([student, _] in rows(1..5, 60.0), temperature in 0.5..8.0f64) {
        let kd = KdLossConfig { temperature, scale: KdScale::TemperatureSquared }.init().unwrap();
        let loss = Loss {
            name: String::new(),
            forward: Box::new(move |s, t| kd.forward(s, t)),
            on_logits: true,
            is_distance: true,
        };
        let (value, gradient) = loss.value_and_gradient(&student, &student);
        prop_assert_eq!(value, 0.0);
        close(&gradient, &vec![0.0; gradient.len()], F32_NOISE)?;
    }

    #[test]
    fn the_teacher_is_a_constant_and_losses_are_not_negative([student, teacher] in rows(1..4, 3.0)) {
        for loss in losses() {
            let (student, teacher) = (tensor(&student).require_grad(), tensor(&teacher).require_grad());
            let value = (loss.forward)(student.clone(), teacher.clone());
            let gradients = value.backward();
            prop_assert!(host(value)[0] >= -F32_NOISE, "{}", loss.name);
            prop_assert!(student.grad(&gradients).is_some(), "{}", loss.name);
            prop_assert!(teacher.grad(&gradients).is_none(), "{}", loss.name);
        }
    }

    #[test]
    fn extreme_logits_stay_finite(
        corners in prop::collection::vec(0usize..3, 4 * WIDTH),
        size in prop_oneof![Just(60.0f32), Just(1e4), Just(1e15)],
    ) {
        let values: Vec<f32> = corners.iter().map(|&corner| [-size, size, 0.5][corner]).collect();
        let (student, teacher) = values.split_at(2 * WIDTH);
        for loss in losses().into_iter().filter(|loss| loss.on_logits) {
            let (value, gradient) = loss.value_and_gradient(student, teacher);
            prop_assert!(value.is_finite(), "{}: {value}", loss.name);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "{}: {gradient:?}", loss.name);
        }
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter([student, teacher] in rows(2..5, 3.0)) {
        let reversed = |rows: &[f32]| -> Vec<f32> { rows.chunks(WIDTH).rev().flatten().copied().collect() };
        // decoupled distillation has targets of its own, which would have to move too
        for loss in losses().into_iter().filter(|loss| !loss.name.starts_with("Dkd")) {
            let (value, gradient) = loss.value_and_gradient(&student, &teacher);
            let (other, moved) = loss.value_and_gradient(&reversed(&student), &reversed(&teacher));
            close(&[other], &[value], F32_NOISE)?;
            let moved: Vec<f64> = moved.chunks(WIDTH).rev().flatten().copied().collect();
            close(&moved, &gradient, 1e-4).map_err(|e| TestCaseError::fail(format!("{}: {e}", loss.name)))?;
        }
    }

    #[test]
    fn leading_axes_flatten([student, teacher] in rows(2..5, 8.0)) {
        let (student, teacher) = (tensor(&student), tensor(&teacher));
        let batch = student.dims()[0];
        let deep = |rows: &Tensor<2>| rows.clone().reshape([1, batch, WIDTH]);
        let kd = KdLossConfig::default().init().unwrap();
        let standardized = LogitStandardizedKdLossConfig::default().init().unwrap();
        let dkd = DkdLossConfig::default().init(WIDTH).unwrap();
        for (flat, deep) in [
            (kd.per_sample(student.clone(), teacher.clone()), kd.per_sample(deep(&student), deep(&teacher))),
            (
                standardized.per_sample(student.clone(), teacher.clone()),
                standardized.per_sample(deep(&student), deep(&teacher)),
            ),
            (
                dkd.per_sample(student.clone(), teacher.clone(), &classes_of(batch)),
                dkd.per_sample(deep(&student), deep(&teacher), &classes_of(batch)),
            ),
        ] {
            close(&host(deep), &host(flat), 0.0)?;
        }
    }

    /// `KL = TCKD + (1 − p_y) NCKD` with the teacher's p: equation 5 of the paper.
    #[test]
    fn decoupled_parts_add_up_to_kd([student, teacher] in rows(1..5, 20.0), temperature in 1.0..6.0f64) {
        let (student, teacher) = (tensor(&student), tensor(&teacher));
        let targets = classes_of(student.dims()[0]);
        let part = |alpha, beta| {
            let loss = DkdLossConfig { alpha, beta, temperature }.init(WIDTH).unwrap();
            host(loss.per_sample(student.clone(), teacher.clone(), &targets))
        };
        let kd = KdLossConfig { temperature, scale: KdScale::TemperatureSquared }.init().unwrap();
        let kd = host(kd.per_sample(student.clone(), teacher.clone()));
        let p = host(burn::tensor::activation::softmax(teacher.clone() / temperature, 1));
        let classes: Vec<i64> = targets.clone().into_data().iter::<i64>().collect();
        for (i, (target_part, other_part)) in part(1.0, 0.0).into_iter().zip(part(0.0, 1.0)).enumerate() {
            let p_y = p[i * WIDTH + classes[i] as usize];
            close(&[target_part + (1.0 - p_y) * other_part], &[kd[i]], 1e-4)?;
        }
    }

    #[test]
    fn attention_at_any_resolution([student, teacher] in rows(1..4, 2.0), k in 2usize..4, attention: bool) {
        let pool = if attention { AttentionPool::Attention } else { AttentionPool::Features };
        let (student, teacher) = (map(tensor(&student)), map(tensor(&teacher)));
        let (large_student, large_teacher) = (upsampled(student.clone(), k), upsampled(teacher.clone(), k));
        for (mode, factor) in [
            (AttentionMode::SquaredL2, 1.0),
            (AttentionMode::L2, 1.0),
            (AttentionMode::MeanSquared, 1.0 / (k * k) as f64),
        ] {
            let loss = AttentionTransferLoss { mode, pool };
            let value = host(loss.per_sample(student.clone(), teacher.clone()));
            let large = host(loss.per_sample(large_student.clone(), large_teacher.clone()));
            let expected: Vec<f64> = value.iter().map(|value| value * factor).collect();
            close(&large, &expected, F32_NOISE)?;
            // one of the two alone is brought back by the pooling
            close(&host(loss.per_sample(large_student.clone(), teacher.clone())), &value, F32_NOISE)?;
            close(&host(loss.per_sample(student.clone(), large_teacher.clone())), &value, F32_NOISE)?;
        }
        let squared = AttentionTransferLoss { mode: AttentionMode::SquaredL2, pool };
        prop_assert!(host(squared.per_sample(student, teacher)).iter().all(|v| (0.0..=2.0).contains(v)));
    }

    #[test]
    fn attention_ignores_scale_and_sign([student, _] in rows(1..4, 2.0), scale in 0.3f32..3.0, l2: bool) {
        let mode = if l2 { AttentionMode::L2 } else { AttentionMode::SquaredL2 };
        let loss = AttentionTransferLoss { mode, pool: AttentionPool::Features };
        let maps = map(tensor(&student));
        prop_assert!(host(loss.forward(maps.clone(), maps.clone() * -scale))[0].abs() < 1e-3);
    }

    #[test]
    fn layers_add_up_by_their_weights([student, teacher] in rows(2..3, 2.0), weights in prop::array::uniform3(0.0..5.0f64)) {
        let loss = AttentionTransferLoss { mode: AttentionMode::SquaredL2, pool: AttentionPool::Features };
        let (student, teacher) = (map(tensor(&student)), map(tensor(&teacher)));
        let layers = [
            (student.clone(), teacher.clone()),
            (upsampled(student.clone(), 2), teacher.clone()),
            (teacher.clone(), student.clone()),
        ];
        let values: Vec<f64> = layers.iter().map(|(s, t)| host(loss.forward(s.clone(), t.clone()))[0]).collect();
        let sum: f64 = values.iter().sum();
        let equal = LayerWeights::equal(3).unwrap();
        close(&host(loss.forward_layers(layers.clone(), &equal)), &[sum], F32_NOISE)?;
        let weighted: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
        prop_assume!(weighted > 0.0);
        let weights = LayerWeights::new(weights.to_vec()).unwrap();
        close(&host(loss.forward_layers(layers.clone(), &weights)), &[weighted], F32_NOISE)?;
        let per_sample = host(loss.per_sample_layers(layers, &weights));
        close(&[per_sample.iter().sum::<f64>() / per_sample.len() as f64], &[weighted], F32_NOISE)?;
    }

    /// What each relation does not see, it must not see.
    #[test]
    fn invariances([student, teacher] in rows(3..5, 2.0), scale in 0.3f64..3.0, shift in -2.0..2.0f64) {
        let (student, teacher) = (tensor(&student), tensor(&teacher));
        let standardized = LogitStandardizedKdLossConfig::default().init().unwrap();
        let cosine = CosineFeatureLossConfig::default().init().unwrap();
        let moved = student.clone() * scale + shift;
        let scaled = student.clone() * scale;
        let reflected = student.clone().flip([1]);
        let same = |a: Tensor<1>, b: Tensor<1>| close(&host(a), &host(b), 1e-4);
        same(standardized.forward(moved.clone(), teacher.clone()), standardized.forward(student.clone(), teacher.clone()))?;
        same(RkdDistanceLoss.forward(moved.clone(), teacher.clone()), RkdDistanceLoss.forward(student.clone(), teacher.clone()))?;
        same(RkdAngleLoss.forward(moved, teacher.clone()), RkdAngleLoss.forward(student.clone(), teacher.clone()))?;
        same(RkdAngleLoss.forward(reflected.clone(), teacher.clone()), RkdAngleLoss.forward(student.clone(), teacher.clone()))?;
        same(SimilarityPreservingLoss.forward(scaled.clone(), teacher.clone()), SimilarityPreservingLoss.forward(student.clone(), teacher.clone()))?;
        same(SimilarityPreservingLoss.forward(reflected, teacher.clone()), SimilarityPreservingLoss.forward(student.clone(), teacher.clone()))?;
        same(cosine.forward(scaled, teacher.clone()), cosine.forward(student, teacher))?;
    }
}

#[test]
fn every_distillation_loss_is_in_the_list() {
    let name = |loss: &Loss| loss.name.chars().take_while(char::is_ascii_alphanumeric).collect();
    let listed: BTreeSet<String> = losses().iter().map(name).collect();
    let (_, distillation) = defined_losses();
    assert_eq!(listed, distillation);
}

#[test]
fn half_precision_is_widened() {
    // exact in f16 and bf16, so that only the precision of the arithmetic can differ
    let values =
        |step: usize| -> Vec<f32> { (0..3 * WIDTH).map(|i| (i * step % 13) as f32 / 4.0 - 1.5).collect() };
    let (student, teacher) = (tensor(&values(5)), tensor(&values(7)));
    for dtype in half_precisions(&device()) {
        for loss in losses() {
            let expected = host((loss.forward)(student.clone(), teacher.clone()));
            for (student, teacher) in [
                (student.clone().cast(dtype), teacher.clone().cast(dtype)),
                (student.clone(), teacher.clone().cast(dtype)),
                (student.clone().cast(dtype), teacher.clone()),
            ] {
                assert_eq!(host((loss.forward)(student, teacher)), expected, "{}", loss.name);
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_that() {
    let values =
        |step: usize| -> Vec<f32> { (0..3 * WIDTH).map(|i| (i * step % 13) as f32 / 4.0 - 1.5).collect() };
    let (student, teacher) = (values(5), values(7));
    let broken = |values: &[f32]| {
        let mut values = values.to_vec();
        values[WIDTH + 2] = f32::NAN;
        values
    };
    for loss in losses() {
        for (student, teacher) in [(broken(&student), teacher.clone()), (student.clone(), broken(&teacher))] {
            let value = host((loss.forward)(tensor(&student), tensor(&teacher)))[0];
            assert!(value.is_nan(), "{}: {value}", loss.name);
        }
    }
}

/// Values and gradients where a sample is zero, as each loss documents them.
#[test]
fn zero_samples_have_the_documented_value_and_no_gradient() {
    let zero = vec![0.0; WIDTH];
    let one: Vec<f32> = (0..WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
    for loss in losses() {
        let of = |name: &str| loss.name.starts_with(name);
        let expected = if of("CosineFeatureLoss") {
            1.0
        } else if of("AttentionTransferLoss") {
            // |q_T| = 1, over 4 pixels where it is averaged
            if loss.name.contains("MeanSquared") { 0.25 } else { 1.0 }
        } else if of("SimilarityPreservingLoss") || of("Rkd") {
            0.0
        } else {
            continue;
        };
        // two pixels are left where the maps are pooled to a common size
        let expected =
            if loss.name.contains("MeanSquared") && loss.name.contains("pooled") { 0.5 } else { expected };
        let batch_of_one = !of("SimilarityPreservingLoss");
        let teacher = if batch_of_one { one.clone() } else { zero.clone() };
        let (value, gradient) = loss.value_and_gradient(&zero, &teacher);
        assert!((value - expected).abs() < F32_NOISE, "{}: {value}", loss.name);
        assert!(gradient.iter().all(|&g| g == 0.0), "{}: {gradient:?}", loss.name);
    }
}

#[test]
fn relations_of_two_samples_bear_any_scale() {
    let two = |scale: f32| -> Vec<f32> { (0..2 * WIDTH).map(|i| (i as f32 * 0.7).sin() * scale).collect() };
    let teacher = two(1.0);
    for scale in [0.0, 1e-30, 1e-22, 1e-18, 1e-13, 1e-9, 1.0, 1e9] {
        for loss in losses().into_iter().filter(|loss| !loss.on_logits) {
            let (value, gradient) = loss.value_and_gradient(&two(scale), &teacher);
            assert!(value.is_finite(), "{} at {scale}: {value}", loss.name);
            assert!(gradient.iter().all(|g| g.is_finite()), "{} at {scale}: {gradient:?}", loss.name);
        }
    }
}

/// Samples that have all but collapsed are not blown up to the distances of the teacher.
#[test]
fn a_mean_distance_has_a_least_value() {
    let pair = |distance: f32| Tensor::<2>::from_floats([[0.0], [distance]], &device());
    // 1e-14 / 1e-12 in place of 1, twice of four
    let value = host(RkdDistanceLoss.forward(pair(1e-14), pair(3.0)))[0];
    assert!((value - 0.5 * 0.5 * 0.99 * 0.99).abs() < F32_NOISE, "{value}");
    let value = host(RkdDistanceLoss.forward(pair(1e-11), pair(3.0)))[0];
    assert!(value.abs() < F32_NOISE, "{value}");
}

#[test]
fn a_seed_makes_the_regressor() {
    let weights = |seed| {
        device().seed(seed);
        host(hint(HintReduction::Mean).regressor.weight.val())
    };
    let first = weights(7);
    assert_eq!(weights(7), first);
    assert_ne!(weights(8), first);
}

#[test]
fn layers_and_weights_must_be_as_many() {
    let maps = || Tensor::<4>::ones([1, 1, 2, 2], &device());
    let weights = LayerWeights::equal(2).unwrap();
    for layers in [0, 1, 3] {
        let pairs = vec![(maps(), maps()); layers];
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            AttentionTransferLoss::default().forward_layers(pairs, &weights)
        }));
        assert!(result.is_err(), "{layers} layers, two weights");
    }
}

#[test]
fn gradients_are_finite_where_samples_coincide() {
    let one: Vec<f32> = (0..WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
    let other: Vec<f32> = (0..WIDTH).map(|i| (i as f32 * 0.4).cos()).collect();
    let rows = |rows: &[&Vec<f32>]| -> Vec<f32> { rows.iter().flat_map(|row| row.iter().copied()).collect() };
    let zero = vec![0.0; WIDTH];
    let teacher = rows(&[&other, &one, &zero]);
    for student in [
        rows(&[&one, &one, &one]),
        rows(&[&one, &one, &other]),
        rows(&[&zero, &zero, &zero]),
        rows(&[&zero, &one, &zero]),
    ] {
        for loss in losses() {
            for teacher in [&teacher, &student] {
                let (value, gradient) = loss.value_and_gradient(&student, teacher);
                assert!(value.is_finite(), "{}: {value}", loss.name);
                assert!(gradient.iter().all(|g| g.is_finite()), "{}: {gradient:?}", loss.name);
            }
        }
    }
}

#[test]
fn relations_of_one_sample_are_zero() {
    let student: Vec<f32> = (0..WIDTH).map(|i| (i as f32).sin()).collect();
    let teacher: Vec<f32> = (0..WIDTH).map(|i| (i as f32).cos()).collect();
    let relational = ["Rkd", "SimilarityPreserving"];
    for loss in losses().into_iter().filter(|loss| relational.iter().any(|r| loss.name.starts_with(r))) {
        let (value, gradient) = loss.value_and_gradient(&student, &teacher);
        assert!(value.abs() < 1e-12, "{}: {value}", loss.name);
        assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{}: {gradient:?}", loss.name);
    }
}

#[test]
fn a_hint_brings_the_larger_map_to_the_smaller_size() {
    let config =
        HintLossConfig { student_channels: 2, teacher_channels: 3, reduction: HintReduction::HalfBatchSum };
    let hint = config.init(&device()).unwrap();
    let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Default, &device());
    let (student, teacher) = (random([2, 2, 2, 3]), random([2, 3, 2, 3]));
    let value = host(hint.per_sample(student.clone(), teacher.clone()));
    for (student, teacher) in
        [(upsampled(student.clone(), 2), teacher.clone()), (student.clone(), upsampled(teacher.clone(), 3))]
    {
        for (got, expected) in host(hint.per_sample(student, teacher)).into_iter().zip(&value) {
            assert!((got - expected).abs() < F32_NOISE * (1.0 + expected), "{got} and {expected}");
        }
    }
    let mean = HintLossConfig { reduction: HintReduction::Mean, ..config };
    assert_eq!(mean.init(&device()).unwrap().regressor.weight.dims(), [3, 2, 1, 1]);
}
