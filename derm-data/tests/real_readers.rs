//! Readers on the publishers' own rows. `DERM_DATA_DIR` names the folder that holds them, one folder a dataset. The
//! counts were taken with pandas.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use derm_data::readers::{Source, folders};
use derm_data::{Dataset, DatasetSummary, LabelMapping, ReadPolicy, Record};

fn root(folder: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("DERM_DATA_DIR").expect("DERM_DATA_DIR names the data folder"))
        .join(folder)
}

fn table(source: &Source, folder: &str) -> Dataset {
    source.read(root(folder), ReadPolicy::TABLE_ONLY).unwrap()
}

fn missing(summary: &DatasetSummary) -> BTreeMap<&str, usize> {
    summary.answers.iter().map(|answer| (answer.feature.as_str(), answer.missing)).collect()
}

fn subgroup<'a>(dataset: &'a Dataset, name: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for record in dataset.records() {
        *counts.entry(record.subgroups[name].as_str()).or_default() += 1;
    }
    counts
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn ham10000() {
    let dataset = Source::Ham10000.read(root("ham10000"), ReadPolicy::STRICT).unwrap();
    let summary = dataset.summary();
    assert_eq!((summary.records, summary.images, summary.groups), (8511, 8511, 6350));
    assert_eq!(missing(&summary), BTreeMap::from([("age", 52), ("localization", 197), ("sex", 53)]));
    let mapped = LabelMapping::ready("ham10000_to_malignant").unwrap().apply(&dataset).unwrap();
    assert_eq!(mapped.class_counts(), [948 + 95 + 5703 + 119, 272 + 442 + 932]);
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn ham10000_as_a_table_of_ones_own() {
    let layout = r#"{"csv": {
        "table": "HAM10000_metadata.csv", "images": {"folder": "images", "column": "image_id", "extension": "jpg"},
        "label": {"column": "dx"}, "lesion": "lesion_id", "schema": {"ready": "ham10000"},
        "answers": {"age": "age", "sex": "sex", "localization": "localization"}}}"#;
    let source: Source = serde_json::from_str(layout).unwrap();
    let own = source.read(root("ham10000"), ReadPolicy::STRICT).unwrap();
    let ready = Source::Ham10000.read(root("ham10000"), ReadPolicy::STRICT).unwrap();
    assert_eq!(own.labels(), ready.labels());
    for (own, ready) in own.records().iter().zip(ready.records()) {
        assert_eq!(
            (&own.id, own.class, own.group(), &own.case),
            (&ready.id, ready.class, ready.group(), &ready.case)
        );
        assert_eq!(own.answers, ready.answers);
    }
    let images = folders::read(root("ham10000"), ReadPolicy::STRICT).unwrap();
    assert_eq!((images.labels().names(), images.records().len()), (["images".to_owned()].as_slice(), 8511));
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn isic2019() {
    let dataset = table(&Source::Isic2019, "isic2019");
    assert_eq!(dataset.class_counts(), [195, 805, 0, 0, 0, 0, 0, 0]);
    let summary = dataset.summary();
    assert_eq!((summary.groups, summary.patients), (1000, 0));
    let expected = BTreeMap::from([("age_approx", 230), ("anatom_site_general", 333), ("sex", 217)]);
    assert_eq!(missing(&summary), expected);
    assert!(dataset.skipped().is_empty());
    let mapped = LabelMapping::ready("isic2019_to_ham10000").unwrap().apply(&dataset).unwrap();
    assert_eq!(mapped.class_counts(), [0, 0, 0, 0, 195, 805, 0]);
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn isic2020() {
    let dataset = table(&Source::Isic2020, "isic2020");
    assert_eq!(dataset.class_counts(), [983, 17]);
    let summary = dataset.summary();
    assert_eq!((summary.groups, summary.patients, summary.classes[1].groups), (662, 662, 17));
    let expected = BTreeMap::from([("age_approx", 5), ("anatom_site_general", 17), ("sex", 4)]);
    assert_eq!(missing(&summary), expected);
    let expected =
        [("lentigo NOS", 1), ("melanoma", 17), ("nevus", 153), ("seborrheic keratosis", 2), ("unknown", 827)];
    assert_eq!(subgroup(&dataset, "diagnosis"), BTreeMap::from(expected));
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn fitzpatrick17k() {
    let dataset = table(&Source::Fitzpatrick17k, "fitzpatrick17k");
    assert_eq!(dataset.records().len(), 999);
    let skipped = &dataset.skipped()[0];
    assert_eq!((dataset.skipped().len(), skipped.key.as_str()), (1, "3c421aa1b1d94df229df3c6ae9a4530a"));
    assert!(skipped.reason.contains("3 Wrongly labelled"), "{}", skipped.reason);
    assert!(dataset.class_counts().iter().all(|&count| count > 0), "each of the 114 conditions is there");
    let count = |label: &str| dataset.class_counts()[dataset.labels().class_index(label).unwrap().get()];
    assert_eq!([count("psoriasis"), count("acne vulgaris"), count("squamous cell carcinoma")], [43, 32, 29]);
    let types = [("1", 222), ("2", 335), ("3", 184), ("4", 139), ("5", 56), ("6", 32), ("unknown", 31)];
    assert_eq!(subgroup(&dataset, "fitzpatrick_scale"), BTreeMap::from(types));
    // The mappings are what the columns of the table say.
    for (mapping, column) in
        [("fitzpatrick17k_to_nine", "nine_partition"), ("fitzpatrick17k_to_three", "three_partition")]
    {
        let mapped = LabelMapping::ready(mapping).unwrap().apply(&dataset).unwrap();
        for record in mapped.records() {
            assert_eq!(mapped.labels().name(record.class), Some(record.subgroups[column].as_str()));
        }
    }
    let mapped = LabelMapping::ready("fitzpatrick17k_to_three").unwrap().apply(&dataset).unwrap();
    assert_eq!(mapped.class_counts(), [143, 128, 728]);
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn derm7pt() {
    let dataset = table(&Source::Derm7pt, "derm7pt");
    let counts = [42, 28, 399, 13, 17, 33, 20, 24, 1, 53, 64, 102, 28, 4, 16, 8, 6, 79, 45, 29];
    assert_eq!(dataset.class_counts(), counts);
    assert_eq!(dataset.summary().groups, 1011);
    assert!(dataset.records().iter().all(|record| record.answers.len() == 7));
    let mapped = LabelMapping::ready("derm7pt_to_five").unwrap().apply(&dataset).unwrap();
    assert_eq!(mapped.class_counts(), [42, 575, 252, 97, 45]);
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn pad_ufes_20() {
    let dataset = table(&Source::PadUfes20, "pad_ufes20");
    assert_eq!(dataset.class_counts(), [3, 4, 0, 1, 0, 1]);
    let summary = dataset.summary();
    assert_eq!((summary.patients, summary.lesions), (9, 9));
    let missing = missing(&summary);
    assert_eq!(missing.len(), 21);
    for (feature, count) in missing {
        let asked = ["age", "region", "itch", "grew", "hurt", "changed", "bleed", "elevation"];
        assert_eq!(count, if asked.contains(&feature) { 0 } else { 5 }, "{feature}");
    }
    assert_eq!(subgroup(&dataset, "biopsed"), BTreeMap::from([("False", 5), ("True", 4)]));
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn uci_dermatology() {
    let dataset = Source::UciDermatology.read(root("uci_dermatology"), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.class_counts(), [112, 61, 72, 49, 52, 20]);
    let summary = dataset.summary();
    let missing: Vec<_> = summary.answers.iter().filter(|answer| answer.missing > 0).collect();
    assert_eq!((missing.len(), missing[0].feature.as_str(), missing[0].missing), (1, "age", 8));
    let patients: BTreeSet<&str> = dataset.records().iter().map(Record::group).collect();
    assert_eq!(patients.len(), 366);
    // The first row of the file: 2,2,0,3,…,1,0,55,2.
    let first = &dataset.records()[0];
    let answer = |name: &str| first.answers[name].as_str();
    assert_eq!(
        [answer("erythema"), answer("definite borders"), answer("itching"), answer("age")],
        ["2", "0", "3", "55"]
    );
    assert_eq!((answer("inflammatory monoluclear inflitrate"), answer("band-like infiltrate")), ("1", "0"));
}
