//! Batches: the same for any number of workers, resumable anywhere, and honest about errors.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use derm_core::{ClassIndex, Interpolation, LabelMap, Normalization, Targets};
use derm_data::{
    Answers, Augmentation, Batch, Dataset, Error, FeatureSchema, HostBatch, HostTargets, ImageSource,
    LastBatch, Loader, LoaderConfig, PixelCache, Questionnaire, Record, Resize, ResizeRule, RgbPixels,
    SampleOrder, Sampler, Samples, StoredPixels, SyntheticConfig, TestView, UnreadablePolicy,
};

const SIZE: usize = 16;

fn resize() -> Resize {
    Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap()
}

fn synthetic() -> (Dataset, Samples) {
    let config = SyntheticConfig { num_lesions: 56, image_size: SIZE, ..SyntheticConfig::default() };
    let mut dataset = config.generate().unwrap();
    let cache =
        dataset.load_pixels(resize(), StoredPixels::Resized, UnreadablePolicy::Fail, usize::MAX).unwrap();
    let samples =
        Samples::new(&dataset, Arc::new(cache), Normalization::IMAGENET, Questionnaire::Encode).unwrap();
    (dataset, samples)
}

fn loader(dataset: &Dataset, samples: &Samples, order: SampleOrder, config: LoaderConfig) -> Loader {
    let indices: Vec<usize> = (0..dataset.records().len()).collect();
    let sampler = Sampler::new(indices.clone(), &dataset.classes(&indices).unwrap(), order, 3).unwrap();
    Loader::new(samples.clone(), sampler, Some(Augmentation::default()), config).unwrap()
}

fn batches(batches: impl Iterator<Item = Result<HostBatch, Error>>) -> Vec<HostBatch> {
    batches.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let (dataset, samples) = synthetic();
    for order in [SampleOrder::Sequential, SampleOrder::Shuffled, SampleOrder::ClassBalanced] {
        let of = |workers, prefetch| {
            let config = LoaderConfig { batch_size: 7, workers, prefetch, last_batch: LastBatch::Keep };
            batches(loader(&dataset, &samples, order, config).epoch(5))
        };
        let inline = of(0, 2);
        assert_eq!(inline.len(), dataset.records().len().div_ceil(7));
        assert_eq!(inline.iter().map(HostBatch::len).sum::<usize>(), dataset.records().len());
        for (workers, prefetch) in [(1, 2), (4, 1), (4, 3), (60, 1)] {
            assert!(of(workers, prefetch) == inline, "{workers} workers, {prefetch} ahead, {order:?}");
        }
    }
}

#[test]
fn an_epoch_resumes_where_it_stopped() {
    let (dataset, samples) = synthetic();
    for workers in [0, 1, 4] {
        let config = LoaderConfig { batch_size: 10, workers, ..LoaderConfig::default() };
        let loader = loader(&dataset, &samples, SampleOrder::Shuffled, config);
        let whole = batches(loader.epoch(2));
        let mut running = loader.epoch(2);
        for number in 0..=whole.len() {
            assert_eq!(running.position(), number);
            assert!(batches(loader.resume(2, number)) == whole[number..], "from batch {number}");
            drop(running.next());
        }
        assert!(loader.resume(2, whole.len() + 3).next().is_none());
        assert!(whole != batches(loader.epoch(3)), "epochs differ");
    }
}

#[test]
fn the_last_batch_is_kept_or_dropped() {
    let (dataset, samples) = synthetic();
    let count = dataset.records().len();
    let config = LoaderConfig { batch_size: count - 1, workers: 1, ..LoaderConfig::default() };
    let of = |last_batch| {
        let loader =
            loader(&dataset, &samples, SampleOrder::Sequential, LoaderConfig { last_batch, ..config });
        let sizes: Vec<usize> = batches(loader.epoch(0)).iter().map(HostBatch::len).collect();
        assert_eq!(sizes.len(), loader.num_batches());
        sizes
    };
    assert_eq!(of(LastBatch::Keep), [count - 1, 1]);
    assert_eq!(of(LastBatch::Drop), [count - 1]);
}

#[test]
fn a_batch_holds_what_its_records_hold() {
    let (dataset, samples) = synthetic();
    let config = LoaderConfig { batch_size: 5, workers: 2, ..LoaderConfig::default() };
    let loader = loader(&dataset, &samples, SampleOrder::Shuffled, config);
    let host = loader.epoch(0).next().unwrap().unwrap();
    let classes: Vec<usize> =
        host.indices.iter().map(|&index| dataset.records()[index].class.get()).collect();
    assert_eq!(host.targets, HostTargets::Classes(classes));
    for (row, &index) in host.indices.iter().enumerate() {
        let record = &dataset.records()[index];
        let width = host.answer_width;
        let answers = &host.answers.as_ref().unwrap()[row * width..(row + 1) * width];
        assert_eq!(answers, dataset.schema().encode(&record.answers).unwrap());
        // Whatever the orientation, each channel has the record's values.
        let ImageSource::Rgb(pixels) = &record.image else { unreachable!("synthetic images are in memory") };
        let normal = Normalization::IMAGENET;
        for channel in 0..3 {
            let start = (row * 3 + channel) * SIZE * SIZE;
            let mut got = host.images[start..start + SIZE * SIZE].to_vec();
            let value = |pixel: [u8; 3]| f32::from(pixel[channel]) / 255.0;
            let mut expected: Vec<f32> = pixels
                .iter()
                .map(|pixel| (value(pixel) - normal.mean[channel]) / normal.std[channel])
                .collect();
            got.sort_unstable_by(f32::total_cmp);
            expected.sort_unstable_by(f32::total_cmp);
            assert_eq!(got, expected);
        }
    }
    let device = Device::default();
    let batch = Batch::to_device(host.clone(), &device).unwrap();
    assert_eq!(batch.images.dims(), [5, 3, SIZE, SIZE]);
    assert_eq!(batch.images.into_data().try_to_vec::<f32>().unwrap(), host.images);
    let answers = batch.answers.unwrap();
    assert_eq!(answers.dims(), [5, samples.answer_width()]);
    assert_eq!(answers.into_data().try_to_vec::<f32>().unwrap(), host.answers.unwrap());
    assert!(matches!(batch.targets, Targets::Hard(indices) if indices.dims() == [5]));
    assert_eq!(batch.indices, host.indices);
}

#[test]
fn images_alone_have_no_answers() {
    let (dataset, _) = synthetic();
    let cache = Arc::new(PixelCache::new(&dataset, resize(), StoredPixels::Resized, 0));
    let samples = Samples::new(&dataset, cache, Normalization::HALF, Questionnaire::Ignore).unwrap();
    let host = samples.batch(&[0, 2], TestView::Identity).unwrap();
    assert_eq!((host.answers, host.answer_width), (None, 0));
}

/// Records over image files; those whose number is in `broken` hold text.
fn on_disk(folder: &Path, count: usize, broken: &[usize]) -> Dataset {
    let mut records = Vec::new();
    for number in 0..count {
        let path = folder.join(format!("{number}.png"));
        if broken.contains(&number) {
            fs::write(&path, "no image").unwrap();
        } else {
            let value = number as u8;
            image::RgbImage::from_pixel(20, 12, image::Rgb([value, 2 * value, 3 * value]))
                .save(&path)
                .unwrap();
        }
        records.push(Record {
            id: format!("r{number}"),
            image: ImageSource::File(path),
            class: ClassIndex::new(number % 2),
            lesion: format!("l{number}"),
            case: format!("l{number}"),
            patient: None,
            soft_label: None,
            tasks: BTreeMap::new(),
            published_role: None,
            answers: Answers::new(),
            text: None,
            subgroups: BTreeMap::new(),
        });
    }
    let labels = LabelMap::new(["a", "b"]).unwrap();
    Dataset::new("files", labels, records, FeatureSchema::empty(), Vec::new()).unwrap()
}

#[test]
fn a_broken_file_ends_the_epoch_with_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = on_disk(folder.path(), 20, &[13]);
    let cache = Arc::new(PixelCache::new(&dataset, resize(), StoredPixels::Resized, usize::MAX));
    let samples = Samples::new(&dataset, cache, Normalization::HALF, Questionnaire::Ignore).unwrap();
    for workers in [0, 1, 3] {
        let config = LoaderConfig { batch_size: 2, workers, prefetch: 1, ..LoaderConfig::default() };
        let loader = loader(&dataset, &samples, SampleOrder::Sequential, config);
        let outcomes: Vec<_> = loader.epoch(0).collect();
        assert_eq!(outcomes.len(), 7, "six batches and the error");
        assert!(outcomes[..6].iter().all(Result::is_ok));
        let Err(Error::Decode { path, .. }) = &outcomes[6] else { panic!("{:?}", outcomes[6]) };
        assert!(path.ends_with("13.png"));
    }
}

#[test]
fn unreadable_images_stop_the_run_or_are_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = on_disk(folder.path(), 12, &[4, 9]);
    fs::remove_file(folder.path().join("7.png")).unwrap();
    let error =
        dataset.load_pixels(resize(), StoredPixels::Resized, UnreadablePolicy::Fail, usize::MAX).unwrap_err();
    assert!(matches!(&error, Error::Decode { path, .. } if path.ends_with("4.png")), "{error}");
    assert_eq!(dataset.records().len(), 12, "a failure changes nothing");

    let mut verified = dataset.clone();
    assert!(verified.verify_images(UnreadablePolicy::Fail).is_err());
    verified.verify_images(UnreadablePolicy::Skip).unwrap();
    let cache =
        dataset.load_pixels(resize(), StoredPixels::Resized, UnreadablePolicy::Skip, usize::MAX).unwrap();
    for dataset in [&dataset, &verified] {
        let names: Vec<&str> = dataset.skipped().iter().map(|skipped| skipped.key.as_str()).collect();
        assert_eq!(names, ["r4", "r7", "r9"]);
        assert!(dataset.skipped()[1].reason.contains("7.png"), "{}", dataset.skipped()[1].reason);
        assert_eq!(dataset.records().len(), 9);
    }
    // The cache follows the records that stayed.
    for (index, record) in dataset.records().iter().enumerate() {
        let value: u8 = record.id[1..].parse().unwrap();
        assert_eq!(cache.get(index).unwrap().as_bytes()[..3], [value, 2 * value, 3 * value]);
    }
    assert_eq!(cache.bytes(), 9 * SIZE * SIZE * 3);

    let mut hopeless = on_disk(folder.path(), 2, &[0, 1]);
    let error = hopeless.verify_images(UnreadablePolicy::Skip).unwrap_err();
    assert!(matches!(error, Error::EmptyDataset { .. }), "{error}");
}

#[test]
fn the_cache_keeps_to_its_budget_and_gives_the_same_pixels_beyond_it() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = on_disk(folder.path(), 6, &[]);
    let (image, roomy) =
        (SIZE * SIZE * 3, PixelCache::new(&dataset, resize(), StoredPixels::Resized, usize::MAX));
    let tight = PixelCache::new(&dataset, resize(), StoredPixels::Resized, 2 * image + 5);
    for _ in 0..2 {
        for index in 0..6 {
            assert_eq!(tight.get(index).unwrap(), roomy.get(index).unwrap());
        }
    }
    assert_eq!((tight.bytes(), roomy.bytes()), (2 * image, 6 * image));
    fs::remove_file(folder.path().join("0.png")).unwrap();
    assert!(tight.get(0).is_ok(), "kept pixels need no file");
    assert!(matches!(tight.get(6), Err(Error::RecordOutOfRange { index: 6, num_records: 6 })));
}

#[test]
fn a_picture_that_cannot_be_resized_leaves_the_cache_and_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = on_disk(folder.path(), 3, &[]);
    image::RgbImage::new(300, 2).save(folder.path().join("1.png")).unwrap();
    let cache =
        dataset.load_pixels(resize(), StoredPixels::Decoded, UnreadablePolicy::Skip, usize::MAX).unwrap();
    assert_eq!((cache.len(), dataset.skipped()[0].key.as_str()), (2, "r1"));
    assert_eq!(cache.bytes(), 2 * 20 * 12 * 3);
}

#[test]
fn a_cache_of_other_records_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = on_disk(folder.path(), 4, &[]);
    let mut records = dataset.records().to_vec();
    records.reverse();
    let (labels, schema) = (dataset.labels().clone(), dataset.schema().clone());
    let other = Dataset::new("reversed", labels, records, schema, Vec::new()).unwrap();
    let cache = Arc::new(PixelCache::new(&other, resize(), StoredPixels::Resized, usize::MAX));
    let error = Samples::new(&dataset, cache, Normalization::HALF, Questionnaire::Ignore).unwrap_err();
    assert!(matches!(error, Error::Setting { name: "pixel cache", .. }), "{error}");
}

#[test]
fn an_epoch_that_is_dropped_midway_leaves_no_thread_waiting() {
    let (dataset, samples) = synthetic();
    let config = LoaderConfig { batch_size: 2, workers: 4, prefetch: 1, ..LoaderConfig::default() };
    let loader = loader(&dataset, &samples, SampleOrder::Shuffled, config);
    for taken in 0..5 {
        let mut epoch = loader.epoch(0);
        for _ in 0..taken {
            epoch.next().unwrap().unwrap();
        }
        // Dropping joins the threads; a thread that waited for ever would hang the test.
        drop(epoch);
    }
}

#[test]
fn grey_becomes_rgb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.png");
    image::GrayImage::from_pixel(3, 2, image::Luma([77])).save(&path).unwrap();
    let pixels = derm_data::decode_file(&path).unwrap();
    assert_eq!(pixels, RgbPixels::new(3, 2, vec![77; 18]).unwrap());
}

#[test]
fn a_photograph_is_turned_as_its_exif_orientation_says() {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let halves = image::RgbImage::from_fn(16, 8, |x, _| image::Rgb(if x < 8 { [250; 3] } else { [5; 3] }));
    halves.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let plain = jpeg.into_inner();
    // Orientation 6: the picture is to be turned a quarter clockwise, so its left comes to the top.
    let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&plain[..2], exif, &plain[2..]].concat();
    let pixels = derm_data::decode_bytes(&turned, "turned.jpg").unwrap();
    assert_eq!((pixels.width(), pixels.height()), (8, 16));
    assert!(pixels.as_bytes()[0] > 200 && pixels.as_bytes()[pixels.as_bytes().len() - 1] < 50);
    assert_eq!(derm_data::decode_bytes(&plain, "plain.jpg").unwrap().width(), 16);
}
