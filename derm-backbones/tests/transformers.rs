//! Vision transformers: what timm, torchvision and transformers give for small ones under each of their namings
//! (`parity/vit_outputs.py`), attention as maps, and what their configs refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod kit;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use derm_backbones::{
    AnyBackbone, BackboneConfig, Classifier, ClassifierConfig, Error, HeadConfig, Naming, SiglipConfig,
    VitConfig, VitPooling, spatial_attention, weights,
};
use derm_core::{Backbone, Features, ImageInput, Taps};
use serde_json::Value;

use kit::{Hash, checkpoint, shape_of, usize_of};

/// The references are f64; f32 on values of a few units, summed over 192 products and two blocks.
const F32_NOISE: f64 = 2e-5;
const CLASSES: usize = 5;

/// 32 pixels, patches of 8: a grid of 4 × 4.
fn small_vit(pooling: VitPooling) -> VitConfig {
    let tiny = VitConfig::vit_tiny_patch16_224();
    VitConfig {
        input: ImageInput { size: 32, ..tiny.input },
        patch_size: 8,
        width: 48,
        depth: 2,
        heads: 3,
        hidden: 96,
        pooling,
        ..tiny
    }
}

fn small_siglip() -> SiglipConfig {
    let base = SiglipConfig::siglip_base_patch16_224();
    SiglipConfig {
        input: ImageInput { size: 32, ..base.input },
        patch_size: 8,
        width: 48,
        depth: 2,
        heads: 3,
        hidden: 96,
        ..base
    }
}

fn config_of(case: &Value) -> BackboneConfig {
    match (case["network"].as_str().unwrap(), &case["pooling"]) {
        ("vit", pooling) => {
            let vit = small_vit(serde_json::from_value(pooling.clone()).unwrap());
            // transformers' default
            let epsilon = if case["naming"] == "hugging_face" { 1e-12 } else { vit.epsilon };
            BackboneConfig::Vit(VitConfig { epsilon, ..vit })
        }
        ("siglip", Value::Null) => BackboneConfig::Siglip(small_siglip()),
        unknown => panic!("unknown network {unknown:?}"),
    }
}

fn images(batch: usize, [height, width]: [usize; 2], seed: u64, device: &Device) -> Tensor<4> {
    let hash = Hash::new("input", seed);
    let elements = (batch * 3 * height * width) as u64;
    let values: Vec<f32> = (0..elements).map(|i| (hash.uniform(i) * 2.0 * 1.5) as f32).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([batch, 3, height, width])
}

fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Loads the case's checkpoint as a classifier where the file has a head, as an encoder where not, and runs it.
fn run(case: &Value, bytes: &[u8], input: Tensor<4>, taps: &Taps) -> (Option<[Tensor<2>; 3]>, Features) {
    let device = input.device();
    let config = config_of(case);
    if case["outputs"].get("logits").is_some() {
        let config = ClassifierConfig { backbone: config, head: HeadConfig::new(CLASSES) };
        let (network, _): (Classifier<AnyBackbone>, _) =
            weights::from_safetensors(config.init(&device).unwrap(), bytes).unwrap();
        let output = network.forward(input, None, taps);
        let [class, distillation] =
            output.head_logits.unwrap_or_else(|| [output.logits.clone(), output.logits.clone()]);
        (Some([output.logits, class, distillation]), output.features)
    } else {
        let (network, _) = weights::from_safetensors(config.init(&device).unwrap(), bytes).unwrap();
        (None, network.forward_features(input, taps))
    }
}

#[test]
fn outputs_are_those_of_timm_torchvision_and_transformers() {
    let device = Device::default();
    let file: Value = serde_json::from_str(include_str!("transformers/outputs.json")).unwrap();
    let (seed, width) = (file["seed"].as_u64().unwrap(), file["offset_width"].as_f64().unwrap());
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    for case in file["cases"].as_array().unwrap() {
        let naming: Naming = serde_json::from_value(case["naming"].clone()).unwrap();
        let keys = case["keys"].as_array().unwrap().iter();
        let mut keys: Vec<(String, Vec<usize>)> =
            keys.map(|entry| (entry[0].as_str().unwrap().to_owned(), shape_of(&entry[1]))).collect();
        let size = [usize_of(&case["image"][0]), usize_of(&case["image"][1])];
        let what = format!("{} {} {naming:?} {size:?}", case["network"], case["pooling"]);
        let bytes = checkpoint(&keys, seed, 1.0, width);

        // every published key has its place, and no other
        let config = config_of(case);
        let spec = config.spec().unwrap();
        let mut published = if case["outputs"].get("logits").is_some() {
            let config = ClassifierConfig { backbone: config, head: HeadConfig::new(CLASSES) };
            weights::published_shapes(&config.init(&device).unwrap(), naming).unwrap()
        } else {
            weights::published_shapes(&config.init(&device).unwrap(), naming).unwrap()
        };
        keys.sort();
        published.sort();
        assert_eq!(published, keys, "{what}");

        let attention = spec.attention.last().unwrap();
        let taps = Taps::none().with_attention([attention.name.clone()]);
        let (logits, features) = run(case, &bytes, images(2, size, seed, &device), &taps);
        for (name, expected) in case["outputs"].as_object().unwrap() {
            let head = |index: usize| host(&logits.as_ref().unwrap()[index]);
            let got = match name.as_str() {
                "pooled" => host(&features.pooled),
                "distillation" => host(features.distillation.as_ref().unwrap()),
                "logits" => head(0),
                "class_logits" => head(1),
                "distillation_logits" => head(2),
                "spatial_attention" => {
                    let weights = features.attention(&attention.name).unwrap().clone();
                    let map = spatial_attention(weights, attention.extra_tokens, size.map(|side| side / 8));
                    assert_eq!(map.dims(), [2, 3, size[0] / 8, size[1] / 8]);
                    host(&map)
                }
                unknown => panic!("{what}: unknown output {unknown}"),
            };
            let expected = expected.as_array().unwrap();
            assert_eq!(got.len(), expected.len(), "{what} {name}");
            for (got, expected) in got.iter().zip(expected) {
                let expected = expected.as_f64().unwrap();
                assert!((got - expected).abs() < F32_NOISE, "{what} {name}: {got}, expected {expected}");
            }
            *compared.entry(name.clone()).or_default() += 1;
        }
    }
    println!("compared {compared:?}");
    assert_eq!(compared.len(), 6);
}

/// transformers' `ViTModel` has a pooler that a network of the class token knowingly leaves out, and its files
/// may lack the prefix.
#[test]
fn a_pooler_is_left_out_where_the_class_token_is_wanted() {
    let device = Device::default();
    let config = BackboneConfig::Vit(small_vit(VitPooling::Pooler));
    let bytes = weights::to_safetensors(&config.init(&device).unwrap()).unwrap();
    let config = BackboneConfig::Vit(small_vit(VitPooling::ClassToken));
    let (network, _) = weights::from_safetensors(config.init(&device).unwrap(), &bytes).unwrap();
    let features = network.forward_features(images(1, [32, 32], 1, &device), &Taps::none());
    assert_eq!(features.pooled.dims(), [1, 48]);
}

/// A whole `SigLIP` has a text tower and a temperature beside the vision tower.
#[test]
fn a_text_tower_is_left_out() {
    let device = Device::default();
    let network = BackboneConfig::Siglip(small_siglip()).init(&device).unwrap();
    let mut keys = weights::published_shapes(&network, Naming::HuggingFace).unwrap();
    let ours = keys.len();
    keys.extend([
        ("text_model.final_layer_norm.weight".to_owned(), vec![48]),
        ("logit_scale".to_owned(), vec![1]),
        ("logit_bias".to_owned(), vec![1]),
    ]);
    let (_, report) = weights::from_safetensors(network, &checkpoint(&keys, 1, 1.0, 0.2)).unwrap();
    assert_eq!(report.loaded.len(), ours);
}

#[test]
fn without_extra_tokens_attention_maps_are_the_mean_over_queries() {
    let device = Device::default();
    let rows = [[0.5, 0.5], [0.1, 0.9]];
    let weights: Tensor<4> = Tensor::<2>::from_data(rows, &device).reshape([1, 1, 2, 2]);
    let map = host(&spatial_attention(weights, 0, [2, 1]));
    assert!((map[0] - 0.3).abs() < 1e-6 && (map[1] - 0.7).abs() < 1e-6, "{map:?}");
}

#[test]
#[should_panic(expected = "1 extra tokens and 2 × 2 patches")]
fn a_grid_of_other_tokens_is_refused() {
    let _ = spatial_attention(Tensor::zeros([1, 1, 4, 4], &Device::default()), 1, [2, 2]);
}

#[test]
fn configs_refuse_what_would_panic() {
    let vit = || small_vit(VitPooling::ClassToken);
    let refused = |config: &VitConfig, parameter: &str| match config.validate().unwrap_err() {
        Error::OutOfRange { parameter: found, .. } => assert_eq!(found, parameter),
        other => panic!("{other}"),
    };
    refused(&VitConfig { patch_size: 0, ..vit() }, "patch_size");
    refused(&VitConfig { patch_size: 33, ..vit() }, "input.size");
    refused(&VitConfig { width: 0, ..vit() }, "width");
    refused(&VitConfig { depth: 0, ..vit() }, "depth");
    refused(&VitConfig { heads: 0, ..vit() }, "heads");
    refused(&VitConfig { hidden: 0, ..vit() }, "hidden");
    for bad in [0.0, 1.0, f64::NAN] {
        refused(&VitConfig { epsilon: bad, ..vit() }, "epsilon");
    }
    for bad in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        refused(&VitConfig { position_dropout: bad, ..vit() }, "position_dropout");
        refused(&VitConfig { dropout: bad, ..vit() }, "dropout");
        refused(&VitConfig { attention_dropout: bad, ..vit() }, "attention_dropout");
        refused(&VitConfig { drop_path: bad, ..vit() }, "drop_path");
        let siglip = SiglipConfig { attention_dropout: bad, ..small_siglip() };
        assert!(matches!(siglip.validate(), Err(Error::OutOfRange { parameter: "attention_dropout", .. })));
    }
    assert!(matches!(VitConfig { heads: 5, ..vit() }.validate(), Err(Error::Heads { width: 48, heads: 5 })));
    let siglip = SiglipConfig { heads: 5, ..small_siglip() };
    assert!(matches!(siglip.validate(), Err(Error::Heads { width: 48, heads: 5 })));
    assert!(SiglipConfig { patch_size: 33, ..small_siglip() }.validate().is_err());
    assert!(SiglipConfig { depth: 0, ..small_siglip() }.validate().is_err());
}

#[test]
fn published_networks_are_named_in_files() {
    for name in [
        "vit_tiny_patch16_224",
        "vit_small_patch16_224",
        "vit_base_patch16_224",
        "vit_b_16",
        "vit_base_patch16_224_in21k",
        "deit_tiny_patch16_224",
        "deit_small_patch16_224",
        "deit_base_patch16_224",
        "deit_tiny_distilled_patch16_224",
        "deit_small_distilled_patch16_224",
        "deit_base_distilled_patch16_224",
        "siglip_base_patch16_224",
        "siglip_so400m_patch14_384",
        "medsiglip_448",
    ] {
        let config: BackboneConfig = serde_json::from_value(Value::from(name)).unwrap();
        assert_eq!(config.spec().unwrap().architecture, name);
    }
    assert_eq!(BackboneConfig::Medsiglip448.spec().unwrap().embedding, 1152);
    // 384 pixels are 27 patches of 14 and some over
    let network = SiglipConfig { depth: 1, ..small_siglip() };
    let network = SiglipConfig { input: ImageInput { size: 35, ..network.input }, ..network };
    let network = network.init(&Device::default()).unwrap();
    let images = Tensor::zeros([1, 3, 35, 35], &Device::default());
    let features = network.forward_features(images, &Taps::stages(["norm"]));
    assert_eq!(features.map("norm").unwrap().dims(), [1, 48, 4, 4]);
}
