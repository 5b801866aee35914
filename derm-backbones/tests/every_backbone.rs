//! What holds for every image encoder of the crate, on small ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod small_networks;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use derm_backbones::{
    AnyBackbone, BackboneConfig, Blocks, Classifier, ClassifierConfig, CountMacs, HeadConfig, Macs,
    PublishedKeys, count_parameters, freeze_layers, layer_rates, unfreeze_layers, weights,
};
use derm_core::{Backbone, Taps};
use small_networks::small_networks;

/// Sums in another order.
const F32_NOISE: f64 = 2e-4;

fn classifier(config: &BackboneConfig, device: &Device) -> Classifier<AnyBackbone> {
    device.seed(11);
    let config = ClassifierConfig { backbone: config.clone(), head: HeadConfig::new(3) };
    config.init(device).unwrap()
}

fn images(size: [usize; 2], device: &Device) -> Tensor<4> {
    small_networks::images(2, size, device)
}

fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= F32_NOISE * (1.0 + expected.abs()), "{what}: {got} and {expected}");
    }
}

/// A classifier whose batch norms have seen images: their running statistics are no longer 0 and 1.
fn trained(config: &BackboneConfig, size: [usize; 2]) -> Classifier<AnyBackbone> {
    let device = Device::default().autodiff();
    let network = classifier(config, &device);
    for _ in 0..3 {
        let _ = network.forward(images(size, &device) * 2.0 + 0.5, None, &Taps::none());
    }
    network.valid()
}

fn everything(network: &AnyBackbone) -> Taps {
    let spec = network.spec();
    Taps::stages(spec.stages.iter().map(|stage| stage.name.clone()))
        .with_attention(spec.attention.iter().map(|block| block.name.clone()))
}

#[test]
fn features_and_taps_have_the_shapes_that_the_spec_says() {
    let device = Device::default();
    for (config, [height, width]) in small_networks() {
        let network = classifier(&config, &device);
        let network = network.backbone();
        let spec = network.spec();
        assert_eq!(*spec, config.spec().unwrap());
        let taps = everything(network);
        spec.check(&taps).unwrap();
        let features = network.forward_features(images([height, width], &device), &taps);
        assert_eq!(features.pooled.dims(), [2, spec.embedding], "{}", spec.architecture);
        assert_eq!(features.distillation.is_some(), spec.distillation);
        for stage in &spec.stages {
            let size = [height, width].map(|side| side.div_ceil(stage.stride));
            let map = features.map(&stage.name).unwrap();
            assert_eq!(map.dims(), [2, stage.channels, size[0], size[1]], "{}", spec.architecture);
        }
        for block in &spec.attention {
            let weights = features.attention(&block.name).unwrap();
            let [batch, heads, queries, keys] = weights.dims();
            assert_eq!((batch, heads), (2, block.heads), "{}", spec.architecture);
            // every token looks, or the probe of a pooling head
            assert!(queries == keys || queries == 1, "{}", spec.architecture);
            let sums = host(&weights.clone().sum_dim(3));
            close(&spec.architecture, &sums, &vec![1.0; sums.len()]);
        }
        let plain = network.forward_features(images([height, width], &device), &Taps::none());
        assert!(plain.maps.is_empty() && plain.attention.is_empty());
        assert_eq!(host(&plain.pooled), host(&features.pooled));
    }
}

#[test]
fn configs_survive_json_and_refuse_unknown_keys() {
    for (config, _) in small_networks() {
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BackboneConfig>(&json).unwrap(), config, "{json}");
        let unknown = json.replacen(":{", r#":{"unknown":1,"#, 1);
        let error = serde_json::from_str::<BackboneConfig>(&unknown).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}

#[test]
fn folded_batch_norms_change_nothing_but_the_parameters() {
    let device = Device::default();
    for (config, size) in small_networks() {
        let network = trained(&config, size);
        let name = network.backbone().spec().architecture.clone();
        let buffers = count_parameters(&network).buffers;
        let taps = everything(network.backbone());
        let before = network.forward(images(size, &device), None, &taps);
        let folded = network.fold_batch_norm();
        assert_eq!(count_parameters(&folded).buffers, 0, "{name}");
        let after = folded.forward(images(size, &device), None, &taps);
        close(&name, &host(&after.logits), &host(&before.logits));
        for ((stage, before), (_, after)) in before.features.maps.iter().zip(&after.features.maps) {
            close(&format!("{name} {stage}"), &host(after), &host(before));
        }
        if buffers > 0 {
            let error = weights::to_safetensors(&folded).unwrap_err();
            assert!(matches!(error, derm_backbones::Error::Folded { .. }), "{error}");
        }
    }
}

#[test]
fn weights_go_out_and_back_bit_for_bit_under_every_naming() {
    let device = Device::default();
    for (config, size) in small_networks() {
        let network = trained(&config, size);
        let expected = host(&network.forward(images(size, &device), None, &Taps::none()).logits);
        for naming in network.namings() {
            let bytes = weights::to_safetensors_as(&network, *naming).unwrap();
            let (copy, _) = weights::from_safetensors(classifier(&config, &device), &bytes).unwrap();
            assert_eq!(weights::to_safetensors_as(&copy, *naming).unwrap(), bytes);
            let got = host(&copy.forward(images(size, &device), None, &Taps::none()).logits);
            assert_eq!(got, expected, "{} {naming:?}", network.backbone().spec().architecture);
        }
    }
}

#[test]
fn every_parameter_lies_in_one_layer_group() {
    let device = Device::default();
    for (config, _) in small_networks() {
        let network = classifier(&config, &device);
        let rates = layer_rates(&network, 0.5).unwrap();
        assert_eq!(rates.last().unwrap().name, "head");
        assert_eq!(rates.last().unwrap().factor, 1.0);
        assert!(rates.windows(2).all(|pair| pair[0].factor == pair[1].factor * 0.5));
        assert!(rates.iter().all(|rate| !rate.parameters.is_empty()), "{rates:?}");
        // the blocks of the chain are the groups before the head, and nothing else but a final norm or convolution
        let blocks = network.backbone().num_blocks();
        assert!(
            (blocks + 1..=blocks + 2).contains(&rates.len()),
            "{} groups of {blocks} blocks",
            rates.len()
        );
    }
}

#[test]
fn frozen_layers_take_no_gradient_and_keep_their_statistics() {
    let device = Device::default().autodiff();
    for (config, size) in small_networks() {
        let network = classifier(&config, &device);
        let rates = layer_rates(&network, 1.0).unwrap();
        let frozen: Vec<&str> = rates[..rates.len() / 2].iter().map(|rate| rate.name.as_str()).collect();
        let network = freeze_layers(network, &frozen).unwrap();
        let before = weights::to_safetensors(&network).unwrap();
        let logits = network.forward(images(size, &device), None, &Taps::none()).logits;
        let gradients = logits.powi_scalar(2).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &network);
        let with_gradient = parameters_with_gradient(&network, &gradients);
        // running statistics follow only in the groups that train
        let after = weights::to_safetensors(&network).unwrap();
        let (before, after) = (tensors(&before), tensors(&after));
        for (index, rate) in rates.iter().enumerate() {
            let trains = rate.parameters.iter().any(|id| with_gradient.contains(id));
            assert_eq!(
                trains,
                index >= rates.len() / 2,
                "{} {}",
                config.spec().unwrap().architecture,
                rate.name
            );
        }
        let names: Vec<&String> = before.keys().filter(|key| before[*key] != after[*key]).collect();
        assert!(names.iter().all(|name| name.contains("running_")), "{names:?}");
        let thawed = unfreeze_layers(network, &frozen).unwrap();
        let logits = thawed.forward(images(size, &device), None, &Taps::none()).logits;
        let gradients = logits.powi_scalar(2).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &thawed);
        let with_gradient = parameters_with_gradient(&thawed, &gradients);
        assert!(rates.iter().all(|rate| rate.parameters.iter().any(|id| with_gradient.contains(id))));
    }
}

fn parameters_with_gradient<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<ParamId> {
    struct Visitor<'a>(&'a GradientsParams, Vec<ParamId>);
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.get::<D>(param.id).is_some() {
                self.1.push(param.id);
            }
        }
    }
    let mut visitor = Visitor(gradients, Vec::new());
    module.visit(&mut visitor);
    visitor.1
}

fn tensors(bytes: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    file.tensors().into_iter().map(|(key, view)| (key, view.data().to_vec())).collect()
}

#[test]
fn costs_add_up_over_the_head() {
    let device = Device::default();
    for (config, size) in small_networks() {
        let network = classifier(&config, &device);
        let encoder = network.backbone().macs(size);
        let heads = if network.backbone().spec().distillation { 2 } else { 1 };
        let head = (heads * 3 * network.backbone().spec().embedding) as u64;
        assert!(encoder.conv_and_linear > head);
        assert_eq!(network.macs(size, 0), encoder + Macs { conv_and_linear: head, attention: 0 });
    }
}
