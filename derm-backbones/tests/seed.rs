//! Alone in its process: the device has one random generator, which tests beside it would disturb.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Distribution, Tensor};
use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig, QuestionnaireEncoderConfig, weights};
use derm_core::Taps;

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

    // drawn at once: neither what is drawn afterwards nor a forward pass, which uses them in another order, counts
    device.seed(7);
    let model = config.init(&device).unwrap();
    device.seed(8);
    let images = Tensor::random([1, 3, 8, 8], Distribution::Default, &device);
    let _ = model.forward(images, Some(Tensor::zeros([1, 5], &device)), &Taps::none());
    assert_eq!(weights::to_safetensors(&model).unwrap(), weights);
}
