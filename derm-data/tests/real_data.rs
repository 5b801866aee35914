//! HAM10000 as it is, and the answers of the other tables. `DERM_DATA_DIR` names the folder that holds `ham10000/` and so
//! on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use derm_core::{Interpolation, SplitRole};
use derm_data::{
    CorruptionKind, Dataset, EmptyClassPolicy, ImageSource, NearDuplicateConfig, NearDuplicates, ReadPolicy,
    Record, Resize, ResizeRule, RgbPixels, Split, SplitConfig, UnreadablePolicy, decode_file,
    readers::{derm7pt, ham10000, isic2019, isic2020, pad_ufes_20, uci_dermatology},
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
fn every_published_answer_decodes_to_what_was_said() {
    let root = PathBuf::from(std::env::var_os("DERM_DATA_DIR").expect("DERM_DATA_DIR names the data folder"));
    let policy = ReadPolicy::TABLE_ONLY;
    let datasets = [
        ham10000::read(root.join("ham10000"), policy),
        isic2019::read(root.join("isic2019"), policy),
        isic2020::read(root.join("isic2020"), policy),
        derm7pt::read(root.join("derm7pt"), policy),
        pad_ufes_20::read(root.join("pad_ufes20"), policy),
        uci_dermatology::read(root.join("uci_dermatology"), policy),
    ];
    for dataset in datasets {
        let mut dataset = dataset.unwrap();
        dataset.fit_schema(&(0..dataset.records().len()).collect::<Vec<_>>()).unwrap();
        let schema = dataset.schema();
        for Record { id, answers, .. } in dataset.records() {
            let row = schema.encode(answers).unwrap();
            let decoded = schema.decode(&row).unwrap();
            assert_eq!(decoded, schema.canonical(answers).unwrap(), "{}: {id}", dataset.name());
            assert_eq!(schema.encode(&decoded).unwrap(), row);
        }
    }
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

/// A picture that Pillow resized, as `golden/resize_real.py` told it.
#[derive(serde::Deserialize)]
struct ResizedByPillow {
    id: String,
    size: usize,
    interpolation: Interpolation,
    sums: Vec<i64>,
}

/// 64 sums over all bytes with the signs that a hash of the index gives.
fn signed_sums(bytes: &[u8]) -> Vec<i64> {
    let mut sums = vec![0; 64];
    for (index, &byte) in bytes.iter().enumerate() {
        let mut hash = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^= hash >> 31;
        for (bit, sum) in sums.iter_mut().enumerate() {
            *sum += if hash >> bit & 1 == 1 { i64::from(byte) } else { -i64::from(byte) };
        }
    }
    sums
}

fn ham_image(id: &str) -> PathBuf {
    let root = PathBuf::from(std::env::var_os("DERM_DATA_DIR").expect("DERM_DATA_DIR names the data folder"));
    root.join("ham10000/images").join(format!("{id}.jpg"))
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn resizing_is_pillows_within_0_6_grey_levels() {
    let cases: Vec<ResizedByPillow> = serde_json::from_str(include_str!("golden/resize_real.json")).unwrap();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let pixels = decode_file(ham_image(&case.id)).unwrap();
        let resize = Resize::new(case.size, ResizeRule::Squash, case.interpolation).unwrap();
        let resized = resize.apply(&pixels).unwrap();
        let ours = signed_sums(resized.as_bytes());
        // With random signs, the expected square of a sum's difference is the sum of the squared differences. Levels are
        // whole numbers, so the mean absolute difference cannot exceed the mean square.
        let squares: f64 = ours.iter().zip(&case.sums).map(|(a, b)| ((a - b) * (a - b)) as f64).sum();
        let mean_square = squares / 64.0 / resized.as_bytes().len() as f64;
        assert!(mean_square < 0.6, "{} at {}: {mean_square}", case.id, case.size);
    }
}

/// Writes what `golden/resize_real.py` compares, picture by picture.
#[test]
#[ignore = "needs DERM_DATA_DIR, and DERM_RESIZE_DUMP for a folder"]
fn resized_images_are_written_for_comparison() {
    let Some(folder) = std::env::var_os("DERM_RESIZE_DUMP").map(PathBuf::from) else { return };
    let dataset = ham();
    for record in dataset.records().iter().step_by(40) {
        for size in [224, 96] {
            for (interpolation, name) in
                [(Interpolation::Bilinear, "bilinear"), (Interpolation::Bicubic, "bicubic")]
            {
                let resize = Resize::new(size, ResizeRule::Squash, interpolation).unwrap();
                let resized = resize.apply(&decode_file(ham_image(&record.id)).unwrap()).unwrap();
                let file = folder.join(format!("{}_{size}_{name}.rgb", record.id));
                std::fs::write(file, resized.as_bytes()).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs DERM_DATA_DIR"]
fn every_corruption_changes_real_images_more_from_level_to_level() {
    let dataset = ham();
    let pictures: Vec<RgbPixels> = dataset
        .records()
        .iter()
        .step_by(700)
        .map(|record| decode_file(ham_image(&record.id)).unwrap())
        .collect();
    for kind in CorruptionKind::ALL {
        let means: Vec<f64> = kind
            .series()
            .map(|corruption| {
                let changes = pictures.iter().enumerate().map(|(record, picture)| {
                    let worse = corruption.apply(picture, 0, record).unwrap();
                    assert_ne!(&worse, picture, "{corruption} of picture {record}");
                    let pairs = picture.as_bytes().iter().zip(worse.as_bytes());
                    pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / worse.as_bytes().len() as f64
                });
                changes.sum::<f64>() / pictures.len() as f64
            })
            .collect();
        println!("| `{}` | {means:.1?} |", kind.name());
        assert!(means[0] >= 1.0, "{}: {means:.2?}", kind.name());
        assert!(means.windows(2).all(|pair| pair[0] < pair[1]), "{}: {means:.2?}", kind.name());
    }
}
