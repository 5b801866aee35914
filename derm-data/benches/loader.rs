//! Images a second from JPEG files to normalised batches, beside `benches/loader.py` (PyTorch).
//!
//! `DERM_DATA_DIR` names the folder that holds `ham10000/`; nothing is kept in memory between epochs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use derm_core::{Interpolation, Normalization};
use derm_data::{
    Augmentation, LastBatch, Loader, LoaderConfig, PixelCache, Questionnaire, ReadPolicy, Resize, ResizeRule,
    SampleOrder, Sampler, Samples, StoredPixels, readers::ham10000,
};

/// Images of an epoch, as in the peer's script.
const IMAGES: usize = 2048;

/// Random resized crop, flips and colour jitter of the peer's script.
fn augmentation() -> Augmentation {
    let mut augmentation = Augmentation::default();
    augmentation.random_resized_crop.probability = 1.0;
    augmentation.colour_jitter.probability = 1.0;
    augmentation.colour_jitter.hue = 0.05;
    augmentation
}

fn loaders(criterion: &mut Criterion) {
    let root =
        std::env::var_os("DERM_DATA_DIR").expect("DERM_DATA_DIR names the folder that holds ham10000/");
    let dataset = ham10000::read(PathBuf::from(root).join("ham10000"), ReadPolicy::STRICT).unwrap();
    let indices: Vec<usize> = (0..IMAGES).collect();
    let classes = dataset.classes(&indices).unwrap();
    let resize = Resize::new(224, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let mut group = criterion.benchmark_group("HAM10000 at 224 pixels, 2 workers");
    group.throughput(Throughput::Elements(IMAGES as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    for (name, augmentation) in [("crop, flips, jitter", Some(augmentation())), ("resize only", None)] {
        let cache = Arc::new(PixelCache::new(&dataset, resize, StoredPixels::Decoded, 0));
        let samples = Samples::new(&dataset, cache, Normalization::IMAGENET, Questionnaire::Ignore).unwrap();
        let sampler = Sampler::new(indices.clone(), &classes, SampleOrder::Shuffled, 0).unwrap();
        let config = LoaderConfig { batch_size: 64, workers: 2, prefetch: 2, last_batch: LastBatch::Keep };
        let loader = Loader::new(samples, sampler, augmentation, config).unwrap();
        let mut epoch = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                epoch += 1;
                for batch in loader.epoch(epoch) {
                    black_box(batch.unwrap());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loaders);
criterion_main!(benches);
