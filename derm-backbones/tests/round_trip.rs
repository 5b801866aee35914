//! Writes networks for `parity/round_trip.py`, which loads them with the libraries that published their keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod kit;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use derm_backbones::{
    BackboneConfig, ClassifierConfig, HeadConfig, Naming, PublishedKeys, SiglipConfig, TextEncoderConfig,
    TextPooling, Tokens, weights,
};
use derm_core::{Backbone, ImageInput, Taps};
use safetensors::tensor::{Dtype, TensorView};

/// Seed of the kit's rule, by which weights and inputs are filled.
const SEED: u64 = 11;

/// Classes of every head.
const NUM_CLASSES: usize = 7;

/// Tokens of a text.
const LENGTH: usize = 12;

/// The networks and the side of their image: small variants of every architecture.
fn networks() -> Vec<(BackboneConfig, usize)> {
    let siglip = SiglipConfig {
        input: ImageInput { size: 56, ..SiglipConfig::medsiglip_448().input },
        width: 64,
        depth: 3,
        heads: 4,
        hidden: 160,
        ..SiglipConfig::medsiglip_448()
    };
    vec![
        (BackboneConfig::Resnet18, 96),
        (BackboneConfig::Resnet50, 96),
        (BackboneConfig::Mobilenetv2_100, 96),
        (BackboneConfig::EfficientnetB0, 96),
        (BackboneConfig::MobilevitXxs, 128),
        (BackboneConfig::Convnextv2Atto, 96),
        (BackboneConfig::Convnextv2Tiny, 96),
        (BackboneConfig::VitTinyPatch16_224, 224),
        (BackboneConfig::DeitTinyPatch16_224, 224),
        (BackboneConfig::DeitTinyDistilledPatch16_224, 224),
        (BackboneConfig::VitB16, 224),
        (BackboneConfig::VitBasePatch16_224In21k, 224),
        (BackboneConfig::Siglip(siglip), 56),
    ]
}

fn naming_name(naming: Naming) -> String {
    serde_json::to_value(naming).unwrap().as_str().unwrap().to_owned()
}

/// The network with the kit's weights, by way of the naming that it is then written under.
fn filled<M: Module + PublishedKeys>(network: M, naming: Naming) -> M {
    let shapes = weights::published_shapes(&network, naming).unwrap();
    weights::from_safetensors(network, &kit::checkpoint(&shapes, SEED, 1.0, 0.2)).unwrap().0
}

/// What the network was shown and what it gave.
fn write_outputs(path: &Path, tensors: &[(&str, Vec<usize>, Vec<f32>)]) {
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape, _), data)| (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn host<const D: usize>(tensor: Tensor<D>) -> (Vec<usize>, Vec<f32>) {
    (tensor.dims().to_vec(), tensor.into_data().iter::<f32>().collect())
}

#[test]
#[ignore = "needs DERM_ROUND_TRIP_DIR, a folder to write into"]
fn networks_are_written_for_python() {
    let folder = PathBuf::from(std::env::var("DERM_ROUND_TRIP_DIR").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    let device = Device::default();
    for (backbone, size) in networks() {
        let encoder = backbone.init(&device).unwrap();
        let architecture = encoder.spec().architecture.clone();
        let image = kit::input(1, size, SEED, &device);
        for naming in encoder.namings() {
            let name = format!("{architecture}.{}", naming_name(*naming));
            let (pixel_shape, pixels) = host(image.clone());
            let mut tensors = vec![("input", pixel_shape, pixels)];
            // transformers has no classifier with the pooling that these encoders have
            let bare =
                ["siglip", "vit_base_patch16_224_in21k"].iter().any(|name| architecture.starts_with(name));
            let path = folder.join(format!("{name}.safetensors"));
            if bare {
                let encoder = filled(backbone.init(&device).unwrap(), *naming);
                weights::save_safetensors_as(&encoder, &path, *naming).unwrap();
                let (shape, pooled) = host(encoder.forward_features(image.clone(), &Taps::none()).pooled);
                tensors.push(("pooled", shape, pooled));
            } else {
                let config =
                    ClassifierConfig { backbone: backbone.clone(), head: HeadConfig::new(NUM_CLASSES) };
                let classifier = filled(config.init(&device).unwrap(), *naming);
                weights::save_safetensors_as(&classifier, &path, *naming).unwrap();
                let (shape, logits) = host(classifier.forward(image.clone(), None, &Taps::none()).logits);
                tensors.push(("logits", shape, logits));
            }
            write_outputs(&folder.join(format!("{name}.outputs")), &tensors);
            println!("{name}");
        }
    }
    for (name, config) in [
        ("minilm_l6_h384", TextEncoderConfig::MinilmL6),
        ("bert_base_cased", TextEncoderConfig::BertBaseCased),
        ("distilbert_base_uncased", TextEncoderConfig::DistilbertBaseUncased),
    ] {
        let encoder = filled(config.init(&device).unwrap(), Naming::HuggingFace);
        weights::save_safetensors(&encoder, folder.join(format!("{name}.hugging_face.safetensors"))).unwrap();
        let ids: Vec<i32> = (0..LENGTH as i32).map(|index| (index * 917 + 101) % 20_000).collect();
        let tokens = Tensor::<1, Int>::from_ints(ids.as_slice(), &device).reshape([1, LENGTH]);
        let features = encoder.forward(&Tokens::new(tokens), &Taps::none());
        let (shape, pooled) = host(features.pooled(TextPooling::Mean));
        let ids = ids.iter().map(|&id| id as f32).collect();
        let tensors = [("input", vec![1, LENGTH], ids), ("pooled", shape, pooled)];
        write_outputs(&folder.join(format!("{name}.hugging_face.outputs")), &tensors);
        println!("{name}");
    }
}
