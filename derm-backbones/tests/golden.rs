//! Keys, counts and outputs of the published networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{
    AnyBackbone, BackboneConfig, Classifier, ClassifierConfig, HeadConfig, count_parameters, weights,
};
use derm_core::{Backbone, Taps};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// Families of the kit that this crate does not build yet.
const NOT_YET: &[&str] = &[
    "torchvision__efficientnet",
    "torchvision__mobilenet",
    "torchvision__vit",
    "timm__convnextv2",
    "timm__deit",
    "timm__efficientnet",
    "timm__mobilenet",
    "timm__mobilevit",
    "timm__vit",
    "hf__",
    "position_interpolation",
];

/// Stages of the kit that are no tap: the end of the stem. The stages after it would be wrong with it.
const NOT_TAPPED: &[&str] = &["maxpool", "bn1"];

/// Burn's ndarray backend convolves some twenty times slower: it runs one network and one image.
const ON_NDARRAY: &str = "medmnist__resnet18_28";

fn folder(part: &str) -> PathBuf {
    std::env::var_os("DERM_GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
        .join("backbones")
        .join(part)
}

/// The files of a part by model name, those of families that are not built yet named in the output.
fn files(part: &str) -> BTreeMap<String, Value> {
    let folder = folder(part);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files = BTreeMap::new();
    let mut skipped = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if NOT_YET.iter().any(|family| name.starts_with(family)) {
            skipped.push(name);
            continue;
        }
        let value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        files.insert(name, value);
    }
    println!("{part}: {} files; families not yet built: {skipped:?}", files.len());
    assert!(!files.is_empty(), "{} holds no covered model", folder.display());
    files
}

fn config(model: &str, num_classes: usize) -> ClassifierConfig {
    let backbone = match model {
        "torchvision__resnet18" | "timm__resnet18" => BackboneConfig::Resnet18,
        "torchvision__resnet34" => BackboneConfig::Resnet34,
        "torchvision__resnet50" | "timm__resnet50" => BackboneConfig::Resnet50,
        "torchvision__resnet101" => BackboneConfig::Resnet101,
        "medmnist__resnet18_28" => BackboneConfig::Resnet18_28,
        "medmnist__resnet50_28" => BackboneConfig::Resnet50_28,
        unknown => panic!("unknown model {unknown}"),
    };
    ClassifierConfig { backbone, head: HeadConfig::new(num_classes) }
}

fn usize_of(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn shape_of(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(usize_of).collect()
}

/// Keys and shapes of a model with a head of `num_classes`.
fn keys(file: &Value, num_classes: usize) -> Vec<(String, Vec<usize>)> {
    let head: Vec<&str> =
        file["head_keys_7_classes"].as_array().unwrap().iter().map(|k| k[0].as_str().unwrap()).collect();
    let entries = file["keys"].as_array().unwrap().iter().map(|entry| {
        let key = entry[0].as_str().unwrap();
        let mut shape = shape_of(&entry[1]);
        if head.contains(&key) {
            shape[0] = num_classes;
        }
        (key.to_owned(), shape)
    });
    entries.collect()
}

/// The kit's integer hash: output `i` of `SplitMix64` whose state starts at `seed` + FNV-1a of the key.
fn hash(key: &str, seed: u64, i: u64) -> u64 {
    let fnv =
        key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut x = seed.wrapping_add(fnv).wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn uniform(key: &str, seed: u64, i: u64) -> f64 {
    (hash(key, seed, i) >> 40) as f64 / 16_777_216.0 - 0.5
}

fn weight(key: &str, shape: &[usize], seed: u64, gain: f64, offset_width: f64, i: u64) -> f32 {
    let u = uniform(key, seed, i);
    let value = if key.ends_with("running_var") {
        1.0 + 0.5 * u
    } else if key.ends_with("running_mean") {
        0.2 * u
    } else if shape.len() <= 1 {
        if key.ends_with("weight") { 1.0 + 0.2 * u } else { offset_width * u }
    } else {
        let fan_in: usize = shape[1..].iter().product();
        u * (gain * 2.0 * (3.0 / fan_in as f64).sqrt())
    };
    value as f32
}

/// The deterministic checkpoint as a safetensors file in memory.
fn checkpoint(keys: &[(String, Vec<usize>)], seed: u64, gain: f64, offset_width: f64) -> Vec<u8> {
    let stored: Vec<(&str, &[usize], Dtype, Vec<u8>)> = keys
        .iter()
        .map(|(key, shape)| {
            if key.ends_with("num_batches_tracked") {
                return (key.as_str(), shape.as_slice(), Dtype::I64, vec![0; 8]);
            }
            let elements = shape.iter().product::<usize>() as u64;
            let values = (0..elements).map(|i| weight(key, shape, seed, gain, offset_width, i));
            (key.as_str(), shape.as_slice(), Dtype::F32, values.flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = stored
        .iter()
        .map(|(key, shape, dtype, bytes)| (*key, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()))
        .collect();
    safetensors::serialize(views, None).unwrap()
}

fn input(batch: usize, size: usize, seed: u64, device: &Device) -> Tensor<4> {
    let elements = (batch * 3 * size * size) as u64;
    let values: Vec<f32> = (0..elements).map(|i| (uniform("input", seed, i) * 2.0 * 1.5) as f32).collect();
    Tensor::from_data(TensorData::new(values, [batch, 3, size, size]), device)
}

/// Compares one tensor of one image with every number that the kit records of it.
fn compare(what: &str, got: &[f64], expected: &Value) {
    let n = got.len();
    assert_eq!(shape_of(&expected["shape"]).iter().product::<usize>(), n, "{what}: size");
    let tolerance = expected["tol"].as_f64().unwrap();
    let check = |name: &str, got: f64, expected: f64| {
        assert!(
            (got - expected).abs() <= tolerance,
            "{what}: {name} is {got}, expected {expected} ± {tolerance}"
        );
    };
    for key in expected.as_object().unwrap().keys() {
        let number = || expected[key].as_f64().unwrap();
        match key.as_str() {
            "shape" | "f32_err" | "tol" => {}
            "mean" => check("mean", got.iter().sum::<f64>() / n as f64, number()),
            "std" => {
                let mean = got.iter().sum::<f64>() / n as f64;
                let variance = got.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
                check("std", variance.sqrt(), number());
            }
            "absmax" => check("absmax", got.iter().fold(0.0, |max, x| x.abs().max(max)), number()),
            "sum" => check("sum / n", got.iter().sum::<f64>() / n as f64, number() / n as f64),
            "probe" => {
                let probe: f64 = got.iter().enumerate().map(|(k, x)| x * uniform("probe", 0, k as u64)).sum();
                check("probe", probe / (n as f64).sqrt(), number());
            }
            "values" => {
                for (i, value) in expected[key].as_array().unwrap().iter().enumerate() {
                    check(&format!("element {i}"), got[i], value.as_f64().unwrap());
                }
            }
            "samples" => {
                for (i, value) in expected[key].as_array().unwrap().iter().enumerate() {
                    let index = (hash("sample", 0, i as u64) % n as u64) as usize;
                    check(&format!("element {index}"), got[index], value.as_f64().unwrap());
                }
            }
            unknown => panic!("{what}: unknown key {unknown}"),
        }
    }
}

fn row<const D: usize>(tensor: &Tensor<D>, index: usize) -> Vec<f64> {
    tensor.clone().slice_dim(0, index..index + 1).into_data().iter::<f64>().collect()
}

#[test]
fn keys_shapes_and_counts_are_the_published_ones() {
    let device = Device::default();
    for (name, file) in files("keys") {
        for num_classes in [1000, 7] {
            let model = config(&name, num_classes).init(&device).unwrap();
            let mut expected = keys(&file, num_classes);
            let mut got = weights::published_shapes(&model).unwrap();
            expected.sort();
            got.sort();
            assert_eq!(got, expected, "{name}");
            let counts = &file["params"][num_classes.to_string()];
            let count = count_parameters(&model);
            assert_eq!(count.trainable, usize_of(&counts["trainable"]), "{name}");
            assert_eq!(count.buffers, usize_of(&counts["buffers_float"]), "{name}");
            assert_eq!(count.trainable + count.buffers, model.num_params(), "{name}");
        }
    }
}

#[test]
fn outputs_are_the_published_networks() {
    let device = Device::default();
    let ndarray = format!("{device:?}").contains("NdArray");
    let keys_of: HashMap<String, Value> = files("keys").into_iter().collect();
    let mut run = 0;
    for (name, file) in files("outputs") {
        if ndarray && name != ON_NDARRAY {
            println!("{name}: passed over on ndarray");
            continue;
        }
        let seed = file["seed"].as_u64().unwrap();
        let num_classes = usize_of(&file["num_classes"]);
        let keys = keys(&keys_of[&name], num_classes);
        for case in file["cases"].as_array().unwrap() {
            let (gain, width) = (case["gain"].as_f64().unwrap(), case["offset_width"].as_f64().unwrap());
            let bytes = checkpoint(&keys, seed, gain, width);
            let model = config(&name, num_classes).init(&device).unwrap();
            let (model, report) = weights::from_safetensors(model, &bytes).unwrap();
            assert_eq!(report.loaded.len() + report.counters.len(), keys.len());
            let inputs = case["inputs"].as_array().unwrap();
            let batch = if ndarray { 1 } else { inputs.len() };
            check_case(
                &name,
                &model,
                &inputs[..batch],
                &input(batch, usize_of(&case["size"]), seed, &device),
            );
            run += 1;
        }
    }
    println!("output cases run on {device:?}: {run}");
    assert!(run > 0);
}

fn check_case(name: &str, model: &Classifier<AnyBackbone>, expected: &[Value], images: &Tensor<4>) {
    let stages = model.backbone().spec().stages.clone();
    let taps = Taps::stages(stages.iter().map(|stage| stage.name.clone()));
    let output = model.forward(images.clone(), None, &taps);
    for (index, expected) in expected.iter().enumerate() {
        for key in expected.as_object().unwrap().keys() {
            let what = format!("{name}, image {index}, {key}");
            match key.as_str() {
                "features" => compare(&what, &row(&output.features.pooled, index), &expected[key]),
                "logits" => compare(&what, &row(&output.logits, index), &expected[key]),
                "stages" => {
                    for (stage, expected) in expected[key].as_object().unwrap() {
                        if NOT_TAPPED.contains(&stage.as_str()) {
                            continue;
                        }
                        let map =
                            output.features.map(stage).unwrap_or_else(|| panic!("{what}: no tap {stage}"));
                        compare(&format!("{what} {stage}"), &row(map, index), expected);
                        let spec = model.backbone().spec().stage(stage).unwrap();
                        let [_, channels, height, _] = map.dims();
                        assert_eq!(spec.channels, channels, "{what} {stage}");
                        assert_eq!(images.dims()[2].div_ceil(spec.stride), height, "{what} {stage}");
                    }
                }
                _ => panic!("{what}: unknown key"),
            }
        }
    }
}
