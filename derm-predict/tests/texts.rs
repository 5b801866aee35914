//! Bundles of networks that read a text.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny_bundle;

use std::path::Path;

use burn::tensor::Device;
use derm_calibration::ConformalConfig;
use derm_core::View;
use derm_data::{Answers, RgbPixels};
use derm_predict::{
    Ensemble, EnsembleBundle, Error, JsonlOptions, Predictor, Request, Serve as _, serve_jsonl,
};
use tiny_bundle::{PNG, SIZE, Tiny, calibration};

/// Of requests that go through the network together, as the README promises.
const BATCH_ROUNDING: f64 = 1e-5;

fn picture() -> RgbPixels {
    RgbPixels::new(SIZE, SIZE, (0..3 * SIZE * SIZE).map(|at| (at * 37 % 251) as u8).collect()).unwrap()
}

fn served(tiny: &Tiny, folder: &Path) -> Result<Predictor, Error> {
    tiny.write(folder).unwrap();
    Predictor::load(folder, &Device::default())
}

fn probabilities(predictor: &Predictor, text: Option<&str>) -> Vec<f64> {
    let (pixels, none) = (picture(), Answers::new());
    let request = Request { text, ..Request::pixels(&pixels, &none) };
    predictor.logits_of(&request).unwrap().softmax().row(0).to_vec()
}

#[test]
fn a_text_is_read_cut_and_may_be_missing() {
    let place = tempfile::tempdir().unwrap();
    let predictor = served(&Tiny::with_text(false), &place.path().join("bundle")).unwrap();
    assert_eq!(predictor.tokenizer().unwrap().max_length(), 8);
    let told = probabilities(&predictor, Some("dark spot on the back itches"));
    assert_ne!(told, probabilities(&predictor, Some("red spot on the back itches")));
    // Six words and two special tokens: the rest is cut.
    assert_eq!(told, probabilities(&predictor, Some("Dark spot on the back itches red red red")));
    let none = probabilities(&predictor, None);
    assert_ne!(told, none);
    for blank in ["", " \n"] {
        assert_eq!(none, probabilities(&predictor, Some(blank)));
    }
    let (pixels, answers) = (picture(), Answers::new());
    let request = Request::pixels(&pixels, &answers);
    assert!(predictor.decide(&request).unwrap().missing_text);
    assert!(predictor.decide(&request.with_text(" ")).unwrap().missing_text);
    assert!(!predictor.decide(&request.with_text("dark")).unwrap().missing_text);
    assert!(predictor.predict(&pixels, &answers).unwrap().missing_text);

    // Together, texts of unequal length agree with each alone.
    let texts = [None, Some("dark"), Some("dark spot on the back itches"), Some("unknown words here")];
    let requests: Vec<Request<'_>> = texts.iter().map(|&text| Request { text, ..request }).collect();
    for (text, decision) in texts.iter().zip(predictor.predict_batch(&requests)) {
        let (decision, alone) = (decision.unwrap(), Request { text: *text, ..request });
        let alone = predictor.decide(&alone).unwrap();
        for (one, other) in decision.ranking.iter().zip(&alone.ranking) {
            assert!((one.probability - other.probability).abs() < BATCH_ROUNDING, "{text:?}");
        }
        assert_eq!(decision.missing_text, alone.missing_text);
    }
}

#[test]
fn files_that_disagree_about_texts_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |tiny: &Tiny, name: &str, words: &str| {
        let error = served(tiny, &place.path().join(name)).unwrap_err();
        assert!(
            matches!(&error, Error::Mismatch { path, .. } if path.ends_with("tokenizer.json")),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(&Tiny { tokenizer: None, ..Tiny::with_text(false) }, "without", "the network reads text");
    let tokenizer = Tiny::with_text(false).tokenizer;
    refused(&Tiny { tokenizer, ..Tiny::new(false) }, "needless", "reads no text");
    let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\nf\ng\nh";
    let larger = derm_backbones::TextTokenizer::from_vocabulary_text(words, true, 8).unwrap();
    refused(&Tiny { tokenizer: Some(larger), ..Tiny::with_text(false) }, "larger", "has 12 tokens");
    let longer = derm_backbones::TextTokenizer::from_vocabulary_text("[PAD]\n[UNK]\n[CLS]\n[SEP]", true, 513);
    refused(&Tiny { tokenizer: Some(longer.unwrap()), ..Tiny::with_text(false) }, "longer", "texts of 513");

    let bundle = place.path().join("gone");
    Tiny::with_text(false).write(&bundle).unwrap();
    std::fs::remove_file(bundle.join("tokenizer.json")).unwrap();
    let error = Predictor::load(&bundle, &Device::default()).unwrap_err();
    assert!(matches!(&error, Error::MissingFile { path } if path.ends_with("tokenizer.json")), "{error}");
}

#[test]
fn a_text_for_a_model_that_reads_none_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let predictor = served(&Tiny::new(false), &place.path().join("bundle")).unwrap();
    let (pixels, answers) = (picture(), Answers::new());
    let request = Request::pixels(&pixels, &answers);
    let secret = "the patient's own words";
    let error = predictor.decide(&request.with_text(secret)).unwrap_err();
    assert!(matches!(error, Error::UnexpectedText) && !error.to_string().contains(secret), "{error}");
    assert!(predictor.decide(&request.with_text("  ")).is_ok());
    let of_batch = predictor.predict_batch(&[request, request.with_text(secret), request]);
    let failed: Vec<bool> = of_batch.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false]);
}

#[test]
fn lines_of_json_carry_texts() {
    let place = tempfile::tempdir().unwrap();
    let predictor = served(&Tiny::with_text(true), &place.path().join("bundle")).unwrap();
    let image = place.path().join("image.png");
    std::fs::write(&image, PNG).unwrap();
    let line = |more: &str| format!("{{\"image\": {image:?}{more}}}\n");
    let input = [
        line(", \"text\": \"dark spot\""),
        line(""),
        line(", \"text\": null"),
        line(", \"text\": \"red\", \"answers\": {\"age\": 61}"),
        line(", \"text\": 3"),
    ];
    let mut output = Vec::new();
    let summary =
        serve_jsonl(&predictor, input.concat().as_bytes(), &mut output, &JsonlOptions::default()).unwrap();
    assert_eq!((summary.decided, summary.failed), (4, 1));
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["decision"].get("missing_text").is_none());
    assert_eq!(lines[1]["decision"]["missing_text"], true);
    assert_eq!(lines[1]["decision"], lines[2]["decision"]);
    assert_ne!(lines[0]["decision"]["ranking"], lines[1]["decision"]["ranking"]);
    assert!(lines[4]["error"].as_str().unwrap().contains("not a request"));
}

#[test]
fn members_of_an_ensemble_pass_over_a_text_that_others_read() {
    let place = tempfile::tempdir().unwrap();
    let in_place = |name: &str| place.path().join(name);
    Tiny::with_text(false).write(&in_place("reads")).unwrap();
    Tiny::new(false).write(&in_place("looks")).unwrap();
    let members = [("reads".to_owned(), in_place("reads")), ("looks".to_owned(), in_place("looks"))];
    let ensemble = |members: &[(String, std::path::PathBuf)], name: &str| {
        let bundle = EnsembleBundle {
            members,
            calibration: &calibration(&View::Mean, &ConformalConfig::default()),
            metrics: serde_json::json!({}),
            model_card: String::new(),
            provenance: Tiny::new(false).provenance,
        };
        bundle.write(in_place(name)).unwrap();
        Ensemble::load(in_place(name), &Device::default()).unwrap()
    };
    let both = ensemble(&members, "both");
    let (pixels, answers) = (picture(), Answers::new());
    let request = Request::pixels(&pixels, &answers);
    let (told, silent) =
        (both.decide(&request.with_text("dark spot")).unwrap(), both.decide(&request).unwrap());
    assert_ne!(told.ranking, silent.ranking);
    assert_eq!((told.missing_text, silent.missing_text), (false, true));
    let looks = ensemble(&members[1..], "alone");
    let error = looks.decide(&request.with_text("dark spot")).unwrap_err();
    assert!(matches!(error, Error::UnexpectedText), "{error}");
}
