//! A recomputed training step against the ordinary one, for every image encoder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod small_networks;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use derm_backbones::{
    AnyBackbone, BackboneConfig, BertConfig, Blocks, Classifier, ClassifierConfig, ClassifierInput,
    ClassifierOutput, ConvNextV2Config, CrossAttentionFusionConfig, EfficientNetConfig, FusionConfig,
    HeadConfig, MobileVitConfig, PointwiseLayers, PublishedKeys, QuestionnaireEncoderConfig, Recompute,
    RecomputedStep, TaskConfig, TextConfig, TextEncoderConfig, TextPooling, Tokens, VitConfig, VitPooling,
    freeze_layers, layer_rates, weights,
};
use derm_core::{Backbone, BackboneSpec, Features, ImageInput, Taps};
use small_networks::small_networks;

/// Where three gradients meet in one tensor, as they do at taps, their sum is rounded in another order, and sums
/// run in the order of the memory; relative to the largest gradient of a parameter.
const F32_NOISE: f64 = 1e-5;
/// Gradients below this share of the largest one of the step are compared with its size.
const SMALL: f64 = 0.1;
/// Of a central difference in f32 against the gradient.
const DIFFERENCE_NOISE: f64 = 0.005;

const EVERY: [NonZeroUsize; 3] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap(), NonZeroUsize::MAX];

/// The device has one random generator, so these tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn classifier(config: &BackboneConfig, head: HeadConfig, device: &Device) -> Classifier<AnyBackbone> {
    device.seed(11);
    ClassifierConfig { backbone: config.clone(), head }.init(device).unwrap()
}

fn images(size: [usize; 2], device: &Device) -> ClassifierInput {
    ClassifierInput { images: small_networks::images(3, size, device) + 0.3, answers: None, text: None }
}

/// `ConvNeXt` turns its maps to channels-last and back: a gradient that enters a block anew lies otherwise in memory.
fn noise(config: &BackboneConfig) -> f64 {
    if matches!(config, BackboneConfig::Convnextv2(_)) { F32_NOISE } else { 0.0 }
}

fn everything(network: &impl Backbone) -> Taps {
    let spec = network.spec();
    Taps::stages(spec.stages.iter().map(|stage| stage.name.clone()))
        .with_attention(spec.attention.iter().map(|block| block.name.clone()))
}

/// A loss that looks at all that a classifier gives.
fn loss(output: &ClassifierOutput) -> Tensor<1> {
    let logits = std::iter::once(&output.logits)
        .chain(output.head_logits.iter().flatten())
        .chain(output.tasks.iter().map(|(_, logits)| logits))
        .map(|logits| (logits.clone() - 0.7).square().mean());
    let taps = output.features.maps.iter().chain(&output.features.attention);
    let taps = taps.enumerate().map(|(index, (_, map))| map.clone().square().mean() * (index + 1) as f64);
    logits.chain(taps).reduce(|sum, term| sum + term).unwrap()
}

/// The gradient of every parameter that has one.
fn gradients_of<M: Module>(module: &M, gradients: &GradientsParams) -> BTreeMap<ParamId, Vec<f64>> {
    struct Visitor<'a>(&'a GradientsParams, BTreeMap<ParamId, Vec<f64>>);
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                assert!(!gradient.is_autodiff());
                self.1.insert(param.id, gradient.into_data().iter::<f64>().collect());
            }
        }
    }
    let mut visitor = Visitor(gradients, BTreeMap::new());
    module.visit(&mut visitor);
    assert_eq!(visitor.1.len(), gradients.len());
    visitor.1
}

/// Loss, gradients, and weights with running statistics after the step.
struct Step {
    loss: f32,
    gradients: BTreeMap<ParamId, Vec<f64>>,
    after: Vec<u8>,
}

/// A model with the same weights and running statistics of its own.
fn copy<B: Backbone>(model: &Classifier<B>) -> Classifier<B> {
    model.clone().train()
}

fn ordinary<B: Backbone + PublishedKeys>(model: &Classifier<B>, input: ClassifierInput, taps: &Taps) -> Step {
    let model = copy(model);
    let loss = loss(&model.forward_input(input, taps));
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let gradients = gradients_of(&model, &gradients);
    Step { loss: loss.into_scalar(), gradients, after: weights::to_safetensors(&model).unwrap() }
}

fn recomputed<B: Blocks + PublishedKeys>(
    model: &Classifier<B>,
    input: ClassifierInput,
    taps: &Taps,
    every: NonZeroUsize,
) -> Step {
    let model = copy(model);
    let recompute = Recompute { every, seed: 5 };
    let RecomputedStep { loss, gradients } = recompute.backward(&model, input, taps, |output| loss(&output));
    assert!(!loss.is_autodiff());
    let gradients = gradients_of(&model, &gradients);
    Step { loss: loss.into_scalar(), gradients, after: weights::to_safetensors(&model).unwrap() }
}

/// Equal to the last bit, but for `noise` in the gradients.
fn same(what: &str, got: &Step, expected: &Step, noise: f64) {
    assert_eq!(got.loss.to_bits(), expected.loss.to_bits(), "{what}: {} and {}", got.loss, expected.loss);
    assert!(got.after == expected.after, "{what}: running statistics");
    let ids = |step: &Step| step.gradients.keys().copied().collect::<Vec<_>>();
    assert_eq!(ids(got), ids(expected), "{what}");
    let largest_of = |values: &mut dyn Iterator<Item = &f64>| {
        values.fold(0.0_f64, |largest, value| largest.max(value.abs()))
    };
    // a bias before a batch norm has gradient 0, up to what is rounded of the others
    let least = SMALL * largest_of(&mut expected.gradients.values().flatten());
    for (got, expected) in got.gradients.values().zip(expected.gradients.values()) {
        let largest = largest_of(&mut expected.iter()).max(least);
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= noise * largest, "{what}: {got} and {expected}");
        }
    }
}

#[test]
fn it_is_the_ordinary_step() {
    let _alone = alone();
    let device = Device::default().autodiff();
    for (config, size) in small_networks() {
        let model = classifier(&config, HeadConfig::new(3), &device);
        let expected = ordinary(&model, images(size, &device), &Taps::none());
        assert!(expected.gradients.values().flatten().any(|gradient| *gradient != 0.0));
        for every in EVERY {
            let got = recomputed(&model, images(size, &device), &Taps::none(), every);
            same(&format!("{config:?} every {every}"), &got, &expected, noise(&config));
        }
    }
}

#[test]
fn tapped_maps_attention_and_tokens_pass_their_gradients_on() {
    let _alone = alone();
    let device = Device::default().autodiff();
    for (config, size) in small_networks() {
        let model = classifier(&config, HeadConfig::new(3), &device);
        let all = everything(model.backbone());
        let plain = ordinary(&model, images(size, &device), &Taps::none());
        let last = all.names().last().cloned();
        for taps in [all, Taps::stages(last)] {
            let expected = ordinary(&model, images(size, &device), &taps);
            assert_ne!(expected.gradients, plain.gradients);
            for every in EVERY {
                let got = recomputed(&model, images(size, &device), &taps, every);
                same(&format!("{config:?} every {every}"), &got, &expected, F32_NOISE);
            }
        }
    }
}

/// A loss on a tap alone: blocks behind it have no gradient, as in the ordinary step.
#[test]
fn a_tap_may_be_all_that_the_loss_reads() {
    let _alone = alone();
    let device = Device::default().autodiff();
    for (config, size) in small_networks() {
        let model = classifier(&config, HeadConfig::new(3), &device);
        let first = model.backbone().spec().stages[0].name.clone();
        let taps = Taps::stages([first.clone()]);
        let of = |output: &ClassifierOutput| output.features.map(&first).unwrap().clone().square().mean();
        let expected_loss = of(&model.forward_input(images(size, &device), &taps));
        let expected = GradientsParams::from_grads(expected_loss.backward(), &model);
        let expected = gradients_of(&model, &expected);
        let step =
            Recompute::each_block(1).backward(&model, images(size, &device), &taps, |output| of(&output));
        assert_eq!(gradients_of(&model, &step.gradients), expected, "{config:?}");
    }
}

#[test]
fn frozen_layers_have_no_gradient_and_are_not_computed_again() {
    let _alone = alone();
    let device = Device::default().autodiff();
    for (config, size) in small_networks() {
        let model = classifier(&config, HeadConfig::new(3), &device);
        let rates = layer_rates(&model, 1.0).unwrap();
        let half = rates.len() / 2;
        let names: Vec<&str> = rates.iter().map(|rate| rate.name.as_str()).collect();
        // the lower half, the upper half, all but the head
        for frozen in [&names[..half], &names[half..], &names[..names.len() - 1]] {
            let model = freeze_layers(model.clone(), frozen).unwrap();
            let taps = everything(model.backbone());
            let expected = ordinary(&model, images(size, &device), &taps);
            for every in EVERY {
                let got = recomputed(&model, images(size, &device), &taps, every);
                same(&format!("{config:?} every {every} frozen {frozen:?}"), &got, &expected, F32_NOISE);
            }
        }
        // the blocks that are called with all images: every one once, and those that train once more
        let calls = Arc::new(Mutex::new(Vec::new()));
        let inner = freeze_layers(model.clone(), &names[..half]).unwrap();
        let encoder = Counting { inner: inner.backbone().clone(), calls: Calls(calls.clone()) };
        let counting = HeadConfig::new(3).init(encoder, &device).unwrap();
        let step = Recompute::each_block(1);
        let _ = step.backward(&counting, images(size, &device), &Taps::none(), |output| loss(&output));
        let calls = calls.lock().unwrap();
        let count = counting.backbone().num_blocks();
        let whole: Vec<usize> =
            calls.iter().filter(|(_, batch)| *batch == 3).map(|(index, _)| *index).collect();
        let expected: Vec<usize> = (0..count).chain((half..count).rev()).collect();
        assert_eq!(whole, expected, "{config:?}");
    }
}

/// The calls of blocks: index and batch size.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<Vec<(usize, usize)>>>);

/// An encoder that notes which of its blocks are run.
#[derive(Module, Debug)]
struct Counting {
    inner: AnyBackbone,
    #[module(skip)]
    calls: Calls,
}

impl Backbone for Counting {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        self.inner.forward_features(images, taps)
    }

    fn spec(&self) -> &BackboneSpec {
        self.inner.spec()
    }
}

impl Blocks for Counting {
    fn num_blocks(&self) -> usize {
        self.inner.num_blocks()
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        self.calls.0.lock().unwrap().push((index, state.dims()[0]));
        self.inner.block(index, state)
    }

    fn stage_block(&self, stage: usize) -> usize {
        self.inner.stage_block(stage)
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        self.inner.pool(state)
    }
}

/// Answers, text, fusion and further tasks stand on top of the encoder.
#[test]
fn whole_classifiers_give_the_ordinary_gradients() {
    let _alone = alone();
    let device = Device::default().autodiff();
    let (config, size) = small_networks().remove(0);
    for fusion in [
        FusionConfig::Concatenation,
        FusionConfig::CrossAttention(CrossAttentionFusionConfig {
            width: 8,
            layers: 1,
            heads: 2,
            dropout: 0.0,
        }),
    ] {
        let head = multimodal_head(fusion, 0.0);
        let model = classifier(&config, head, &device);
        for taps in [Taps::none(), everything(model.backbone())] {
            let expected = ordinary(&model, multimodal_input(size, &device), &taps);
            for every in EVERY {
                let got = recomputed(&model, multimodal_input(size, &device), &taps, every);
                same(&format!("every {every}"), &got, &expected, F32_NOISE);
            }
        }
    }
}

fn multimodal_head(fusion: FusionConfig, dropout: f64) -> HeadConfig {
    let questionnaire = QuestionnaireEncoderConfig { dropout, ..QuestionnaireEncoderConfig::new(5) };
    let encoder = BertConfig {
        vocabulary: 20,
        positions: 8,
        width: 8,
        layers: 1,
        heads: 2,
        hidden: 12,
        dropout,
        attention_dropout: dropout,
        ..BertConfig::minilm_l6_h384()
    };
    HeadConfig {
        dropout,
        questionnaire: Some(questionnaire),
        text: Some(TextConfig { encoder: TextEncoderConfig::Bert(encoder), pooling: TextPooling::Mean }),
        fusion,
        tasks: vec![TaskConfig { name: "severity".to_owned(), num_classes: 4 }],
        ..HeadConfig::new(3)
    }
}

fn multimodal_input(size: [usize; 2], device: &Device) -> ClassifierInput {
    let input = images(size, device);
    let answers = input.images.clone().slice([0..3, 0..1, 0..1, 0..5]).reshape([3, 5]);
    let ids: Tensor<2, Int> = Tensor::from_data([[2, 5, 7, 3], [2, 9, 3, 0], [2, 4, 4, 3]], device);
    ClassifierInput { answers: Some(answers), text: Some(Tokens::new(ids)), ..input }
}

/// With dropout everywhere the loss is a smooth function of the weights as long as the seed stays, and the gradient
/// is its slope: forward pass and second run drop the same values.
#[test]
fn with_dropout_the_gradient_is_the_slope_of_the_loss() {
    let _alone = alone();
    let device = Device::default().autodiff();
    for (config, size) in dropping_networks() {
        let model = classifier(&config, HeadConfig { dropout: 0.3, ..HeadConfig::new(3) }, &device);
        let taps = everything(model.backbone());
        for every in EVERY {
            let step = |model: &Classifier<AnyBackbone>, seed| {
                let recompute = Recompute { every, seed };
                let step =
                    recompute.backward(&copy(model), images(size, &device), &taps, |output| loss(&output));
                (f64::from(step.loss.into_scalar::<f32>()), step.gradients)
            };
            let (value, gradients) = step(&model, 5);
            let host = gradients_of(&model, &gradients);
            let (repeated, again) = step(&model, 5);
            assert_eq!((repeated, gradients_of(&model, &again)), (value, host.clone()));
            let (other, _) = step(&model, 6);
            assert_ne!(other, value, "{config:?}: the seed decides what is dropped");
            let squares: f64 = host.values().flatten().map(|gradient| gradient * gradient).sum();
            let length = 1e-3 * value / squares;
            let moved = |by: f64| step(&model.clone().map(&mut Along { gradients: &gradients, by }), 5).0;
            let slope = (moved(length) - moved(-length)) / (2.0 * length);
            assert!(
                (slope / squares - 1.0).abs() < DIFFERENCE_NOISE,
                "{config:?} every {every}: {slope} and {squares}"
            );
        }
    }
}

/// Adds `by` times the gradient to every parameter.
struct Along<'a> {
    gradients: &'a GradientsParams,
    by: f64,
}

impl ModuleMapper for Along<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.gradients.get::<D>(param.id) {
            None => param,
            Some(gradient) => {
                param.map(|value| (value.without_autodiff() + gradient * self.by).autodiff().require_grad())
            }
        }
    }
}

/// Networks with every kind of dropout that a block can have.
fn dropping_networks() -> Vec<(BackboneConfig, [usize; 2])> {
    let efficientnet = EfficientNetConfig {
        width_multiplier: 0.2,
        depth_multiplier: 0.3,
        stochastic_depth: 0.4,
        ..EfficientNetConfig::b0()
    };
    let convnext_v2 = ConvNextV2Config {
        depths: vec![1, 3],
        widths: vec![6, 8],
        stochastic_depth: 0.4,
        pointwise_layers: PointwiseLayers::Linear,
    };
    let mobilevit = MobileVitConfig {
        widths: [4, 5, 6, 7, 8],
        expansion: 2,
        transformer_widths: [6, 4, 8],
        transformer_depths: [1, 2, 1],
        heads: 2,
        embedding: 9,
        dropout: 0.3,
    };
    let vit = VitConfig {
        input: ImageInput { size: 12, ..VitConfig::deit_tiny_patch16_224().input },
        patch_size: 4,
        width: 12,
        depth: 3,
        heads: 3,
        hidden: 20,
        pooling: VitPooling::Distilled,
        position_dropout: 0.2,
        dropout: 0.2,
        attention_dropout: 0.2,
        drop_path: 0.4,
        ..VitConfig::deit_tiny_patch16_224()
    };
    vec![
        (BackboneConfig::Efficientnet(efficientnet), [33, 32]),
        (BackboneConfig::Convnextv2(convnext_v2), [16, 24]),
        (BackboneConfig::Mobilevit(mobilevit), [32, 64]),
        (BackboneConfig::Vit(vit), [12, 12]),
    ]
}

/// Burn's own checkpointing of cheap operations and recomputation by block work together.
#[test]
fn it_works_on_a_device_with_gradient_checkpointing() {
    let _alone = alone();
    let device = Device::default().autodiff().gradient_checkpointing();
    for (config, size) in small_networks() {
        let model = classifier(&config, HeadConfig::new(3), &device);
        let expected = ordinary(&model, images(size, &device), &Taps::none());
        let got = recomputed(&model, images(size, &device), &Taps::none(), NonZeroUsize::MIN);
        same(&format!("{config:?}"), &got, &expected, noise(&config));
    }
}

/// A chain from elsewhere, with Burn's own layers, whose batch norm keeps statistics its own way.
#[derive(Module, Debug)]
struct Foreign {
    conv1: Conv2d,
    norm: BatchNorm,
    conv2: Conv2d,
    #[module(skip)]
    spec: BackboneSpec,
}

impl Backbone for Foreign {
    fn forward_features(&self, images: Tensor<4>, _taps: &Taps) -> Features {
        let state = (0..self.num_blocks()).fold(images, |state, index| self.block(index, state));
        self.pool(state)
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

impl PublishedKeys for Foreign {}

impl Blocks for Foreign {
    fn num_blocks(&self) -> usize {
        3
    }

    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
        match index {
            0 => self.conv1.forward(state),
            1 => self.norm.forward(state),
            _ => self.conv2.forward(state).tanh(),
        }
    }

    fn stage_block(&self, stage: usize) -> usize {
        stage
    }

    fn pool(&self, state: Tensor<4>) -> Features {
        Features::new(state.mean_dim(3).mean_dim(2).squeeze_dims(&[2, 3]))
    }
}

#[test]
fn a_foreign_chain_of_burns_own_layers_is_trained_the_same_way() {
    let _alone = alone();
    let device = Device::default().autodiff();
    let (config, size) = small_networks().remove(0);
    let foreign = Foreign {
        conv1: Conv2dConfig::new([3, 4], [3, 3]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        conv2: Conv2dConfig::new([4, 5], [3, 3]).init(&device),
        spec: BackboneSpec::new("foreign", 5, Vec::new(), config.spec().unwrap().input),
    };
    let model = HeadConfig::new(3).init(foreign, &device).unwrap();
    for _ in 0..2 {
        let step = Recompute::each_block(1);
        let step = step.backward(&model, images(size, &device), &Taps::none(), |output| loss(&output));
        let before = weights::to_safetensors(&model).unwrap();
        let expected = ordinary(&model, images(size, &device), &Taps::none());
        assert!(weights::to_safetensors(&model).unwrap() == before);
        assert_eq!(gradients_of(&model, &step.gradients), expected.gradients);
        assert_eq!(step.loss.into_scalar::<f32>().to_bits(), expected.loss.to_bits());
    }
    let running = model.backbone().norm.running_mean.value_sync().into_data();
    // 1 − 0.9² of the batch's mean, not 1 − 0.9⁴
    let mean = model.backbone().conv1.forward(images(size, &device).images).mean_dims(&[0, 2, 3]);
    let mean: Vec<f64> = mean.into_data().iter::<f64>().collect();
    for (got, mean) in running.iter::<f64>().zip(mean) {
        assert!((got - (1.0 - 0.9 * 0.9) * mean).abs() < F32_NOISE, "{got} and {mean}");
    }
}

#[test]
#[should_panic(expected = "autodiff device")]
fn a_model_for_inference_is_refused() {
    let _alone = alone();
    let device = Device::default();
    let (config, size) = small_networks().remove(0);
    let model = classifier(&config, HeadConfig::new(3), &device);
    let input = images(size, &device.autodiff());
    let step = Recompute::each_block(1);
    let _ = step.backward(&model, input, &Taps::none(), |output| loss(&output));
}

#[test]
#[should_panic(expected = "tracked")]
fn a_model_without_weights_to_train_is_refused_as_burn_does() {
    let _alone = alone();
    let device = Device::default().autodiff();
    let (config, size) = small_networks().remove(0);
    let model = classifier(&config, HeadConfig::new(3), &device).no_grad();
    let step = Recompute::each_block(1);
    let _ = step.backward(&model, images(size, &device), &Taps::none(), |output| loss(&output));
}
