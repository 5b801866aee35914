//! Every kind of corruption at every level, and against the reference of MedMNIST-C (`golden/corruption.py`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use derm_data::{Corruption, CorruptionKind, Error, RgbPixels, decode_file};
use proptest::prelude::*;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn photo() -> RgbPixels {
    decode_file(golden("images/photo.png")).unwrap()
}

/// Mean absolute difference in grey levels.
fn change(a: &RgbPixels, b: &RgbPixels) -> f64 {
    let sum: u64 = a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_bytes().len() as f64
}

fn changes(picture: &RgbPixels, kind: CorruptionKind, seed: u64) -> Vec<f64> {
    kind.series()
        .map(|corruption| {
            let worse = corruption.apply(picture, seed, 3).unwrap();
            assert_eq!((worse.width(), worse.height()), (picture.width(), picture.height()), "{corruption}");
            assert_eq!(corruption.apply(picture, seed, 3).unwrap(), worse, "{corruption}");
            change(picture, &worse)
        })
        .collect()
}

#[test]
fn the_change_grows_with_the_level_from_at_least_a_grey_level() {
    let photo = photo();
    for kind in CorruptionKind::ALL {
        for seed in 0..3 {
            let changes = changes(&photo, kind, seed);
            assert!(changes[0] >= 1.0, "{}: {changes:.2?}", kind.name());
            assert!(changes.windows(2).all(|pair| pair[0] < pair[1]), "{}: {changes:.2?}", kind.name());
        }
    }
}

/// How far the change may be from the reference's, as a factor. Noise and factors are the same up to rounding; a blur of
/// a noisy picture depends on the last tap of its kernel, and JPEG on whether colours are kept at full size.
fn factor(kind: CorruptionKind) -> f64 {
    match kind {
        CorruptionKind::JpegCompression => 1.35,
        CorruptionKind::DefocusBlur | CorruptionKind::MotionBlur | CorruptionKind::ZoomBlur => 1.15,
        CorruptionKind::Pixelate | CorruptionKind::BlackCorner => 1.1,
        _ => 1.05,
    }
}

#[test]
fn changes_are_those_of_the_reference() {
    let text = std::fs::read_to_string(golden("corruption.json")).unwrap();
    let table: BTreeMap<String, [f64; 5]> = serde_json::from_str(&text).unwrap();
    let photo = photo();
    let kinds: Vec<CorruptionKind> =
        CorruptionKind::ALL.into_iter().filter(|kind| kind.is_dermamnist_c()).collect();
    assert_eq!((kinds.len(), table.len()), (15, 15));
    let mut wrong = Vec::new();
    for kind in kinds {
        let mut reference = table[kind.name()];
        if kind == CorruptionKind::BlackCorner {
            // Its last two go the wrong way.
            reference.swap(3, 4);
        }
        let seeds: Vec<Vec<f64>> = (0..4).map(|seed| changes(&photo, kind, seed)).collect();
        let ours: Vec<f64> =
            (0..5).map(|level| seeds.iter().map(|seed| seed[level]).sum::<f64>() / 4.0).collect();
        println!("| `{}` | {ours:.1?} | {reference:.1?} |", kind.name());
        if kind == CorruptionKind::Characters {
            // Ours are larger on purpose: theirs stay below a grey level at all levels.
            assert!(reference.iter().all(|&change| change < 1.0));
            continue;
        }
        for (ours, theirs) in ours.iter().zip(reference) {
            let ratio = ours / theirs;
            if !(1.0 / factor(kind)..=factor(kind)).contains(&ratio) {
                wrong.push(format!("{}: {ours:.3}, reference {theirs:.3}", kind.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_are_read_back() {
    for kind in CorruptionKind::ALL {
        for corruption in kind.series() {
            let name = corruption.to_string();
            assert_eq!(name.parse::<Corruption>().unwrap(), corruption);
            let json = serde_json::to_string(&corruption).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Corruption>(&json).unwrap(), corruption);
        }
    }
    assert_eq!("contrast_c:0.55".parse::<Corruption>().unwrap().level(), 0.55);
    for wrong in [
        "",
        "gaussian_noise",
        "gaussian_noise:",
        "gaussian_noise:0",
        "gaussian_noise:6",
        "gaussian_noise:2.5",
        "gaussian_noise:NaN",
        "fog:1",
        "jpeg_q:0",
        "jpeg_q:96",
        "jpeg_q:30.5",
        "contrast_c:1",
        "contrast_c:-1",
        "brightness:0",
        "brightness:0.2",
        "brightness:256",
        "blur:0",
        "blur:inf",
        "gaussian_sigma:0",
    ] {
        assert!(matches!(wrong.parse::<Corruption>(), Err(Error::Setting { .. })), "{wrong}");
        assert!(serde_json::from_str::<Corruption>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
    }
}

#[test]
fn records_and_seeds_differ() {
    let photo = photo();
    for kind in [
        CorruptionKind::GaussianNoise,
        CorruptionKind::ShotNoise,
        CorruptionKind::MotionBlur,
        CorruptionKind::Characters,
        CorruptionKind::ImpulseNoise,
        CorruptionKind::SpeckleNoise,
    ] {
        let corruption = Corruption::new(kind, 3.0).unwrap();
        let one = corruption.apply(&photo, 1, 0).unwrap();
        assert_ne!(one, corruption.apply(&photo, 1, 1).unwrap(), "{corruption}");
        assert_ne!(one, corruption.apply(&photo, 2, 0).unwrap(), "{corruption}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_size_is_taken(width in 1..40usize, height in 1..40usize, seed in any::<u64>()) {
        let data = (0..width * height * 3).map(|at| (at * 131 % 251) as u8).collect();
        let picture = RgbPixels::new(width, height, data).unwrap();
        for kind in CorruptionKind::ALL {
            for corruption in kind.series() {
                let worse = corruption.apply(&picture, seed, 0).unwrap();
                prop_assert_eq!((worse.width(), worse.height()), (width, height));
            }
        }
    }

    #[test]
    fn smaller_and_oblong_pictures_change_too(size in 0..4usize, seed in any::<u64>()) {
        let (width, height) = [(28, 28), (64, 64), (200, 150), (96, 128)][size];
        let resize = derm_data::Resize::new(
            width.max(height), derm_data::ResizeRule::Squash, derm_core::Interpolation::Bilinear,
        ).unwrap();
        let square = resize.apply(&photo()).unwrap();
        let rows = square.as_bytes().chunks_exact(3 * square.width()).take(height);
        let picture = RgbPixels::new(width, height, rows.flat_map(|row| row[..3 * width].to_vec()).collect()).unwrap();
        for kind in CorruptionKind::ALL {
            let changes = changes(&picture, kind, seed);
            prop_assert!(changes.iter().all(|change| *change > 0.0), "{}: {:?}", kind.name(), changes);
            prop_assert!(changes.windows(2).all(|pair| pair[0] <= pair[1]), "{}: {:?}", kind.name(), changes);
        }
    }
}
