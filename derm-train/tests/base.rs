//! Recipes that build on others.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use derm_backbones::BackboneConfig;
use derm_train::{Error, LossName, Recipe};

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    place
}

fn read(place: &tempfile::TempDir, name: &str) -> Result<Recipe, Error> {
    Recipe::read(place.path().join(name), &[])
}

#[test]
fn keys_are_laid_over_those_of_the_base() {
    let place = folder(&[
        ("deep.yaml", "name: deep\nseed: 3\ntraining: { epochs: 7, warmup_epochs: 2, loss: focal }"),
        ("base.yaml", "base: deep.yaml\nname: base\ntraining: { epochs: 5, batch_size: 8 }"),
        ("tiny/own.yaml", "base: ../base.yaml\ntraining: { batch_size: 4 }\nmodel: { answers_widths: [8] }"),
    ]);
    let recipe = read(&place, "tiny/own.yaml").unwrap();
    assert_eq!((recipe.name.as_str(), recipe.seed), ("base", 3));
    let training = &recipe.training;
    assert_eq!((training.epochs, training.batch_size, training.warmup_epochs), (5, 4, 2.0));
    assert_eq!(training.loss, LossName::Focal.into());
    // A list is replaced, not continued.
    assert_eq!(recipe.model.answers_widths, [8]);
    // Overrides come last.
    let path = place.path().join("tiny/own.yaml");
    assert_eq!(Recipe::read(path, &["training.epochs=9".to_owned()]).unwrap().training.epochs, 9);
}

#[test]
fn a_choice_gives_way_to_another_one() {
    let small = "{ block: basic, depths: [1], widths: [4], stem: conv3x3 }";
    let place = folder(&[
        ("named.yaml", "model: { backbone: vit_b_16 }"),
        ("free.yaml", &format!("model: {{ backbone: {{ resnet: {small} }} }}")),
        ("a.yaml", &format!("base: named.yaml\nmodel: {{ backbone: {{ resnet: {small} }} }}")),
        ("b.yaml", "base: free.yaml\nmodel: { backbone: resnet18 }"),
        ("c.yaml", "base: free.yaml\nmodel: { backbone: { resnet: { widths: [8] } } }"),
        (
            "d.yaml",
            "base: free.yaml\nmodel: { backbone: { resnet: , mobilenetv2: { width_multiplier: 0.5 } } }",
        ),
        ("e.yaml", "base: free.yaml\nmodel: { backbone: { mobilenetv2: { width_multiplier: 0.5 } } }"),
    ]);
    assert!(matches!(read(&place, "a.yaml").unwrap().model.backbone, BackboneConfig::Resnet(_)));
    assert_eq!(read(&place, "b.yaml").unwrap().model.backbone, BackboneConfig::Resnet18);
    let BackboneConfig::Resnet(config) = read(&place, "c.yaml").unwrap().model.backbone else { panic!() };
    assert_eq!((config.depths, config.widths), (vec![1], vec![8]));
    assert!(matches!(read(&place, "d.yaml").unwrap().model.backbone, BackboneConfig::Mobilenetv2(_)));
    let error = read(&place, "e.yaml").unwrap_err().to_string();
    assert!(error.contains("one name with its settings, got mobilenetv2 and resnet"), "{error}");
}

#[test]
fn an_error_names_the_file_that_has_the_key() {
    let cases = [
        ("training: { epoch: 2 }", "", "base.yaml", "training.epoch"),
        ("", "training: { epoch: 2 }", "own.yaml", "training.epoch"),
        ("training: { epochs: few }", "seed: 1", "base.yaml", "training.epochs"),
        ("training: { epochs: few }", "training: { epochs: many }", "own.yaml", "training.epochs"),
        ("training: { epochs: 2 }", "training: 3", "own.yaml", "training"),
    ];
    for (base, own, file, key) in cases {
        let place = folder(&[("base.yaml", base), ("own.yaml", &format!("base: base.yaml\n{own}"))]);
        let error = read(&place, "own.yaml").unwrap_err();
        let (origin, got) = match &error {
            Error::UnknownKey { origin, key, .. } | Error::Key { origin, key, .. } => (origin, key),
            other => panic!("{other:?}"),
        };
        assert_eq!((Path::new(origin).file_name().unwrap(), got.as_str()), (file.as_ref(), key), "{error}");
    }
}

#[test]
fn a_base_that_cannot_be() {
    let place = folder(&[
        ("a.yaml", "base: b.yaml"),
        ("b.yaml", "base: ./sub/../a.yaml"),
        ("sub/x.yaml", ""),
        ("own.yaml", "base: own.yaml"),
        ("absent.yaml", "base: nowhere.yaml"),
        ("number.yaml", "base: 3"),
        ("list.yaml", "base: [a.yaml]"),
        ("nothing.yaml", "base:"),
        ("broken.yaml", "base: no_yaml.yaml"),
        ("no_yaml.yaml", "- 1"),
    ]);
    let error = read(&place, "a.yaml").unwrap_err();
    let Error::BaseCycle { files } = &error else { panic!("{error:?}") };
    let names: Vec<PathBuf> = files.iter().map(|file| file.file_name().unwrap().into()).collect();
    assert_eq!(names, [Path::new("a.yaml"), Path::new("b.yaml"), Path::new("a.yaml")]);
    assert!(error.to_string().contains("b.yaml → "), "{error}");
    assert!(matches!(read(&place, "own.yaml").unwrap_err(), Error::BaseCycle { files } if files.len() == 2));
    let error = read(&place, "absent.yaml").unwrap_err();
    assert!(matches!(&error, Error::File(_)) && error.to_string().contains("nowhere.yaml"), "{error}");
    for name in ["number.yaml", "list.yaml", "nothing.yaml"] {
        let error = read(&place, name).unwrap_err();
        assert!(matches!(&error, Error::Key { key, origin, .. } if key == "base" && origin.contains(name)));
    }
    let error = read(&place, "broken.yaml").unwrap_err();
    assert!(matches!(&error, Error::Yaml { origin, .. } if origin.contains("no_yaml.yaml")), "{error:?}");
    let error = Recipe::parse("base: a.yaml", "text", &[]).unwrap_err();
    assert!(matches!(&error, Error::Key { key, .. } if key == "base"), "{error:?}");
}
