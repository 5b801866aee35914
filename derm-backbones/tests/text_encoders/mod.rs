//! Keys, counts, costs and outputs of the published text encoders.

use std::collections::HashMap;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use derm_backbones::{
    Bert, BertConfig, Naming, TextFeatures, TextPooling, Tokens, count_parameters, weights,
};
use derm_core::Taps;
use serde_json::Value;

use crate::kit::{Hash, checkpoint, compare, files, keys, row, usize_of};

/// The network and whether it is too large for the ordinary run.
fn model(name: &str) -> Option<(BertConfig, bool)> {
    match name {
        "hf__minilm_l6_h384" => Some((BertConfig::minilm_l6_h384(), false)),
        "hf__distilbert_base" => Some((BertConfig::distilbert_base_uncased(), true)),
        "hf__bert_base_cased_clinical" => Some((BertConfig::bert_base_cased(), true)),
        _ => None,
    }
}

/// The last tokens of the second text that the kit masks.
const PADDED: usize = 5;

#[test]
fn keys_shapes_counts_and_costs_of_text_encoders_are_the_published_ones() {
    let device = Device::default();
    let mut run = 0;
    for (name, file) in files("keys") {
        let Some((config, _)) = model(&name) else { continue };
        let network = config.init(&device).unwrap();
        let mut expected = keys(&file, 0);
        let mut got = weights::published_shapes(&network, Naming::HuggingFace).unwrap();
        expected.sort();
        got.sort();
        assert_eq!(got, expected, "{name}");
        let counts = &file["params"]["no_head"];
        assert_eq!(count_parameters(&network).trainable, usize_of(&counts["trainable"]), "{name}");
        let macs = network.macs(usize_of(&file["macs"]["tokens"]));
        assert_eq!(macs.conv_and_linear, file["macs"]["conv_linear"].as_u64().unwrap(), "{name}");
        assert_eq!(macs.attention, file["macs"]["attention_matmul"].as_u64().unwrap(), "{name}");
        run += 1;
    }
    assert!(run > 0);
}

#[test]
fn outputs_of_text_encoders_are_the_published_ones() {
    run_outputs(false);
}

#[test]
#[ignore = "gigabytes: run in release, one at a time"]
fn outputs_of_large_text_encoders_are_the_published_ones() {
    run_outputs(true);
}

fn run_outputs(large: bool) {
    let device = Device::default();
    let keys_of: HashMap<String, Value> = files("keys").into_iter().collect();
    let mut run = 0;
    for (name, file) in files("outputs") {
        let Some((config, _)) = model(&name).filter(|(_, is_large)| *is_large == large) else { continue };
        let seed = file["seed"].as_u64().unwrap();
        let keys = keys(&keys_of[&name], 0);
        for case in file["cases"].as_array().unwrap() {
            let start = std::time::Instant::now();
            let (gain, width) = (case["gain"].as_f64().unwrap(), case["offset_width"].as_f64().unwrap());
            let bytes = checkpoint(&keys, seed, gain, width);
            let (network, _) = weights::from_safetensors(config.init(&device).unwrap(), &bytes).unwrap();
            let length = usize_of(&case["size"]);
            let tokens = tokens(&config, length, seed, &device);
            let taps = (0..config.layers).map(|index| format!("layers.{index}"));
            let taps = Taps::stages(taps.chain(["embeddings".to_owned()]));
            check_case(&name, &network.forward(&tokens, &taps), case, length);
            // the padding of the second text changes nothing of the first, and nothing where it is cut off
            check_padding(&network, &tokens, length);
            println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
            run += 1;
        }
    }
    assert!(run > 0);
}

fn tokens(config: &BertConfig, length: usize, seed: u64, device: &Device) -> Tokens {
    let hash = Hash::new("input_ids", seed);
    let ids: Vec<i64> =
        (0..2 * length as u64).map(|i| (hash.integer(i) % config.vocabulary as u64) as i64).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, length]), device);
    let padding: Vec<bool> = (0..2 * length).map(|place| place >= 2 * length - PADDED).collect();
    let padding = Tensor::<2, Bool>::from_data(TensorData::new(padding, [2, length]), device);
    Tokens { padding, ..Tokens::new(ids) }
}

fn check_case(name: &str, features: &TextFeatures, case: &Value, length: usize) {
    for (index, expected) in case["inputs"].as_array().unwrap().iter().enumerate() {
        let unpadded = if index == 1 { length - PADDED } else { length };
        let visible = |hidden: &Tensor<3>| row(&hidden.clone().narrow(1, 0, unpadded), index);
        for key in expected.as_object().unwrap().keys() {
            let what = format!("{name}, text {index}, {key}");
            let expected = &expected[key];
            match key.as_str() {
                "features" => compare(&what, &row(&features.pooled(TextPooling::Mean), index), expected),
                "cls" => compare(&what, &row(&features.pooled(TextPooling::Cls), index), expected),
                "pooler_output" => compare(&what, &row(features.pooler.as_ref().unwrap(), index), expected),
                "last_hidden_state" => compare(&what, &visible(&features.last_hidden_state), expected),
                "stages" => {
                    for (stage, expected) in expected.as_object().unwrap() {
                        let tap = stage
                            .rsplit_once("layer.")
                            .map_or_else(|| stage.clone(), |(_, index)| format!("layers.{index}"));
                        let hidden = features.hidden_state(&tap).unwrap_or_else(|| panic!("{what}: {stage}"));
                        compare(&format!("{what} {stage}"), &visible(hidden), expected);
                    }
                }
                _ => panic!("{what}: unknown key"),
            }
        }
    }
}

fn check_padding(network: &Bert, tokens: &Tokens, length: usize) {
    /// Sums over another number of masked places.
    const F32_NOISE: f64 = 1e-4;
    let whole = network.forward(tokens, &Taps::none());
    let cut = |index: usize, length: usize| {
        let ids = tokens.ids.clone().narrow(0, index, 1).narrow(1, 0, length);
        network.forward(&Tokens::new(ids), &Taps::none())
    };
    for (index, length) in [(0, length), (1, length - PADDED)] {
        let alone = cut(index, length);
        for pooling in [TextPooling::Mean, TextPooling::Cls] {
            for (got, expected) in
                row(&alone.pooled(pooling), 0).iter().zip(row(&whole.pooled(pooling), index))
            {
                assert!((got - expected).abs() < F32_NOISE, "{got} and {expected}");
            }
        }
    }
}
