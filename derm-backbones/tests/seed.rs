//! Alone in its process: the device has one random generator, which tests beside it would disturb.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig, QuestionnaireEncoderConfig, weights};

#[test]
fn a_seed_gives_the_weights() {
    let config = ClassifierConfig {
        backbone: BackboneConfig::Resnet18_28,
        head: HeadConfig { questionnaire: Some(QuestionnaireEncoderConfig::new(5)), ..HeadConfig::new(3) },
    };
    let device = Device::default();
    let bytes = |seed, device: &Device| {
        device.seed(seed);
        weights::to_safetensors(&config.init(device).unwrap()).unwrap()
    };
    let weights = bytes(7, &device);
    assert_eq!(bytes(7, &device), weights);
    assert_eq!(bytes(7, &device.clone().autodiff()), weights);
    assert_ne!(bytes(8, &device), weights);
}
