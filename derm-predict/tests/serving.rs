//! What is asked of a predictor in service: views, sets, reasons, many requests at once, limits, threads.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny_bundle;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, FloatDType};
use derm_backbones::AnyBackbone;
use derm_calibration::{
    Conditioning, ConformalConfig, ConformalScore, Randomization, ReferralReason, SuggestScore, Tier,
    TierThresholds,
};
use derm_core::{Probabilities, View, mean_log_probabilities};
use derm_data::{Answers, RgbPixels};
use derm_predict::{Decision, Ensemble, Error, ImageLimits, Picture, Predictor, Request, Serve};
use tiny_bundle::{CLASSES, PNG, SIZE, Tiny, calibration};

/// Sums that are rounded elsewhere in a batch than alone.
const BATCH_NOISE: f64 = 1e-5;

fn served(tiny: &Tiny) -> Predictor {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    tiny.write(&folder).unwrap();
    Predictor::load(&folder, &Device::default()).unwrap()
}

/// A picture of the network's size; others are other pictures.
fn picture(seed: usize) -> RgbPixels {
    let value = |at: usize| ((at * (37 + seed % 11) + at / 3 * (seed % 97) + seed * 131) % 251) as u8;
    RgbPixels::new(SIZE, SIZE, (0..3 * SIZE * SIZE).map(value).collect()).unwrap()
}

fn turned(pixels: &RgbPixels, mirrored: bool, flipped: bool) -> RgbPixels {
    let mut values = Vec::new();
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (x, y) = (if mirrored { SIZE - 1 - x } else { x }, if flipped { SIZE - 1 - y } else { y });
            values.extend_from_slice(&pixels.as_bytes()[3 * (y * SIZE + x)..][..3]);
        }
    }
    RgbPixels::new(SIZE, SIZE, values).unwrap()
}

#[test]
fn flips_are_the_mean_over_pictures_that_were_turned_by_hand() {
    let plain_bundle = Tiny::new(true);
    let mut flips_bundle = Tiny { model: plain_bundle.model.clone(), ..Tiny::new(true) };
    flips_bundle.config.view = View::Flips;
    flips_bundle.calibration = calibration(&View::Flips, &ConformalConfig::default());
    let (plain, flips) = (served(&plain_bundle), served(&flips_bundle));
    assert_eq!(flips.view(), &View::Flips);
    let answers = plain_bundle.answers();
    let mut moved = 0.0_f64;
    for seed in 0..8 {
        let pixels = picture(seed);
        let members: Vec<Probabilities> = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(mirrored, flipped)| {
                plain.logits(&turned(&pixels, mirrored, flipped), &answers).unwrap().softmax()
            })
            .into();
        let expected = mean_log_probabilities(&members).unwrap().mapv(f64::from);
        let got = flips.logits(&pixels, &answers).unwrap();
        assert_eq!(got.view(), expected.view());
        let calibrated = flips.calibration().calibrator.apply(&got).unwrap();
        let decision = flips.predict(&pixels, &answers).unwrap();
        assert_eq!(decision.ranking[0].probability, calibrated.confidence()[0]);
        let difference = &got.softmax().view() - &members[0].view();
        moved = difference.iter().fold(moved, |largest, value| largest.max(value.abs()));
    }
    assert!(moved > 1e-3, "the views do not differ: {moved}");
}

#[test]
fn a_calibration_of_another_view_is_refused() {
    let refused = |config: View, calibrated: &View, words: &[&str]| {
        let mut tiny = Tiny::new(false);
        tiny.config.view = config;
        tiny.calibration = calibration(calibrated, &ConformalConfig::default());
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("bundle");
        tiny.write(&folder).unwrap();
        let error = Predictor::load(&folder, &Device::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Mismatch { .. }) && words.iter().all(|word| text.contains(word)),
            "{text}"
        );
    };
    refused(View::Flips, &View::Identity, &["calibration.json", "`identity`", "`flips`"]);
    refused(View::Identity, &View::Flips, &["calibration.json", "`identity`", "`flips`"]);
    refused(View::Flips, &View::Mean, &["calibration.json", "`mean`", "`flips`"]);
    // An average that nobody can look at.
    refused(View::Mean, &View::Mean, &["config.json", "`mean`"]);
}

#[test]
fn a_decision_has_its_set_and_its_reasons() {
    const PICTURES: usize = 60;
    let mut tiny = Tiny::new(false);
    // Thresholds among the network's own probabilities, so that every tier has pictures.
    let predictor = served(&tiny);
    let probabilities = |predictor: &Predictor, seed| {
        let logits = predictor.logits(&picture(seed), &Answers::new()).unwrap();
        predictor.calibration().calibrator.apply(&logits).unwrap()
    };
    let mut confidence: Vec<f64> =
        (0..PICTURES).map(|seed| probabilities(&predictor, seed).confidence()[0]).collect();
    confidence.sort_by(f64::total_cmp);
    let (answer, suggest) = (Some(confidence[40]), Some(confidence[20]));
    tiny.calibration.abstain.thresholds =
        TierThresholds::new(answer, SuggestScore::Confidence, suggest).unwrap();
    let predictor = served(&tiny);
    let conformal = predictor.calibration().conformal().unwrap();
    let thresholds = predictor.calibration().abstain.thresholds;
    let mut tiers = Vec::new();
    for seed in 0..PICTURES {
        let pixels = picture(seed);
        let decision = predictor.predict(&pixels, &Answers::new()).unwrap();
        let probabilities = probabilities(&predictor, seed);
        let sets = conformal.sets_of(&probabilities, &[String::new()], None).unwrap();
        let expected: Vec<&str> = sets.classes(0).into_iter().map(|class| CLASSES[class]).collect();
        let set = decision.conformal_set.clone().unwrap();
        assert_eq!((set.alpha, set.labels), (0.1, expected.into_iter().map(str::to_owned).collect()));
        assert_eq!(decision.reasons.len(), decision.tier.index());
        let confidence = decision.ranking[0].probability;
        match (decision.reasons.first(), thresholds.answer()) {
            (None, Some(threshold)) => assert!(confidence >= threshold),
            (Some(ReferralReason::LowConfidence { confidence: got, threshold: low }), Some(threshold)) => {
                assert_eq!((*got, *low), (confidence, threshold));
                assert!(confidence < threshold);
            }
            other => panic!("{other:?}"),
        }
        // A decision survives its file.
        let text = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        tiers.push(decision.tier);
    }
    let count = |tier| tiers.iter().filter(|&&of_picture| of_picture == tier).count();
    assert_eq!([count(Tier::Answer), count(Tier::SuggestTop3), count(Tier::Refer)], [20, 20, 20]);
}

#[test]
fn a_bundle_without_sets_still_loads() {
    let tiny = Tiny::new(false);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    let mut record = serde_json::to_value(&tiny.calibration).unwrap();
    record.as_object_mut().unwrap().remove("conformal").unwrap();
    let tiny = Tiny { calibration: serde_json::from_value(record).unwrap(), ..tiny };
    tiny.write(&folder).unwrap();
    // as written before there were sets and formats of weights
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(!text("calibration.json").contains("conformal") && !text("config.json").contains("weights"));
    let predictor = Predictor::load(&folder, &Device::default()).unwrap();
    assert_eq!(predictor.predict(&picture(1), &Answers::new()).unwrap().conformal_set, None);
}

#[test]
fn sets_by_subgroup_read_the_subgroup_and_randomised_ones_the_id() {
    let mut tiny = Tiny::new(false);
    let conditioning = Conditioning::Group { column: "skin_type".to_owned() };
    let config = ConformalConfig { conditioning, ..ConformalConfig::default() };
    tiny.calibration = calibration(&View::Identity, &config);
    let predictor = served(&tiny);
    let (pixels, answers) = (picture(3), Answers::new());
    let set = |skin: Option<&str>| {
        let subgroups = skin.map(|skin| BTreeMap::from([("skin_type".to_owned(), skin.to_owned())]));
        let request = Request { subgroups: subgroups.as_ref(), ..Request::pixels(&pixels, &answers) };
        predictor.decide(&request).unwrap().conformal_set.unwrap().labels
    };
    // Nothing is promised for a skin type that the calibration rows did not have.
    assert_eq!(set(Some("VI")), CLASSES);
    assert_eq!(set(None), CLASSES);
    let logits = predictor.logits(&pixels, &answers).unwrap();
    let probabilities = predictor.calibration().calibrator.apply(&logits).unwrap();
    for skin in ["II", "V"] {
        let conformal = predictor.calibration().conformal().unwrap();
        let sets = conformal.sets_of(&probabilities, &[String::new()], Some(&[skin.to_owned()])).unwrap();
        let expected: Vec<&str> = sets.classes(0).into_iter().map(|class| CLASSES[class]).collect();
        assert_eq!(set(Some(skin)), expected);
    }

    let score = ConformalScore::Aps { randomization: Randomization::PerRow };
    // At this α about half of the numbers keep the most probable class out.
    let config = ConformalConfig { score, alpha: 0.5, ..ConformalConfig::default() };
    tiny.calibration = calibration(&View::Identity, &config);
    let predictor = served(&tiny);
    let set = |id: &str, seed: usize| {
        let pixels = picture(seed);
        let request = Request { id, ..Request::pixels(&pixels, &answers) };
        predictor.decide(&request).unwrap().conformal_set.unwrap().labels
    };
    let sets: Vec<_> = (0..20).map(|id| set(&id.to_string(), 1)).collect();
    assert!(sets.iter().any(|other| *other != sets[0]), "{sets:?}");
    assert!((0..20).all(|id| set(&id.to_string(), 1) == sets[id]));
}

#[test]
fn a_batch_is_its_requests_one_by_one_and_errors_stay_with_theirs() {
    let tiny = Tiny::new(true);
    let predictor = served(&tiny);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("lesion.png");
    fs::write(&file, PNG).unwrap();
    let absent = place.path().join("absent.png");
    let pictures: Vec<RgbPixels> = (0..70).map(picture).collect();
    let (good, bad) = (tiny.answers(), Answers::from([("age".to_owned(), "old".to_owned())]));
    let mut requests: Vec<Request<'_>> =
        pictures.iter().map(|pixels| Request::pixels(pixels, &good)).collect();
    requests.insert(0, Request::file(&absent, &good));
    requests.insert(20, Request::file(&file, &good));
    requests.insert(33, Request::bytes(b"no image", "upload", &good));
    requests.insert(34, Request::bytes(PNG, "upload", &bad));
    requests.push(Request::bytes(PNG, "upload", &good));
    let batch = predictor.predict_batch(&requests);
    assert_eq!(batch.len(), requests.len());
    let mut failed = Vec::new();
    for (row, (got, request)) in batch.iter().zip(&requests).enumerate() {
        match (got, predictor.decide(request)) {
            (Ok(got), Ok(expected)) => {
                assert_eq!((&got.missing_answers, got.tier), (&expected.missing_answers, expected.tier));
                let of = |decision: &Decision| -> BTreeMap<String, f64> {
                    let classes = decision.ranking.iter();
                    classes.map(|class| (class.label.clone(), class.probability)).collect()
                };
                for (got, expected) in of(got).values().zip(of(&expected).values()) {
                    assert!((got - expected).abs() <= BATCH_NOISE, "{row}: {got} and {expected}");
                }
            }
            (Err(got), Err(expected)) => {
                assert_eq!(got.to_string(), expected.to_string());
                failed.push(row);
            }
            (got, expected) => panic!("{row}: {got:?} and {expected:?}"),
        }
    }
    assert_eq!(failed, [0, 33, 34]);
    assert!(predictor.predict_batch(&[]).is_empty());
}

#[test]
fn an_image_over_the_limit_is_named_and_not_decoded() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("lesion.png");
    fs::write(&file, PNG).unwrap();
    let predictor = served(&Tiny::new(false));
    let answers = Answers::new();
    let too_large = |predictor: &Predictor, picture: Picture<'_>, expected: (&str, u64, u64)| {
        let request = Request { id: "", picture, answers: &answers, text: None, subgroups: None };
        let error = predictor.decide(&request).unwrap_err();
        let Error::ImageTooLarge { name, unit, got, maximum } = &error else { panic!("{error:?}") };
        assert_eq!((*unit, *got, *maximum), expected);
        assert!(error.to_string().starts_with(&name.display().to_string()), "{error}");
    };
    let (from_file, from_bytes) = (Picture::File(&file), Picture::Bytes { bytes: PNG, name: "upload" });
    let size = PNG.len() as u64;
    let at = |max_bytes, max_pixels| ImageLimits { max_bytes, max_pixels };
    // At the limits, and one past each.
    let predictor = predictor.with_limits(at(size, 4));
    for picture in [from_file, from_bytes] {
        predictor
            .decide(&Request { id: "", picture, answers: &answers, text: None, subgroups: None })
            .unwrap();
    }
    let predictor = predictor.with_limits(at(size - 1, 4));
    too_large(&predictor, from_file, ("bytes", size, size - 1));
    too_large(&predictor, from_bytes, ("bytes", size, size - 1));
    let predictor = predictor.with_limits(at(size, 3));
    too_large(&predictor, from_file, ("pixels", 4, 3));
    too_large(&predictor, from_bytes, ("pixels", 4, 3));
    // A header that promises 2^32 pixels, with the checksum that goes with it: refused by what it promises.
    let mut bomb = PNG.to_vec();
    bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let predictor = predictor.with_limits(ImageLimits::default());
    too_large(&predictor, Picture::Bytes { bytes: &bomb, name: "bomb" }, ("pixels", 1 << 32, 1 << 27));
    // A device without an end, where there is one.
    let endless = Path::new("/dev/zero");
    if endless.exists() {
        let predictor = predictor.with_limits(at(1000, 1000));
        too_large(&predictor, Picture::File(endless), ("bytes", 1001, 1000));
    }
}

/// The checksum of PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn eight_threads_with_a_thousand_requests_each_decide_as_one_does() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 1000;
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Predictor<AnyBackbone>>();
    assert_send_sync::<Ensemble<AnyBackbone>>();

    let tiny = Tiny::new(true);
    let predictor = served(&tiny);
    let answers: Vec<Answers> =
        (0..10).map(|age| Answers::from([("age".to_owned(), (20 + 5 * age).to_string())])).collect();
    let ask = |index: usize| predictor.predict(&picture(index), &answers[index % 10]).unwrap();
    let expected: Vec<Decision> = (0..REQUESTS).map(ask).collect();
    let mut different = expected.clone();
    different.dedup();
    assert_eq!(different.len(), REQUESTS, "the network does not look at its input");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (expected, ask) = (&expected, &ask);
            // Each begins elsewhere, so that different requests meet.
            scope.spawn(move || {
                for index in (0..REQUESTS).map(|index| (index + thread * REQUESTS / THREADS) % REQUESTS) {
                    assert_eq!(ask(index), expected[index], "thread {thread}, request {index}");
                }
            });
        }
    });
}

#[test]
fn half_precision_is_what_the_device_computes_in() {
    /// 2^-11 a rounding, over the few layers of a tiny network.
    const HALF_NOISE: f64 = 0.02;
    let tiny = Tiny::new(true);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    tiny.write(&folder).unwrap();
    let device = Device::default();
    let whole = Predictor::load(&folder, &device).unwrap();
    assert_eq!(whole.precision(), FloatDType::F32);
    let half = Predictor::load(&folder, &device).unwrap().in_half_precision();
    let expected = if device.supports_dtype(FloatDType::F16) { FloatDType::F16 } else { FloatDType::F32 };
    assert_eq!(half.precision(), expected);
    let mut differs = false;
    for seed in 0..10 {
        let logits = |predictor: &Predictor| predictor.logits(&picture(seed), &tiny.answers()).unwrap();
        let (whole, half) = (logits(&whole), logits(&half));
        for (a, b) in whole.view().iter().zip(half.view()) {
            assert!((a - b).abs() <= HALF_NOISE * (1.0 + a.abs()), "{a} and {b}");
            differs |= a != b;
        }
    }
    assert_eq!(differs, expected == FloatDType::F16);
}
