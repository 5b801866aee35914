//! What a recipe file may say, and what it is told when it may not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::fs;

use derm_backbones::BackboneConfig;
use derm_data::SampleOrder;
use derm_data::readers::Source;
use derm_losses::ClassificationLossConfig;
use derm_train::{ClassWeights, DatasetSource, Error, LossName, ModelRecipe, Recipe, TrainingRecipe};
use serde_json::Value;

fn parse(text: &str) -> Result<Recipe, Error> {
    Recipe::parse(text, "recipe.yaml", &[])
}

fn with(overrides: &[&str]) -> Result<Recipe, Error> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Recipe::parse("", "recipe.yaml", &overrides)
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "  \n", "# only words\n"] {
        assert_eq!(parse(text).unwrap(), Recipe::default(), "{text:?}");
    }
}

#[test]
fn values_are_read() {
    let recipe = parse(
        "name: a\nmodel:\n  backbone:\n    resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 }\n\
         training: { epochs: 3, loss: focal, class_weights: inverse_frequency, clip_norm: 1 }\n",
    )
    .unwrap();
    assert!(matches!(recipe.model.backbone, BackboneConfig::Resnet(_)));
    assert_eq!(recipe.training.loss, LossName::Focal.into());
    assert_eq!(recipe.training.class_weights, ClassWeights::InverseFrequency);
    assert_eq!(recipe.training.clip_norm, Some(1.0));
    assert_eq!(recipe.training.batch_size, Recipe::default().training.batch_size);
}

#[test]
fn overrides_are_set_in_their_order() {
    let overrides = [
        "training.epochs=3",
        "dataset.source=ham10000",
        "dataset.root=data",
        // Opens a section that is absent.
        "distillation.teacher=bundle",
        "distillation.attention.weight=5",
        "training.augmentation={ horizontal_flip: 0, vertical_flip: 1 }",
        "training.clip_norm=2",
        "training.clip_norm=",
        "training.epochs=4",
    ];
    let recipe = with(&overrides).unwrap();
    assert_eq!(recipe.training.epochs, 4);
    assert_eq!(recipe.dataset.source, DatasetSource::Read(Source::Ham10000));
    assert_eq!(recipe.training.clip_norm, None);
    assert_eq!(recipe.training.augmentation.vertical_flip, 1.0);
    let distillation = recipe.distillation.unwrap();
    assert_eq!(distillation.teacher.to_str(), Some("bundle"));
    assert_eq!(distillation.attention.unwrap().weight, 5.0);
}

#[test]
fn an_override_that_cannot_be_applied() {
    for (text, reason) in [
        ("training.epochs", "expected key.path=value"),
        ("=3", "a key is empty"),
        ("training..epochs=3", "a key is empty"),
        ("training.epochs.more=3", "no mapping"),
        ("training.epochs=[1", ""),
    ] {
        let error = Recipe::parse("training: { epochs: 2 }", "recipe.yaml", &[text.to_owned()]).unwrap_err();
        assert!(matches!(&error, Error::Override { text: named, .. } if named == text), "{text}: {error}");
        assert!(error.to_string().contains(reason), "{text}: {error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    for (text, key, hint) in [
        ("sed: 1", "sed", "did you mean `seed`?"),
        ("training: { learnin_rate: 0.1 }", "training.learnin_rate", "did you mean `learning_rate`?"),
        (
            "dataset: { split: { fractions: { train: 0.7, valid: 0.1, calibration: 0.1, test: 0.1 } } }",
            "dataset.split.fractions.valid",
            "did you mean `validation`?",
        ),
        (
            "distillation: { teacher: b, attention: { modes: l2 } }",
            "distillation.attention.modes",
            "did you mean `mode`?",
        ),
        ("zzz: 1", "zzz", "known keys are name, seed,"),
    ] {
        let error = parse(text).unwrap_err();
        let Error::UnknownKey { origin, key: got, hint: advice } = &error else { panic!("{text}: {error}") };
        assert_eq!((origin.as_str(), got.as_str()), ("recipe.yaml", key), "{error}");
        assert!(advice.starts_with(hint), "{error}");
    }
    let error = with(&["trainings.epochs=2"]).unwrap_err();
    assert!(error.to_string().contains("did you mean `training`?"), "{error}");
}

#[test]
fn a_wrong_type_is_named_with_its_key() {
    for (text, key, words) in [
        ("seed: many", "seed", "expected u64, got string \"many\""),
        ("seed: -1", "seed", "integer `-1`"),
        ("training: { epochs: 2.5 }", "training.epochs", "expected usize, got floating point `2.5`"),
        ("training: { epochs: }", "training.epochs", "got nothing"),
        ("training:", "training", "expected a section of keys, got nothing"),
        ("training: 3", "training", "expected a section of keys"),
        ("training: { loss: mse }", "training.loss", "unknown value `mse`"),
        ("training: { loss: fcal }", "training.loss", "did you mean `focal`?"),
        ("model: { backbone: restnet18 }", "model.backbone", "did you mean `resnet18`?"),
        ("model: { backbone: resnet19 }", "model.backbone", "did you mean `resnet18`?"),
        ("dataset: { source: pictures }", "dataset.source", "known values are synthetic, ham10000"),
        ("model: { backbone: [resnet18] }", "model.backbone", "got a list"),
        ("model: { backbone: { resnet18: { widths: [4] } } }", "model.backbone", "expected no settings"),
        ("model: { answers_widths: [8, no] }", "model.answers_widths[1]", "expected usize"),
        ("model: { use_answers: 1 }", "model.use_answers", "expected a boolean"),
        ("distillation: {}", "distillation", "missing field `teacher`"),
    ] {
        let error = parse(text).unwrap_err();
        let Error::Key { origin, key: got, reason } = &error else { panic!("{text}: {error:?}") };
        // Settings of an enum's name belong to the enum or to the name.
        assert!(origin == "recipe.yaml" && got.starts_with(key), "{text}: {error}");
        assert!(reason.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_is_no_recipe_at_all() {
    for text in
        ["- a\n- b", "3", "just words", "a: [", "seed: 1\nseed: 2", "training: { epochs: 1, epochs: 2 }"]
    {
        let error = parse(text).unwrap_err();
        assert!(matches!(&error, Error::Yaml { origin, .. } if origin == "recipe.yaml"), "{text}: {error:?}");
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("absent.yaml");
    let error = Recipe::read(&path, &[]).unwrap_err();
    assert!(matches!(error, Error::File(_)) && error.to_string().contains("absent.yaml"), "{error}");
    fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    let error = Recipe::read(&path, &[]).unwrap_err();
    assert!(matches!(error, Error::File(_)) && error.to_string().contains("absent.yaml"), "{error}");
}

/// Each key with values that it must refuse. NaN and the infinities are added for every number that may be fractional.
const IMPOSSIBLE: &[(&str, &[&str])] = &[
    ("name", &["''", "' '", "a/b", "..", "'a\\b'"]),
    ("dataset.split.fractions.train", &["0", "1", "-0.1", ".nan", ".inf"]),
    ("dataset.split.fractions.validation", &["0", ".nan"]),
    ("dataset.split.fractions.calibration", &["0", ".nan"]),
    ("dataset.split.fractions.test", &["0", ".nan"]),
    ("dataset.workers", &["65"]),
    ("dataset.prefetch", &["0", "1025"]),
    ("dataset.cache_mib", &["16777217"]),
    ("model.image_size", &["7", "4097"]),
    ("model.answers_widths", &["[]", "[4, 0]", "[65537]"]),
    ("model.answer_dropout", &["-0.1", "0.5", "1", ".nan", ".inf"]),
    ("model.fusion", &["{ gated: { width: 8 } }"]),
    ("model.text.max_length", &["2", "513"]),
    ("model.text.text_dropout", &["-0.1", "1", ".nan", ".inf"]),
    ("model.dropout", &["-0.1", "1", ".nan", ".inf"]),
    ("training.epochs", &["0", "1000001"]),
    ("training.batch_size", &["0", "1", "65537"]),
    ("training.learning_rate", &["0", "-1", "1.1", ".nan", ".inf"]),
    ("training.final_learning_rate_share", &["-0.1", "1.1", ".nan"]),
    ("training.warmup_epochs", &["-1", "10.5", ".nan", ".inf"]),
    ("training.weight_decay", &["-0.1", "1.1", ".nan"]),
    ("training.adam_epsilon", &["0", "1e-60", "-1", "2", ".nan", ".inf"]),
    ("training.clip_norm", &["0", "-1", ".nan", ".inf", "-.inf"]),
    ("training.focal_gamma", &["-0.1", ".nan", ".inf", "[1, -1]", "{ linear: { from: 2, to: -1 } }"]),
    ("training.label_smoothing", &["-0.1", "1.1", ".nan"]),
    ("training.gradient_accumulation_steps", &["0", "65537"]),
    ("training.layer_decay", &["0", "1.1", "-1", ".nan"]),
    ("training.phases", &["[{ epochs: 11 }]", "[{ epochs: 6 }, { epochs: 5 }]"]),
    ("training.class_weights", &["{ class_balanced: { beta: 1 } }", "{ class_balanced: { beta: .nan } }"]),
    (
        "training.sampler",
        &["sequential", "{ effective_number: { beta: 1 } }", "{ effective_number: { beta: .nan } }"],
    ),
    ("training.ema.decay", &["-0.1", "1", ".nan"]),
    ("training.early_stopping.patience", &["0"]),
    ("training.early_stopping.min_delta", &["-1", ".nan", ".inf"]),
    ("training.checkpoints.keep_best", &["1001"]),
    ("training.final_weights", &["ema"]),
    ("training.checkpoint_steps", &["0"]),
    ("abstention.answer_risk", &["0", "1", ".nan"]),
    ("abstention.suggest_risk", &["0", "1", ".nan"]),
    ("abstention.delta", &["0", "1", ".nan"]),
    ("evaluation.view", &["mean", "{ member: one }"]),
    ("evaluation.bootstrap_replicates", &["0", "1", "1000001"]),
    ("evaluation.confidence", &["0", "1", ".nan"]),
    ("evaluation.calibration_bins", &["0", "1001"]),
    ("evaluation.operating_sensitivity", &["0", "1.1", "-0.5", ".nan", ".inf"]),
    ("evaluation.operating_specificity", &["0", "1.1", "-0.5", ".nan", ".inf"]),
    ("evaluation.min_subgroup", &["0"]),
];

const FRACTIONS: &str =
    "dataset.split.fractions={ train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 }";

#[test]
fn an_impossible_value_is_named_with_its_key_and_range() {
    for (key, values) in IMPOSSIBLE {
        for value in *values {
            let mut overrides = vec![FRACTIONS];
            if key.starts_with("model.text.") {
                overrides.push("model.text.encoder=minilm_l6_h384");
            }
            let set = format!("{key}={value}");
            let error = with(&[&overrides[..], &[&set]].concat()).unwrap_err();
            let Error::Value { key: got, expected, .. } = &error else { panic!("{key}={value}: {error:?}") };
            assert_eq!(got, key, "{error}");
            assert!(!expected.is_empty());
        }
    }
    let error = with(&[FRACTIONS, "dataset.split.fractions.train=0.5"]).unwrap_err();
    assert!(matches!(error, Error::Value { key: "dataset.split.fractions", .. }), "{error}");
    let error = with(&["dataset.source=ham10000"]).unwrap_err();
    assert!(matches!(error, Error::Value { key: "dataset.root", .. }), "{error}");
    let error = with(&["dataset.root=somewhere"]).unwrap_err();
    assert!(matches!(error, Error::Value { key: "dataset.root", .. }), "{error}");
}

#[test]
fn what_another_crate_refuses_is_named_with_its_section() {
    for (value, section, words) in [
        ("dataset.synthetic.num_lesions=3", "dataset.synthetic", "num_lesions"),
        ("dataset.synthetic.label_noise=.nan", "dataset.synthetic", "label_noise"),
        (
            "model.backbone.resnet={ block: basic, depths: [1], widths: [4, 8], stem: conv3x3 }",
            "model.backbone",
            "depths",
        ),
        ("training.augmentation.quarter_turns=1.5", "training.augmentation", "quarter_turns"),
        ("training.augmentation.vertical_flip=.nan", "training.augmentation", "vertical_flip"),
        (
            "model.text.encoder={ bert: { vocabulary: 9, width: 8, layers: 1, heads: 3, hidden: 8 } }",
            "model.text.encoder",
            "heads",
        ),
        ("conformal.alpha=0", "conformal", "alpha"),
        ("conformal.alpha=.nan", "conformal", "alpha"),
        (
            "conformal.score={ name: raps, randomization: per_row, lambda: -1, k_reg: 2 }",
            "conformal",
            "lambda",
        ),
        ("conformal.conditioning={ cluster: { num_clusters: 0 } }", "conformal", "num_clusters"),
        ("distillation={ teacher: b, temperature: 0 }", "distillation", "temperature"),
        ("distillation={ teacher: b, temperature: .nan }", "distillation", "temperature"),
        ("distillation={ teacher: b, kd_weight: -1 }", "distillation", "kd_weight"),
        ("distillation={ teacher: b, hard_weight: 0, kd_weight: 0 }", "distillation", ""),
        ("distillation={ teacher: b, attention: { weight: .inf } }", "distillation", "attention.weight"),
        (
            "distillation={ teacher: b, terms: [{ loss: rkd, weight: .nan }] }",
            "distillation",
            "terms[0].weight",
        ),
        (
            "distillation={ teacher: b, kd_schedule: { linear: { from: 0, to: 1, end: 1.5 } } }",
            "distillation",
            "kd_schedule.end",
        ),
        (
            "distillation={ teacher: b, terms: [{ loss: { hint: { layers: { pairs: [] } } }, weight: 1 }] }",
            "distillation",
            "terms[0] (hint)",
        ),
    ] {
        let error = with(&[value]).unwrap_err();
        let Error::Section { section: got, .. } = &error else { panic!("{value}: {error:?}") };
        assert_eq!(*got, section, "{error}");
        assert!(error.to_string().contains(words), "{value}: {error}");
    }
}

#[test]
fn a_loss_with_settings_takes_counts_and_weights_from_the_training_rows() {
    let loss = |overrides: &[&str]| with(overrides).unwrap().loss(&[6, 3, 1]);
    let config = |text: &str| serde_json::from_str::<ClassificationLossConfig>(text).unwrap();
    let balanced = "training.class_weights=inverse_frequency";
    for (overrides, expected) in [
        (&["training.loss={ ldam: { scale: 2 } }"][..], r#"{"ldam": {"counts": [6, 3, 1], "scale": 2}}"#),
        (&["training.loss={ ldam: { counts: [1, 2, 3] } }"], r#"{"ldam": {"counts": [1, 2, 3]}}"#),
        (&["training.loss={ logit_adjusted: {} }"], r#"{"logit_adjusted": {"counts": [6, 3, 1]}}"#),
        (&["training.loss={ balanced_softmax: {} }"], r#"{"balanced_softmax": {"counts": [6, 3, 1]}}"#),
        (&["training.loss={ poly1: { epsilon: 2 } }"], r#"{"poly1": {"epsilon": 2}}"#),
        (
            &["training.loss={ cross_entropy: { class_weights: [1, 2, 3] } }"],
            r#"{"cross_entropy": {"class_weights": [1, 2, 3]}}"#,
        ),
    ] {
        assert_eq!(loss(overrides).unwrap(), config(expected), "{overrides:?}");
    }
    // 10 / (3 n_c): mean 1 over the rows.
    for text in [
        "cross_entropy",
        "focal",
        "ldam",
        "deferred_reweighting: { from: 0.8, loss: { focal",
        "cross_entropy:",
    ] {
        let settings = match text {
            "cross_entropy:" => "training.loss=cross_entropy".to_owned(),
            text if text.contains("loss") => format!("training.loss={{ {text}: {{}} }} }} }}"),
            text => format!("training.loss={{ {text}: {{}} }}"),
        };
        let value = serde_json::to_value(loss(&[&settings, balanced]).unwrap()).unwrap().to_string();
        assert!(value.contains("0.5555") && value.contains("1.1111") && value.contains("3.3333"), "{value}");
    }
    assert!(matches!(
        with(&[balanced]).unwrap().loss(&[6, 0, 1]),
        Err(Error::Loss(derm_losses::Error::ZeroCount { .. }))
    ));
    for (overrides, key) in [
        (["training.loss={ poly1: {} }", balanced], "training.class_weights"),
        (["training.loss={ cross_entropy: { class_weights: [1, 2] } }", balanced], "training.class_weights"),
        (["training.loss={ focal: {} }", "training.label_smoothing=0.1"], "training.label_smoothing"),
    ] {
        let error = with(&overrides).unwrap_err();
        assert!(matches!(&error, Error::Value { key: got, .. } if *got == key), "{error}");
    }
    for text in
        ["training.loss={ ldm: {} }", "training.loss={ poly1: { epsilonn: 1 } }", "training.loss=[focal]"]
    {
        let error = with(&[text]).unwrap_err();
        assert!(matches!(error, Error::Key { .. } | Error::UnknownKey { .. }), "{text}: {error}");
        assert!(error.to_string().contains("training.loss"), "{text}: {error}");
    }
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    for (overrides, key) in [
        (
            &["training.sampler=square_root_balanced", "training.class_balanced_sampler=true"][..],
            "training.class_balanced_sampler",
        ),
        (&["training.final_weights=best", "training.checkpoints.keep_best=0"], "training.final_weights"),
        (&["training.phases=[{ epochs: 0 }]"], "training.phases.epochs"),
        (&["training.phases=[{ epochs: 1, learning_rate: 2 }]"], "training.phases.learning_rate"),
    ] {
        let error = with(overrides).unwrap_err();
        assert!(matches!(&error, Error::Value { key: got, .. } if *got == key), "{overrides:?}: {error}");
    }
    let short = with(&["training.class_balanced_sampler=true"]).unwrap().training;
    assert_eq!(short.sample_order(), SampleOrder::ClassBalanced);
    let named = with(&["training.sampler={ effective_number: { beta: 0.99 } }"]).unwrap().training;
    assert_eq!(named.sample_order(), SampleOrder::EffectiveNumber { beta: 0.99 });
    for (text, names) in
        [("backbone", vec!["backbone"]), ("none", vec![]), ("[stem, layer1]", vec!["stem", "layer1"])]
    {
        let recipe = with(&[&format!("training.phases=[{{ epochs: 1, freeze: {text} }}]")]).unwrap();
        assert_eq!(recipe.training.phases[0].freeze.0, names);
    }
}

#[test]
fn a_published_distillation_can_be_written_down() {
    let recipe =
        with(&["distillation={ teacher: b, hard_weight: 0.518, kd_weight: 112.4, temperature: 3.19, \
        terms: [{ loss: rkd, weight: 0.1, schedule: { cosine: { from: 1, to: 0 } } }, \
        { loss: { hint: { layers: pooled } }, weight: 2 }] }"])
        .unwrap();
    let objective = recipe.distillation.as_ref().unwrap().objective();
    assert_eq!((objective.hard_weight, objective.kd_weight, objective.temperature), (0.518, 112.4, 3.19));
    let names: Vec<&str> = objective.terms.iter().map(|term| term.loss.name()).collect();
    assert_eq!(names, ["rkd", "hint"]);
    // a misspelt key within a term is told with its path
    for (terms, words) in [
        ("[{ loss: { kd: { temprature: 2 } }, weight: 1 }]", ["terms[0].loss.kd", "temperature"]),
        ("[{ loss: rdk, weight: 1 }]", ["terms[0].loss", "`rkd`"]),
        ("[{ loss: kd, wieght: 1 }]", ["terms[0]", "`weight`"]),
        ("[{ loss: kd, weight: 1, schedule: { cosin: {} } }]", ["terms[0].schedule", "`cosine`"]),
    ] {
        let error =
            with(&[&format!("distillation={{ teacher: b, terms: {terms} }}")]).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{terms}: {error}");
    }
}

#[test]
fn what_batches_do_not_serve_is_refused() {
    let cache = "distillation={ teacher: b, cache: kept }";
    assert!(with(&[cache]).is_ok());
    for (overrides, words) in [
        (&[cache, "training.batch_mix.mixup_alpha=0.2"][..], "batch_mix"),
        (&[cache, "training.augmentation.blur.probability=0.1"], "flips"),
        (&[cache, "distillation.attention={}"], "layers"),
        (&[cache, "distillation.terms=[{ loss: rkd, weight: 1 }]"], "layers"),
    ] {
        let error = with(overrides).unwrap_err();
        assert!(matches!(error, Error::Value { key: "distillation.cache", .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let dkd = "distillation={ teacher: b, terms: [{ loss: dkd, weight: 1 }] }";
    assert!(with(&[dkd]).is_ok());
    let error = with(&[dkd, "training.batch_mix.cutmix_alpha=1"]).unwrap_err();
    assert!(matches!(&error, Error::DistillationTerm { term, .. } if term == "terms[0] (dkd)"), "{error}");
}

#[test]
fn an_impossible_task_is_named_with_its_key() {
    const SEX: &str = "tasks.sex.labels.column=sex";
    for (overrides, key) in [
        (&["tasks={ diagnosis: { labels: { column: sex } } }"][..], "name"),
        (&["tasks={ two words: { labels: { column: sex } } }"], "name"),
        (&[SEX, "tasks.sex.weight=0"], "weight"),
        (&[SEX, "tasks.sex.weight=-1"], "weight"),
        (&[SEX, "tasks.sex.weight=.nan"], "weight"),
        (&[SEX, "tasks.sex.weight=.inf"], "weight"),
        (&[SEX, "tasks.sex.focal_gamma=-1"], "focal_gamma"),
        (&[SEX, "tasks.sex.label_smoothing=1.1"], "label_smoothing"),
        (&[SEX, "tasks.sex.class_weights={ class_balanced: { beta: 1 } }"], "class_weights"),
        (&[SEX, "tasks.sex.loss={ focal: {} }", "tasks.sex.label_smoothing=0.1"], "label_smoothing"),
    ] {
        let error = with(overrides).unwrap_err();
        let Error::Task { source, .. } = &error else { panic!("{overrides:?}: {error:?}") };
        assert!(matches!(**source, Error::Value { key: got, .. } if got == key), "{overrides:?}: {error}");
        assert!(error.to_string().starts_with("`tasks."), "{error}");
    }
    let error = with(&["tasks.t.weight=1"]).unwrap_err();
    assert!(matches!(error, Error::Data(derm_data::Error::TaskLabels { .. })), "{error}");
    let error = with(&[SEX, "tasks.sex.wieght=1"]).unwrap_err();
    assert!(matches!(&error, Error::UnknownKey { .. }) && error.to_string().contains("`weight`"), "{error}");
    // A task set to nothing is left out.
    assert_eq!(with(&[SEX, "tasks.sex="]).unwrap(), with(&[]).unwrap());
}

/// The keys of a mapping with their paths; a list or an empty value is a leaf.
fn keys(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(&path, value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn the_readme_lists_every_key_with_its_default() {
    // The four shares stand together.
    let shares = "dataset.split.fractions={ train: 0.65, validation: 0.075, calibration: 0.075, test: 0.2 }";
    let overrides = [
        shares,
        "distillation.teacher=bundle",
        "distillation.attention={}",
        "training.ema={}",
        "training.early_stopping={}",
        "model.text.encoder=minilm_l6_h384",
        "tasks.t.labels.column=sex",
    ];
    let recipe = with(&overrides).unwrap();
    let training = TrainingRecipe { ema: None, early_stopping: None, ..recipe.training.clone() };
    let model = ModelRecipe { text: None, ..recipe.model.clone() };
    let tasks = BTreeMap::new();
    assert_eq!(Recipe { distillation: None, model, training, tasks, ..recipe.clone() }, Recipe::default());
    assert_eq!(with(&[shares, "tasks={}"]).unwrap(), Recipe::default());
    let value = serde_json::to_value(&recipe).unwrap();
    let mut known = Vec::new();
    keys("", &value, &mut known);
    let readme = include_str!("../README.md");
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    // A task has any name.
    let listed = |key: &str| key.replace("tasks.t.", "tasks.<name>.");
    let find = |key: &str| rows.iter().find(|row| row[0] == listed(key));
    for key in &known {
        let row = find(key).unwrap_or_else(|| panic!("README.md does not list `{key}`"));
        assert!(row.len() >= 4 && row[1..4].iter().all(|cell| !cell.is_empty()), "`{key}`: {row:?}");
        if row[1] == "required" {
            assert!(["distillation.teacher", "model.text.encoder"].contains(&key.as_str()), "{key}");
            continue;
        }
        if row[1] == "the diagnosis" {
            assert_eq!(key, "tasks.t.labels.column");
            continue;
        }
        // Setting a key to what the README calls its default leaves the recipe as it is.
        let set = if row[1] == "absent" { format!("{key}=") } else { format!("{key}={}", row[1]) };
        let again = with(&[&overrides[..], &[set.as_str()]].concat())
            .unwrap_or_else(|error| panic!("{set}: {error}"));
        assert_eq!(again, recipe, "the default of `{key}` is not {}", row[1]);
    }
    for row in &rows {
        assert!(
            row[0] == "tasks" || known.iter().any(|key| listed(key) == row[0]),
            "README.md lists `{}`, which no recipe has",
            row[0]
        );
    }
    let checked = known.iter().filter(|key| IMPOSSIBLE.iter().any(|(name, _)| name == key)).count();
    assert_eq!(checked, IMPOSSIBLE.len(), "a key in the list of impossible values is no key");
}
