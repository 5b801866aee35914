//! Every entry of the registry against the networks that it names.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;

use burn::tensor::Device;
use derm_backbones::{
    ClassifierConfig, Error, HeadConfig, KnownArchitecture, KnownWeights, PublishedKeys, WeightsSource,
    count_parameters, known_weights, registry,
};

#[test]
fn every_entry_fits_its_network() {
    let device = Device::default();
    assert!(registry().len() >= 40);
    for weights in registry() {
        let (parameters, namings) = match (&weights.architecture, weights.num_classes) {
            (KnownArchitecture::Image(backbone), Some(num_classes)) => {
                let config =
                    ClassifierConfig { backbone: backbone.clone(), head: HeadConfig::new(num_classes) };
                let network = config.init_undrawn(&device).unwrap();
                (count_parameters(&network), network.namings())
            }
            (KnownArchitecture::Image(backbone), None) => {
                let network = backbone.init(&device).unwrap();
                (count_parameters(&network), network.namings())
            }
            (KnownArchitecture::Text(config), None) => {
                let network = config.init(&device).unwrap();
                (count_parameters(&network), network.namings())
            }
            (KnownArchitecture::Text(_), Some(_)) => panic!("{}: a text encoder with classes", weights.name),
        };
        assert_eq!(parameters.trainable as u64, weights.parameters, "{}", weights.name);
        assert!(namings.contains(&weights.naming), "{}: {namings:?}", weights.name);
    }
}

#[test]
fn every_image_input_is_in_range_and_of_the_tables_own_grid() {
    for weights in registry() {
        let KnownArchitecture::Image(backbone) = &weights.architecture else {
            assert!(weights.input.is_none(), "{}", weights.name);
            continue;
        };
        let (input, spec) = (weights.input.unwrap(), backbone.spec().unwrap());
        assert!(
            weights.name.starts_with(&spec.architecture),
            "{} is for {}",
            weights.name,
            spec.architecture
        );
        assert!(input.crop_pct > 0.0 && input.crop_pct <= 1.0, "{}", weights.name);
        assert!(input.normalization.std.iter().all(|std| *std > 0.0), "{}", weights.name);
        // convolutional networks take any size; a table of positions has one
        if !spec.attention.is_empty() {
            assert_eq!(input.size, spec.input.size, "{}", weights.name);
        }
    }
}

#[test]
fn names_are_unique_and_sources_are_https_with_what_is_known_of_their_digest() {
    let mut names = HashSet::new();
    for weights in registry() {
        assert!(names.insert(&weights.name), "{} twice", weights.name);
        assert_eq!(known_weights(&weights.name), Some(weights));
        assert!(weights.source.url().starts_with("https://") && !weights.license.is_empty());
        let hexadecimal =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if let Some(sha256) = &weights.sha256 {
            assert!(sha256.len() == 64 && hexadecimal(sha256), "{}", weights.name);
        }
        if let Some(prefix) = &weights.sha256_prefix {
            assert!(prefix.len() >= 8 && hexadecimal(prefix), "{}", weights.name);
            // torchvision writes it into the name
            let WeightsSource::Url { url } = &weights.source else { panic!("{}", weights.name) };
            assert!(url.ends_with(&format!("-{prefix}.pth")), "{url}");
        }
    }
    assert_eq!(known_weights("resnet18"), None);
}

#[test]
fn licences_that_bind_are_stated() {
    for weights in registry() {
        if weights.name.starts_with("convnextv2") {
            assert_eq!(weights.license, "CC-BY-NC-4.0");
        }
        assert_eq!(weights.gated, weights.name.starts_with("medsiglip"), "{}", weights.name);
    }
}

#[test]
fn a_file_is_compared_with_its_known_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "").unwrap();
    let known = known_weights("resnet18.tv_imagenet1k_v1").unwrap();
    assert!(matches!(known.verify(&path), Err(Error::Digest { expected, .. }) if expected == "f37072fd"));
    // the SHA-256 of nothing
    let empty = KnownWeights { sha256_prefix: Some("e3b0c442".to_owned()), ..known.clone() };
    empty.verify(&path).unwrap();
    KnownWeights { sha256_prefix: None, ..known.clone() }.verify(&path).unwrap();
    assert!(matches!(known.verify(folder.path().join("b")), Err(Error::File(_))));
}
