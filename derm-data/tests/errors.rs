//! Bad input: each kind gives one clear error that names what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use derm_core::{ClassIndex, Interpolation, LabelMap, Normalization, SplitRole};
use derm_data::schema;
use derm_data::{
    Answers, Augmentation, Batch, Dataset, EmptyClassPolicy, Error, ImageSource, Loader, LoaderConfig,
    Normalizer, PixelCache, Questionnaire, ReadPolicy, Record, Resize, ResizeRule, RgbPixels, SampleOrder,
    Sampler, Samples, Split, SplitConfig, SplitFractions, SyntheticConfig, UnreadablePolicy, decode_bytes,
    decode_file, readers::ham10000,
};

const HEADER: &str = "lesion_id,image_id,dx,dx_type,age,sex,localization\n";

/// A HAM10000 folder with these rows and an image for each named id.
fn ham(rows: &str, images: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(ham10000::METADATA), format!("{HEADER}{rows}")).unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    for id in images {
        let path = folder.path().join("images").join(format!("{id}.jpg"));
        image::RgbImage::from_pixel(8, 6, image::Rgb([120, 80, 60])).save(path).unwrap();
    }
    folder
}

fn read(rows: &str, images: &[&str]) -> Result<Dataset, Error> {
    ham10000::read(ham(rows, images).path(), ReadPolicy::STRICT)
}

#[test]
fn good_metadata_is_read() {
    let rows =
        "L1,A,nv,histo,80.0,male,scalp\nL1,B,nv,histo,80.0,male,scalp\nL2,C,mel,consensus,,unknown,unknown\n";
    let dataset = read(rows, &["A", "B", "C"]).unwrap();
    assert_eq!(dataset.class_counts(), [0, 0, 0, 0, 1, 2, 0]);
    assert_eq!(dataset.records()[0].group(), "L1");
    assert_eq!(dataset.records()[0].answers["age"], "80.0");
    assert_eq!(dataset.records()[0].subgroups["age_band"], "70_and_over");
    assert!(dataset.records()[2].answers.is_empty());
    assert_eq!(dataset.records()[2].subgroups["sex"], "unknown");
    let row = dataset.schema().encode(&dataset.records()[2].answers).unwrap();
    assert_eq!(row.iter().sum::<f32>(), 3.0, "three missing answers");
}

#[test]
fn the_published_two_part_layout_is_read() {
    let folder = ham("L1,A,nv,histo,80.0,male,scalp\nL2,B,mel,histo,50.0,female,back\n", &["A", "B"]);
    let root = folder.path();
    fs::rename(root.join(ham10000::METADATA), root.join("HAM10000_metadata")).unwrap();
    for (part, id) in [("HAM10000_images_part_1", "A"), ("HAM10000_images_part_2", "B")] {
        fs::create_dir(root.join(part)).unwrap();
        fs::rename(root.join(format!("images/{id}.jpg")), root.join(format!("{part}/{id}.jpg"))).unwrap();
    }
    let mut dataset = ham10000::read(root, ReadPolicy::STRICT).unwrap();
    dataset.verify_images(UnreadablePolicy::Fail).unwrap();
    assert_eq!(dataset.records().len(), 2);
}

#[test]
fn a_label_outside_the_map_names_line_and_labels() {
    let error =
        read("L1,A,nv,histo,80.0,male,scalp\nL2,B,scc,histo,80.0,male,scalp\n", &["A", "B"]).unwrap_err();
    let Error::Cell { line: 3, column, value, expected, path } = &error else { panic!("{error}") };
    assert_eq!((column.as_str(), value.as_str()), ("dx", "scc"));
    assert!(expected.contains("vasc") && path.ends_with(ham10000::METADATA));
}

#[test]
fn malformed_metadata_names_line_and_column() {
    let cases = [
        ("L1,A,nv,histo,eighty,male,scalp\n", "age"),
        ("L1,A,nv,histo,NaN,male,scalp\n", "age"),
        ("L1,A,nv,histo,-3,male,scalp\n", "age"),
        ("L1,A,nv,histo,80.0,man,scalp\n", "sex"),
        ("L1,A,nv,histo,80.0,male,moon\n", "localization"),
        (",A,nv,histo,80.0,male,scalp\n", "lesion_id"),
        ("L1,,nv,histo,80.0,male,scalp\n", "image_id"),
        ("L1,A,,histo,80.0,male,scalp\n", "dx"),
    ];
    for (row, expected) in cases {
        let error = read(row, &["A"]).unwrap_err();
        assert!(
            matches!(&error, Error::Cell { line: 2, column, .. } if column == expected),
            "{row}: {error}"
        );
    }
    let error = read("L0,B,nv,histo,80.0,male,scalp\nL1,A,nv\n", &["A", "B"]).unwrap_err();
    assert!(matches!(&error, Error::Row { line: 3, .. }), "{error}");
}

#[test]
fn a_missing_column_is_named() {
    let folder = ham("", &[]);
    fs::write(folder.path().join(ham10000::METADATA), "lesion_id,image_id,dx_type,age,sex,localization\n")
        .unwrap();
    let error = ham10000::read(folder.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Column { column, .. } if column == "dx"), "{error}");
}

#[test]
fn missing_metadata_and_empty_metadata_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = ham10000::read(folder.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::File(file) if file.path.ends_with(ham10000::METADATA)), "{error}");
    let error = read("", &[]).unwrap_err();
    assert!(matches!(&error, Error::EmptyDataset { .. }), "{error}");
    fs::write(folder.path().join(ham10000::METADATA), "").unwrap();
    let error = ham10000::read(folder.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Column { .. }), "{error}");
}

#[test]
fn a_row_twice_names_both_lines() {
    let rows = "L1,A,nv,histo,80.0,male,scalp\nL1,A,nv,histo,80.0,male,scalp\n";
    let error = read(rows, &["A"]).unwrap_err();
    assert!(matches!(&error, Error::DuplicateRow { line: 3, first: 2, id, .. } if id == "A"), "{error}");
}

#[test]
fn a_row_without_its_image_stops_or_is_skipped() {
    let rows = "L1,A,nv,histo,80.0,male,scalp\nL2,B,nv,histo,80.0,male,scalp\n";
    let error = read(rows, &["A"]).unwrap_err();
    assert!(matches!(&error, Error::MissingImage { line: 3, id, .. } if id == "B"), "{error}");
    let dataset = ham10000::read(ham(rows, &["A"]).path(), ReadPolicy::SKIP).unwrap();
    assert_eq!((dataset.records().len(), dataset.skipped().len()), (1, 1));
    assert_eq!(dataset.skipped()[0].key, "B");
    assert!(dataset.skipped()[0].reason.contains("line 3"), "{}", dataset.skipped()[0].reason);
}

#[test]
fn what_is_no_image_does_not_decode() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.jpg");
    image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]))
        .save(&whole)
        .unwrap();
    let bytes = fs::read(&whole).unwrap();
    let png = folder.path().join("whole.png");
    image::RgbImage::from_pixel(9, 9, image::Rgb([1, 2, 3])).save(&png).unwrap();
    let png_bytes = fs::read(&png).unwrap();
    for (name, content) in [
        ("empty.jpg", &bytes[..0]),
        ("text.jpg", &b"<html>not found</html>"[..]),
        ("header.jpg", &bytes[..bytes.len().min(40)]),
        ("half.jpg", &bytes[..bytes.len() / 2]),
        ("almost.jpg", &bytes[..bytes.len() - 2]),
        ("cut.png", &png_bytes[..png_bytes.len() - 25]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let error = decode_file(&path).unwrap_err();
        assert!(matches!(&error, Error::Decode { path, .. } if path.ends_with(name)), "{name}: {error}");
    }
    let mut trailing = bytes.clone();
    trailing.extend_from_slice(b"appended by a camera");
    assert!(decode_bytes(&trailing, "trailing.jpg").is_ok());
    // A wrong extension is no error: the content tells.
    let disguised = folder.path().join("really_png.jpg");
    fs::copy(&png, &disguised).unwrap();
    assert_eq!(decode_file(&disguised).unwrap().width(), 9);
    // A folder in the place of a file.
    let error = decode_file(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::File(file) if file.action == "read"), "{error}");
}

fn record(id: &str, class: usize, lesion: &str) -> Record {
    Record {
        id: id.to_owned(),
        image: ImageSource::Rgb(Arc::new(RgbPixels::new(1, 1, vec![0; 3]).unwrap())),
        class: ClassIndex::new(class),
        lesion: lesion.to_owned(),
        case: lesion.to_owned(),
        patient: None,
        soft_label: None,
        tasks: std::collections::BTreeMap::new(),
        published_role: None,
        answers: Answers::new(),
        text: None,
        subgroups: BTreeMap::new(),
    }
}

fn dataset(records: Vec<Record>) -> Result<Dataset, Error> {
    Dataset::new("test", LabelMap::new(["a", "b"]).unwrap(), records, schema::ham10000().unwrap(), Vec::new())
}

#[test]
fn a_dataset_checks_its_records() {
    let error = dataset(vec![record("x", 0, "l"), record("x", 1, "m")]).unwrap_err();
    assert!(matches!(&error, Error::DuplicateId { id, .. } if id == "x"), "{error}");
    let error = dataset(vec![record("x", 2, "l")]).unwrap_err();
    assert!(
        matches!(&error, Error::Record { id, source } if id == "x" && matches!(**source, Error::Labels(_)))
    );
    let mut odd = record("x", 0, "l");
    odd.answers.insert("colour".to_owned(), "blue".to_owned());
    let error = dataset(vec![odd]).unwrap_err();
    assert!(error.to_string().contains("unknown feature `colour`"), "{error}");
    let fine = dataset(vec![record("x", 0, "l")]).unwrap();
    assert!(matches!(fine.class_counts_of(&[1]), Err(Error::RecordOutOfRange { index: 1, num_records: 1 })));
}

fn many(counts: [usize; 2]) -> Dataset {
    let mut records = Vec::new();
    for (class, count) in counts.into_iter().enumerate() {
        records.extend(
            (0..count)
                .map(|number| record(&format!("{class}_{number}"), class, &format!("{class}_{number}"))),
        );
    }
    dataset(records).unwrap()
}

#[test]
fn a_split_needs_every_class_in_every_part() {
    let config = SplitConfig::default();
    let error = Split::stratified(&many([30, 3]), &config).unwrap_err();
    assert!(matches!(&error, Error::TooFewGroups { class, groups: 3, needed: 4 } if class == "b"), "{error}");
    let split = Split::stratified(&many([30, 4]), &config).unwrap();
    let data = many([30, 4]);
    for role in SplitRole::ALL {
        assert_eq!(data.class_counts_of(&split.indices(&data, role).unwrap()).unwrap()[1], 1);
    }
    let allowed = SplitConfig { empty_class: EmptyClassPolicy::Allow, ..config };
    assert!(Split::stratified(&many([30, 3]), &allowed).is_ok());
    let error = Split::stratified(&many([3, 0]), &allowed).unwrap_err();
    assert!(matches!(&error, Error::EmptyRole { .. }), "{error}");

    // Every group of class b also has class a, and one patient holds most of it.
    let mut records: Vec<Record> =
        (0..8).map(|number| record(&format!("a{number}"), 0, &format!("l{number}"))).collect();
    records.extend((0..4).map(|number| record(&format!("b{number}"), 1, &format!("l{}", number / 2))));
    let error = Split::stratified(&dataset(records).unwrap(), &config).unwrap_err();
    assert!(matches!(&error, Error::TooFewGroups { class, groups: 2, .. } if class == "b"), "{error}");
}

#[test]
fn split_fractions_are_checked() {
    for train in [0.0, -0.1, 1.0, f64::NAN, 0.66] {
        let fractions = SplitFractions { train, ..SplitFractions::default() };
        let result = Split::stratified(&many([30, 30]), &SplitConfig { fractions, ..SplitConfig::default() });
        assert!(matches!(result, Err(Error::Setting { .. })), "{train}");
    }
}

#[test]
fn a_split_file_round_trips_and_is_checked_against_its_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("split.json");
    let data = many([30, 12]);
    let split = Split::stratified(&data, &SplitConfig::default()).unwrap();
    split.write(&path).unwrap();
    let again = Split::read(&path).unwrap();
    assert_eq!((again.hash(), &again), (split.hash(), &split));
    again.check(&data, EmptyClassPolicy::Refuse).unwrap();
    let other = Split::stratified(&data, &SplitConfig { seed: 1, ..SplitConfig::default() }).unwrap();
    assert_ne!(other.hash(), split.hash());

    let error = again.check(&many([31, 12]), EmptyClassPolicy::Refuse).unwrap_err();
    assert!(matches!(&error, Error::SplitMismatch { id, present: "dataset", .. } if id == "0_30"), "{error}");
    let error = again.check(&many([30, 11]), EmptyClassPolicy::Refuse).unwrap_err();
    assert!(matches!(&error, Error::SplitMismatch { id, present: "split", .. } if id == "1_11"), "{error}");

    let joined: Vec<Record> =
        data.records().iter().cloned().map(|r| Record { patient: Some("p".into()), ..r }).collect();
    let error = again.check(&dataset(joined).unwrap(), EmptyClassPolicy::Refuse).unwrap_err();
    assert!(matches!(&error, Error::Leak { group, .. } if group == "p"), "{error}");

    let relabelled: Vec<Record> =
        data.records().iter().cloned().map(|r| Record { class: ClassIndex::new(0), ..r }).collect();
    let relabelled = dataset(relabelled).unwrap();
    let error = again.check(&relabelled, EmptyClassPolicy::Refuse).unwrap_err();
    assert!(matches!(&error, Error::EmptyClass { class, role: SplitRole::Train } if class == "b"), "{error}");
    again.check(&relabelled, EmptyClassPolicy::Allow).unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let id = &split.ids(SplitRole::Train)[0];
    fs::write(&path, text.replacen("\"test\": [", &format!("\"test\": [\"{id}\","), 1)).unwrap();
    let error = Split::read(&path).unwrap_err();
    assert!(
        matches!(&error, Error::SplitDuplicate { first: SplitRole::Train, second: SplitRole::Test, .. }),
        "{error}"
    );
    fs::write(&path, text.replacen("\"version\": 1", "\"version\": 7", 1)).unwrap();
    assert!(matches!(Split::read(&path), Err(Error::Version { got: 7, .. })));
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(Split::read(&path), Err(Error::Format { .. })));
    assert!(matches!(Split::read(Path::new("/nowhere/split.json")), Err(Error::File(_))));
}

#[test]
fn settings_outside_their_range_are_refused() {
    let synthetic = SyntheticConfig::default();
    for config in [
        SyntheticConfig { num_lesions: 55, ..synthetic },
        SyntheticConfig { min_lesions_per_class: 0, ..synthetic },
        SyntheticConfig { image_size: 15, ..synthetic },
        SyntheticConfig { image_size: 513, ..synthetic },
        SyntheticConfig { min_views: 0, ..synthetic },
        SyntheticConfig { min_views: 4, ..synthetic },
        SyntheticConfig { max_views: 17, ..synthetic },
        SyntheticConfig { missing_answers: 1.1, ..synthetic },
        SyntheticConfig { missing_captions: 1.1, ..synthetic },
        SyntheticConfig { missing_captions: f64::NAN, ..synthetic },
        SyntheticConfig { label_noise: -0.1, ..synthetic },
        SyntheticConfig { label_noise: f64::NAN, ..synthetic },
    ] {
        assert!(matches!(config.generate(), Err(Error::Setting { .. })), "{config:?}");
    }
    for (size, rule) in [
        (0, ResizeRule::Squash),
        (4097, ResizeRule::Squash),
        (8, ResizeRule::CentreCrop { crop_pct: 0.0 }),
        (8, ResizeRule::CentreCrop { crop_pct: 1.01 }),
        (8, ResizeRule::CentreCrop { crop_pct: f32::NAN }),
    ] {
        assert!(
            matches!(Resize::new(size, rule, Interpolation::Bilinear), Err(Error::Setting { .. })),
            "{size} {rule:?}"
        );
    }
    let text = r#"{"size": 8, "rule": {"centre_crop": {"crop_pct": 0.875}}, "interpolation": "bicubic"}"#;
    let resize: Resize = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_str::<Resize>(&serde_json::to_string(&resize).unwrap()).unwrap(), resize);
    for wrong in [text.replace('8', "0"), text.replace("0.875", "1.5"), text.replace("size", "side")] {
        assert!(serde_json::from_str::<Resize>(&wrong).is_err(), "{wrong}");
    }
    for normalization in [
        Normalization { mean: [f32::NAN, 0.0, 0.0], std: [1.0; 3] },
        Normalization { mean: [0.0; 3], std: [1.0, 0.0, 1.0] },
        Normalization { mean: [0.0; 3], std: [1.0, 1.0, f32::INFINITY] },
    ] {
        assert!(matches!(Normalizer::new(normalization), Err(Error::Setting { .. })), "{normalization:?}");
    }
    let strip = RgbPixels::new(1, 200, vec![0; 600]).unwrap();
    let resize = Resize::new(8, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    assert!(matches!(resize.apply(&strip), Err(Error::Resize { width: 1, height: 200, .. })));

    let data = many([3, 3]);
    let cache = Arc::new(PixelCache::new(&data, resize, derm_data::StoredPixels::Resized, 0));
    let samples =
        Samples::new(&data, Arc::clone(&cache), Normalization::HALF, Questionnaire::Encode).unwrap();
    let other = Samples::new(&many([3, 2]), cache, Normalization::HALF, Questionnaire::Encode);
    assert!(matches!(other, Err(Error::Setting { .. })));
    let classes = data.classes(&[0, 1]).unwrap();
    assert!(matches!(Sampler::new(vec![], &[], SampleOrder::Shuffled, 0), Err(Error::EmptyDataset { .. })));
    assert!(matches!(Sampler::new(vec![0], &classes, SampleOrder::Shuffled, 0), Err(Error::Setting { .. })));
    let sampler = Sampler::new(vec![0, 1], &classes, SampleOrder::Shuffled, 0).unwrap();
    let flips = Augmentation::default();
    for (config, augmentation) in [
        (LoaderConfig { batch_size: 0, ..LoaderConfig::default() }, flips),
        (LoaderConfig { prefetch: 0, ..LoaderConfig::default() }, flips),
        (LoaderConfig::default(), Augmentation { horizontal_flip: 1.5, ..flips }),
        (LoaderConfig::default(), Augmentation { quarter_turns: f64::NAN, ..flips }),
    ] {
        let loader = Loader::new(samples.clone(), sampler.clone(), Some(augmentation), config);
        assert!(matches!(loader, Err(Error::Setting { .. })), "{config:?}");
    }
    let device = burn::tensor::Device::default();
    let empty = samples.batch(&[], derm_data::TestView::Identity).unwrap();
    assert!(matches!(Batch::to_device(empty, &device), Err(Error::Value(_))));
    assert!(matches!(
        samples.batch(&[6], derm_data::TestView::Identity),
        Err(Error::RecordOutOfRange { .. })
    ));
}
