//! The whole way of pictures through a loader: every augmentation, mixing, views, cases, the device.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::Device;
use derm_core::{ClassIndex, Interpolation, Normalization, Targets};
use derm_data::{
    Augmentation, Batch, BatchMix, Dataset, Error, HostBatch, HostTargets, ImageSource, LastBatch, Loader,
    LoaderConfig, Questionnaire, Record, Resize, ResizeRule, SampleOrder, Sampler, Samples, StoredPixels,
    SyntheticConfig, TestView, UnreadablePolicy,
};

const SIZE: usize = 16;

/// Pictures of 24 pixels, stored as they are, for a network of 16.
fn dataset() -> Dataset {
    SyntheticConfig { num_lesions: 56, image_size: 24, ..SyntheticConfig::default() }.generate().unwrap()
}

fn samples(dataset: &mut Dataset) -> Samples {
    let resize = Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let cache =
        dataset.load_pixels(resize, StoredPixels::Decoded, UnreadablePolicy::Fail, usize::MAX).unwrap();
    Samples::new(dataset, Arc::new(cache), Normalization::IMAGENET, Questionnaire::Encode).unwrap()
}

/// Everything on, always.
fn everything() -> Augmentation {
    let mut all = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
    all.random_resized_crop.probability = 1.0;
    all.rotation.probability = 1.0;
    all.hair.probability = 1.0;
    all.vignette.probability = 1.0;
    all.colour_jitter.probability = 1.0;
    all.rand_augment.probability = 1.0;
    all.blur.probability = 1.0;
    all.cut_out.probability = 1.0;
    all
}

fn mix() -> BatchMix {
    BatchMix { mixup_alpha: 0.4, cutmix_alpha: 1.0, ..BatchMix::default() }
}

fn loader(dataset: &Dataset, samples: &Samples, order: SampleOrder, workers: usize) -> Loader {
    let indices: Vec<usize> = (0..dataset.records().len()).collect();
    let sampler = Sampler::new(indices.clone(), &dataset.classes(&indices).unwrap(), order, 3).unwrap();
    let config = LoaderConfig { batch_size: 12, workers, prefetch: 2, last_batch: LastBatch::Keep };
    Loader::new(samples.clone(), sampler, Some(everything()), config).unwrap().with_mix(mix()).unwrap()
}

fn batches(batches: impl Iterator<Item = Result<HostBatch, Error>>) -> Vec<HostBatch> {
    batches.collect::<Result<_, _>>().unwrap()
}

#[test]
fn augmented_and_mixed_batches_are_the_same_for_any_number_of_workers_and_from_anywhere() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    for order in
        [SampleOrder::Shuffled, SampleOrder::SquareRootBalanced, SampleOrder::EffectiveNumber { beta: 0.99 }]
    {
        let whole = batches(loader(&dataset, &samples, order, 0).epoch(4));
        for workers in [1, 4] {
            let loader = loader(&dataset, &samples, order, workers);
            assert!(batches(loader.epoch(4)) == whole, "{workers} workers, {order:?}");
            assert!(batches(loader.resume(4, 3)) == whole[3..], "{workers} workers, {order:?}, resumed");
        }
        let plain = loader(&dataset, &samples, order, 0).with_view(TestView::Identity).unwrap();
        assert!(batches(plain.epoch(4)) != whole, "nothing was augmented");
    }
}

#[test]
fn mixed_labels_are_distributions_and_some_are_of_two_classes() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    let mut shared = 0;
    for batch in batches(loader(&dataset, &samples, SampleOrder::ClassBalanced, 1).epoch(0)) {
        let HostTargets::Distributions(rows) = &batch.targets else { panic!("not mixed") };
        for row in rows.chunks_exact(batch.num_classes) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
            shared += usize::from(row.iter().filter(|&&weight| weight > 0.0).count() == 2);
        }
        let count = batch.len();
        let Targets::Soft(rows) = Batch::to_device(batch, &Device::default()).unwrap().targets else {
            panic!("not soft on the device")
        };
        assert_eq!(rows.dims()[0], count);
    }
    assert!(shared > 0);
}

#[test]
fn a_record_drawn_twice_is_augmented_in_two_ways() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    let indices: Vec<usize> = (0..dataset.records().len()).collect();
    let order = SampleOrder::ClassBalanced;
    let sampler = Sampler::new(indices.clone(), &dataset.classes(&indices).unwrap(), order, 3).unwrap();
    let loader = Loader::new(samples, sampler, Some(everything()), LoaderConfig::default()).unwrap();
    let mut seen: BTreeMap<usize, Vec<Vec<f32>>> = BTreeMap::new();
    for batch in batches(loader.epoch(0)) {
        for (index, picture) in batch.indices.iter().zip(batch.images.chunks_exact(3 * SIZE * SIZE)) {
            seen.entry(*index).or_default().push(picture.to_vec());
        }
    }
    let repeated: Vec<&Vec<Vec<f32>>> = seen.values().filter(|pictures| pictures.len() > 1).collect();
    assert!(!repeated.is_empty());
    for pictures in repeated {
        for (place, picture) in pictures.iter().enumerate() {
            assert!(!pictures[..place].contains(picture));
        }
    }
}

#[test]
fn device_batches_are_the_host_batches_whatever_waits_ahead() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    let loader = loader(&dataset, &samples, SampleOrder::Shuffled, 2);
    let host = batches(loader.resume(1, 2));
    for ahead in [0, 1, 3] {
        let mut moved = loader.device_batches(1, 2, &Device::default(), ahead);
        for (number, host) in host.iter().enumerate() {
            assert_eq!(moved.position(), number + 2);
            let batch = moved.next().unwrap().unwrap();
            assert_eq!(batch.indices, host.indices);
            assert_eq!(batch.images.into_data().iter::<f32>().collect::<Vec<f32>>(), host.images);
        }
        assert!(moved.next().is_none());
        // Left in the middle, it neither hangs nor fails.
        let mut left = loader.device_batches(1, 0, &Device::default(), ahead);
        left.next().unwrap().unwrap();
    }
}

#[test]
fn an_unreadable_picture_ends_a_device_epoch_with_its_error() {
    let mut dataset = dataset();
    let mut records = dataset.records().to_vec();
    records.truncate(30);
    records[20].image = ImageSource::File("nowhere.jpg".into());
    dataset = Dataset::new("broken", dataset.labels().clone(), records, dataset.schema().clone(), Vec::new())
        .unwrap();
    let resize = Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let cache = derm_data::PixelCache::new(&dataset, resize, StoredPixels::Decoded, 0);
    let samples =
        Samples::new(&dataset, Arc::new(cache), Normalization::IMAGENET, Questionnaire::Ignore).unwrap();
    let loader = loader(&dataset, &samples, SampleOrder::Sequential, 1);
    for ahead in [0, 2] {
        let outcomes: Vec<Result<Batch, Error>> =
            loader.device_batches(0, 0, &Device::default(), ahead).collect();
        assert_eq!(outcomes.len(), 2, "one batch before it, then the error");
        assert!(matches!(&outcomes[1], Err(Error::File(file)) if file.path.ends_with("nowhere.jpg")));
    }
}

#[test]
fn a_view_shows_every_record_once_in_order() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    let plain = loader(&dataset, &samples, SampleOrder::Sequential, 2);
    let of = |view| batches(plain.clone().with_view(view).unwrap().epoch(0));
    let upright = of(TestView::Identity);
    let mirrored = of(TestView::HorizontalFlip);
    for (a, b) in upright.iter().zip(&mirrored) {
        assert_eq!(a.indices, b.indices);
        assert_eq!(a.targets, b.targets);
        for (a, b) in a.images.chunks_exact(SIZE).zip(b.images.chunks_exact(SIZE)) {
            assert!(a.iter().eq(b.iter().rev()), "each line of pixels is reversed");
        }
    }
    for view in TestView::five_crops(0.8).unwrap() {
        assert!(of(view) != upright);
    }
    let indices: Vec<usize> = upright.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert!(indices.into_iter().eq(0..dataset.records().len()));
}

#[test]
fn soft_labels_reach_the_batch_beside_hard_ones() {
    let mut dataset = dataset();
    let mut records = dataset.records().to_vec();
    records[0].class = ClassIndex::new(2);
    records[0].soft_label = Some(vec![0.0, 0.25, 0.75, 0.0, 0.0, 0.0, 0.0]);
    dataset = Dataset::new("soft", dataset.labels().clone(), records, dataset.schema().clone(), Vec::new())
        .unwrap();
    let samples = samples(&mut dataset);
    let batch = samples.batch(&[0, 1], TestView::Identity).unwrap();
    let HostTargets::Distributions(rows) = batch.targets else { panic!("hard") };
    assert_eq!(rows[..7], [0.0, 0.25, 0.75, 0.0, 0.0, 0.0, 0.0]);
    let hard = dataset.records()[1].class.get();
    assert!((0..7).all(|class| rows[7 + class] == if class == hard { 1.0 } else { 0.0 }));
}

#[test]
fn a_soft_label_that_is_none_and_a_shared_lesion_are_refused() {
    let whole = dataset();
    let with = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = whole.records().to_vec();
        change(&mut records);
        Dataset::new("changed", whole.labels().clone(), records, whole.schema().clone(), Vec::new())
            .map(|_| ())
    };
    let class = whole.records()[0].class.get();
    let peak = |weight: f32, rest: f32| {
        let mut label = vec![rest; 7];
        label[class] = weight;
        label
    };
    for label in [
        vec![1.0],
        peak(1.5, 0.0),
        peak(f32::NAN, 0.0),
        peak(0.5, 0.0),
        peak(0.0, 1.0 / 6.0),
        peak(1.0, -0.0001),
    ] {
        let error = with(&|records| records[0].soft_label = Some(label.clone())).unwrap_err();
        assert!(
            matches!(error, Error::SoftLabel { ref id, .. } if *id == whole.records()[0].id),
            "{label:?}"
        );
    }
    with(&|records| records[0].soft_label = Some(peak(0.4, 0.1))).unwrap();
    let other =
        whole.records().iter().position(|record| record.group() != whole.records()[0].group()).unwrap();
    let error = with(&|records| records[other].lesion = whole.records()[0].lesion.clone()).unwrap_err();
    assert!(matches!(error, Error::SharedUnit { unit: "lesion", .. }), "{error}");
    let error = with(&|records| records[other].case = whole.records()[0].case.clone()).unwrap_err();
    assert!(matches!(error, Error::SharedUnit { unit: "case", .. }), "{error}");
    let groups: BTreeSet<&str> = whole.records().iter().map(Record::group).collect();
    assert!(groups.len() > 1);
}

#[test]
fn what_is_prepared_ahead_is_bounded_by_the_prefetch_depth() {
    const BATCH: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let whole = dataset();
    let mut records = whole.records().to_vec();
    records.truncate(60);
    for (number, record) in records.iter_mut().enumerate() {
        let ImageSource::Rgb(pixels) = &record.image else { unreachable!("drawn pictures are in memory") };
        let path = folder.path().join(format!("{number}.png"));
        let (width, height) = (pixels.width() as u32, pixels.height() as u32);
        image::save_buffer(&path, pixels.as_bytes(), width, height, image::ColorType::Rgb8).unwrap();
        record.image = ImageSource::File(path);
    }
    let (labels, schema) = (whole.labels().clone(), whole.schema().clone());
    let dataset = Dataset::new("files", labels, records, schema, Vec::new()).unwrap();
    let resize = Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    for (workers, prefetch) in [(1, 1), (3, 2)] {
        let cache = Arc::new(derm_data::PixelCache::new(&dataset, resize, StoredPixels::Resized, usize::MAX));
        let samples =
            Samples::new(&dataset, Arc::clone(&cache), Normalization::IMAGENET, Questionnaire::Ignore)
                .unwrap();
        let indices: Vec<usize> = (0..60).collect();
        let classes = dataset.classes(&indices).unwrap();
        let sampler = Sampler::new(indices, &classes, SampleOrder::Sequential, 0).unwrap();
        let config = LoaderConfig { batch_size: BATCH, workers, prefetch, last_batch: LastBatch::Keep };
        let mut epoch = Loader::new(samples, sampler, None, config).unwrap().epoch(0);
        epoch.next().unwrap().unwrap();
        // Long enough for a loader without bounds to decode all sixty.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let decoded = cache.bytes() / (3 * SIZE * SIZE);
        let bound = BATCH * (1 + workers * (prefetch + 1));
        assert!(
            (BATCH..=bound).contains(&decoded),
            "{decoded} pictures, {workers} workers, {prefetch} ahead"
        );
        assert_eq!(epoch.count(), 29);
        assert_eq!(cache.bytes(), 60 * 3 * SIZE * SIZE);
    }
}

#[test]
fn a_corrupted_epoch_follows_from_seed_and_record_alone() {
    let mut dataset = dataset();
    let samples = samples(&mut dataset);
    let upright = batches(
        loader(&dataset, &samples, SampleOrder::Sequential, 0)
            .with_view(TestView::Identity)
            .unwrap()
            .epoch(0),
    );
    for name in ["gaussian_noise:3", "jpeg_q:30", "black_corner:5"] {
        let corruption = name.parse().unwrap();
        let of = |order, workers, epoch| {
            let loader = loader(&dataset, &samples, order, workers).with_corruption(corruption, 3);
            let mut pictures: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
            for batch in batches(loader.epoch(epoch)) {
                assert!(matches!(batch.targets, HostTargets::Classes(_)), "nothing is mixed");
                for (index, picture) in batch.indices.iter().zip(batch.images.chunks_exact(3 * SIZE * SIZE)) {
                    pictures.insert(*index, picture.to_vec());
                }
            }
            pictures
        };
        let once = of(SampleOrder::Sequential, 0, 0);
        assert!(once == of(SampleOrder::Shuffled, 3, 7), "{name}");
        let first = &upright[0].images[..3 * SIZE * SIZE];
        assert!(once[&0] != first, "{name} changed nothing");
    }
}
