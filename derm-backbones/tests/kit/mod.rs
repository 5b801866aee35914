//! The parity kit: deterministic checkpoints and inputs, and the comparison with what the original networks give.
#![allow(dead_code)]

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// The files of a part of the kit by model name.
pub(crate) fn files(part: &str) -> BTreeMap<String, Value> {
    let folder = derm_golden::golden_folder(env!("CARGO_MANIFEST_DIR")).join("backbones").join(part);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        files.insert(name, value);
    }
    println!("{part}: {} files", files.len());
    assert!(!files.is_empty(), "{} holds no file", folder.display());
    files
}

pub(crate) fn usize_of(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(crate) fn shape_of(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(usize_of).collect()
}

/// Keys and shapes of a model with a head of `num_classes`.
pub(crate) fn keys(file: &Value, num_classes: usize) -> Vec<(String, Vec<usize>)> {
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

/// The kit's integer hash of one key: output `i` of `SplitMix64` whose state starts at `seed` + FNV-1a of the key.
#[derive(Clone, Copy)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new(key: &str, seed: u64) -> Self {
        let fnv = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(seed.wrapping_add(fnv))
    }

    pub(crate) fn integer(self, i: u64) -> u64 {
        let mut x = self.0.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// In [−½, ½).
    pub(crate) fn uniform(self, i: u64) -> f64 {
        (self.integer(i) >> 40) as f64 / 16_777_216.0 - 0.5
    }
}

const EMBEDDINGS: [&str; 11] = [
    "cls_token",
    "class_token",
    "dist_token",
    "pos_embed",
    "pos_embedding",
    "position_embeddings",
    "position_embeddings.weight",
    "position_embedding.weight",
    "word_embeddings.weight",
    "token_type_embeddings.weight",
    "probe",
];

/// All values of one tensor of the deterministic checkpoint.
pub(crate) fn values(key: &str, shape: &[usize], seed: u64, gain: f64, offset_width: f64) -> Vec<f32> {
    let hash = Hash::new(key, seed);
    let fan_in: usize = shape.iter().skip(1).product();
    let matrix = gain * 2.0 * (3.0 / fan_in as f64).sqrt();
    let value = |u: f64| {
        if key.ends_with("running_var") {
            1.0 + 0.5 * u
        } else if key.ends_with("running_mean")
            || EMBEDDINGS.iter().any(|name| key.ends_with(name))
            || key.contains(".grn.")
        {
            0.2 * u
        } else if shape.len() <= 1 {
            if key.ends_with("weight") { 1.0 + 0.2 * u } else { offset_width * u }
        } else {
            u * matrix
        }
    };
    let elements = shape.iter().product::<usize>() as u64;
    (0..elements).map(|i| value(hash.uniform(i)) as f32).collect()
}

/// The deterministic checkpoint as a safetensors file in memory.
pub(crate) fn checkpoint(keys: &[(String, Vec<usize>)], seed: u64, gain: f64, offset_width: f64) -> Vec<u8> {
    let stored: Vec<(&str, &[usize], Dtype, Vec<u8>)> = keys
        .iter()
        .map(|(key, shape)| {
            if key.ends_with("num_batches_tracked") {
                return (key.as_str(), shape.as_slice(), Dtype::I64, vec![0; 8]);
            }
            let values = values(key, shape, seed, gain, offset_width);
            let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
            (key.as_str(), shape.as_slice(), Dtype::F32, bytes)
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = stored
        .iter()
        .map(|(key, shape, dtype, bytes)| (*key, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()))
        .collect();
    safetensors::serialize(views, None).unwrap()
}

pub(crate) fn input(batch: usize, size: usize, seed: u64, device: &Device) -> Tensor<4> {
    let elements = (batch * 3 * size * size) as u64;
    let hash = Hash::new("input", seed);
    let values: Vec<f32> = (0..elements).map(|i| (hash.uniform(i) * 2.0 * 1.5) as f32).collect();
    Tensor::from_data(TensorData::new(values, [batch, 3, size, size]), device)
}

/// Compares one tensor of one image with every number that the kit records of it.
pub(crate) fn compare(what: &str, got: &[f64], expected: &Value) {
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
                let hash = Hash::new("probe", 0);
                let probe: f64 = got.iter().enumerate().map(|(k, x)| x * hash.uniform(k as u64)).sum();
                check("probe", probe / (n as f64).sqrt(), number());
            }
            "values" => {
                for (i, value) in expected[key].as_array().unwrap().iter().enumerate() {
                    check(&format!("element {i}"), got[i], value.as_f64().unwrap());
                }
            }
            "samples" => {
                for (i, value) in expected[key].as_array().unwrap().iter().enumerate() {
                    let index = (Hash::new("sample", 0).integer(i as u64) % n as u64) as usize;
                    check(&format!("element {index}"), got[index], value.as_f64().unwrap());
                }
            }
            unknown => panic!("{what}: unknown key {unknown}"),
        }
    }
}

/// Row `index` of the first axis.
pub(crate) fn row<const D: usize>(tensor: &Tensor<D>, index: usize) -> Vec<f64> {
    tensor.clone().slice_dim(0, index..index + 1).into_data().iter::<f64>().collect()
}
