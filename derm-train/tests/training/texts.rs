//! Networks that read captions beside images, alone and with answers, and what they teach.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use derm_backbones::weights::save_safetensors;
use derm_backbones::{TextEncoderConfig, TextTokenizer, drawn};
use derm_core::{Predictions, Test};
use derm_data::{Answers, synthetic_caption_words};
use derm_metrics::{ClassSet, Metric};
use derm_predict::{Predictor, Request};
use derm_train::{Error, Finished, Progress, Recipe, run};

use crate::tiny::{
    LosesIts, Start, alone, bytes, contents, device, latest, recipe, supervised, values, weights,
};

/// Rows that go through the network together or alone: sums of another length are rounded elsewhere.
const BATCH_ROUNDING: f64 = 1e-5;

/// What reading the captions must add to the balanced accuracy; it was 0.41 with them and 0.26 without.
const CAPTIONS_ADD: f64 = 0.05;

const IMAGES: &str = "model.use_answers=false";
const TEXT: &str = "model.text={ encoder: { bert: { vocabulary: 160, positions: 40, width: 16, layers: 1, heads: 2, \
    hidden: 16, attention_dropout: 0 } }, max_length: 32 }";

fn ran(output: &Path, overrides: &[&str]) -> Finished {
    run(&recipe(output, overrides), &device(), Progress::Silent).unwrap()
}

fn refused(output: &Path, overrides: &[&str]) -> Error {
    let error = run(&recipe(output, overrides), &device(), Progress::Silent).unwrap_err();
    assert!(!output.exists(), "a refused run writes nothing");
    error
}

/// A tokenizer of the captions' words in an order of its own.
fn other_tokenizer(place: &Path) -> String {
    let mut words = synthetic_caption_words();
    words.reverse();
    let lines: Vec<&str> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].into_iter().chain(words).collect();
    let path = place.join("other_tokenizer.json");
    TextTokenizer::from_vocabulary_text(&lines.join("\n"), true, 64).unwrap().save(&path).unwrap();
    path.display().to_string()
}

fn measured(test: &Predictions<Test>, metric: Metric) -> f64 {
    metric.value(&test.probabilities(), test.targets()).unwrap().unwrap()
}

#[test]
fn captions_tell_what_pictures_do_not() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let shared = [
        IMAGES,
        "dataset.synthetic={ num_lesions: 300, image_size: 16, max_views: 1 }",
        "dataset.split.fractions={ train: 0.5, validation: 0.15, calibration: 0.15, test: 0.2 }",
        "training={ epochs: 20, batch_size: 10, learning_rate: 0.005, sampler: square_root_balanced }",
        "model.dropout=0",
    ];
    let images = ran(&place.path().join("images"), &shared);
    let both = ran(&place.path().join("both"), &[&shared[..], &[TEXT]].concat());
    let balanced = Metric::BalancedAccuracy { classes: ClassSet::Present };
    let (images, both) = (measured(&images.test, balanced), measured(&both.test, balanced));
    assert!(both > images + CAPTIONS_ADD, "{images} and {both}");
}

#[test]
fn the_bundle_reads_texts_as_the_run_did() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let overrides = [
        TEXT,
        "model.text.text_dropout=0.3",
        "model.fusion={ cross_attention: { width: 8, layers: 1, heads: 2 } }",
    ];
    let finished = ran(&place.path().join("run"), &overrides);
    let folder = &finished.folder;
    for file in ["tokenizer.json", "bundle/tokenizer.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let predictor = Predictor::load(finished.bundle(), &device()).unwrap();
    assert_eq!(predictor.tokenizer().unwrap().max_length(), 32);
    let logits = finished.test.logits().unwrap();
    let (mut told, mut moved) = (0, 0);
    for (row, id) in finished.test.ids().iter().enumerate() {
        let (index, record) =
            finished.prepared.dataset.records().iter().enumerate().find(|(_, r)| r.id == *id).unwrap();
        let pixels = finished.prepared.pixels().get(index).unwrap();
        let request = Request { text: record.text.as_deref(), ..Request::pixels(&pixels, &record.answers) };
        let served = predictor.logits_of(&request).unwrap();
        for class in 0..7 {
            let (got, expected) = (served.view()[[0, class]], logits.view()[[row, class]]);
            assert!((got - expected).abs() < BATCH_ROUNDING, "{id}: {got} and {expected}");
        }
        let decision = predictor.decide(&request).unwrap();
        assert_eq!(decision.missing_text, record.text.is_none());
        // Without its text the same picture is judged by the picture and the answers, and the decision says so.
        let silent = predictor.decide(&Request::pixels(&pixels, &record.answers)).unwrap();
        assert!(silent.missing_text);
        if record.text.is_some() {
            told += 1;
            moved += usize::from(silent.ranking != decision.ranking);
        }
    }
    assert!(told > 5 && moved == told, "{moved} of {told}");

    // No text of a patient stands in what a run writes for people or machines to keep.
    let texts: Vec<&str> =
        finished.prepared.dataset.records().iter().filter_map(|record| record.text.as_deref()).collect();
    let phrases: Vec<&str> = texts.into_iter().filter(|text| text.split(' ').count() > 4).collect();
    assert!(!phrases.is_empty());
    for (path, content) in contents(folder) {
        let content = String::from_utf8_lossy(&content);
        assert!(phrases.iter().all(|phrase| !content.contains(phrase)), "{path}");
    }

    // The same run again is only measured; with another tokenizer it is another run.
    let recipe_of = |overrides: &[&str]| recipe(folder, overrides);
    let again = run(&recipe_of(&overrides), &device(), Progress::Silent).unwrap();
    assert_eq!(again.history.len(), finished.history.len());
    let tokenizer = format!("model.text.tokenizer={}", other_tokenizer(place.path()));
    let changed = recipe_of(&[&overrides[..], &[tokenizer.as_str()]].concat());
    let error = run(&changed, &device(), Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::OtherRun { .. }), "{error}");
    assert!(error.to_string().contains("model.text.tokenizer"), "{error}");
    let error = run(
        &recipe_of(&[&overrides[..], &["model.text.max_length=31"]].concat()),
        &device(),
        Progress::Silent,
    );
    assert!(error.unwrap_err().to_string().contains("max_length"));
}

#[test]
fn an_interrupted_training_with_texts_ends_with_the_same_bytes() {
    let _alone = alone();
    for more in ["training.epochs=3", "training.amp_dtype=bf16", "model.gradient_checkpointing=true"] {
        let place = tempfile::tempdir().unwrap();
        let overrides = [TEXT, "model.text.text_dropout=0.5", "dataset.workers=2", more];
        let start = Start::new(recipe(place.path(), &overrides));
        let whole = start.fit(&place.path().join("whole"), &supervised()).unwrap();
        let folder = place.path().join("interrupted");
        let loses = LosesIts { objective: supervised(), at: 4, calls: Cell::new(0) };
        let error = start.fit(&folder, &loses).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 4, .. }), "{error}");
        assert_eq!(latest(&folder), "step-00000004");
        let resumed = start.fit(&folder, &supervised()).unwrap();
        assert_eq!(bytes(&resumed, place.path()), bytes(&whole, place.path()), "{more}");
    }
}

#[test]
fn every_fusion_takes_texts_alone_and_with_answers() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let fusions = [
        "concatenation",
        "{ gated: { width: 8 } }",
        "{ meta_block: { values: 4 } }",
        "{ cross_attention: { width: 8, layers: 1, heads: 2 } }",
    ];
    let mut seen = Vec::new();
    for (number, fusion) in fusions.iter().enumerate() {
        for answers in [true, false] {
            let fusion = format!("model.fusion={fusion}");
            let answers_too = format!("model.use_answers={answers}");
            let recomputed = format!("model.gradient_checkpointing={}", number % 2 == 0);
            let overrides =
                [TEXT, &fusion, &answers_too, &recomputed, "training.epochs=1", "training.amp_dtype=bf16"];
            let finished = ran(&place.path().join(format!("{number}-{answers}")), &overrides);
            assert!(finished.history[0].train_loss.is_finite());
            seen.push(weights(&finished.folder));
        }
    }
    assert!((1..seen.len()).all(|at| !seen[..at].contains(&seen[at])));
}

#[test]
fn texts_that_cannot_be_read_are_refused_before_anything_is_written() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let fresh = place.path().join("fresh");
    let error = refused(&fresh, &[TEXT, "dataset.synthetic.missing_captions=1"]);
    assert!(matches!(&error, Error::NoText { dataset } if dataset == "synthetic"), "{error}");

    let error = refused(&fresh, &[TEXT, "model.text.tokenizer=nowhere/tokenizer.json"]);
    assert!(matches!(error, Error::Backbone(derm_backbones::Error::File(_))), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    let broken = place.path().join("broken.json");
    fs::write(&broken, "{\"model\": 3}").unwrap();
    let error = refused(&fresh, &[TEXT, &format!("model.text.tokenizer={}", broken.display())]);
    assert!(matches!(error, Error::Backbone(derm_backbones::Error::Tokenizer { .. })), "{error}");

    let error = refused(&fresh, &[TEXT, "model.text.encoder.bert.vocabulary=20"]);
    assert!(matches!(error, Error::TokenizerVocabulary { tokens, vocabulary: 20 } if tokens > 60), "{error}");

    // A table of one's own has no tokenizer by itself.
    let table = place.path().join("t.csv");
    fs::write(&table, "id,dx,history\n1,a,x\n").unwrap();
    let recipe = Recipe::parse(
        "dataset: { source: { csv: { table: t.csv, label: { column: dx }, text: history } } }\n",
        "test.yaml",
        &[TEXT.to_owned(), format!("dataset.root={}", place.path().display())],
    );
    let error = run(&recipe.unwrap(), &device(), Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::Value { key: "model.text.tokenizer", .. }), "{error}");

    // Who reads no text is given none.
    let images = ran(&place.path().join("images"), &["training.epochs=1"]);
    let pixels = images.prepared.pixels().get(0).unwrap();
    let none = Answers::new();
    let error = images.predictor.decide(&Request::pixels(&pixels, &none).with_text("dark spot")).unwrap_err();
    assert!(matches!(error, derm_predict::Error::UnexpectedText), "{error}");
    assert!(images.predictor.decide(&Request::pixels(&pixels, &none).with_text("  ")).is_ok());
}

#[test]
fn published_weights_of_a_text_encoder_begin_the_training() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let text = recipe(place.path(), &[TEXT]).model.text.unwrap();
    let TextEncoderConfig::Bert(config) = &text.encoder else { panic!("{text:?}") };
    device().seed(77);
    let published = drawn(config.init(&device()).unwrap());
    let file = place.path().join("text.safetensors");
    save_safetensors(&published, &file).unwrap();

    let folder = place.path().join("run");
    let of_file = format!("model.text.weights={}", file.display());
    let frozen = "training.phases=[{ epochs: 3, freeze: text }]";
    let overrides = [TEXT, &of_file, frozen];
    let finished = ran(&folder, &overrides);
    assert_eq!(values(finished.predictor.model().text().unwrap()), values(&published));
    let drawn_anew = ran(&place.path().join("fresh"), &[TEXT, frozen]);
    assert_ne!(values(drawn_anew.predictor.model().text().unwrap()), values(&published));

    // Another file of the same name is another run.
    save_safetensors(&drawn(config.init(&device()).unwrap()), &file).unwrap();
    let error = run(&recipe(&folder, &overrides), &device(), Progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::OtherRun { key, .. } if key.contains("model.text.weights")), "{error}");
}

#[test]
fn a_teacher_reads_texts_by_its_own_tokenizer() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let in_place = |name: &str| place.path().join(name);
    let teacher = ran(&in_place("teacher"), &[TEXT, "training.epochs=2"]);
    let of = |path: &Path| format!("distillation.teacher={}", path.display());
    let teacher_is = of(&teacher.folder);

    // Its student reads them by another one, or not at all.
    let tokenizer = format!("model.text.tokenizer={}", other_tokenizer(place.path()));
    let student = ran(&in_place("student"), &[TEXT, &tokenizer, "model.text.text_dropout=0.5", &teacher_is]);
    assert!(student.history.iter().all(|log| log.train_loss.is_finite()));
    let images = ran(&in_place("images"), &[IMAGES, &teacher_is]);
    assert!(images.predictor.tokenizer().is_none());

    // What it says of a picture does not depend on the batch: kept or asked anew, the student ends alike.
    let cache = format!("distillation.cache={}", in_place("cache").display());
    let cached = ran(&in_place("cached"), &[IMAGES, &teacher_is, &cache]);
    assert!(weights(&cached.folder) == weights(&images.folder));
    let again = ran(&in_place("again"), &[IMAGES, &teacher_is, &cache]);
    assert!(weights(&again.folder) == weights(&images.folder));

    // A checkpoint brings its tokenizer from its run folder.
    let checkpoint = teacher.folder.join("checkpoints").join(latest(&teacher.folder));
    let of_checkpoint = ran(&in_place("of_checkpoint"), &[IMAGES, &of(&checkpoint), "training.epochs=1"]);
    assert!(of_checkpoint.history[0].train_loss.is_finite());
    fs::remove_file(teacher.folder.join("tokenizer.json")).unwrap();
    let error = refused(&in_place("fresh"), &[IMAGES, &of(&checkpoint)]);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");

    let error = refused(&in_place("fresh"), &[IMAGES, &teacher_is, "dataset.synthetic.missing_captions=1"]);
    assert!(matches!(&error, Error::TeacherInput { what: "text", .. }), "{error}");
}
