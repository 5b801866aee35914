//! What must hold for any network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use derm_backbones::{
    BackboneConfig, BatchNorm2d, BlockKind, Classifier, ClassifierConfig, HeadConfig, Naming, PublishedKeys,
    QuestionnaireEncoderConfig, ResNetConfig, Stem, count_parameters, weights,
};
use derm_core::{Backbone, BackboneSpec, Features, ImageInput, Taps};
use proptest::prelude::*;

/// One network in another order of summation.
const F32_NOISE: f64 = 1e-4;

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= F32_NOISE * (1.0 + expected.abs()), "{got} and {expected}");
    }
}

fn small(questionnaire: bool) -> ClassifierConfig {
    ClassifierConfig {
        backbone: BackboneConfig::Resnet(ResNetConfig {
            block: BlockKind::Basic,
            depths: vec![1, 1],
            widths: vec![4, 8],
            stem: Stem::Conv3x3,
        }),
        head: HeadConfig {
            questionnaire: questionnaire
                .then(|| QuestionnaireEncoderConfig { dropout: 0.0, ..QuestionnaireEncoderConfig::new(5) }),
            ..HeadConfig::new(3)
        },
    }
}

/// Fixed pixels in [−1, 1), independent of the device's generator.
fn pixels(batch: usize, size: usize, device: &Device) -> Tensor<4> {
    let n = batch * 3 * size * size;
    let values: Vec<f32> = (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [batch, 3, size, size]), device)
}

fn answers(batch: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..batch * 5).map(|i| (i % 4) as f32 / 2.0 - 0.7).collect();
    Tensor::from_data(TensorData::new(values, [batch, 5]), device)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn free_networks_have_the_shapes_that_their_spec_says(
        bottleneck: bool, large_stem: bool, stages in prop::collection::vec((1usize..3, 1usize..7), 1..4),
        side in 8usize..20,
    ) {
        let config = ResNetConfig {
            block: if bottleneck { BlockKind::Bottleneck } else { BlockKind::Basic },
            depths: stages.iter().map(|stage| stage.0).collect(),
            widths: stages.iter().map(|stage| stage.1).collect(),
            stem: if large_stem { Stem::Conv7x7 } else { Stem::Conv3x3 },
        };
        let device = Device::default();
        let network = config.init(&device).unwrap();
        let spec = network.spec().clone();
        prop_assert_eq!(&spec, &config.spec().unwrap());
        let taps = Taps::stages(spec.stages.iter().map(|stage| stage.name.clone()));
        prop_assert!(spec.check(&taps).is_ok());
        let features = network.forward_features(pixels(2, side, &device), &taps);
        prop_assert_eq!(features.pooled.dims(), [2, spec.embedding]);
        prop_assert_eq!(features.maps.len(), spec.stages.len());
        for stage in &spec.stages {
            let size = side.div_ceil(stage.stride);
            prop_assert_eq!(features.map(&stage.name).unwrap().dims(), [2, stage.channels, size, size]);
        }
        // and weights travel bit for bit
        let bytes = weights::to_safetensors(&network).unwrap();
        let (copy, report) = weights::from_safetensors(config.init(&device).unwrap(), &bytes).unwrap();
        prop_assert_eq!(weights::to_safetensors(&copy).unwrap(), bytes);
        prop_assert_eq!(
            report.loaded.len() + report.counters.len(), weights::published_shapes(&network, network.namings()[0]).unwrap().len());
        let again = copy.forward_features(pixels(2, side, &device), &taps);
        prop_assert_eq!(host(again.pooled), host(features.pooled));
    }
}

#[test]
fn inference_treats_samples_alone() {
    let device = Device::default();
    let model = small(true).init(&device).unwrap();
    let (images, answers) = (pixels(3, 8, &device), answers(3, &device));
    let batch = host(model.forward(images.clone(), Some(answers.clone()), &Taps::none()).logits);
    for i in 0..3 {
        let image = images.clone().slice_dim(0, i..i + 1);
        let answer = answers.clone().slice_dim(0, i..i + 1);
        close(&host(model.forward(image, Some(answer), &Taps::none()).logits), &batch[i * 3..i * 3 + 3]);
    }
}

/// Large images go through one by one, on several cores: all features are each image's own, in order.
#[test]
fn large_images_are_treated_alone_too() {
    let device = Device::default();
    let network =
        ResNetConfig { block: BlockKind::Basic, depths: vec![1, 1], widths: vec![4, 8], stem: Stem::Conv7x7 };
    let network = network.init(&device).unwrap().fold_batch_norm();
    let size = 257;
    let taps = Taps::stages(["layer1", "layer2"]);
    for batch in [2, 3, 7] {
        let images = Tensor::random([batch, 3, size, size], Distribution::Normal(0.0, 1.0), &device);
        let all = network.forward_features(images.clone(), &taps);
        for image in 0..batch {
            let alone = network.forward_features(images.clone().narrow(0, image, 1), &taps);
            close(&host(all.pooled.clone().narrow(0, image, 1)), &host(alone.pooled));
            for ((name, got), (expected_name, expected)) in all.maps.iter().zip(alone.maps) {
                assert_eq!(*name, expected_name);
                close(&host(got.clone().narrow(0, image, 1)), &host(expected));
            }
        }
    }
}

#[test]
fn image_and_answers_both_reach_the_logits() {
    let device = Device::default().autodiff();
    let model = small(true).init(&device).unwrap();
    let images = pixels(2, 8, &device).require_grad();
    let answers = answers(2, &device).require_grad();
    let output = model.forward(images.clone(), Some(answers.clone()), &Taps::none());
    let gradients = output.logits.slice_dim(1, 0..1).sum().backward();
    assert!(host(images.grad(&gradients).unwrap()).iter().any(|g| *g != 0.0));
    assert!(host(answers.grad(&gradients).unwrap()).iter().any(|g| *g != 0.0));
}

#[test]
fn batch_norm_keeps_torchs_running_statistics() {
    let device = Device::default().autodiff();
    let norm = BatchNorm2d::new(1, &device);
    let batch =
        |values: [f32; 4]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 1, 1, 2]), &device);
    // torch.nn.BatchNorm2d(1) over the same two batches: mean 0.1 · 2.5 = 0.25, variance 0.9 + 0.1 · 5/3
    let output = norm.forward(batch([1.0, 2.0, 3.0, 4.0]));
    let deviation = (1.25_f64 + 1e-5).sqrt();
    close(&host(output), &[-1.5, -0.5, 0.5, 1.5].map(|x| x / deviation));
    norm.forward(batch([0.0, 0.0, 4.0, 4.0]));
    let (mean, variance) = (0.9 * 0.25 + 0.1 * 2.0, 0.9 * (0.9 + 0.1 * 5.0 / 3.0) + 0.1 * 16.0 / 3.0);
    // read without `valid()`, as a checkpoint would
    let mut statistics = Vec::new();
    norm.visit(&mut Collect(&mut statistics));
    close(&statistics, &[1.0, 0.0, mean, variance]);
    let plain = Tensor::<4>::from_data(TensorData::new(vec![1.0_f32], [1, 1, 1, 1]), &Device::default());
    close(&host(norm.valid().forward(plain)), &[(1.0 - mean) / (variance + 1e-5).sqrt()]);
}

struct Collect<'a>(&'a mut Vec<f64>);

impl burn::module::ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        self.0.extend(host(param.val()));
    }
}

#[test]
fn a_frozen_encoder_keeps_its_statistics() {
    let device = Device::default().autodiff();
    let model = small(false).init(&device).unwrap().freeze();
    let before = weights::to_safetensors(&model).unwrap();
    model.forward(pixels(2, 8, &device), None, &Taps::none());
    assert_eq!(weights::to_safetensors(&model).unwrap(), before);
    let model = model.unfreeze();
    model.forward(pixels(2, 8, &device), None, &Taps::none());
    assert_ne!(weights::to_safetensors(&model).unwrap(), before);
}

#[test]
fn trained_weights_travel_to_a_serving_device() {
    let device = Device::default().autodiff();
    let model = small(true).init(&device).unwrap();
    model.forward(pixels(4, 8, &device), Some(answers(4, &device)), &Taps::none());
    let plain = Device::default();
    let serving = small(true).init(&plain).unwrap();
    let (serving, _) = weights::from_safetensors(serving, &weights::to_safetensors(&model).unwrap()).unwrap();
    let forward = |model: &Classifier<_>| {
        host(model.forward(pixels(2, 8, &plain), Some(answers(2, &plain)), &Taps::none()).logits)
    };
    assert_eq!(forward(&serving), forward(&model.valid()));
}

#[test]
fn dropout_works_in_training_only() {
    let config = ClassifierConfig { head: HeadConfig { dropout: 0.5, ..small(false).head }, ..small(false) };
    let device = Device::default().autodiff();
    let model = config.init(&device).unwrap();
    let plain = Device::default();
    let forward = |model: &Classifier<_>, device: &Device| {
        host(model.forward(pixels(8, 8, device), None, &Taps::none()).logits)
    };
    assert_ne!(forward(&model, &device), forward(&model, &device));
    let model = model.valid();
    assert_eq!(forward(&model, &plain), forward(&model, &plain));
}

#[test]
fn gradient_checkpointing_changes_no_gradient() {
    let device = Device::default().autodiff();
    let model = small(true).init(&device).unwrap();
    let bytes = weights::to_safetensors(&model).unwrap();
    let gradient = |device: &Device| {
        let (model, _) = weights::from_safetensors(small(true).init(device).unwrap(), &bytes).unwrap();
        let images = pixels(2, 8, device).require_grad();
        let output = model.forward(images.clone(), Some(answers(2, device)), &Taps::none());
        host(images.grad(&output.logits.square().sum().backward()).unwrap())
    };
    let plain = gradient(&device);
    assert!(plain.iter().any(|g| *g != 0.0));
    assert_eq!(gradient(&device.gradient_checkpointing()), plain);
}

/// A network that this crate does not know.
#[derive(Module, Debug)]
struct Foreign {
    mix: burn::nn::Linear,
    #[module(skip)]
    spec: BackboneSpec,
}

impl Backbone for Foreign {
    fn forward_features(&self, images: Tensor<4>, _taps: &Taps) -> Features {
        let [batch, channels, height, width] = images.dims();
        let means = images.reshape([batch, channels, height * width]).mean_dim(2).squeeze_dim(2);
        Features::new(self.mix.forward(means))
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

impl PublishedKeys for Foreign {
    fn published_head(&self, _naming: Naming) -> &'static str {
        "classifier"
    }
}

#[test]
fn a_foreign_network_takes_the_same_head_and_file() {
    let device = Device::default();
    let input: ImageInput = ResNetConfig::resnet18(Stem::Conv3x3).spec().unwrap().input;
    let foreign = || Foreign {
        mix: burn::nn::LinearConfig::new(3, 6).init(&device),
        spec: BackboneSpec::new("colour_mean", 6, Vec::new(), input),
    };
    let model = HeadConfig::new(4).init(foreign(), &device).unwrap();
    let shapes = weights::published_shapes(&model, model.namings()[0]).unwrap();
    let expected = [("mix.weight", vec![6, 3]), ("mix.bias", vec![6]), ("classifier.weight", vec![4, 6])];
    for (got, expected) in shapes.iter().zip(expected) {
        assert_eq!((got.0.as_str(), &got.1), (expected.0, &expected.1));
    }
    let images = Tensor::random([2, 3, 5, 5], Distribution::Default, &device);
    let logits = host(model.forward(images.clone(), None, &Taps::none()).logits);
    let bytes = weights::to_safetensors(&model).unwrap();
    let (copy, _) =
        weights::from_safetensors(HeadConfig::new(4).init(foreign(), &device).unwrap(), &bytes).unwrap();
    assert_eq!(host(copy.forward(images, None, &Taps::none()).logits), logits);
}

#[test]
fn the_questionnaire_stands_beside_the_published_keys() {
    let device = Device::default();
    let keys = |questionnaire| -> Vec<String> {
        let model = small(questionnaire).init(&device).unwrap();
        weights::published_shapes(&model, model.namings()[0])
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    let plain = keys(false);
    let extra: Vec<String> = keys(true).into_iter().filter(|key| !plain.contains(key)).collect();
    assert_eq!(
        extra,
        [
            "questionnaire.layers.0.weight",
            "questionnaire.layers.0.bias",
            "questionnaire.layers.1.weight",
            "questionnaire.layers.1.bias"
        ]
    );
    let model = small(true).init(&device).unwrap();
    assert_eq!(model.num_answers(), Some(5));
    // 5·64 + 64 + 64·32 + 32 more in the encoder, 32·3 more in the head
    let plain = count_parameters(&small(false).init(&device).unwrap()).trainable;
    assert_eq!(count_parameters(&model).trainable - plain, 5 * 64 + 64 + 64 * 32 + 32 + 32 * 3);
}

#[test]
fn names_in_files() {
    let named: BackboneConfig = serde_json::from_str(r#""resnet18_28""#).unwrap();
    assert_eq!(named, BackboneConfig::Resnet18_28);
    let free: BackboneConfig = serde_json::from_str(
        r#"{"resnet": {"block": "bottleneck", "depths": [1, 2], "widths": [8, 16], "stem": "conv7x7"}}"#,
    )
    .unwrap();
    assert_eq!(free.spec().unwrap().architecture, "resnet_bottleneck_1-2_8-16");
    assert_eq!(free.spec().unwrap().embedding, 64);
    assert_eq!(BackboneConfig::Resnet34.spec().unwrap().architecture, "resnet34");
}
