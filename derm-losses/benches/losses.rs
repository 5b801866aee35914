//! Forward and backward passes of the losses. `benches/peer/torch_losses.py` times the same in torch.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{Criterion as Bench, criterion_group, criterion_main};
use derm_core::{Criterion, Targets};
use derm_losses::{
    AttentionMode, AttentionPool, AttentionTransferLoss, CrossEntropyLossConfig, DkdLossConfig,
    FocalLossConfig, KdLossConfig, LdamLossConfig, RkdLossConfig, SimilarityPreservingLoss,
};

const BATCH: usize = 256;
const CLASSES: usize = 25;
/// Batch, channels, height and width of a feature map.
const MAP: [usize; 4] = [32, 256, 14, 14];
/// Samples and width of the features that are related to each other.
const FEATURES: [usize; 2] = [64, 256];

fn device() -> Device {
    Device::default().autodiff()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device())
}

/// The value of the loss and the gradient of its input.
fn step<const D: usize>(input: &Tensor<D>, loss: impl Fn(Tensor<D>) -> Tensor<1>) {
    let input = input.clone().detach().require_grad();
    let value = loss(input.clone());
    let gradients = value.backward();
    black_box((value.into_data(), input.grad(&gradients).unwrap().into_data()));
}

fn losses(bench: &mut Bench) {
    let (student, teacher) = (random([BATCH, CLASSES]), random([BATCH, CLASSES]));
    let classes: Vec<usize> = (0..BATCH).map(|i| i * 7 % CLASSES).collect();
    let targets = Targets::from_indices(&classes, CLASSES, &device()).unwrap();
    let indices: Vec<i32> = classes.iter().map(|&class| class as i32).collect();
    let indices = Tensor::<1, Int>::from_ints(indices.as_slice(), &device());
    let counts: Vec<usize> = (1..=CLASSES).map(|class| 1000 / class).collect();

    let ce = CrossEntropyLossConfig { label_smoothing: 0.1, ..Default::default() };
    let ce = ce.init(CLASSES, &device()).unwrap();
    bench.bench_function("cross_entropy", |b| b.iter(|| step(&student, |x| ce.forward(x, &targets))));
    let focal = FocalLossConfig::default().init(CLASSES, &device()).unwrap();
    bench.bench_function("focal", |b| b.iter(|| step(&student, |x| focal.forward(x, &targets))));
    let ldam = LdamLossConfig { counts, ..Default::default() }.init(CLASSES, &device()).unwrap();
    bench.bench_function("ldam", |b| b.iter(|| step(&student, |x| ldam.forward(x, &targets))));
    let kd = KdLossConfig::default().init().unwrap();
    bench.bench_function("kd", |b| b.iter(|| step(&student, |x| kd.forward(x, teacher.clone()))));
    let dkd = DkdLossConfig::default().init(CLASSES).unwrap();
    bench.bench_function("dkd", |b| {
        b.iter(|| step(&student, |x| dkd.forward(x, teacher.clone(), &indices)));
    });

    let (student, teacher) = (random(MAP), random(MAP));
    let attention = AttentionTransferLoss { mode: AttentionMode::SquaredL2, pool: AttentionPool::Features };
    bench.bench_function("attention_transfer", |b| {
        b.iter(|| step(&student, |x| attention.forward(x, teacher.clone())));
    });
    bench.bench_function("similarity_preserving", |b| {
        b.iter(|| step(&student, |x| SimilarityPreservingLoss.forward(x, teacher.clone())));
    });

    let (student, teacher) = (random(FEATURES), random(FEATURES));
    let rkd = RkdLossConfig::default().init().unwrap();
    bench.bench_function("rkd", |b| b.iter(|| step(&student, |x| rkd.forward(x, teacher.clone()))));
}

criterion_group!(benches, losses);
criterion_main!(benches);
