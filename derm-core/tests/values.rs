//! Labels, logits, probabilities and atomic files: what they refuse and what they give.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write as _};

use derm_core::*;
use ndarray::{Array2, array};
use proptest::prelude::*;

#[test]
fn label_maps_refuse_what_labels_txt_cannot_keep() {
    assert!(matches!(LabelMap::new(Vec::<String>::new()), Err(LabelError::Empty)));
    for name in ["", " mel", "mel ", "m\nel", "m\rel"] {
        let result = LabelMap::new(["nv", name]);
        assert!(matches!(result, Err(LabelError::Name { index: 1, .. })), "{name:?}: {result:?}");
    }
    let twice = LabelMap::new(["nv", "mel", "nv"]);
    assert!(matches!(twice, Err(LabelError::Duplicate { first: 0, second: 2, .. })));
    let labels = LabelMap::new(["nv", "mel"]).unwrap();
    let error = labels.class_index("bcc").unwrap_err();
    assert_eq!(error.to_string(), r#"unknown class "bcc"; known are ["nv", "mel"]"#);
    assert!(matches!(labels.class_at(2), Err(LabelError::OutOfRange { index: 2, num_classes: 2 })));
    assert_eq!(labels.class_at(1).unwrap(), ClassIndex::new(1));
    assert_eq!(labels.name(ClassIndex::new(2)), None);
}

#[test]
fn labels_txt_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.txt");
    let labels = LabelMap::new(["melanoma", "naevus, blue", "Ünklar"]).unwrap();
    labels.write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "melanoma\nnaevus, blue\nÜnklar\n");
    assert_eq!(LabelMap::read(&path).unwrap(), labels);
    fs::write(&path, "melanoma\r\nnaevus, blue\r\nÜnklar").unwrap();
    assert_eq!(LabelMap::read(&path).unwrap(), labels);
    fs::write(&path, "melanoma\n\nnaevus\n").unwrap();
    assert!(matches!(LabelMap::read(&path), Err(LabelError::Name { index: 1, .. })));
    let error = LabelMap::read(folder.path().join("absent.txt")).unwrap_err();
    assert!(error.to_string().contains("absent.txt"), "{error}");
}

#[test]
fn probabilities_name_what_is_wrong() {
    let new = |values: Array2<f64>| Probabilities::new(values).unwrap_err();
    assert_eq!(new(Array2::zeros((0, 3))), ValueError::Empty { argument: "probabilities" });
    assert_eq!(new(Array2::zeros((3, 0))), ValueError::Empty { argument: "probabilities" });
    let nan = new(array![[0.5, 0.5], [f64::NAN, 1.0]]);
    assert!(matches!(nan, ValueError::NotFinite { row: 1, class: 0, .. }), "{nan}");
    let negative = new(array![[1.1, -0.1]]);
    assert!(matches!(negative, ValueError::NotAProbability { row: 0, class: 0, .. }), "{negative}");
    let sum = new(array![[0.5, 0.5], [0.5, 0.4]]);
    assert_eq!(sum, ValueError::RowSum { row: 1, sum: 0.9 });
    let edge = 0.5 + 0.9 * ROW_SUM_TOLERANCE;
    Probabilities::new(array![[0.5, edge]]).unwrap();
    assert!(Probabilities::new(array![[0.5, 0.5 + 1.1 * ROW_SUM_TOLERANCE]]).is_err());

    let good = Probabilities::new(array![[0.5, 0.5]]).unwrap();
    let length = good.check_targets(&[0, 1]).unwrap_err();
    assert_eq!(length, ValueError::Length { argument: "targets", got: 2, expected: 1 });
    assert!(good.check_targets(&[2]).is_err());
    assert!(good.select(&[]).is_err());
}

#[test]
fn temperatures_are_positive_and_finite() {
    let logits = Logits::new(array![[1.0, 2.0]]).unwrap();
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(logits.softmax_at(value), Err(ValueError::Temperature { .. })), "{value}");
    }
    assert_eq!(logits.softmax_at(1.0).unwrap(), logits.softmax());
    let cold = logits.softmax_at(1e-300).unwrap();
    assert_eq!(cold.view(), array![[0.0, 1.0]]);
    assert!(Logits::new(array![[f64::INFINITY, 0.0]]).is_err());
}

proptest! {
    #[test]
    fn softmax_is_a_distribution_whatever_the_logits(
        values in prop::collection::vec(-1e4_f64..1e4, 5),
        shift in -1e4_f64..1e4,
    ) {
        let row = Array2::from_shape_vec((1, 5), values).unwrap();
        let probabilities = Logits::new(row.clone()).unwrap().softmax();
        let checked = Probabilities::new(probabilities.view().to_owned());
        prop_assert!(checked.is_ok());
        let shifted = Logits::new(row.clone() + shift).unwrap().softmax();
        for (a, b) in probabilities.view().iter().zip(shifted.view()) {
            // Adding the shift rounds the logits themselves by 1e4 · 2⁻⁵² each.
            prop_assert!((a - b).abs() < 1e-11);
        }
        let logs = Logits::new(row).unwrap().log_softmax();
        for (p, log) in probabilities.view().iter().zip(&logs) {
            prop_assert!((p - log.exp()).abs() < 1e-12);
        }
    }
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.json");
    atomic::write_file(&path, |file| file.write_all(b"old")).unwrap();
    let error = atomic::write_file(&path, |file| {
        file.write_all(b"half of the new")?;
        Err(io::Error::other("disk full"))
    })
    .unwrap_err();
    assert!(error.to_string().contains("metrics.json") && error.to_string().contains("disk full"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_dropped_folder_leaves_nothing_and_a_second_one_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("bundle");
    let folder = atomic::Folder::new(&target).unwrap();
    fs::write(folder.path().join("half"), "half").unwrap();
    drop(folder);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    atomic::Folder::new(&target).unwrap().commit().unwrap();
    assert!(atomic::Folder::new(&target).is_err());
}

#[test]
fn digests_agree_with_the_standard() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256_hex(b"abc"), abc);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc");
    fs::write(&path, "abc").unwrap();
    assert_eq!(sha256_file(&path).unwrap(), (abc.to_owned(), 3));
}
