//! What a bundle gives back.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny_bundle;

use std::sync::Arc;

use burn::tensor::Device;
use derm_calibration::Tier;
use derm_core::Taps;
use derm_data::{
    Answers, Batch, ImageSource, Questionnaire, Samples, StoredPixels, SyntheticConfig, TestView,
    UnreadablePolicy,
};
use derm_predict::Predictor;
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
