//! Mixed precision: every encoder in 16 bits against itself in 32.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod small_networks;

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use derm_backbones::{
    AnyBackbone, BackboneConfig, Classifier, ClassifierConfig, CrossAttentionFusionConfig, FusionConfig,
    GatedFusionConfig, HalfPrecision, HeadConfig, MetaBlockConfig, QuestionnaireEncoderConfig,
};
use derm_core::Taps;
use small_networks::small_networks;

/// Relative error of the logits, and cosine of the angle between the gradients in 16 and in 32 bits: every rounding of
/// bf16 is 2⁻⁹ of the value and one of f16 is 2⁻¹², and batch norms over two small images, fifty of them in a row,
/// pass them on enlarged.
fn bounds(format: HalfPrecision) -> (f64, f64) {
    match format {
        HalfPrecision::Bf16 => (0.25, 0.9),
        HalfPrecision::F16 => (0.05, 0.98),
    }
}

/// A batch norm over two values leaves nothing but their signs.
const IMAGES: usize = 12;

fn classifier(config: &BackboneConfig, head: HeadConfig, device: &Device) -> Classifier<AnyBackbone> {
    device.seed(11);
    ClassifierConfig { backbone: config.clone(), head }.init(device).unwrap()
}

#[derive(Default)]
struct Types(Vec<(String, DType)>, Vec<String>);

impl ModuleVisitor for Types {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.1.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.1.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push((self.1.join("."), param.val().dtype()));
    }
}

struct Collect<'a>(&'a GradientsParams, Vec<f64>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.0.get::<D>(param.id) {
            self.1.extend(gradient.into_data().iter::<f64>());
        }
    }
}

/// Logits, and the gradient of a fixed combination of them by every weight.
fn step(
    model: &Classifier<AnyBackbone>,
    images: Tensor<4>,
    answers: Option<Tensor<2>>,
) -> (Vec<f64>, Vec<f64>) {
    // the same dropout masks in both
    images.device().seed(3);
    let logits = model.forward(images, answers, &Taps::none()).logits;
    let values = logits.clone().into_data().iter::<f64>().collect();
    let weights: Vec<f32> = (0..IMAGES * 3).map(|i| ((i * 7 + 3) % 11) as f32 / 5.0 - 1.0).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [IMAGES, 3]), &logits.device());
    let loss = (logits.cast(DType::F32) * weights).sum();
    let gradients = GradientsParams::from_grads(loss.backward(), model);
    let mut collect = Collect(&gradients, Vec::new());
    model.visit(&mut collect);
    (values, collect.1)
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn heads() -> Vec<(&'static str, HeadConfig)> {
    let with = |fusion| HeadConfig {
        questionnaire: Some(QuestionnaireEncoderConfig::new(5)),
        fusion,
        ..HeadConfig::new(3)
    };
    let attention =
        CrossAttentionFusionConfig { width: 8, heads: 2, ..CrossAttentionFusionConfig::default() };
    vec![
        ("image only", HeadConfig::new(3)),
        ("concatenation", with(FusionConfig::Concatenation)),
        ("cross attention", with(FusionConfig::CrossAttention(attention))),
        ("gated", with(FusionConfig::Gated(GatedFusionConfig { width: 8 }))),
        ("meta block", with(FusionConfig::MetaBlock(MetaBlockConfig { values: 4 }))),
    ]
}

/// What the device computes in: both on flex, neither on ndarray.
fn formats(device: &Device) -> Vec<HalfPrecision> {
    let formats = [HalfPrecision::Bf16, HalfPrecision::F16];
    formats.into_iter().filter(|format| format.is_supported(device)).collect()
}

#[test]
fn flex_has_both_formats() {
    assert_eq!(formats(&Device::flex()).len(), 2);
}

/// flex has one generator in the whole process: what draws dropout masks runs alone.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn sixteen_bits_go_the_way_of_thirty_two() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::default().autodiff();
    for (number, (config, size)) in small_networks().into_iter().enumerate() {
        // every head once, not with every encoder
        for (head_name, head) in heads().into_iter().take(if number == 0 { 5 } else { 1 }) {
            for format in formats(&device) {
                let what = format!("{config:?} {head_name} {format:?}");
                let model = classifier(&config, head.clone(), &device);
                let half = format.copy_of(&model);
                let images = small_networks::images(IMAGES, size, &device);
                let answers =
                    head.questionnaire.is_some().then(|| Tensor::<2>::ones([IMAGES, 5], &device) * 0.3);
                let (expected, expected_gradient) = step(&model, images.clone(), answers.clone());
                let dtype = format.dtype();
                let (got, gradient) =
                    step(&half, images.cast(dtype), answers.map(|answers| answers.cast(dtype)));
                let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
                let differences: Vec<f64> = got.iter().zip(&expected).map(|(a, b)| a - b).collect();
                let error = norm(&differences) / norm(&expected);
                assert_eq!(gradient.len(), expected_gradient.len(), "{what}");
                assert!(gradient.iter().all(|value| value.is_finite()), "{what}");
                let cosine = cosine(&gradient, &expected_gradient);
                let (nearest, same_way) = bounds(format);
                assert!(error < nearest, "{what}: the logits differ by {error} of their norm");
                // fifty norms, untrained, in channels of one to eight: only f16 finds the way back
                let same_way =
                    if matches!(config, BackboneConfig::Mobilenetv2(_)) { same_way - 0.8 } else { same_way };
                assert!(cosine > same_way, "{what}: the gradients' cosine is {cosine}");
            }
        }
    }
}

#[test]
fn norms_and_their_statistics_stay_in_thirty_two_bits_and_belong_to_the_original() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::default().autodiff();
    if !HalfPrecision::Bf16.is_supported(&device) {
        return;
    }
    let (config, size) = small_networks().into_iter().next().unwrap();
    let model = classifier(&config, HeadConfig::new(3), &device);
    let half = HalfPrecision::Bf16.copy_of(&model);
    let mut types = Types::default();
    half.visit(&mut types);
    let norms: Vec<_> = types.0.iter().filter(|(_, dtype)| *dtype == DType::F32).collect();
    assert!(norms.iter().any(|(name, _)| name.ends_with("running_mean")), "{norms:?}");
    assert!(norms.iter().all(|(name, _)| name.contains("norm") || name.contains("bn")), "{norms:?}");
    assert!(
        types.0.iter().any(|(name, dtype)| name == "head.weight" && *dtype == DType::BF16),
        "{:?}",
        types.0
    );
    let statistics = |model: &Classifier<AnyBackbone>| {
        struct Running(Vec<f64>, Vec<String>);
        impl ModuleVisitor for Running {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.1.push(name.to_owned());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.1.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if self.1.last().is_some_and(|name| name.starts_with("running")) {
                    self.0.extend(param.val().into_data().iter::<f64>());
                }
            }
        }
        let mut running = Running(Vec::new(), Vec::new());
        model.visit(&mut running);
        running.0
    };
    let before = statistics(&model);
    let images = small_networks::images(IMAGES, size, &device).cast(DType::BF16);
    let _ = half.forward(images, None, &Taps::none());
    let after = statistics(&model);
    assert_ne!(before, after);
    assert_eq!(after, statistics(&half));
}
