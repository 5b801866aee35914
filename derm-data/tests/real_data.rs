//! HAM10000 as it is. `DERM_DATA_DIR` names the folder that holds `ham10000/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use derm_core::{Interpolation, SplitRole};
use derm_data::{
    Dataset, EmptyClassPolicy, ImageSource, NearDuplicateConfig, NearDuplicates, ReadPolicy, Record, Resize,
    ResizeRule, Split, SplitConfig, UnreadablePolicy, decode_file, readers::ham10000,
};

fn ham() -> Dataset {
    let root = PathBuf::from(std::env::var_os("DERM_DATA_DIR").expect("DERM_DATA_DIR names the data folder"));
    ham10000::read(root.join("ham10000"), ReadPolicy::STRICT).unwrap()
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn the_records_are_those_of_the_metadata() {
    let dataset = ham();
    assert_eq!(dataset.records().len(), 8511);
    assert_eq!(dataset.class_counts(), [272, 442, 948, 95, 932, 5703, 119]);
    let lesions: BTreeSet<&str> = dataset.records().iter().map(Record::group).collect();
    assert_eq!(lesions.len(), 6350);
    let missing_age = dataset.records().iter().filter(|record| !record.answers.contains_key("age")).count();
    assert_eq!(missing_age, 52);
    assert!(dataset.skipped().is_empty());
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn images_decode_to_the_stated_size() {
    let dataset = ham();
    for record in dataset.records().iter().step_by(400) {
        let ImageSource::File(path) = &record.image else { unreachable!("HAM10000 is files") };
        let pixels = decode_file(path).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (200, 150), "{}", record.id);
        let resize = Resize::new(64, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
        assert_eq!(resize.apply(&pixels).unwrap().as_bytes().len(), 64 * 64 * 3);
    }
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn every_image_can_be_read() {
    let mut dataset = ham();
    dataset.verify_images(UnreadablePolicy::Fail).unwrap();
    assert_eq!(dataset.records().len(), 8511);
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn the_split_keeps_lesions_whole_and_classes_in_proportion() {
    let dataset = ham();
    let split = Split::stratified(&dataset, &SplitConfig::default()).unwrap();
    split.check(&dataset, EmptyClassPolicy::Refuse).unwrap();
    let mut role_of_lesion: BTreeMap<&str, SplitRole> = BTreeMap::new();
    let all = dataset.class_counts();
    for (role, share) in SplitRole::ALL.into_iter().zip([0.65, 0.075, 0.075, 0.20]) {
        let indices = split.indices(&dataset, role).unwrap();
        for &index in &indices {
            let lesion = dataset.records()[index].lesion.as_str();
            assert_eq!(*role_of_lesion.entry(lesion).or_insert(role), role, "{lesion}");
        }
        for (&got, &all) in dataset.class_counts_of(&indices).unwrap().iter().zip(&all) {
            // A lesion has at most 6 images.
            assert!((got as f64 - share * all as f64).abs() <= 6.0, "{role}: {got} of {all}");
        }
    }
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn no_two_lesions_share_a_picture_and_some_lesions_were_stored_twice() {
    let dataset = ham();
    let near = NearDuplicates::find(&dataset, NearDuplicateConfig::default()).unwrap();
    assert_eq!(near.between_groups(&dataset).count(), 0);
    // The same lesion photographed again, a moment later.
    assert_eq!(near.pairs().len(), 94);
}
