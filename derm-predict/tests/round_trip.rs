//! What a bundle gives back.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny_bundle;

use std::sync::Arc;

use burn::tensor::Device;
use derm_calibration::{Calibrator, Tier};
use derm_core::{LabelMap, Logits, Taps};
use derm_data::{
    Answers, Batch, ImageSource, Questionnaire, Samples, StoredPixels, SyntheticConfig, TestView,
    UnreadablePolicy,
};
use derm_predict::{BundleTask, Decision, Error, Predictor};
use tiny_bundle::{CLASSES, PNG, Tiny};

/// A bundle is served with its batch norms folded: the same sums, rounded elsewhere.
const FOLDING_NOISE: f64 = 1e-5;

fn assert_send_sync<T: Send + Sync>(_: &T) {}

fn dataset() -> derm_data::Dataset {
    SyntheticConfig { num_lesions: 56, image_size: 24, ..SyntheticConfig::default() }.generate().unwrap()
}

/// The loaded predictor against the network before it was saved, which gets its input the way that training does.
fn logits_are_the_same(questionnaire: bool) {
    let tiny = Tiny::new(questionnaire);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    let manifest = tiny.write(&folder).unwrap();
    let device = Device::default();
    let predictor = Predictor::load(&folder, &device).unwrap();
    assert_eq!(predictor.manifest(), &manifest);
    assert_eq!(predictor.labels(), &tiny.labels);
    assert_eq!(predictor.schema(), tiny.schema.as_ref());
    assert_eq!(predictor.calibration(), &tiny.calibration);

    let mut dataset = dataset();
    let cache = dataset
        .load_pixels(tiny.config.resize, StoredPixels::Resized, UnreadablePolicy::Fail, 1 << 24)
        .unwrap();
    let use_answers = if questionnaire { Questionnaire::Encode } else { Questionnaire::Ignore };
    let samples = Samples::new(&dataset, Arc::new(cache), tiny.config.normalization, use_answers).unwrap();
    // bit by bit the folded form of the model that was written, and the model itself but for rounding
    let served = tiny.model.clone().fold_batch_norm();
    let mut different = Vec::new();
    for (index, record) in dataset.records().iter().enumerate().take(12) {
        let batch = samples.batch(&[index], TestView::Identity).unwrap();
        let batch = Batch::to_device(batch, &device).unwrap();
        let exact = served.forward(batch.images.clone(), batch.answers.clone(), &Taps::none()).logits;
        let exact: Vec<u64> = exact.into_data().iter::<f64>().map(f64::to_bits).collect();
        let expected = tiny.model.forward(batch.images, batch.answers, &Taps::none()).logits;
        let expected: Vec<f64> = expected.into_data().iter::<f64>().collect();
        let ImageSource::Rgb(pixels) = &record.image else { unreachable!("drawn images are in memory") };
        let answers = if questionnaire { record.answers.clone() } else { Answers::new() };
        let logits = predictor.logits(pixels, &answers).unwrap();
        let got: Vec<f64> = logits.view().iter().copied().collect();
        assert_eq!(got.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), exact);
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= FOLDING_NOISE * (1.0 + expected.abs()), "{got} and {expected}");
        }
        assert_eq!(got.len(), expected.len());
        different.push(got.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
    }
    different.dedup();
    assert_eq!(different.len(), 12, "the network does not look at its input");
}

#[test]
fn logits_of_an_image_only_model_are_the_models() {
    logits_are_the_same(false);
}

#[test]
fn logits_of_a_model_with_a_questionnaire_are_the_models() {
    logits_are_the_same(true);
}

#[test]
fn a_decision_has_every_class_and_names_what_was_not_answered() {
    let tiny = Tiny::new(true);
    let place = tempfile::tempdir().unwrap();
    tiny.write(&place.path().join("bundle")).unwrap();
    let predictor = Predictor::load(place.path().join("bundle"), &Device::default()).unwrap();
    let mut answers = tiny.answers();
    answers.insert("bleeding".to_owned(), "unknown".to_owned());
    let decision = predictor.predict_bytes(PNG, "upload", &answers).unwrap();
    let mut classes: Vec<&str> = decision.ranking.iter().map(|class| class.label.as_str()).collect();
    classes.sort_unstable();
    let mut expected = CLASSES;
    expected.sort_unstable();
    assert_eq!(classes, expected);
    assert!(decision.ranking.is_sorted_by(|a, b| a.probability >= b.probability));
    let sum: f64 = decision.ranking.iter().map(|class| class.probability).sum();
    assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    // A word for "not known" is no answer.
    let given = ["age", "itch"];
    let features = predictor.schema().unwrap().features();
    let missing: Vec<&str> =
        features.iter().map(|feature| feature.name.as_str()).filter(|name| !given.contains(name)).collect();
    assert_eq!(decision.missing_answers, missing);
    let offered = match decision.tier {
        Tier::Answer => 1,
        Tier::SuggestTop3 => 3,
        Tier::Refer => 0,
    };
    assert_eq!(decision.offered().len(), offered);
}

#[test]
fn threads_share_one_predictor() {
    let tiny = Tiny::new(true);
    let place = tempfile::tempdir().unwrap();
    tiny.write(&place.path().join("bundle")).unwrap();
    let predictor = Predictor::load(place.path().join("bundle"), &Device::default()).unwrap();
    assert_send_sync(&predictor);
    let dataset = dataset();
    let decide = || -> Vec<_> {
        let records = dataset.records().iter().take(12);
        let decisions = records.map(|record| match &record.image {
            ImageSource::Rgb(pixels) => predictor.predict(pixels, &record.answers).unwrap(),
            ImageSource::File(path) => predictor.predict_file(path, &record.answers).unwrap(),
            ImageSource::Absent => unreachable!("drawn images are in memory"),
        });
        decisions.collect()
    };
    let expected = decide();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(decide)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

/// Two further tasks, one of them with a temperature.
fn tasks() -> Vec<BundleTask> {
    let temperature = Tiny::new(false).calibration.calibrator;
    let task = |name: &str, labels: &[&str], calibrator| BundleTask {
        name: name.to_owned(),
        labels: LabelMap::new(labels.iter().copied()).unwrap(),
        calibrator,
    };
    vec![
        task("malignancy", &["benign", "malignant"], temperature),
        task("site", &["head", "trunk", "leg"], Calibrator::Identity),
    ]
}

#[test]
fn every_task_is_answered() {
    let tiny = Tiny::with_tasks(tasks());
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    tiny.write(&folder).unwrap();
    let device = Device::default();
    let predictor = Predictor::load(&folder, &device).unwrap();
    assert_eq!(predictor.tasks(), tiny.tasks);
    assert_eq!(predictor.model().tasks(), ["malignancy", "site"]);
    let decision = predictor.predict_bytes(PNG, "image", &Answers::new()).unwrap();
    let names: Vec<&str> = decision.tasks.iter().map(|task| task.task.as_str()).collect();
    assert_eq!(names, ["malignancy", "site"]);

    // The network's own logits, calibrated.
    let mut data = dataset();
    let cache =
        data.load_pixels(tiny.config.resize, StoredPixels::Resized, UnreadablePolicy::Fail, 1 << 24).unwrap();
    let samples =
        Samples::new(&data, Arc::new(cache), tiny.config.normalization, Questionnaire::Ignore).unwrap();
    let batch = Batch::to_device(samples.batch(&[3], TestView::Identity).unwrap(), &device).unwrap();
    let output = tiny.model.forward(batch.images, None, &Taps::none());
    let ImageSource::Rgb(pixels) = &data.records()[3].image else {
        unreachable!("drawn images are in memory")
    };
    let decision = predictor.predict(pixels, &Answers::new()).unwrap();
    for ((task, (_, logits)), served) in tiny.tasks.iter().zip(output.tasks).zip(&decision.tasks) {
        let shape = logits.dims();
        let values: Vec<f64> = logits.into_data().iter::<f64>().collect();
        let logits = Logits::new(ndarray::Array2::from_shape_vec(shape, values).unwrap()).unwrap();
        let expected = task.calibrator.apply(&logits).unwrap();
        assert_eq!(served.ranking.len(), task.labels.num_classes());
        assert!(served.ranking.is_sorted_by(|a, b| a.probability >= b.probability));
        for class in &served.ranking {
            let column = task.labels.class_index(&class.label).unwrap().get();
            assert!((class.probability - expected.view()[[0, column]]).abs() < FOLDING_NOISE, "{class:?}");
        }
    }

    // Lines of JSON have them, and those of a bundle without tasks are as they always were.
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(json["tasks"][1]["task"], "site");
    assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), decision);
    let plain = place.path().join("plain");
    Tiny::new(false).write(&plain).unwrap();
    assert!(!plain.join("tasks.json").exists());
    let decision = Predictor::load(&plain, &device).unwrap().predict(pixels, &Answers::new()).unwrap();
    let json = serde_json::to_value(&decision).unwrap();
    assert!(json.get("tasks").is_none() && decision.tasks.is_empty(), "{json}");
    assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), decision);
}

#[test]
fn tasks_that_are_not_the_networks_heads_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Vec<BundleTask>), words: &str| {
        let mut tiny = Tiny::with_tasks(tasks());
        change(&mut tiny.tasks);
        let error = tiny.write(&place.path().join("bundle")).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(|tasks| tasks.truncate(1), "heads for [\"malignancy\", \"site\"]");
    refused(|tasks| tasks.reverse(), "heads for");
    refused(|tasks| tasks[1].labels = LabelMap::new(["a", "b"]).unwrap(), "2 classes: expected 3");
    // A name that is the diagnosis'.
    let mut diagnosis = tasks();
    diagnosis[0].name = "diagnosis".to_owned();
    let error = Tiny::with_tasks(diagnosis).write(&place.path().join("bundle")).unwrap_err();
    assert!(error.to_string().contains("stands twice"), "{error}");
    // Fitted on another split.
    let mut tiny = Tiny::with_tasks(tasks());
    tiny.provenance.split_hash = "other".to_owned();
    let folder = place.path().join("split");
    tiny.write(&folder).unwrap();
    let error = Predictor::load(&folder, &Device::default()).unwrap_err();
    assert!(error.to_string().contains("split"), "{error}");
}
