//! Keys, counts, costs and outputs of the published image networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod kit;
mod text_encoders;

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_backbones::{
    AnyBackbone, BackboneConfig, Blocks, ClassifierConfig, CountMacs, HeadConfig, Macs, Naming,
    PositionResampling, PositionTable, SiglipConfig, count_parameters, resample_positions, weights,
};
use derm_core::{Backbone, BackboneSpec, Features, ImageInput, Taps};
use serde_json::Value;

use kit::{checkpoint, compare, files, input, keys, row, shape_of, usize_of, values};

/// Files of the kit that this test does not run: the text encoders (`text_encoders`).
const ELSEWHERE: &[&str] = &["hf__bert_base_cased_clinical", "hf__distilbert_base", "hf__minilm_l6_h384"];

/// The file of the kit that is no network: resampled tables of position embeddings.
const POSITIONS: &str = "position_interpolation";

/// A network of the kit.
struct Model {
    backbone: BackboneConfig,
    naming: Naming,
    /// Stages of the kit that are no tap here, because what lies behind them shows the same.
    not_tapped: &'static [&'static str],
    /// Whether the kit's stages are tokens [T, D], extra tokens among them, and not maps.
    tokens: bool,
    /// Too large for the ordinary run.
    large: bool,
}

fn model(name: &str) -> Model {
    let small = |backbone, naming| Model {
        backbone,
        naming,
        not_tapped: &["maxpool", "bn1"],
        tokens: false,
        large: false,
    };
    let all_tapped = |backbone, naming| Model { not_tapped: &[], ..small(backbone, naming) };
    // patches without their positions
    let transformer =
        |backbone, naming| Model { not_tapped: &["patch_embed"], tokens: true, ..small(backbone, naming) };
    match name {
        "torchvision__resnet18" | "timm__resnet18" => small(BackboneConfig::Resnet18, Naming::Torchvision),
        "torchvision__resnet34" => small(BackboneConfig::Resnet34, Naming::Torchvision),
        "torchvision__resnet50" | "timm__resnet50" => small(BackboneConfig::Resnet50, Naming::Torchvision),
        "torchvision__resnet101" => small(BackboneConfig::Resnet101, Naming::Torchvision),
        "medmnist__resnet18_28" => small(BackboneConfig::Resnet18_28, Naming::MedMnist),
        "medmnist__resnet50_28" => small(BackboneConfig::Resnet50_28, Naming::MedMnist),
        "torchvision__mobilenet_v2" => Model {
            not_tapped: INSIDE_STAGES,
            ..all_tapped(BackboneConfig::Mobilenetv2_100, Naming::Torchvision)
        },
        "timm__mobilenetv2_100" => all_tapped(BackboneConfig::Mobilenetv2_100, Naming::Timm),
        "torchvision__efficientnet_b0" => all_tapped(BackboneConfig::EfficientnetB0, Naming::Torchvision),
        "torchvision__efficientnet_b3" => all_tapped(BackboneConfig::EfficientnetB3, Naming::Torchvision),
        "timm__efficientnet_b0" => all_tapped(BackboneConfig::EfficientnetB0, Naming::Timm),
        "timm__convnextv2_atto" => all_tapped(BackboneConfig::Convnextv2Atto, Naming::Timm),
        "hf__convnextv2_atto" => all_tapped(BackboneConfig::Convnextv2Atto, Naming::HuggingFace),
        "timm__convnextv2_nano" => all_tapped(BackboneConfig::Convnextv2Nano, Naming::Timm),
        "timm__convnextv2_tiny" => all_tapped(BackboneConfig::Convnextv2Tiny, Naming::Timm),
        "timm__convnextv2_base" => all_tapped(BackboneConfig::Convnextv2Base, Naming::Timm),
        "timm__vit_tiny_patch16_224" => transformer(BackboneConfig::VitTinyPatch16_224, Naming::Timm),
        "timm__vit_small_patch16_224" => transformer(BackboneConfig::VitSmallPatch16_224, Naming::Timm),
        "timm__vit_base_patch16_224" => {
            Model { large: true, ..transformer(BackboneConfig::VitBasePatch16_224, Naming::Timm) }
        }
        "timm__deit_tiny_patch16_224" => transformer(BackboneConfig::DeitTinyPatch16_224, Naming::Timm),
        "timm__deit_small_patch16_224" => transformer(BackboneConfig::DeitSmallPatch16_224, Naming::Timm),
        "timm__deit_tiny_distilled_patch16_224" => {
            transformer(BackboneConfig::DeitTinyDistilledPatch16_224, Naming::Timm)
        }
        "torchvision__vit_b_16" => transformer(BackboneConfig::VitB16, Naming::Torchvision),
        "hf__vit_base_patch16_224" => {
            transformer(BackboneConfig::VitBasePatch16_224In21k, Naming::HuggingFace)
        }
        "timm__mobilevit_xxs" => all_tapped(BackboneConfig::MobilevitXxs, Naming::Timm),
        "timm__mobilevit_s" => all_tapped(BackboneConfig::MobilevitS, Naming::Timm),
        "hf__siglip_small_56" => {
            let so400m = SiglipConfig::medsiglip_448();
            let config = SiglipConfig {
                input: ImageInput { size: 56, ..so400m.input },
                width: 64,
                depth: 3,
                heads: 4,
                hidden: 160,
                ..so400m
            };
            transformer(BackboneConfig::Siglip(config), Naming::HuggingFace)
        }
        "hf__siglip_so400m_448_2layers" => {
            let config = SiglipConfig { depth: 2, ..SiglipConfig::medsiglip_448() };
            Model { large: true, ..transformer(BackboneConfig::Siglip(config), Naming::HuggingFace) }
        }
        "hf__siglip_so400m_448" => {
            Model { large: true, ..transformer(BackboneConfig::Medsiglip448, Naming::HuggingFace) }
        }
        unknown => panic!("unknown model {unknown}"),
    }
}

/// torchvision's `MobileNetV2` counts blocks, not stages: these end none.
const INSIDE_STAGES: &[&str] = &[
    "features.2",
    "features.4",
    "features.5",
    "features.7",
    "features.8",
    "features.9",
    "features.11",
    "features.12",
    "features.14",
    "features.15",
];
/// The block of a transformer behind which a stage of the kit lies, and its tap if there is one.
fn token_stage(stage: &str, blocks: usize) -> (usize, Option<String>) {
    let block = stage.strip_prefix("blocks.").or_else(|| stage.strip_prefix("encoder.layers."));
    match (stage, block) {
        ("embeddings", _) => (0, None),
        ("norm" | "post_layernorm", _) => (blocks - 1, Some("norm".to_owned())),
        (_, Some(index)) => (index.parse::<usize>().unwrap() + 1, Some(format!("blocks.{index}"))),
        _ => panic!("unknown stage {stage}"),
    }
}

/// The tap that a stage of the kit is.
fn tap(model: &str, stage: &str) -> String {
    let mobilenet = ["0", "1", "3", "6", "10", "13", "16", "17", "18"];
    let efficientnet = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
    let taps =
        ["bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5", "blocks.6", "bn2"];
    let ends = if model.contains("mobilenet") { mobilenet } else { efficientnet };
    match stage.strip_prefix("features.") {
        None => stage.to_owned(),
        Some(module) => taps[ends.iter().position(|end| *end == module).unwrap()].to_owned(),
    }
}

/// Burn's ndarray backend convolves some twenty times slower: it runs these networks on one image.
const ON_NDARRAY: &[&str] = &["medmnist__resnet18_28"];

fn covered(part: &str) -> impl Iterator<Item = (String, Value)> {
    let (skipped, covered): (Vec<_>, Vec<_>) = files(part)
        .into_iter()
        .partition(|(name, _)| ELSEWHERE.contains(&name.as_str()) || name == POSITIONS);
    println!("{part}: not run here {:?}", skipped.iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(!covered.is_empty());
    covered.into_iter()
}

/// A network as a classifier, or where the kit has no head for it, as a bare encoder.
#[expect(clippy::large_enum_variant, reason = "a test holds one")]
enum Network {
    Classifier(derm_backbones::Classifier<AnyBackbone>),
    Encoder(AnyBackbone),
}

impl Network {
    fn new(model: &Model, num_classes: Option<usize>, device: &Device) -> Self {
        match num_classes {
            None => Self::Encoder(model.backbone.init(device).unwrap()),
            Some(num_classes) => {
                let head = HeadConfig::new(num_classes);
                let config = ClassifierConfig { backbone: model.backbone.clone(), head };
                Self::Classifier(config.init_undrawn(device).unwrap())
            }
        }
    }

    fn shapes(&self, naming: Naming) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Classifier(network) => weights::published_shapes(network, naming),
            Self::Encoder(network) => weights::published_shapes(network, naming),
        }
        .unwrap()
    }

    fn macs(&self, image: [usize; 2]) -> Macs {
        match self {
            Self::Classifier(network) => network.macs(image, 0),
            Self::Encoder(network) => network.macs(image),
        }
    }

    /// Trainable parameters and buffers, and what Burn counts.
    fn counts(&self) -> (usize, usize) {
        let (count, all) = match self {
            Self::Classifier(network) => (count_parameters(network), network.num_params()),
            Self::Encoder(network) => (count_parameters(network), network.num_params()),
        };
        assert_eq!(count.trainable + count.buffers, all);
        (count.trainable, count.buffers)
    }

    fn load(self, bytes: &[u8]) -> (Self, weights::LoadReport) {
        match self {
            Self::Classifier(network) => {
                let (network, report) = weights::from_safetensors(network, bytes).unwrap();
                (Self::Classifier(network), report)
            }
            Self::Encoder(network) => {
                let (network, report) = weights::from_safetensors(network, bytes).unwrap();
                (Self::Encoder(network), report)
            }
        }
    }

    fn backbone(&self) -> &AnyBackbone {
        match self {
            Self::Classifier(network) => network.backbone(),
            Self::Encoder(network) => network,
        }
    }

    fn spec(&self) -> &BackboneSpec {
        self.backbone().spec()
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps) -> (Option<Tensor<2>>, Features) {
        match self {
            Self::Classifier(network) => {
                let output = network.forward(images, None, taps);
                (Some(output.logits), output.features)
            }
            Self::Encoder(network) => (None, network.forward_features(images, taps)),
        }
    }

    fn fold(self) -> Self {
        match self {
            Self::Classifier(network) => Self::Classifier(network.fold_batch_norm()),
            Self::Encoder(network) => Self::Encoder(network.fold_batch_norm()),
        }
    }
}

#[test]
fn keys_shapes_and_counts_are_the_published_ones() {
    let device = Device::default();
    for (name, file) in covered("keys") {
        let model = model(&name);
        let counts = file["params"].as_object().unwrap();
        for (classes, expected_counts) in counts {
            // a network without a head has one entry, under a name that is no number
            let num_classes: Option<usize> = classes.parse().ok();
            let network = Network::new(&model, num_classes, &device);
            let mut expected = keys(&file, num_classes.unwrap_or_default());
            let mut got = network.shapes(model.naming);
            expected.sort();
            got.sort();
            assert_eq!(got, expected, "{name}");
            let (trainable, buffers) = network.counts();
            assert_eq!(trainable, usize_of(&expected_counts["trainable"]), "{name}");
            assert_eq!(buffers, usize_of(&expected_counts["buffers_float"]), "{name}");
        }
    }
}

#[test]
fn costs_are_the_published_ones() {
    let device = Device::default();
    for (name, file) in covered("keys") {
        let with_head = file["params"].as_object().unwrap().contains_key("1000");
        let network = Network::new(&model(&name), with_head.then_some(1000), &device);
        let expected = &file["macs"];
        let size = usize_of(&expected["image_size"]);
        let macs = network.macs([size, size]);
        assert_eq!(macs.conv_and_linear, expected["conv_linear"].as_u64().unwrap(), "{name}");
        assert_eq!(macs.attention, expected["attention_matmul"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn outputs_are_the_published_networks() {
    run_outputs(false);
}

#[test]
#[ignore = "minutes and gigabytes: run in release, one at a time"]
fn outputs_of_large_networks_are_the_published_ones() {
    run_outputs(true);
}

fn run_outputs(large: bool) {
    let device = Device::default();
    let ndarray = format!("{device:?}").contains("NdArray");
    let keys_of: HashMap<String, Value> = files("keys").into_iter().collect();
    let mut run = 0;
    for (name, file) in covered("outputs") {
        let model = model(&name);
        if model.large != large {
            continue;
        }
        if ndarray && !ON_NDARRAY.contains(&name.as_str()) {
            println!("{name}: passed over on ndarray");
            continue;
        }
        let seed = file["seed"].as_u64().unwrap();
        let num_classes = file["num_classes"].as_u64().map(|classes| usize::try_from(classes).unwrap());
        let keys = keys(&keys_of[&name], num_classes.unwrap_or_default());
        for case in file["cases"].as_array().unwrap() {
            let start = std::time::Instant::now();
            let (gain, width) = (case["gain"].as_f64().unwrap(), case["offset_width"].as_f64().unwrap());
            let bytes = checkpoint(&keys, seed, gain, width);
            let (network, report) = Network::new(&model, num_classes, &device).load(&bytes);
            assert_eq!(report.loaded.len() + report.counters.len(), keys.len());
            let inputs = case["inputs"].as_array().unwrap();
            let batch = if ndarray { 1 } else { inputs.len() };
            let images = input(batch, usize_of(&case["size"]), seed, &device);
            check_case(&name, &model, &network, &inputs[..batch], &images);
            // batch norms folded into convolutions give the same up to rounding
            if network.counts().1 > 0 {
                check_case(&format!("{name} folded"), &model, &network.fold(), &inputs[..batch], &images);
            }
            println!("{name} at {}: {:.1} s", usize_of(&case["size"]), start.elapsed().as_secs_f64());
            run += 1;
        }
    }
    println!("output cases run on {device:?}: {run}");
    assert!(run > 0);
}

fn check_case(name: &str, model: &Model, network: &Network, expected: &[Value], images: &Tensor<4>) {
    let stages = network.spec().stages.clone();
    let taps = Taps::stages(stages.iter().map(|stage| stage.name.clone()));
    let (logits, features) = network.forward(images.clone(), &taps);
    let states = if model.tokens { states(network.backbone(), images.clone()) } else { Vec::new() };
    for (index, expected) in expected.iter().enumerate() {
        for key in expected.as_object().unwrap().keys() {
            let what = format!("{name}, image {index}, {key}");
            match key.as_str() {
                "features" => compare(&what, &row(&features.pooled, index), &expected[key]),
                "logits" => compare(&what, &row(logits.as_ref().unwrap(), index), &expected[key]),
                "stages" => {
                    for (stage, expected) in expected[key].as_object().unwrap() {
                        if model.not_tapped.contains(&stage.as_str()) {
                            continue;
                        }
                        let what = format!("{what} {stage}");
                        let tap = if model.tokens {
                            let (block, tap) = token_stage(stage, states.len());
                            compare(&what, &row(&states[block], index), expected);
                            let Some(tap) = tap else { continue };
                            check_patches(&what, &states[block], features.map(&tap).unwrap());
                            tap
                        } else {
                            tap(name, stage)
                        };
                        let map = features.map(&tap).unwrap_or_else(|| panic!("{what}: no tap {stage}"));
                        if !model.tokens {
                            compare(&what, &row(map, index), expected);
                        }
                        let spec = network.spec().stage(&tap).unwrap();
                        let [_, channels, height, _] = map.dims();
                        assert_eq!(spec.channels, channels, "{what}");
                        if !model.tokens {
                            assert_eq!(map.dims()[1..], shape_of(&expected["shape"]), "{what}");
                        }
                        // padded convolutions round a side up, patches down
                        let side = images.dims()[2];
                        let sides = side / spec.stride..=side.div_ceil(spec.stride);
                        assert!(sides.contains(&height), "{what}: {height} is not among {sides:?}");
                    }
                }
                _ => panic!("{what}: unknown key"),
            }
        }
    }
}

/// What flows behind each block of a transformer: tokens [B, 1, T, D], as the kit records them.
fn states(network: &AnyBackbone, images: Tensor<4>) -> Vec<Tensor<4>> {
    let mut state = images;
    let mut states = Vec::with_capacity(network.num_blocks());
    for index in 0..network.num_blocks() {
        state = network.block(index, state);
        states.push(state.clone());
    }
    states
}

/// A map [B, D, H, W] holds the last H · W of the tokens [B, 1, T, D].
fn check_patches(what: &str, tokens: &Tensor<4>, map: &Tensor<4>) {
    let [batch, width, height, across] = map.dims();
    let count = tokens.dims()[2];
    let patches = tokens.clone().narrow(2, count - height * across, height * across);
    let rows = map.clone().reshape([batch, width, height * across]).swap_dims(1, 2);
    assert_eq!(patches.squeeze_dim::<3>(1).into_data(), rows.into_data(), "{what}");
}

#[test]
fn position_tables_are_resampled_as_published() {
    let file = files("outputs").remove(POSITIONS).unwrap();
    let seed = file["seed"].as_u64().unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let shape = shape_of(&case["input_shape"]);
        let width = *shape.last().unwrap();
        // the rule for embeddings knows neither gain nor offset width
        let table = values(case["key"].as_str().unwrap(), &shape, seed, 1.0, 1.0);
        let (from, to) = (usize_of(&case["from_grid"]), usize_of(&case["to_grid"]));
        let method = case["method"].as_str().unwrap();
        let (resampling, antialias, a) = match method {
            "timm_resample_abs_pos_embed" => (PositionResampling::Timm, true, -0.5),
            "siglip_interpolate_pos_encoding" => (PositionResampling::Siglip, false, -0.75),
            unknown => panic!("unknown method {unknown}"),
        };
        assert_eq!((case["antialias"].as_bool(), case["cubic_a"].as_f64()), (Some(antialias), Some(a)));
        let extra_tokens = usize_of(&case["prefix_tokens"]);
        let table_of = PositionTable { extra_tokens, grid: [from; 2], resampling };
        let resampled = resample_positions(&table, width, &table_of, [to; 2]);
        let (extra, patches) = resampled.split_at(extra_tokens * width);
        assert_eq!(extra, &table[..extra_tokens * width]);
        let patches: Vec<f64> = patches.iter().map(|&value| f64::from(value)).collect();
        let mut expected = case["output"].clone();
        let ends = expected.as_object_mut().unwrap();
        let tolerance = ends["tol"].as_f64().unwrap();
        for (end, start) in [("first_token", 0), ("last_token", (to * to - 1) * width)] {
            for (index, value) in ends.remove(end).unwrap().as_array().unwrap().iter().enumerate() {
                assert!((patches[start + index] - value.as_f64().unwrap()).abs() <= tolerance, "{method}");
            }
        }
        compare(&format!("{method} {from} to {to}"), &patches, &expected);
    }
}
