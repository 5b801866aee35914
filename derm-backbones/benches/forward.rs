//! Forward passes at 224 pixels and a training step. `benches/peer/forward.py` times the same in torch and ONNX
//! Runtime.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use derm_backbones::BackboneConfig;
use derm_core::{Backbone, Taps};

const NETWORKS: [(&str, BackboneConfig); 4] = [
    ("resnet18", BackboneConfig::Resnet18),
    ("mobilenet_v2", BackboneConfig::Mobilenetv2_100),
    ("efficientnet_b0", BackboneConfig::EfficientnetB0),
    ("deit_tiny_patch16_224", BackboneConfig::DeitTinyPatch16_224),
];

fn images(batch: usize, device: &Device) -> Tensor<4> {
    Tensor::random([batch, 3, 224, 224], Distribution::Normal(0.0, 1.0), device)
}

/// Pooled features, read back.
fn inference(criterion: &mut Criterion, name: &str, network: &impl Backbone) {
    let device = Device::default();
    for batch in [1, 8] {
        let images = images(batch, &device);
        let forward = || network.forward_features(images.clone(), &Taps::none()).pooled.into_data();
        let name = format!("{name}/batch {batch}");
        criterion.bench_function(&name, |bencher| bencher.iter(|| black_box(forward())));
    }
}

fn forward(criterion: &mut Criterion) {
    for (name, config) in NETWORKS {
        let network = config.init(&Device::default()).unwrap();
        inference(criterion, name, &network.fold_batch_norm());
    }
    let network = BackboneConfig::Resnet18.init(&Device::default()).unwrap();
    inference(criterion, "resnet18 unfolded", &network);
}

/// Forward, backward, all gradients.
fn training_step(criterion: &mut Criterion) {
    let device = Device::default().autodiff();
    let network = BackboneConfig::Resnet18.init(&device).unwrap();
    let images = images(8, &device);
    criterion.bench_function("resnet18 training step/batch 8", |bencher| {
        bencher.iter(|| {
            let loss = network.forward_features(images.clone(), &Taps::none()).pooled.square().mean();
            let gradients = loss.backward();
            device.sync().unwrap();
            black_box(gradients)
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(10));
    targets = forward, training_step
}
criterion_main!(benches);
