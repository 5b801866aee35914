//! Files of every format against Pillow, resizing against Pillow, torchvision and timm. `golden/images.py` makes the files.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::PathBuf;

use derm_core::{Interpolation, Normalization};
use derm_data::{
    Augmentation, Error, Normalizer, Orientation, Resize, ResizeRule, RgbPixels, Scratch, TestView,
    decode_bytes, decode_file,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    decoded: Vec<Decoded>,
    resized: Vec<Resized>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decoded {
    file: String,
    #[serde(default)]
    mean: f64,
    #[serde(default)]
    most: u8,
    #[serde(default, rename = "note")]
    _note: String,
    refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resized {
    expected: String,
    size: usize,
    interpolation: Interpolation,
    crop_pct: Option<f32>,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images").join(name)
}

fn cases() -> Cases {
    serde_json::from_str(&fs::read_to_string(path("cases.json")).unwrap()).unwrap()
}

fn picture(name: &str) -> RgbPixels {
    decode_file(path(name)).unwrap()
}

/// Mean and largest absolute difference.
fn difference(a: &RgbPixels, b: &RgbPixels) -> (f64, u8) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let each = a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = each.clone().map(u64::from).sum();
    (sum as f64 / a.as_bytes().len() as f64, each.max().unwrap())
}

#[test]
fn every_format_decodes_as_pillow_does() {
    let cases = cases().decoded;
    assert!(cases.len() > 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        match (&case.refused, decode_file(path(&case.file))) {
            (None, Ok(got)) => {
                let expected = picture(&format!("{}.expected.png", case.file));
                if (got.width(), got.height()) != (expected.width(), expected.height()) {
                    wrong.push(format!("{}: {} by {}", case.file, got.width(), got.height()));
                    continue;
                }
                let (mean, most) = difference(&got, &expected);
                if !(mean <= case.mean && most <= case.most) {
                    wrong.push(format!("{}: mean difference {mean:.3}, largest {most}", case.file));
                }
            }
            (Some(reason), Err(Error::Decode { reason: got, .. })) if got.contains(reason.as_str()) => {}
            (_, got) => wrong.push(format!("{}: {:?}", case.file, got.map(|_| "it decodes"))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_cut_file_is_an_error_or_whole() {
    for case in cases().decoded.iter().filter(|case| case.refused.is_none()) {
        let bytes = fs::read(path(&case.file)).unwrap();
        let whole = decode_bytes(&bytes, &case.file).unwrap();
        for cut in (0..bytes.len()).step_by(11).chain(bytes.len().saturating_sub(40)..bytes.len()) {
            // What is cut off may be no part of the picture: checksums, a thumbnail, text.
            if let Ok(got) = decode_bytes(&bytes[..cut], "cut") {
                assert!(got == whole, "{}: {cut} of {} bytes give another picture", case.file, bytes.len());
                assert!(!bytes.starts_with(&[0xFF, 0xD8]), "{}: {cut} of {} bytes", case.file, bytes.len());
            }
        }
    }
}

#[test]
fn what_follows_the_picture_is_ignored() {
    for case in cases().decoded.iter().filter(|case| case.refused.is_none()) {
        let mut bytes = fs::read(path(&case.file)).unwrap();
        let whole = decode_bytes(&bytes, &case.file).unwrap();
        bytes.extend_from_slice(b"appended by a camera \xFF\xD8\xFF\xD9");
        assert_eq!(decode_bytes(&bytes, &case.file).unwrap(), whole, "{}", case.file);
    }
}

#[test]
fn resizing_is_pillows_within_rounding() {
    let source = picture("resize_source.png");
    for case in cases().resized {
        let rule = case.crop_pct.map_or(ResizeRule::Squash, |crop_pct| ResizeRule::CentreCrop { crop_pct });
        let got = Resize::new(case.size, rule, case.interpolation).unwrap().apply(&source).unwrap();
        let (mean, most) = difference(&got, &picture(&case.expected));
        // Each pass rounds to 8 bits; the two go in another order.
        assert!(mean < MEAN_DIFFERENCE && most <= 2, "{}: mean {mean:.3}, most {most}", case.expected);
    }
}

/// Grey levels: the bound is 0.6.
const MEAN_DIFFERENCE: f64 = 0.3;

#[test]
fn planes_are_turned_as_source_says() {
    let side = 7;
    let pixels = RgbPixels::new(side, side, (0..147).map(|at| (at * 89 % 256) as u8).collect()).unwrap();
    let normalizer = Normalizer::new(Normalization::IMAGENET).unwrap();
    let mut upright = vec![0.0; 3 * side * side];
    normalizer.write_planes(&pixels, Orientation::UPRIGHT, &mut upright);
    let normalized = (f32::from(pixels.as_bytes()[0]) / 255.0 - 0.485) / 0.229;
    assert_eq!(upright[0], normalized);
    let augmentation = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
    let mut seen = Vec::new();
    for index in 0..60 {
        let orientation = augmentation.orientation(0, 0, index);
        let mut planes = vec![0.0; 3 * side * side];
        normalizer.write_planes(&pixels, orientation, &mut planes);
        for (at, &number) in planes.iter().enumerate() {
            let (plane, row, column) = (at / (side * side), at / side % side, at % side);
            let (from_row, from_column) = orientation.source(row, column, side);
            assert_eq!(number, upright[(plane * side + from_row) * side + from_column], "{orientation:?}");
        }
        if !seen.contains(&orientation) {
            seen.push(orientation);
        }
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn five_crops_are_the_corners_and_the_centre() {
    let source = picture("resize_source.png");
    let mut scratch = Scratch::new();
    for rule in [ResizeRule::Squash, ResizeRule::CentreCrop { crop_pct: 0.5 }] {
        let resize = Resize::new(48, rule, Interpolation::Bicubic).unwrap();
        // The picture that they are cut out of: 60 on the shorter side.
        let (wide, high) = if rule == ResizeRule::Squash { (60, 60) } else { (80, 60) };
        let crops: Vec<RgbPixels> = TestView::five_crops(0.8)
            .unwrap()
            .iter()
            .map(|view| {
                let (pixels, orientation) = view.apply(&source, &resize, &mut scratch).unwrap();
                assert_eq!(orientation, Orientation::UPRIGHT);
                pixels.clone()
            })
            .collect();
        let places = [(0, 0), (wide - 48, 0), (0, high - 48), (wide - 48, high - 48), ((wide - 48) / 2, 6)];
        // Where two crops overlap, they have the same pixels.
        for (a, from) in crops.iter().zip(places) {
            for (b, other) in crops.iter().zip(places) {
                for y in from.1.max(other.1)..(from.1 + 48).min(other.1 + 48) {
                    for x in from.0.max(other.0)..(from.0 + 48).min(other.0 + 48) {
                        let at = |pixels: &RgbPixels, place: (usize, usize)| {
                            let start = 3 * ((y - place.1) * 48 + x - place.0);
                            pixels.as_bytes()[start..start + 3].to_vec()
                        };
                        assert_eq!(at(a, from), at(b, other), "{x}, {y}");
                    }
                }
            }
        }
        let centre =
            Resize::new(48, ResizeRule::CentreCrop { crop_pct: 0.8 }, Interpolation::Bicubic).unwrap();
        if rule != ResizeRule::Squash {
            assert_eq!(crops[4], centre.apply(&source).unwrap());
        }
    }
}

#[test]
fn views_are_named_and_turned() {
    let source = picture("resize_source.png");
    let resize = Resize::new(16, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let plain = resize.apply(&source).unwrap();
    let mut scratch = Scratch::new();
    for (view, orientation, name) in [
        (TestView::Identity, Orientation::UPRIGHT, "identity"),
        (TestView::HorizontalFlip, Orientation::MIRRORED, "horizontal_flip"),
        (TestView::VerticalFlip, Orientation::FLIPPED, "vertical_flip"),
        (TestView::BothFlips, Orientation::HALF_TURN, "member both_flips"),
    ] {
        let (pixels, got) = view.apply(&source, &resize, &mut scratch).unwrap();
        assert_eq!((pixels, got), (&plain, orientation));
        assert_eq!(view.view().to_string(), name);
    }
    let names: Vec<String> =
        TestView::five_crops(0.875).unwrap().iter().map(|view| view.view().to_string()).collect();
    assert_eq!(names[0], "member crop_top_left_0.875");
    for share in [0.0, 1.01, f32::NAN] {
        assert!(matches!(TestView::five_crops(share), Err(Error::Setting { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_file_gives_a_picture_or_an_error(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let cases = cases().decoded;
        let mut bytes = fs::read(path(&which.get(&cases).file)).unwrap();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = decode_bytes(&bytes, "damaged") {
            prop_assert!(matches!(error, Error::Decode { .. }), "{}", error);
        }
    }
}
