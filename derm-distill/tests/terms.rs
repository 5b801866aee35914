//! Every term through the objective: its value, its weight over training, its projector, its share of a larger batch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Gradients, Tensor};
use derm_core::{BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Taps, Targets};
use derm_distill::{
    AttentionConfig, AttentionTerm, CosineFeatureTerm, DistillationConfig, DistillationObjective,
    DistillationTerm, HintTerm, LayerPair, LayerPairs, NetworkOutput, NormalizationMap, Projection,
    Projectors, RkdTerm, SimilarityPreservingTerm, TermLoss, WeightSchedule,
};
use derm_losses::{
    AttentionTransferLoss, CosineFeatureLossConfig, CrossEntropyLoss, CrossEntropyLossConfig, DkdLossConfig,
    HintReduction, KdLossConfig, LogitStandardizedKdLossConfig, RkdLossConfig, SimilarityPreservingLoss,
};
use proptest::prelude::*;

/// Two f32 evaluations of one expression in another order.
const F32_NOISE: f64 = 1e-5;

/// flex has one generator in the whole process: tests that draw run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= F32_NOISE * (1.0 + expected.abs())
}

/// A network of two stages, of 4 by 4 and 2 by 2 pixels, with these widths and pooled features as wide as the last.
fn spec(widths: [usize; 2]) -> BackboneSpec {
    let stage = |number: usize| StageSpec {
        name: format!("layer{}", number + 1),
        channels: widths[number],
        stride: 4 << number,
    };
    let input = ImageInput {
        size: 16,
        normalization: Normalization::HALF,
        interpolation: Interpolation::Bilinear,
        crop_pct: 1.0,
    };
    BackboneSpec::new("made", widths[1], vec![stage(0), stage(1)], input)
}

const STUDENT: [usize; 2] = [3, 4];
const TEACHER: [usize; 2] = [5, 6];

/// A leaf of the graph, where there is one.
fn leaf<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.require_grad() } else { tensor }
}

/// What such a network might say of a batch. Each call draws anew.
fn output(widths: [usize; 2], batch: usize, device: &Device) -> NetworkOutput {
    let random = |shape: [usize; 4]| leaf(Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), device));
    let two = |shape: [usize; 2]| leaf(Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device));
    let maps = vec![
        ("layer1".to_owned(), random([batch, widths[0], 4, 4])),
        ("layer2".to_owned(), random([batch, widths[1], 2, 2])),
    ];
    let features = Features { maps, ..Features::new(two([batch, widths[1]])) };
    NetworkOutput { logits: two([batch, 3]), features: Some(features) }
}

/// The rows from..to of a batch.
fn rows(output: &NetworkOutput, from: usize, to: usize) -> NetworkOutput {
    let features = output.features.as_ref().unwrap();
    let maps = features.maps.iter().map(|(name, map)| (name.clone(), map.clone().narrow(0, from, to - from)));
    let pooled = features.pooled.clone().narrow(0, from, to - from);
    NetworkOutput {
        logits: output.logits.clone().narrow(0, from, to - from),
        features: Some(Features { maps: maps.collect(), ..Features::new(pooled) }),
    }
}

fn targets(classes: &[usize], device: &Device) -> Targets {
    Targets::from_indices(classes, 3, device).unwrap()
}

fn hard_loss(device: &Device) -> CrossEntropyLoss {
    let weights = Some(vec![0.5, 1.0, 3.0]);
    CrossEntropyLossConfig { class_weights: weights, ..Default::default() }.init(3, device).unwrap()
}

fn init(config: &DistillationConfig, device: &Device) -> DistillationObjective<CrossEntropyLoss> {
    config.init(hard_loss(device), 3, &spec(STUDENT), &spec(TEACHER), device).unwrap()
}

/// The term alone beside a hard loss of weight 1.
fn alone_with(term: DistillationTerm) -> DistillationConfig {
    DistillationConfig { hard_weight: 1.0, kd_weight: 0.0, terms: vec![term], ..Default::default() }
}

fn pair(student: &str, teacher: &str, weight: f64) -> LayerPair {
    LayerPair { student: student.to_owned(), teacher: teacher.to_owned(), weight }
}

/// Every loss there is, with settings that are not the defaults.
fn every_loss() -> Vec<TermLoss> {
    let last = || LayerPairs::Pairs(vec![pair("layer2", "layer2", 1.0)]);
    vec![
        TermLoss::Kd(KdLossConfig { temperature: 3.19, ..Default::default() }),
        TermLoss::Dkd(DkdLossConfig { alpha: 0.5, beta: 2.0, temperature: 2.0 }),
        TermLoss::LogitStandardizedKd(LogitStandardizedKdLossConfig::default()),
        TermLoss::Attention(AttentionTerm { layers: last(), ..Default::default() }),
        TermLoss::Hint(HintTerm { layers: last(), reduction: HintReduction::HalfBatchSum }),
        TermLoss::CosineFeature(CosineFeatureTerm::default()),
        TermLoss::SimilarityPreserving(SimilarityPreservingTerm { layers: last() }),
        TermLoss::Rkd(RkdTerm { distance_weight: 1.0, angle_weight: 2.0, ..Default::default() }),
    ]
}

fn relational(loss: &TermLoss) -> bool {
    matches!(loss, TermLoss::SimilarityPreserving(_) | TermLoss::Rkd(_))
}

fn map(output: &NetworkOutput, name: &str) -> Tensor<4> {
    output.features.as_ref().unwrap().map(name).unwrap().clone()
}

fn pooled(output: &NetworkOutput) -> Tensor<2> {
    output.features.as_ref().unwrap().pooled.clone()
}

#[test]
fn each_term_is_the_loss_of_derm_losses() {
    let _alone = alone();
    let device = Device::default().autodiff();
    device.seed(3);
    let (student, teacher) = (output(STUDENT, 4, &device), output(TEACHER, 4, &device));
    let targets = targets(&[0, 1, 2, 1], &device);
    let Targets::Hard(classes) = &targets else { panic!("hard ones") };
    for loss in every_loss() {
        let objective = init(&alone_with(DistillationTerm::new(loss.clone(), 0.25)), &device);
        let (s, t) = (student.logits.clone(), teacher.logits.clone());
        let expected = match &loss {
            TermLoss::Kd(config) => config.init().unwrap().forward(s, t),
            TermLoss::Dkd(config) => config.init(3).unwrap().forward(s, t, classes),
            TermLoss::LogitStandardizedKd(config) => config.init().unwrap().forward(s, t),
            TermLoss::Attention(_) => {
                AttentionTransferLoss::default().forward(map(&student, "layer2"), map(&teacher, "layer2"))
            }
            TermLoss::Hint(_) => {
                // ½ Σ (r − t)², through the weights that were drawn
                let [weight, bias] = <[Vec<f64>; 2]>::try_from(parameters(objective.projectors())).unwrap();
                let (from, to) = (host(map(&student, "layer2")), host(map(&teacher, "layer2")));
                let mut sum = 0.0;
                for sample in 0..4 {
                    for channel in 0..TEACHER[1] {
                        for pixel in 0..4 {
                            let guess: f64 = (0..STUDENT[1])
                                .map(|c| {
                                    weight[channel * STUDENT[1] + c]
                                        * from[(sample * STUDENT[1] + c) * 4 + pixel]
                                })
                                .sum();
                            let to = to[(sample * TEACHER[1] + channel) * 4 + pixel];
                            sum += (guess + bias[channel] - to).powi(2);
                        }
                    }
                }
                Tensor::<1>::from_floats([(0.5 * sum / 4.0) as f32], &device)
            }
            TermLoss::CosineFeature(_) => {
                let [weight, bias] = <[Vec<f64>; 2]>::try_from(parameters(objective.projectors())).unwrap();
                let from = host(pooled(&student));
                let projected: Vec<f32> = (0..4 * TEACHER[1])
                    .map(|at| {
                        let (sample, channel) = (at / TEACHER[1], at % TEACHER[1]);
                        let sum: f64 = (0..STUDENT[1])
                            .map(|c| weight[channel * STUDENT[1] + c] * from[sample * STUDENT[1] + c])
                            .sum();
                        (sum + bias[channel]) as f32
                    })
                    .collect();
                let projected =
                    Tensor::<1>::from_floats(projected.as_slice(), &device).reshape([4, TEACHER[1]]);
                CosineFeatureLossConfig::default().init().unwrap().forward(projected, pooled(&teacher))
            }
            TermLoss::SimilarityPreserving(_) => {
                SimilarityPreservingLoss.forward(map(&student, "layer2"), map(&teacher, "layer2"))
            }
            TermLoss::Rkd(_) => RkdLossConfig { distance_weight: 1.0, angle_weight: 2.0 }
                .init()
                .unwrap()
                .forward(pooled(&student), pooled(&teacher)),
        };
        let name = loss.name();
        let value = objective.forward(&student, &teacher, &targets);
        let got = host(value.term(name).unwrap().clone())[0];
        let expected = host(expected)[0];
        assert!(close(got, expected), "{name}: {got}, expected {expected}");
        let sum = host(value.term("hard").unwrap().clone())[0] + 0.25 * got;
        assert!(close(host(value.total.clone())[0], sum), "{name}");
        let per_sample = objective.per_sample(&student, &teacher, &targets);
        assert_eq!(per_sample.is_none(), relational(&loss), "{name}");
        // nothing flows into the teacher; the student and every projector learn
        let gradients = value.total.backward();
        assert!(
            teacher.logits.grad(&gradients).is_none() && pooled(&teacher).grad(&gradients).is_none(),
            "{name}"
        );
        assert!(map(&teacher, "layer2").grad(&gradients).is_none(), "{name}");
        assert!(student.logits.grad(&gradients).is_some(), "{name}");
        let projects = matches!(loss, TermLoss::Hint(_) | TermLoss::CosineFeature(_));
        assert_eq!(objective.projectors().len(), usize::from(projects), "{name}");
        assert_eq!(graded(objective.projectors(), &gradients), 2 * usize::from(projects), "{name}");
    }
}

/// The values of each parameter.
fn parameters(projectors: &Projectors) -> Vec<Vec<f64>> {
    struct Read(Vec<Vec<f64>>);
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(host(param.val()));
        }
    }
    let mut read = Read(Vec::new());
    projectors.visit(&mut read);
    read.0
}

/// How many parameters got a gradient.
fn graded(projectors: &Projectors, gradients: &Gradients) -> usize {
    struct Graded<'a>(&'a Gradients, usize);
    impl ModuleVisitor for Graded<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1 += usize::from(param.val().grad(self.0).is_some());
        }
    }
    let mut graded = Graded(gradients, 0);
    projectors.visit(&mut graded);
    graded.1
}

#[test]
fn all_terms_add_up_with_their_weights() {
    let _alone = alone();
    let device = Device::default();
    device.seed(4);
    let (student, teacher) = (output(STUDENT, 4, &device), output(TEACHER, 4, &device));
    let terms = every_loss().into_iter().enumerate();
    let terms = terms.map(|(index, loss)| DistillationTerm::new(loss, 0.5 + index as f64)).collect();
    let attention = Some(AttentionConfig { weight: 7.0, ..Default::default() });
    // the weights of a published study
    let config = DistillationConfig {
        hard_weight: 0.518,
        kd_weight: 112.4,
        temperature: 3.19,
        attention,
        terms,
        ..Default::default()
    };
    let objective = init(&config, &device);
    let loss = objective.forward(&student, &teacher, &targets(&[0, 1, 2, 1], &device));
    let names: Vec<&str> = loss.terms.iter().map(|term| term.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hard",
            "kd",
            "attention",
            "kd_2",
            "dkd",
            "logit_standardized_kd",
            "attention_2",
            "hint",
            "cosine_feature",
            "similarity_preserving",
            "rkd",
        ]
    );
    let weights: Vec<f64> = loss.terms.iter().map(|term| term.weight).collect();
    assert_eq!(weights[..4], [0.518, 112.4, 7.0, 0.5]);
    let sum: f64 = loss.terms.iter().map(|term| term.weight * host(term.value.clone())[0]).sum();
    assert!(close(host(loss.total)[0], sum));
    // the same temperature, so the same value
    let value = |name: &str| loss.terms.iter().find(|term| term.name == name).unwrap().value.clone();
    assert_eq!(host(value("kd")), host(value("kd_2")));
    assert_eq!(objective.student_taps(), Taps::stages(["layer1", "layer2"]), "each stage once");
    assert_eq!(config.feature_term().as_deref(), Some("attention"));
    assert_eq!(config.hard_target_term().as_deref(), Some("terms[1] (dkd)"));
    let logits_alone = DistillationConfig { attention: None, terms: vec![], ..config };
    assert_eq!((logits_alone.feature_term(), logits_alone.hard_target_term()), (None, None));
}

#[test]
fn a_term_that_weighs_nothing_now_is_not_computed() {
    let _alone = alone();
    let device = Device::default();
    device.seed(5);
    let late = DistillationTerm {
        schedule: WeightSchedule::Between { start: 0.5, end: 1.0 },
        ..DistillationTerm::new(TermLoss::Hint(HintTerm::default()), 2.0)
    };
    let config = DistillationConfig {
        kd_schedule: WeightSchedule::Between { start: 0.25, end: 0.75 },
        terms: vec![late],
        ..Default::default()
    };
    let objective = init(&config, &device);
    let (student, teacher) = (output(STUDENT, 4, &device), output(TEACHER, 4, &device));
    let targets = targets(&[0, 1, 2, 1], &device);
    let terms = |progress: f64| {
        let objective = objective.at(progress);
        let bare = NetworkOutput { features: None, ..teacher.clone() };
        // without features where none are asked for: a computed hint would panic
        let features = objective.teacher_taps() != Taps::none();
        assert_eq!(objective.asks_teacher(), progress >= 0.25);
        let teacher = if features { &teacher } else { &bare };
        let loss = objective.forward(&student, teacher, &targets);
        loss.terms.into_iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>()
    };
    let named = |terms: &[(&str, f64)]| -> Vec<(String, f64)> {
        terms.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect()
    };
    assert_eq!(terms(0.0), named(&[("hard", 0.5)]));
    assert_eq!(terms(0.25), named(&[("hard", 0.5), ("kd", 0.5)]));
    assert_eq!(terms(0.5), named(&[("hard", 0.5), ("kd", 0.5), ("hint", 2.0)]));
    assert_eq!(terms(1.0), named(&[("hard", 0.5), ("hint", 2.0)]));
    // the student is tapped throughout, so that its forward pass stays the same
    assert_eq!(objective.student_taps(), objective.at(0.5).student_taps());
    assert_ne!(objective.student_taps(), Taps::none());
    assert_eq!(objective.teacher_taps(), Taps::none());
    // without any term there is a loss all the same, with a gradient of zero
    let alone = objective.at(0.1);
    let part = alone.forward_part(&student, None, &targets, std::slice::from_ref(&targets));
    assert_eq!(host(part.total), host(alone.forward(&student, &teacher, &targets).total));
    let ramp = WeightSchedule::Linear { from: 0.0, to: 1.0, start: 0.0, end: 1.0 };
    let config = DistillationConfig { hard_schedule: ramp, kd_weight: 0.0, ..Default::default() };
    let loss = init(&config, &device).forward(&student, &teacher, &targets);
    assert!(loss.terms.is_empty() && host(loss.total) == [0.0]);
}

#[test]
fn parts_add_up_to_the_whole_batch() {
    let _alone = alone();
    let device = Device::default();
    device.seed(6);
    let (student, teacher) = (output(STUDENT, 7, &device), output(TEACHER, 7, &device));
    let classes = [0, 1, 2, 1, 2, 2, 0];
    let all = targets(&classes, &device);
    let cuts = [(0, 3), (3, 5), (5, 7)];
    let parts: Vec<Targets> = cuts.iter().map(|&(from, to)| targets(&classes[from..to], &device)).collect();
    for loss in every_loss() {
        let objective = init(&alone_with(DistillationTerm::new(loss.clone(), 0.25)), &device);
        let whole = objective.forward(&student, &teacher, &all);
        let mut sum = [0.0; 2];
        let mut mean_of_parts = 0.0;
        for (&(from, to), of_part) in cuts.iter().zip(&parts) {
            let (student, teacher) = (rows(&student, from, to), rows(&teacher, from, to));
            let part = objective.forward_part(&student, Some(&teacher), of_part, &parts);
            for (sum, name) in sum.iter_mut().zip(["hard", loss.name()]) {
                *sum += host(part.term(name).unwrap().clone())[0];
            }
            let of_part = objective.forward(&student, &teacher, of_part);
            mean_of_parts += host(of_part.term(loss.name()).unwrap().clone())[0] * (to - from) as f64 / 7.0;
        }
        let [hard, term] = sum;
        let value = |name: &str| host(whole.term(name).unwrap().clone())[0];
        // class weights make the shares of the hard loss uneven
        assert!(close(hard, value("hard")), "{hard}, expected {}", value("hard"));
        assert!(close(term, mean_of_parts), "{}: {term}, expected {mean_of_parts}", loss.name());
        // what compares samples with each other never sees pairs across parts
        assert_eq!(close(term, value(loss.name())), !relational(&loss), "{}", loss.name());
    }
}

#[test]
fn projectors_stand_where_widths_differ_and_follow_the_seed() {
    let _alone = alone();
    let device = Device::default();
    let count = |projector, layers: LayerPairs, student: [usize; 2], teacher: [usize; 2]| {
        let term = CosineFeatureTerm { projector, layers, ..Default::default() };
        let config = alone_with(DistillationTerm::new(TermLoss::CosineFeature(term), 1.0));
        let objective = config.init(hard_loss(&device), 3, &spec(student), &spec(teacher), &device).unwrap();
        objective.projectors().len()
    };
    assert_eq!(count(Projection::Auto, LayerPairs::Pooled, [3, 4], [5, 4]), 0);
    assert_eq!(count(Projection::Auto, LayerPairs::Auto, [3, 4], [5, 4]), 1);
    assert_eq!(count(Projection::Always, LayerPairs::Auto, [3, 4], [5, 4]), 2);
    assert_eq!(count(Projection::Never, LayerPairs::Auto, [3, 4], [3, 4]), 0);

    let config = alone_with(DistillationTerm::new(TermLoss::Hint(HintTerm::default()), 1.0));
    let drawn = |seed: u64| {
        device.seed(seed);
        let objective = init(&config, &device);
        // what is drawn later changes nothing
        device.seed(99);
        parameters(objective.projectors())
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));

    // a cosine at another size goes through the smaller one; one map and pooled features meet at one pixel
    device.seed(7);
    let layers = LayerPairs::Pairs(vec![pair("layer1", "pooled", 1.0), pair("pooled", "layer1", 0.0)]);
    let term = CosineFeatureTerm { layers, ..Default::default() };
    let objective = init(&alone_with(DistillationTerm::new(TermLoss::CosineFeature(term), 1.0)), &device);
    let (student, teacher) = (output(STUDENT, 4, &device), output(TEACHER, 4, &device));
    let loss = objective.forward(&student, &teacher, &targets(&[0, 1, 2, 1], &device));
    let value = host(loss.term("cosine_feature").unwrap().clone())[0];
    assert!((0.0..=2.0).contains(&value), "{value}");

    // projectors that have learned are those that are used
    let config = alone_with(DistillationTerm::new(TermLoss::Hint(HintTerm::default()), 1.0));
    let (first, second) = (init(&config, &device), init(&config, &device));
    let value = |objective: &DistillationObjective<CrossEntropyLoss>| {
        let loss = objective.forward(&student, &teacher, &targets(&[0, 1, 2, 1], &device));
        host(loss.term("hint").unwrap().clone())[0]
    };
    assert!(value(&first) != value(&second));
    assert_eq!(value(&first.clone().with_projectors(second.projectors().clone())), value(&second));
}

#[test]
fn schedules_follow_their_formulas() {
    let at = |schedule: WeightSchedule| [0.0, 0.25, 0.5, 0.75, 1.0].map(|t| schedule.factor(t));
    assert_eq!(at(WeightSchedule::Constant), [1.0; 5]);
    let linear = WeightSchedule::Linear { from: 2.0, to: 0.0, start: 0.0, end: 1.0 };
    assert_eq!(at(linear), [2.0, 1.5, 1.0, 0.5, 0.0]);
    let warm_up = WeightSchedule::Linear { from: 0.0, to: 1.0, start: 0.25, end: 0.75 };
    assert_eq!(at(warm_up), [0.0, 0.0, 0.5, 1.0, 1.0]);
    let cosine = WeightSchedule::Cosine { from: 1.0, to: 0.0, start: 0.0, end: 1.0 };
    let half = 0.5_f64.sqrt();
    for (got, expected) in at(cosine).into_iter().zip([1.0, 0.5 + half / 2.0, 0.5, 0.5 - half / 2.0, 0.0]) {
        assert!((got - expected).abs() < 1e-15, "{got} {expected}");
    }
    assert_eq!(cosine.factor(1.0), 0.0);
    let between = WeightSchedule::Between { start: 0.25, end: 0.75 };
    assert_eq!(at(between), [0.0, 1.0, 1.0, 0.0, 0.0]);
    // what lies outside is the nearer end, NaN the start
    for schedule in [linear, cosine, warm_up, between] {
        assert_eq!(schedule.factor(-3.0), schedule.factor(0.0));
        assert_eq!(schedule.factor(f64::NAN), schedule.factor(0.0));
        assert_eq!(schedule.factor(7.0), schedule.factor(1.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn factors_lie_between_their_ends(
        from in 0.0..5.0f64, to in 0.0..5.0f64, start in 0.0..0.5f64, length in 0.01..0.5f64, t in -0.5..1.5f64,
    ) {
        let end = start + length;
        for schedule in [
            WeightSchedule::Linear { from, to, start, end },
            WeightSchedule::Cosine { from, to, start, end },
        ] {
            let factor = schedule.factor(t);
            prop_assert!(factor >= from.min(to) - 1e-12 && factor <= from.max(to) + 1e-12);
            let expected = if t <= start { Some(from) } else if t >= end { Some(to) } else { None };
            prop_assert!(expected.is_none_or(|expected| (factor - expected).abs() < 1e-12));
        }
        let on = WeightSchedule::Between { start, end }.factor(t) > 0.0;
        prop_assert_eq!(on, (start..end).contains(&t.clamp(0.0, 1.0)) || (t >= 1.0 && end >= 1.0));
    }

    #[test]
    fn pixels_change_their_standardisation(
        values in proptest::collection::vec(0_u8.., 12), mean in 0.1..0.9f32, std in 0.05..0.6f32,
    ) {
        /// A standardised pixel is within some units, an f32 in the last place of that.
        const TOLERANCE: f64 = 1e-6;
        let device = Device::default();
        let other = Normalization { mean: [mean, 0.3, 0.9], std: [std, 0.25, 0.4] };
        let images = |by: Normalization| {
            let standardized: Vec<f32> = values
                .iter()
                .enumerate()
                .map(|(at, &value)| (f32::from(value) / 255.0 - by.mean[at / 4]) / by.std[at / 4])
                .collect();
            Tensor::<1>::from_floats(standardized.as_slice(), &device).reshape([1, 3, 2, 2])
        };
        for (from, to) in [(Normalization::IMAGENET, other), (other, Normalization::HALF)] {
            let (got, expected) = (NormalizationMap::new(from, to).apply(images(from)), images(to));
            for (got, expected) in host(got).into_iter().zip(host(expected)) {
                prop_assert!((got - expected).abs() <= TOLERANCE * (1.0 + expected.abs()), "{} {}", got, expected);
            }
        }
        let same = NormalizationMap::new(other, other).apply(images(other));
        prop_assert_eq!(host(same), host(images(other)));
    }
}
