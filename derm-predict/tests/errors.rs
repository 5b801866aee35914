//! Bundles that must not be served, and questions that must not be answered.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny_bundle;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_backbones::ClassifierConfig;
use derm_core::{LabelMap, View, sha256_file, sha256_hex};
use derm_data::schema::{self, Feature, MissingPolicy, UnknownPolicy};
use derm_data::{Answers, FeatureSchema};
use derm_predict::{BundleConfig, Error, Manifest, Predictor};
use tiny_bundle::{CLASSES, PNG, Tiny};

fn load(folder: &Path) -> Result<Predictor, Error> {
    Predictor::load(folder, &Device::default())
}

fn written(tiny: &Tiny) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    tiny.write(&folder).unwrap();
    (place, folder)
}

/// Files of a bundle by their paths in it.
fn files(folder: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
    manifest.files.into_keys().chain(["manifest.json".to_owned()]).collect()
}

/// A manifest that vouches for what lies in the folder now, as one who means it would write it.
fn reseal(folder: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = folder.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (name, digest) in &mut manifest.files {
        (digest.sha256, digest.size) = sha256_file(folder.join(name)).unwrap();
    }
    change(&mut manifest);
    manifest.sha256 = String::new();
    let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap() + "\n";
    manifest.sha256 = sha256_hex(text(&manifest).as_bytes());
    fs::write(path, text(&manifest)).unwrap();
}

fn refused(folder: &Path, words: &[&str]) -> Error {
    let error = load(folder).unwrap_err();
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
    error
}

#[test]
fn resealing_is_what_sealing_does() {
    let (_place, folder) = written(&Tiny::new(true));
    let before = fs::read(folder.join("manifest.json")).unwrap();
    reseal(&folder, |_| ());
    assert_eq!(fs::read(folder.join("manifest.json")).unwrap(), before);
    load(&folder).unwrap();
}

#[test]
fn every_missing_file_is_named() {
    let (_place, folder) = written(&Tiny::new(true));
    let names = files(&folder);
    assert_eq!(names.len(), 8, "{names:?}");
    for name in names {
        let (from, to) = (folder.join(&name), folder.with_extension("aside"));
        fs::rename(&from, &to).unwrap();
        let error = refused(&folder, &[&name]);
        assert!(matches!(error, Error::MissingFile { .. } | Error::File(_)), "{error}");
        fs::rename(&to, &from).unwrap();
    }
    load(&folder).unwrap();
    refused(&folder.join("nowhere"), &["manifest.json"]);
}

#[test]
fn every_cut_file_is_named() {
    let (_place, folder) = written(&Tiny::new(true));
    for name in files(&folder) {
        let path = folder.join(&name);
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let error = refused(&folder, &[&name]);
            assert!(name == "manifest.json" || matches!(error, Error::ChangedFile { .. }), "{error}");
        }
        fs::write(&path, [&whole[..], b" "].concat()).unwrap();
        refused(&folder, &[&name]);
        fs::write(&path, whole).unwrap();
    }
    load(&folder).unwrap();
}

#[test]
fn every_changed_byte_is_found() {
    /// Places of a file at which a byte is changed, about; a manifest has more, because it vouches for itself.
    const PLACES: usize = 24;
    let (_place, folder) = written(&Tiny::new(true));
    for name in files(&folder) {
        let path = folder.join(&name);
        let whole = fs::read(&path).unwrap();
        let places = if name == "manifest.json" { 16 * PLACES } else { PLACES };
        for index in (0..whole.len()).step_by((whole.len() / places).max(1)) {
            for mask in [0x01, 0x20, 0x80] {
                let mut changed = whole.clone();
                changed[index] ^= mask;
                fs::write(&path, changed).unwrap();
                let error = refused(&folder, &[&name]);
                assert!(name == "manifest.json" || matches!(error, Error::ChangedFile { .. }), "{error}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    // A byte that means nothing in JSON.
    let path = folder.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\n  ", "\n\t", 1)).unwrap();
    assert!(matches!(refused(&folder, &["manifest.json"]), Error::ChangedFile { .. }));
}

#[test]
fn an_unlisted_file_is_refused() {
    for name in ["weights.bin", "labels/other.txt", "extra/notes.md"] {
        let (_place, folder) = written(&Tiny::new(true));
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        assert!(matches!(refused(&folder, &[name]), Error::UnlistedFile { .. }));
    }
    // A questionnaire that nobody sealed does not turn up in an image-only model.
    let (_place, folder) = written(&Tiny::new(false));
    fs::write(folder.join("feature_schema.json"), "{}").unwrap();
    assert!(matches!(refused(&folder, &["feature_schema.json"]), Error::UnlistedFile { .. }));
}

#[test]
fn an_unknown_format_version_is_refused() {
    for version in [0, 2, u64::MAX] {
        let (_place, folder) = written(&Tiny::new(false));
        reseal(&folder, |manifest| manifest.format_version = version);
        let error = refused(&folder, &["manifest.json", &version.to_string()]);
        assert!(matches!(error, Error::Version { got, expected: 1, .. } if got == version), "{error}");
    }
}

#[test]
fn a_path_outside_the_folder_is_not_opened() {
    let (place, folder) = written(&Tiny::new(false));
    fs::write(place.path().join("outside.txt"), CLASSES.join("\n")).unwrap();
    let (sha256, size) = sha256_file(place.path().join("outside.txt")).unwrap();
    reseal(&folder, |manifest| {
        manifest.files.insert("../outside.txt".to_owned(), derm_predict::FileDigest { size, sha256 });
    });
    assert!(matches!(refused(&folder, &["outside.txt"]), Error::MissingFile { .. }));

    for task in ["../../outside", "absent", ""] {
        let mut tiny = Tiny::new(false);
        let (_place, folder) = written(&tiny);
        let path = folder.join("config.json");
        let mut config: BundleConfig<ClassifierConfig> =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config.task = task.to_owned();
        fs::write(&path, serde_json::to_string(&config).unwrap()).unwrap();
        reseal(&folder, |_| ());
        assert!(matches!(refused(&folder, &["config.json", task]), Error::Mismatch { .. }));
        // Nor is it written.
        if task != "absent" {
            tiny.config.task = task.to_owned();
            let error = tiny.write(&folder.with_extension("other")).unwrap_err();
            assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        }
    }
}

#[test]
fn labels_of_another_length_are_refused() {
    for names in [&CLASSES[..3], &["mel", "nv", "bcc", "bkl", "df"][..]] {
        // Written so.
        let mut tiny = Tiny::new(false);
        tiny.labels = LabelMap::new(names.iter().copied()).unwrap();
        let (_place, folder) = written(&tiny);
        let error = refused(&folder, &["labels/diagnosis.txt", "expected 4"]);
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        // Changed and sealed again.
        let (_place, folder) = written(&Tiny::new(false));
        fs::write(folder.join("labels/diagnosis.txt"), names.join("\n") + "\n").unwrap();
        reseal(&folder, |_| ());
        refused(&folder, &["labels/diagnosis.txt", "expected 4"]);
    }
    let (_place, folder) = written(&Tiny::new(false));
    fs::write(folder.join("labels/diagnosis.txt"), "mel\nnv\nnv\nbkl\n").unwrap();
    reseal(&folder, |_| ());
    assert!(matches!(refused(&folder, &["labels/diagnosis.txt", "nv"]), Error::Labels { .. }));
}

#[test]
fn a_calibration_of_another_model_is_refused() {
    let mut tiny = Tiny::new(false);
    tiny.labels = LabelMap::new(["nv", "mel", "bcc", "bkl"]).unwrap();
    let (_place, folder) = written(&tiny);
    refused(&folder, &["calibration.json", "classes"]);

    let mut tiny = Tiny::new(false);
    tiny.provenance.split_hash = "ffff".to_owned();
    let (_place, folder) = written(&tiny);
    refused(&folder, &["calibration.json", "ffff"]);

    let mut tiny = Tiny::new(false);
    tiny.config.view = View::HorizontalFlip;
    let (_place, folder) = written(&tiny);
    refused(&folder, &["calibration.json", "horizontal_flip"]);
}

#[test]
fn a_questionnaire_that_does_not_fit_is_refused() {
    let whole = derm_data::schema::synthetic().unwrap();
    let fewer = whole.drop(&["age"]).unwrap();
    for (questionnaire, schema) in [(true, None), (true, Some(fewer)), (false, Some(whole))] {
        let tiny = Tiny { schema, ..Tiny::new(questionnaire) };
        let (_place, folder) = written(&tiny);
        let error = refused(&folder, &["feature_schema.json"]);
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}

#[test]
fn a_description_of_another_network_is_refused() {
    let (_place, folder) = written(&Tiny::new(false));
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        ("\"num_classes\": 4", "\"num_classes\": 5", &["model.safetensors", "linear.weight"][..]),
        ("\"num_classes\": 4", "\"num_classes\": 1", &["num_classes"]),
        ("\"task\"", "\"tasks\"", &["config.json", "tasks"]),
        ("\"task\"", "\"weights\": \"int8\", \"task\"", &["model.safetensors", "int8", "F32"]),
        ("\"task\"", "\"weights\": \"int4\", \"task\"", &["config.json", "int4"]),
        ("\"size\": 16", "\"size\": 0", &["config.json", "image size"]),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        reseal(&folder, |_| ());
        refused(&folder, words);
    }
}

#[test]
fn writing_spares_what_is_there() {
    let tiny = Tiny::new(false);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mine.txt"), "keep").unwrap();
    let error = tiny.write(&folder).unwrap_err();
    assert!(matches!(error, Error::File(_)) && error.to_string().contains("exists"), "{error}");
    assert_eq!(fs::read_to_string(folder.join("mine.txt")).unwrap(), "keep");
    // A write that fails half-way: nothing stays.
    let mut broken = Tiny::new(false);
    broken.config.task = "a/b".to_owned();
    broken.write(&place.path().join("other")).unwrap_err();
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["bundle"]);
}

#[test]
fn a_questionnaire_of_every_kind_refuses_what_it_does_not_know_and_names_what_is_missing() {
    let bundle = |schema: FeatureSchema| {
        let (place, folder) = written(&Tiny::with_schema(Some(schema)));
        (place, load(&folder).unwrap())
    };
    let decide = |predictor: &Predictor, answers: &[(&str, &str)]| {
        let answers: Answers = answers.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        predictor.predict_bytes(PNG, "upload.png", &answers)
    };
    let (_place, intake) = bundle(schema::teledermatology().unwrap());
    for (name, answer, expected) in [
        ("general_symptoms", "fever|toothache", r#""none" or any of ["fever", "chills""#),
        ("general_symptoms", "fever, chills", "joined by '|'"),
        ("general_symptoms", "none|fever", r#""none" or any of"#),
        ("body_site", "moon", r#"one of ["head and neck", "scalp""#),
        ("bleeding", "perhaps", "yes, no or unknown"),
        ("itch", "4", r#"one of ["no", "mild", "moderate", "severe"]"#),
        ("age", "forty", "a number from 0 to 120 (years)"),
    ] {
        let text = decide(&intake, &[(name, answer)]).unwrap_err().to_string();
        let start = format!("answer {answer:?} to feature `{name}`: expected ");
        assert!(text.starts_with(&start) && text.contains(expected), "{text}");
    }
    let text = decide(&intake, &[("shoe_size", "42")]).unwrap_err().to_string();
    assert!(text.starts_with("unknown feature `shoe_size`") && text.contains("\"body_site\""), "{text}");
    // "No value applies" and "I do not know" are answers, "not asked" and a blank are none.
    let given = [("general_symptoms", "None"), ("body_site", "LIP"), ("bleeding", "not sure")];
    let missing = [("itch", "not asked"), ("colours", " ")];
    let decision = decide(&intake, &[given.as_slice(), missing.as_slice()].concat()).unwrap();
    let names = intake.schema().unwrap().features().iter().map(|feature| feature.name.as_str());
    let expected: Vec<&str> = names.filter(|name| given.iter().all(|(given, _)| given != name)).collect();
    assert_eq!(decision.missing_answers, expected);

    let (_place, pad) = bundle(schema::pad_ufes_20().unwrap());
    let text = decide(&pad, &[("itch", "True"), ("biopsed", "True")]).unwrap_err().to_string();
    assert!(text.starts_with("feature `biopsed` must not be an input: Whether a biopsy was taken"), "{text}");

    let age = Feature::numeric("age", "?", "years", 0.0, 120.0).with_missing(MissingPolicy::Required);
    let itch = Feature::boolean("itch", "?", UnknownPolicy::Missing);
    let (_place, strict) =
        bundle(FeatureSchema::builder("strict", "1").features([age, itch]).build().unwrap());
    let text = decide(&strict, &[("itch", "yes")]).unwrap_err().to_string();
    assert_eq!(text, "feature `age` needs an answer: expected a number from 0 to 120 (years)");
    assert_eq!(decide(&strict, &[("age", "61")]).unwrap().missing_answers, ["itch"]);
}

#[test]
fn answers_and_images_that_cannot_be_used() {
    let tiny = Tiny::new(true);
    let (_place, folder) = written(&tiny);
    let predictor = load(&folder).unwrap();
    let ask = |answers: &[(&str, &str)]| {
        let answers: Answers = answers.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        predictor.predict_bytes(PNG, "upload.png", &answers).unwrap_err().to_string()
    };
    for (answers, words) in [
        ([("shoe_size", "42")], ["shoe_size", "age"]),
        ([("age", "old")], ["age", "old"]),
        ([("age", "NaN")], ["age", "NaN"]),
        ([("age", "-3")], ["age", "-3"]),
        ([("itch", "perhaps")], ["itch", "perhaps"]),
    ] {
        let text = ask(&answers);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    for bytes in [&b""[..], b"not an image", &PNG[..PNG.len() / 2]] {
        let error = predictor.predict_bytes(bytes, "upload.png", &Answers::new()).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("upload.png"), "{error}");
    }
    let error = predictor.predict_file(folder.join("absent.jpg"), &Answers::new()).unwrap_err();
    assert!(error.to_string().contains("absent.jpg"), "{error}");

    let (_place, folder) = written(&Tiny::new(false));
    let error = load(&folder).unwrap().predict_bytes(PNG, "upload.png", &tiny.answers()).unwrap_err();
    let Error::UnexpectedAnswers { given } = error else { panic!("{error}") };
    assert_eq!(given, ["age", "itch"]);
}
