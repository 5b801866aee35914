//! Label mappings: the ready files, what a mapping does to a dataset, and what is no mapping; the summary of a dataset.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fs;

use derm_core::{ClassIndex, LabelMap, SplitRole};
use derm_data::readers::{derm7pt, fitzpatrick17k, ham10000, isic2019, pad_ufes_20};
use derm_data::schema::{Feature, UnknownPolicy};
use derm_data::{
    Answers, Dataset, Error, FeatureSchema, ImageSource, LabelMapping, Record, Skipped, Unmapped,
};

fn record(id: &str, class: usize, patient: &str) -> Record {
    let patient = (!patient.is_empty()).then(|| patient.to_owned());
    Record { patient, ..Record::new(id, ImageSource::Absent, ClassIndex::new(class)) }
}

fn dataset(labels: &[&str], records: Vec<Record>) -> Dataset {
    let skipped = vec![Skipped { key: "gone".to_owned(), reason: "before".to_owned() }];
    let labels = LabelMap::new(labels.iter().copied()).unwrap();
    Dataset::new("made", labels, records, FeatureSchema::empty(), skipped).unwrap()
}

fn parse(text: &str) -> Result<LabelMapping, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.json");
    fs::write(&path, text).unwrap();
    LabelMapping::read(path)
}

fn mapping(unmapped: &str, to: &str, map: &str) -> LabelMapping {
    parse(&format!(
        r#"{{"version": 1, "name": "m", "note": "", "one_way": true, "unmapped": {unmapped}, "to": {to}, "map": {map}}}"#
    ))
    .unwrap()
}

fn ids(dataset: &Dataset) -> Vec<&str> {
    dataset.records().iter().map(|record| record.id.as_str()).collect()
}

#[test]
fn ready_mappings_are_sound_and_cover_their_datasets() {
    let names: Vec<&str> = LabelMapping::ready_names().collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let mapping = LabelMapping::ready(name).unwrap();
        assert_eq!(mapping.name(), name);
        assert!(mapping.one_way() && !mapping.note().is_empty(), "{name}");
        let labels: &[&str] = match name.split_once("_to_").unwrap().0 {
            "ham10000" => &ham10000::LABELS,
            "isic2019" => &isic2019::LABELS,
            "pad_ufes_20" => &pad_ufes_20::LABELS,
            "derm7pt" => &derm7pt::LABELS,
            "fitzpatrick17k" => &fitzpatrick17k::LABELS,
            "scin" => &["Eczema", "Anything else"],
            other => panic!("{other}"),
        };
        for label in labels {
            assert!(mapping.target("made", label).unwrap().is_some(), "{name}: {label}");
        }
        if name.ends_with("to_ham10000") {
            assert_eq!(mapping.labels().names(), ham10000::LABELS);
        }
    }
    let error = LabelMapping::ready("ham").unwrap_err();
    assert!(matches!(&error, Error::UnknownMapping { known, .. } if known.len() == 10), "{error}");
}

fn ready(name: &str) -> LabelMapping {
    LabelMapping::ready(name).unwrap()
}

#[test]
fn malignant_means_the_same_by_every_way() {
    for dataset in ["isic2019", "pad_ufes_20"] {
        let labels: &[&str] = if dataset == "isic2019" { &isic2019::LABELS } else { &pad_ufes_20::LABELS };
        for label in labels {
            let through = ready(&format!("{dataset}_to_ham10000"));
            let through = through.target("", label).unwrap().unwrap();
            let malignant = ready("ham10000_to_malignant");
            let straight = ready(&format!("{dataset}_to_malignant"));
            assert_eq!(
                malignant.target("", through).unwrap(),
                straight.target("", label).unwrap(),
                "{dataset}: {label}"
            );
        }
    }
    // AK and SCC both become akiec, the rest keep what they are.
    let mapping = ready("isic2019_to_ham10000");
    let targets: Vec<_> =
        isic2019::LABELS.iter().map(|label| mapping.target("", label).unwrap().unwrap()).collect();
    assert_eq!(targets, ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc", "akiec"]);
}

#[test]
fn everything_but_the_label_stays() {
    let mut first = record("1", 3, "p");
    first.published_role = Some(SplitRole::Test);
    first.subgroups.insert("sex".to_owned(), "female".to_owned());
    let mapped = LabelMapping::ready("isic2019_to_ham10000")
        .unwrap()
        .apply(&dataset(&isic2019::LABELS, vec![first, record("2", 7, "p"), record("3", 0, "")]))
        .unwrap();
    assert_eq!(mapped.class_counts(), [2, 0, 0, 0, 1, 0, 0]);
    let first = &mapped.records()[0];
    assert_eq!((first.group(), first.published_role), ("p", Some(SplitRole::Test)));
    assert_eq!(first.subgroups["sex"], "female");
    assert_eq!((mapped.name(), mapped.skipped()[0].key.as_str()), ("made, isic2019_to_ham10000", "gone"));
}

#[test]
fn unmapped_labels_are_refused_dropped_or_other() {
    let made = || dataset(&["a", "b", "c"], vec![record("1", 0, ""), record("2", 1, ""), record("3", 2, "")]);
    let error = mapping(r#""refuse""#, r#"["x"]"#, r#"{"a": "x", "b": "x"}"#).apply(&made()).unwrap_err();
    assert!(
        matches!(&error, Error::UnmappedLabel { label, dataset, .. } if label == "c" && dataset == "made"),
        "{error}"
    );
    let dropped = mapping(r#""drop""#, r#"["y", "x"]"#, r#"{"a": "x", "b": "x"}"#).apply(&made()).unwrap();
    assert_eq!((ids(&dropped), dropped.class_counts()), (vec!["1", "2"], vec![0, 2]));
    assert_eq!(dropped.skipped()[1].key, "3");
    let other = mapping(r#"{"other": {"label": "rest"}}"#, r#"["x", "rest"]"#, r#"{"a": "x"}"#);
    assert_eq!(*other.unmapped(), Unmapped::Other { label: "rest".to_owned(), sample: None, seed: 0 });
    assert_eq!(other.apply(&made()).unwrap().class_counts(), [1, 2]);
    let error = mapping(r#""drop""#, r#"["x"]"#, r#"{"z": "x"}"#).apply(&made()).unwrap_err();
    assert!(matches!(&error, Error::EmptyDataset { .. }), "{error}");
}

#[test]
fn soft_labels_add_up() {
    let soft = |label: &[f32]| {
        let class = (0..4).max_by(|&a, &b| label[a].total_cmp(&label[b]).then(b.cmp(&a))).unwrap();
        let record = Record { soft_label: Some(label.to_vec()), ..record("1", class, "") };
        dataset(&["a", "b", "c", "d"], vec![record, self::record("2", 0, "")])
    };
    let result = |mapping: &LabelMapping, label: &[f32]| {
        let mapped = mapping.apply(&soft(label)).unwrap();
        let first = mapped.records()[0].clone();
        (first.id, first.class.get(), first.soft_label)
    };
    // c is the likeliest, and a and b together are likelier.
    let merge = mapping(r#""drop""#, r#"["y", "x"]"#, r#"{"a": "x", "b": "x", "c": "y"}"#);
    assert_eq!(
        result(&merge, &[0.25, 0.25, 0.375, 0.125]),
        ("1".into(), 1, Some(vec![0.375 / 0.875, 0.5 / 0.875]))
    );
    // What is dropped outweighs: the record goes.
    assert_eq!(result(&merge, &[0.25, 0.0, 0.25, 0.5]), ("2".into(), 1, None));
    // As heavy as a target: it stays, with the rest divided by its sum.
    assert_eq!(result(&merge, &[0.25, 0.0, 0.375, 0.375]), ("1".into(), 0, Some(vec![0.6, 0.4])));
    // Of equal targets the first is the class.
    assert_eq!(result(&merge, &[0.5, 0.0, 0.5, 0.0]), ("1".into(), 0, Some(vec![0.5, 0.5])));
    let other = mapping(r#"{"other": {"label": "o"}}"#, r#"["x", "o"]"#, r#"{"a": "x", "b": "x"}"#);
    assert_eq!(result(&other, &[0.25, 0.25, 0.25, 0.25]), ("1".into(), 0, Some(vec![0.5, 0.5])));
    assert_eq!(result(&other, &[0.25, 0.0, 0.375, 0.375]), ("1".into(), 1, Some(vec![0.25, 0.75])));
}

#[test]
fn other_is_sampled_by_whole_groups_and_the_same_again() {
    let mut records = Vec::new();
    for group in 0..40 {
        for image in 0..=group % 4 {
            records.push(record(&format!("{group}_{image}"), 1, &format!("p{group}")));
        }
        records.push(record(&format!("{group}_target"), 0, &format!("p{group}")));
    }
    let sampled = |seed: u64, records: Vec<Record>| {
        let unmapped = format!(r#"{{"other": {{"label": "o", "sample": 25, "seed": {seed}}}}}"#);
        mapping(&unmapped, r#"["x", "o"]"#, r#"{"a": "x"}"#).apply(&dataset(&["a", "b"], records)).unwrap()
    };
    let first = sampled(1, records.clone());
    let [targets, others] = first.class_counts()[..] else { panic!("two classes") };
    // No target is lost; groups have 1 to 4, so that at most 3 places stay free, and here a single image fits.
    assert_eq!((targets, others), (40, 25));
    assert_eq!(first.skipped().len(), 1 + 100 - 25);
    let kept: BTreeSet<&str> = ids(&first).into_iter().filter(|id| !id.ends_with("target")).collect();
    for group in 0..40 {
        let of_group =
            (0..=group % 4).filter(|image| kept.contains(format!("{group}_{image}").as_str())).count();
        assert!(of_group == 0 || of_group == group % 4 + 1, "group {group} is divided");
    }
    let mut backwards = records.clone();
    backwards.reverse();
    let again = sampled(1, backwards);
    assert_eq!(ids(&again).into_iter().collect::<BTreeSet<_>>(), ids(&first).into_iter().collect());
    assert_ne!(ids(&sampled(2, records)), ids(&first));
}

#[test]
fn what_is_no_mapping_is_refused() {
    let file = |one_way: &str, more: &str, to: &str, map: &str| {
        parse(&format!(
            r#"{{"version": 1, "name": "m", "note": "", "one_way": {one_way}, {more} "to": {to}, "map": {map}}}"#
        ))
    };
    for (result, words) in [
        (file("true", "", r#"["x"]"#, r#"{"a": "y"}"#), "\"a\" becomes \"y\", which is not in `to`"),
        (
            file("true", r#""from": ["b"],"#, r#"["x"]"#, r#"{"a": "x", "b": "x"}"#),
            "\"a\" is mapped and is not in `from`",
        ),
        (
            file("true", r#""from": ["a", "b"],"#, r#"["x"]"#, r#"{"a": "x"}"#),
            "\"b\" is in `from` and is not mapped",
        ),
        (
            file("true", r#""unmapped": {"other": {"label": "o"}},"#, r#"["x"]"#, r#"{"a": "x"}"#),
            "\"o\", which is not in `to`",
        ),
        (file("false", "", r#"["x"]"#, r#"{"a": "x", "b": "x"}"#), "`one_way` is false"),
        (file("false", r#""unmapped": "drop","#, r#"["x"]"#, r#"{"a": "x"}"#), "`one_way` is false"),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Mapping { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert!(!file("false", "", r#"["x", "y"]"#, r#"{"a": "x", "b": "y"}"#).unwrap().one_way());
    for (result, words) in [
        (file("true", r#""colour": 1,"#, r#"["x"]"#, r#"{"a": "x"}"#), "colour"),
        (file("true", r#""unmapped": "keep","#, r#"["x"]"#, r#"{"a": "x"}"#), "keep"),
        (file("true", r#""unmapped": {"other": {"label": "x", "sampel": 1}},"#, r#"["x"]"#, "{}"), "sampel"),
        (file("true", "", r#"["x", "x"]"#, r#"{"a": "x"}"#), "both named"),
        (file("true", "", r#"["x", "y"]"#, r#"{"a": "x", "a": "y"}"#), "\"a\" is mapped twice"),
        (parse("{"), "EOF"),
        (parse(r#"{"name": "m", "note": "", "one_way": true, "to": ["x"], "map": {}}"#), "version"),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Format { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let error = parse(r#"{"version": 2, "later": true}"#).unwrap_err();
    assert!(matches!(&error, Error::Version { got: 2, expected: 1, .. }), "{error}");
    let error = LabelMapping::read("/nowhere/mapping.json").unwrap_err();
    assert!(matches!(&error, Error::File(_)), "{error}");
}

#[test]
fn a_summary_counts_classes_groups_answers_and_reasons() {
    let schema = FeatureSchema::builder("s", "1")
        .feature(Feature::numeric("age", "Age?", "years", 0.0, 120.0))
        .feature(Feature::boolean("itch", "Itch?", UnknownPolicy::Missing))
        .build()
        .unwrap();
    let answered = |id: &str, class, patient: &str, answers: &[(&str, &str)]| {
        let answers: Answers =
            answers.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        Record { answers, ..record(id, class, patient) }
    };
    let records = vec![
        answered("1", 0, "p", &[("age", "40"), ("itch", "unknown")]),
        answered("2", 0, "p", &[("age", "40"), ("itch", "yes")]),
        answered("3", 1, "", &[]),
    ];
    let cell = |line, id: &str| Skipped {
        key: id.to_owned(),
        reason: Error::Cell {
            path: "/data/t.csv".into(),
            line,
            column: "sex".to_owned(),
            value: "x".to_owned(),
            expected: "one of [\"f\", \"m\"]".to_owned(),
        }
        .to_string(),
    };
    let image = |line, id: &str| Skipped {
        key: id.to_owned(),
        reason: Error::MissingImage {
            path: "/data/t.csv".into(),
            line,
            id: id.to_owned(),
            folders: vec!["/data/images".into()],
        }
        .to_string(),
    };
    let repeated = |line, id: &str, first| Skipped {
        key: id.to_owned(),
        reason: Error::DuplicateRow { path: "/data/t.csv".into(), line, id: id.to_owned(), first }
            .to_string(),
    };
    let decode = |id: &str| Skipped {
        key: id.to_owned(),
        reason: Error::Decode { path: format!("/data/{id}.jpg").into(), reason: "it ends early".to_owned() }
            .to_string(),
    };
    let skipped = vec![
        image(2, "a"),
        cell(5, "b"),
        image(13, "c"),
        decode("d"),
        image(4, "e"),
        decode("f"),
        repeated(9, "g", 3),
        repeated(19, "h", 13),
    ];
    let labels = LabelMap::new(["nevus", "mel", "none"]).unwrap();
    let summary = Dataset::new("made", labels, records, schema, skipped).unwrap().summary();
    assert_eq!((summary.records, summary.images, summary.groups, summary.patients), (3, 0, 2, 1));
    assert_eq!((summary.cases, summary.lesions, summary.soft_labels), (3, 3, 0));
    let classes: Vec<_> =
        summary.classes.iter().map(|class| (class.label.as_str(), class.records, class.groups)).collect();
    assert_eq!(classes, [("nevus", 2, 1), ("mel", 1, 1), ("none", 0, 0)]);
    let missing: Vec<_> =
        summary.answers.iter().map(|answer| (answer.feature.as_str(), answer.missing)).collect();
    assert_eq!(missing, [("age", 1), ("itch", 2)]);
    assert!((summary.answers[1].missing_share - 2.0 / 3.0).abs() < 1e-12);
    let reasons: Vec<_> = summary
        .skipped
        .iter()
        .map(|skipped| (skipped.count, skipped.reason.as_str(), skipped.example.as_str()))
        .collect();
    let expected = [
        (3, "image … is missing; looked in [\"/data/images\"]", "a"),
        (2, "image … stands in line … already", "g"),
        (2, "not a readable image: it ends early", "d"),
        (1, "column `sex`: \"x\"; expected one of [\"f\", \"m\"]", "b"),
    ];
    assert_eq!(reasons, expected);
    let expected = "\
made: 3 records (0 with an image, 0 with a soft label)
2 groups, 1 known patients, 3 cases, 3 lesions

class  records  share  groups
nevus        2  0.667       1
mel          1  0.333       1
none         0  0.000       0

answer  missing  share
age           1  0.333
itch          2  0.667

left out
3  image … is missing; looked in [\"/data/images\"] (such as a)
2  image … stands in line … already (such as g)
2  not a readable image: it ends early (such as d)
1  column `sex`: \"x\"; expected one of [\"f\", \"m\"] (such as b)
";
    assert_eq!(summary.to_string(), expected);
}
