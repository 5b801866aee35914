//! Pictures that are nearly the same.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use derm_core::{Interpolation, SplitRole};
use derm_data::{
    Dataset, Error, ImageSource, NearDuplicateConfig, NearDuplicates, Orientation, Record, Resize,
    ResizeRule, RgbPixels, Split, SplitConfig, SyntheticConfig, decode_bytes,
};

/// Drawn pictures of 64 pixels.
fn drawn() -> Dataset {
    SyntheticConfig { num_lesions: 80, image_size: 64, max_views: 1, ..SyntheticConfig::default() }
        .generate()
        .unwrap()
}

fn pixels(record: &Record) -> RgbPixels {
    let ImageSource::Rgb(pixels) = &record.image else { unreachable!("drawn pictures are in memory") };
    pixels.as_ref().clone()
}

/// The picture at JPEG quality 60.
fn encoded_again(picture: &RgbPixels) -> RgbPixels {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60);
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    image::ImageEncoder::write_image(
        encoder,
        picture.as_bytes(),
        width,
        height,
        image::ExtendedColorType::Rgb8,
    )
    .unwrap();
    decode_bytes(bytes.get_ref(), "again.jpg").unwrap()
}

fn brightened(picture: &RgbPixels) -> RgbPixels {
    let bytes = picture.as_bytes().iter().map(|&v| (f32::from(v) * 0.85 + 12.0) as u8).collect();
    RgbPixels::new(picture.width(), picture.height(), bytes).unwrap()
}

fn resized(picture: &RgbPixels) -> RgbPixels {
    Resize::new(45, ResizeRule::Squash, Interpolation::Bicubic).unwrap().apply(picture).unwrap()
}

fn turned(picture: &RgbPixels, orientation: Orientation) -> RgbPixels {
    let side = picture.width();
    let mut bytes = Vec::with_capacity(side * side * 3);
    for row in 0..side {
        for column in 0..side {
            let (from_row, from_column) = orientation.source(row, column, side);
            let at = (from_row * side + from_column) * 3;
            bytes.extend_from_slice(&picture.as_bytes()[at..at + 3]);
        }
    }
    RgbPixels::new(side, side, bytes).unwrap()
}

/// The dataset with one more record, under a name and a patient of its own, of this picture.
fn with(dataset: &Dataset, picture: RgbPixels) -> Dataset {
    let mut records = dataset.records().to_vec();
    let image = ImageSource::Rgb(Arc::new(picture));
    records.push(Record {
        patient: Some("zz".to_owned()),
        answers: records[0].answers.clone(),
        ..Record::new("zz", image, records[0].class)
    });
    Dataset::new("drawn", dataset.labels().clone(), records, dataset.schema().clone(), Vec::new()).unwrap()
}

#[test]
fn a_changed_copy_is_found_and_nothing_else() {
    let dataset = drawn();
    let original = pixels(&dataset.records()[0]);
    let mut copies = vec![encoded_again(&original), brightened(&original), resized(&original)];
    copies.extend(Orientation::ALL.map(|orientation| turned(&original, orientation)));
    for (number, copy) in copies.into_iter().enumerate() {
        let dataset = with(&dataset, copy);
        let near = NearDuplicates::find(&dataset, NearDuplicateConfig::default()).unwrap();
        let found: Vec<(usize, usize)> =
            near.between_groups(&dataset).map(|pair| (pair.first, pair.second)).collect();
        assert_eq!(found, [(0, dataset.records().len() - 1)], "copy {number}");
    }
}

#[test]
fn a_crossing_is_reported_and_merging_ends_it() {
    let dataset = with(&drawn(), encoded_again(&pixels(&drawn().records()[0])));
    let near = NearDuplicates::find(&dataset, NearDuplicateConfig::default()).unwrap();
    // Some seed separates the two.
    let crossing = (0..20).map(|seed| SplitConfig { seed, ..SplitConfig::default() }).find_map(|config| {
        let split = Split::stratified(&dataset, &config).unwrap();
        let report = near.across(&dataset, &split).unwrap();
        (!report.crossings.is_empty()).then_some((config, report))
    });
    let (config, report) = crossing.unwrap();
    let crossing = &report.crossings[0];
    assert_eq!(crossing.second.id, "zz");
    assert_ne!(crossing.first.role, crossing.second.role);
    assert!(report.to_string().contains("zz"), "{report}");

    let (merged, count) = near.merge_groups(&dataset).unwrap();
    assert_eq!(count, 1);
    let split = Split::stratified(&merged, &config).unwrap();
    assert!(near.across(&merged, &split).unwrap().crossings.is_empty());
    // Every record of both groups is in the same part.
    let roles: BTreeMap<&str, SplitRole> = split.roles_by_id();
    let of = |id: &str| roles[id];
    assert_eq!(of("zz"), of(&dataset.records()[0].id));
    let split = Split::stratified(&drawn(), &config).unwrap();
    assert!(matches!(near.across(&dataset, &split), Err(Error::SplitMismatch { .. })));
}

/// A picture of noise.
fn noise(seed: u64) -> RgbPixels {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    RgbPixels::new(64, 64, (0..64 * 64 * 3).map(|_| byte()).collect()).unwrap()
}

#[test]
fn what_shares_a_picture_by_way_of_others_is_one_group_with_all_its_records() {
    let drawn = drawn();
    let mut records: Vec<Record> = drawn.records()[..3].to_vec();
    let class = records[0].class;
    let mut add = |id: &str, lesion: &str, patient: Option<&str>, picture: RgbPixels| {
        let answers = records[0].answers.clone();
        records.push(Record {
            lesion: lesion.to_owned(),
            case: format!("visit of {lesion}"),
            patient: patient.map(str::to_owned),
            answers,
            ..Record::new(id, ImageSource::Rgb(Arc::new(picture)), class)
        });
    };
    // Patient A with two lesions, patient B and a lesion without a patient: A's first picture is B's, and B's second
    // one is that of the lesion, whose other picture is like no other.
    let (shared, linking) = (noise(1), noise(2));
    add("a1", "la1", Some("A"), shared.clone());
    add("a2", "la2", Some("A"), noise(3));
    add("b1", "lb", Some("B"), encoded_again(&shared));
    add("b2", "lb", Some("B"), linking.clone());
    add("x1", "lx", None, brightened(&linking));
    add("x2", "lx", None, noise(4));
    add("other", "lo", Some("C"), noise(5));
    let (labels, schema) = (drawn.labels().clone(), drawn.schema().clone());
    let dataset = Dataset::new("shared", labels, records, schema, Vec::new()).unwrap();
    let find = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| NearDuplicates::find(&dataset, NearDuplicateConfig::default()).unwrap())
    };
    let near = find(1);
    assert_eq!(near, find(4));
    let (merged, count) = near.merge_groups(&dataset).unwrap();
    assert_eq!(count, 2);
    let group = |id: &str| merged.records().iter().find(|record| record.id == id).unwrap().group().to_owned();
    for id in ["a1", "a2", "b1", "b2", "x1", "x2"] {
        assert_eq!(group(id), "A", "{id}");
    }
    assert_eq!(group("other"), "C");
    for (before, after) in dataset.records()[..3].iter().zip(merged.records()) {
        assert_eq!((before.group(), &before.patient), (after.group(), &after.patient));
    }
    // Merging again changes nothing.
    assert_eq!(near.merge_groups(&merged).unwrap().1, 0);
}

#[test]
fn thresholds_are_checked_and_tables_have_no_pictures() {
    let dataset = drawn();
    for config in [
        NearDuplicateConfig { max_distance: 257, ..NearDuplicateConfig::default() },
        NearDuplicateConfig { min_correlation: f64::NAN, ..NearDuplicateConfig::default() },
        NearDuplicateConfig { min_correlation: 1.5, ..NearDuplicateConfig::default() },
    ] {
        assert!(matches!(NearDuplicates::find(&dataset, config), Err(Error::Setting { .. })), "{config:?}");
    }
    let mut records = dataset.records().to_vec();
    records[3].image = ImageSource::Absent;
    let table =
        Dataset::new("table", dataset.labels().clone(), records, dataset.schema().clone(), Vec::new())
            .unwrap();
    let error = NearDuplicates::find(&table, NearDuplicateConfig::default()).unwrap_err();
    assert!(matches!(error, Error::NoImage { id } if id == table.records()[3].id));
}
