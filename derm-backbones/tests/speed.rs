//! Timings, taken by hand: `cargo test --release -p derm-backbones --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig};
use derm_core::Taps;

fn classifier() -> ClassifierConfig {
    ClassifierConfig { backbone: BackboneConfig::Resnet18, head: HeadConfig::new(7) }
}

#[test]
#[ignore = "a timing, printed, not asserted"]
fn training_step_of_resnet18_at_64_pixels_batch_64() {
    let device = Device::default().autodiff();
    let model = classifier().init(&device).unwrap();
    let images = Tensor::<4>::random([64, 3, 64, 64], Distribution::Default, &device);
    for step in 0..6 {
        let start = Instant::now();
        let output = model.forward(images.clone(), None, &Taps::none());
        let loss = output.logits.square().mean();
        let value = loss.clone().into_scalar::<f32>();
        let forward = start.elapsed();
        let gradients = loss.backward();
        device.sync().unwrap();
        drop(gradients);
        println!(
            "step {step}: forward {forward:?}, forward and backward {:?}, loss {value}",
            start.elapsed()
        );
    }
}

#[test]
#[ignore = "a timing, printed, not asserted"]
fn inference_of_resnet18_at_224_pixels() {
    let device = Device::default();
    let model = classifier().init(&device).unwrap();
    for batch in [1, 8] {
        let images = Tensor::<4>::random([batch, 3, 224, 224], Distribution::Default, &device);
        for step in 0..5 {
            let start = Instant::now();
            let logits = model.forward(images.clone(), None, &Taps::none()).logits.into_data();
            println!("batch {batch}, run {step}: {:?}", start.elapsed());
            drop(logits);
        }
    }
}
