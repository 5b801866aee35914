//! Labels for further tasks: where they come from, and how they reach batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use derm_core::{ClassIndex, Interpolation, LabelMap, Normalization, Targets};
use derm_data::{
    Batch, BatchMix, Dataset, Error, FeatureSchema, HostTargets, ImageSource, LabelMapping, Loader,
    LoaderConfig, Questionnaire, Record, Resize, ResizeRule, RgbPixels, SampleOrder, Sampler, Samples,
    StoredPixels, TaskLabels, UnreadablePolicy,
};

/// Six records of three diagnoses, with a site each; the third has none and the fifth an unknown one.
fn dataset() -> Dataset {
    let rows =
        [("mel", "back"), ("nv", "face"), ("nv", ""), ("bcc", "scalp"), ("mel", "unknown"), ("nv", "back")];
    let labels = LabelMap::new(["bcc", "mel", "nv"]).unwrap();
    let record = |(number, (class, site)): (usize, &(&str, &str))| {
        let pixels = RgbPixels::new(4, 4, vec![(40 * number) as u8; 48]).unwrap();
        let class = labels.class_index(class).unwrap();
        let subgroups = match *site {
            "" => BTreeMap::new(),
            site => BTreeMap::from([("site".to_owned(), site.to_owned())]),
        };
        Record { subgroups, ..Record::new(format!("r{number}"), ImageSource::Rgb(Arc::new(pixels)), class) }
    };
    let records = rows.iter().enumerate().map(record).collect();
    Dataset::new("made", labels.clone(), records, FeatureSchema::empty(), Vec::new()).unwrap()
}

fn labels(text: &str) -> TaskLabels {
    serde_json::from_str(text).unwrap()
}

fn classes(dataset: &Dataset, task: &str) -> Vec<Option<usize>> {
    dataset.records().iter().map(|record| record.tasks.get(task).map(|class| class.get())).collect()
}

const SITES: &str = r#"{"column": "site"}"#;
const MALIGNANCY: &str = r#"{"groups": {"malignant": ["mel", "bcc"], "benign": ["nv"]}}"#;

#[test]
fn a_column_or_merged_diagnoses_give_the_classes() {
    for (text, names, expected) in [
        (SITES, &["back", "face", "scalp"][..], [Some(0), Some(1), None, Some(2), None, Some(0)]),
        (
            r#"{"column": "site", "classes": ["scalp", "face", "back"]}"#,
            &["scalp", "face", "back"],
            [Some(2), Some(1), None, Some(0), None, Some(2)],
        ),
        (
            r#"{"column": "site", "classes": ["unknown", "back"], "unlisted": "unlabelled"}"#,
            &["unknown", "back"],
            [Some(1), None, None, None, Some(0), Some(1)],
        ),
        (
            r#"{"column": "site", "groups": {"head": ["face", "scalp"], "trunk": ["back", "chest"]}}"#,
            &["head", "trunk"],
            [Some(1), Some(0), None, Some(0), None, Some(1)],
        ),
        (MALIGNANCY, &["benign", "malignant"], [Some(1), Some(0), Some(0), Some(1), Some(1), Some(0)]),
        (
            r#"{"groups": {"b": ["nv"], "a": ["mel"]}, "classes": ["b", "a"], "unlisted": "unlabelled"}"#,
            &["b", "a"],
            [Some(1), Some(0), Some(0), None, Some(1), Some(0)],
        ),
    ] {
        let labelled = dataset().label_task("t", &labels(text)).unwrap();
        assert_eq!(labelled.tasks()["t"].names(), names, "{text}");
        assert_eq!(classes(&labelled, "t"), expected, "{text}");
    }
    // An answer, where no subgroup column has the name; labelled again, the labels are the new ones alone.
    let mut records = dataset().records().to_vec();
    for (number, record) in records.iter_mut().enumerate().skip(1) {
        record.answers.insert("sex".to_owned(), ["male", "female"][number % 2].to_owned());
    }
    let schema = derm_data::schema::ham10000().unwrap();
    let answered = Dataset::new("made", dataset().labels().clone(), records, schema, Vec::new()).unwrap();
    let answered = answered.label_task("t", &labels(MALIGNANCY)).unwrap();
    let answered = answered.label_task("t", &labels(r#"{"column": "sex"}"#)).unwrap();
    assert_eq!(classes(&answered, "t"), [None, Some(0), Some(1), Some(0), Some(1), Some(0)]);
    assert_eq!(answered.task_counts_of("t", &[0, 1, 2, 3]).unwrap(), [2, 1]);
    assert!(matches!(answered.task_counts_of("u", &[0]), Err(Error::UnknownTask { .. })));
    assert!(matches!(answered.task_counts_of("t", &[9]), Err(Error::RecordOutOfRange { .. })));
}

#[test]
fn a_distribution_of_diagnoses_has_the_heaviest_group() {
    let mut records = dataset().records().to_vec();
    // bcc and mel together outweigh nv, which is heaviest alone.
    (records[0].class, records[0].soft_label) = (ClassIndex::new(2), Some(vec![0.3, 0.3, 0.4]));
    (records[1].class, records[1].soft_label) = (ClassIndex::new(2), Some(vec![0.25, 0.25, 0.5]));
    let made = Dataset::new("made", dataset().labels().clone(), records, FeatureSchema::empty(), Vec::new());
    let made = made.unwrap();
    let both = made.clone().label_task("t", &labels(MALIGNANCY)).unwrap();
    assert_eq!(classes(&both, "t")[..2], [Some(1), Some(0)]);
    // 0.4 and 0.5 lie in no group, and outweigh each of the two.
    let text = r#"{"groups": {"a": ["bcc"], "b": ["mel"]}, "unlisted": "unlabelled"}"#;
    assert_eq!(classes(&made.label_task("t", &labels(text)).unwrap(), "t")[..2], [None, None]);
}

#[test]
fn impossible_labels_are_refused() {
    for (text, expected) in [
        ("{}", "neither a column nor groups"),
        (
            r#"{"groups": {"a": ["mel", "nv"], "b": ["bcc", "nv"]}}"#,
            "\"nv\" stands in \"a\" and again in \"b\"",
        ),
        (r#"{"groups": {"a": ["mel"], "b": []}}"#, "\"b\" takes no value"),
        (r#"{"column": "site", "classes": ["back", "back"]}"#, "stands twice"),
        (r#"{"groups": {"a": ["mel"], "b": ["nv"]}, "classes": ["a", "c"]}"#, "expected the groups"),
    ] {
        let error = dataset().label_task("t", &labels(text)).unwrap_err();
        assert!(matches!(error, Error::TaskLabels { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let fails = |text: &str| dataset().label_task("t", &labels(text)).unwrap_err();
    assert!(matches!(
        fails(r#"{"groups": {"a": ["mel", "nv", "bcc"]}}"#),
        Error::TaskClasses { classes: 1, .. }
    ));
    assert!(matches!(
        fails(r#"{"column": "site", "classes": ["back"]}"#),
        Error::TaskClasses { classes: 1, .. }
    ));
    let error = fails(r#"{"column": "sites"}"#);
    assert!(matches!(&error, Error::UnknownTaskColumn { known, .. } if known == &["site"]), "{error}");
    let error = fails(r#"{"groups": {"a": ["mel", "nevus"], "b": ["bcc"]}}"#);
    assert!(matches!(&error, Error::UnknownTaskValue { value, .. } if value == "nevus"), "{error}");
    let error = fails(r#"{"groups": {"a": ["mel"], "b": ["nv"]}}"#);
    assert!(matches!(&error, Error::UnlistedDiagnosis { diagnosis, .. } if diagnosis == "bcc"), "{error}");
    let error = fails(r#"{"column": "site", "classes": ["back", "face"]}"#);
    assert!(matches!(&error, Error::UnlistedTaskValue { value, id, .. } if value == "scalp" && id == "r3"));
    let one = Record {
        subgroups: BTreeMap::from([("site".to_owned(), "back".to_owned())]),
        ..Record::new("a", ImageSource::Absent, ClassIndex::new(0))
    };
    let alone =
        Dataset::new("made", dataset().labels().clone(), vec![one], FeatureSchema::empty(), Vec::new());
    let error = alone.unwrap().label_task("t", &labels(SITES)).unwrap_err();
    assert!(matches!(error, Error::TaskClasses { classes: 1, .. }), "{error}");
    // A class that the task does not have.
    let labelled = dataset().label_task("t", &labels(SITES)).unwrap();
    let two = BTreeMap::from([("t".to_owned(), LabelMap::new(["a", "b"]).unwrap())]);
    let error = labelled.with_tasks(two).unwrap_err();
    assert!(matches!(&error, Error::Record { id, .. } if id == "r3"), "{error}");
    assert!(serde_json::from_str::<TaskLabels>(r#"{"colum": "site"}"#).is_err());
}

#[test]
fn other_diagnoses_leave_the_tasks_as_they_are() {
    let labelled = dataset().label_task("t", &labels(SITES)).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = r#"{"version": 1, "name": "two", "note": "", "one_way": true, "to": ["a", "b"],
        "map": {"bcc": "a", "mel": "a", "nv": "b"}}"#;
    std::fs::write(file.path(), text).unwrap();
    let mapped = LabelMapping::read(file.path()).unwrap().apply(&labelled).unwrap();
    assert_eq!(mapped.tasks(), labelled.tasks());
    assert_eq!(classes(&mapped, "t"), classes(&labelled, "t"));
}

fn loader(dataset: &mut Dataset, mix: BatchMix) -> Loader {
    let resize = Resize::new(4, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let cache = dataset.load_pixels(resize, StoredPixels::Resized, UnreadablePolicy::Fail, 1 << 20).unwrap();
    let samples = Samples::new(dataset, Arc::new(cache), Normalization::HALF, Questionnaire::Ignore).unwrap();
    let indices: Vec<usize> = (0..dataset.records().len()).collect();
    let sampler =
        Sampler::new(indices.clone(), &dataset.classes(&indices).unwrap(), SampleOrder::Sequential, 1);
    let config = LoaderConfig { batch_size: 6, ..LoaderConfig::default() };
    Loader::new(samples, sampler.unwrap(), None, config).unwrap().with_mix(mix).unwrap()
}

#[test]
fn a_batch_has_the_labelled_rows_of_each_task() {
    let mut data = dataset().label_task("site", &labels(SITES)).unwrap();
    data = data.label_task("malignancy", &labels(MALIGNANCY)).unwrap();
    let host = loader(&mut data, BatchMix::default()).epoch(0).next().unwrap().unwrap();
    let names: Vec<&str> = host.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["malignancy", "site"]);
    assert_eq!(host.tasks[1].rows, [0, 1, 3, 5]);
    assert_eq!(host.tasks[1].targets, HostTargets::Classes(vec![0, 1, 2, 0]));
    let batch = Batch::to_device(host.clone(), &Device::default()).unwrap();
    let values = |rows: &Tensor<1, Int>| rows.clone().into_data().iter::<i64>().collect::<Vec<_>>();
    let site = batch.task("site").unwrap();
    assert_eq!(values(&site.rows), [0, 1, 3, 5]);
    let Targets::Hard(targets) = &site.targets else { panic!("{:?}", site.targets) };
    assert_eq!(values(targets), [0, 1, 2, 0]);
    assert_eq!(batch.task("malignancy").unwrap().targets.num_samples(), 6);
    assert!(batch.task("age").is_none());
    // A task without a labelled row is not there.
    let mut host = host;
    host.tasks[1].rows.clear();
    host.tasks[1].targets = HostTargets::Classes(Vec::new());
    assert!(Batch::to_device(host, &Device::default()).unwrap().task("site").is_none());
}

#[test]
fn mixed_pictures_have_mixed_labels_where_both_have_one() {
    let mut data = dataset().label_task("site", &labels(SITES)).unwrap();
    let mix = BatchMix { mixup_alpha: 1.0, ..BatchMix::default() };
    let host = loader(&mut data, mix).epoch(0).next().unwrap().unwrap();
    let HostTargets::Distributions(of_class) = &host.targets else { panic!("{:?}", host.targets) };
    // Row 0 is mel, mixed with row 5, which is nv: its weight on mel is λ.
    let lambda = of_class[1];
    assert!(lambda > 0.0 && lambda < 1.0 && (of_class[2] - (1.0 - lambda)).abs() < 1e-6);
    // Rows 2 and 4 have no site, so that neither they nor their partners 3 and 1 are labelled.
    assert_eq!(host.tasks[0].rows, [0, 5]);
    let HostTargets::Distributions(rows) = &host.tasks[0].targets else { panic!("{:?}", host.tasks) };
    assert_eq!(rows, &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    Batch::to_device(host, &Device::default()).unwrap();

    // Rows 1 and 4 are both labelled for malignancy, as nv and mel.
    let mut data = dataset().label_task("m", &labels(MALIGNANCY)).unwrap();
    let host = loader(&mut data, mix).epoch(0).next().unwrap().unwrap();
    assert_eq!(host.tasks[0].rows, [0, 1, 2, 3, 4, 5]);
    let HostTargets::Distributions(rows) = &host.tasks[0].targets else { panic!("{:?}", host.tasks) };
    for (row, (benign, malignant)) in [(0, (1.0 - lambda, lambda)), (1, (lambda, 1.0 - lambda))] {
        assert!(
            (rows[2 * row] - benign).abs() < 1e-6 && (rows[2 * row + 1] - malignant).abs() < 1e-6,
            "{rows:?}"
        );
    }

    // A batch that is left as it is keeps every label.
    let mut data = dataset().label_task("site", &labels(SITES)).unwrap();
    let rare = BatchMix { mixup_alpha: 1.0, probability: 1e-9, ..BatchMix::default() };
    let host = loader(&mut data, rare).epoch(0).next().unwrap().unwrap();
    assert_eq!(host.tasks[0].rows, [0, 1, 3, 5]);
    assert!(matches!(&host.tasks[0].targets, HostTargets::Distributions(rows) if rows.len() == 12));
}
