//! Values that another implementation, or an earlier run on another machine, gave.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;

use derm_core::{Interpolation, sha256_hex};
use derm_data::{Dataset, ImageSource, Resize, ResizeRule, RgbPixels, Split, SplitConfig, SyntheticConfig};

/// SHA-256 of the pixels of the first 32 images of the default synthetic dataset.
const FIRST_32_IMAGES: &str = "cd4dd7520fa128623d103e62aaeb75297b46d7b2b2be4e21be780c58832d7850";

/// The same for a small one of 96 pixels with seed 9.
const FIRST_32_IMAGES_LARGE: &str = "be462721d59e64608906a00c58041b05388e0375757a66df3ce70aa4f1b0d495";

/// SHA-256 of the ids, classes and answers of all records of the default synthetic dataset.
const TABLE: &str = "373814e87bf4da866d57815a9afc3772e9d7de8772656a1bd404872212cf141b";

fn pixel_hash(dataset: &Dataset, count: usize) -> String {
    let mut bytes = Vec::new();
    for record in &dataset.records()[..count] {
        let ImageSource::Rgb(pixels) = &record.image else { unreachable!("synthetic images are in memory") };
        bytes.extend_from_slice(pixels.as_bytes());
    }
    sha256_hex(&bytes)
}

fn table_hash(dataset: &Dataset) -> String {
    let mut text = String::new();
    for r in dataset.records() {
        writeln!(text, "{} {} {} {:?} {:?}", r.id, r.class, r.group(), r.answers, r.subgroups).unwrap();
    }
    sha256_hex(text.as_bytes())
}

fn large() -> SyntheticConfig {
    SyntheticConfig { seed: 9, num_lesions: 70, image_size: 96, ..SyntheticConfig::default() }
}

#[test]
fn the_default_synthetic_dataset_is_the_same_everywhere() {
    let dataset = SyntheticConfig::default().generate().unwrap();
    assert!(dataset.records().len() >= 2400, "{} images", dataset.records().len());
    assert_eq!(pixel_hash(&dataset, 32), FIRST_32_IMAGES);
    assert_eq!(table_hash(&dataset), TABLE);
}

#[test]
fn the_number_of_threads_changes_no_pixel() {
    let all: Vec<String> = [1, 4]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let dataset = pool.install(|| large().generate()).unwrap();
            assert_eq!(pixel_hash(&dataset, 32), FIRST_32_IMAGES_LARGE);
            pixel_hash(&dataset, dataset.records().len())
        })
        .collect();
    assert_eq!(all[0], all[1]);
}

#[test]
fn label_noise_changes_labels_and_nothing_else() {
    let clean = large().generate().unwrap();
    let noisy = SyntheticConfig { label_noise: 0.3, ..large() }.generate().unwrap();
    assert_eq!(pixel_hash(&clean, clean.records().len()), pixel_hash(&noisy, noisy.records().len()));
    let changed = clean.records().iter().zip(noisy.records()).filter(|(a, b)| a.class != b.class).count();
    let share = changed as f64 / clean.records().len() as f64;
    assert!((0.15..0.45).contains(&share), "{share} of the labels changed");
    for (a, b) in clean.records().iter().zip(noisy.records()) {
        assert_eq!((&a.id, &a.answers, &a.subgroups), (&b.id, &b.answers, &b.subgroups));
    }
}

#[test]
fn every_class_and_skin_type_is_there_and_the_classes_are_long_tailed() {
    // Classes, people and answers do not depend on the size of the images.
    let dataset = SyntheticConfig { image_size: 16, ..SyntheticConfig::default() }.generate().unwrap();
    let counts = dataset.class_counts();
    let share = |count: usize| count as f64 / dataset.records().len() as f64;
    assert!((0.55..0.65).contains(&share(*counts.iter().max().unwrap())), "{counts:?}");
    assert!((0.015..0.030).contains(&share(*counts.iter().min().unwrap())), "{counts:?}");
    let skins: std::collections::BTreeSet<&str> =
        dataset.records().iter().map(|record| record.subgroups["fitzpatrick"].as_str()).collect();
    assert_eq!(skins.into_iter().collect::<Vec<_>>(), ["I", "II", "III", "IV", "V", "VI"]);
    let asked = dataset.schema().features().len() * dataset.records().len();
    let given: usize = dataset.records().iter().map(|record| record.answers.len()).sum();
    let missing = 1.0 - given as f64 / asked as f64;
    assert!((0.10..0.15).contains(&missing), "{missing} of the answers are missing");
}

#[test]
fn the_smallest_dataset_can_always_be_split() {
    for seed in 0..40 {
        let config = SyntheticConfig { seed, num_lesions: 56, image_size: 16, ..SyntheticConfig::default() };
        let dataset = config.generate().unwrap();
        Split::stratified(&dataset, &SplitConfig { seed, ..SplitConfig::default() }).unwrap();
    }
}

/// Both resize one direction after the other, not in the same order, and round to 8 bits in between. The picture keeps
/// off 0 and 255, so that neither clips there.
const STEPS: i32 = 1;

struct Case {
    width: usize,
    height: usize,
    rule: ResizeRule,
    interpolation: Interpolation,
    expected: &'static [u8],
}

/// The picture that the reference resized.
fn picture(width: usize, height: usize) -> RgbPixels {
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            data.push(((x * 37 + y * 11) % 256 / 2 + 64) as u8);
            data.push(((x * x * 3 + y * 17) % 256 / 2 + 64) as u8);
            data.push(((x * y * 7 + 200 - 5 * x) % 256 / 2 + 64) as u8);
        }
    }
    RgbPixels::new(width, height, data).unwrap()
}

#[test]
fn resizing_equals_pillow() {
    for (number, case) in PILLOW.iter().enumerate() {
        let resize = Resize::new(8, case.rule, case.interpolation).unwrap();
        let resized = resize.apply(&picture(case.width, case.height)).unwrap();
        assert_eq!(resized.as_bytes().len(), case.expected.len());
        for (at, (&got, &expected)) in resized.as_bytes().iter().zip(case.expected).enumerate() {
            let difference = (i32::from(got) - i32::from(expected)).abs();
            assert!(difference <= STEPS, "case {number}, byte {at}: {got}, Pillow has {expected}");
        }
    }
}

/// Pillow 13 `Image.resize` to 8 by 8 pixels, with `round` in the crop's offsets as torchvision has it.
#[rustfmt::skip]
const PILLOW: &[Case] = &[
    Case { width: 23, height: 14, rule: ResizeRule::Squash, interpolation: Interpolation::Bilinear, expected: &[89, 72, 163, 138, 92, 161, 118, 133, 156, 116, 124, 152, 144, 132, 149, 102, 114, 147, 146, 130, 145, 113, 124, 144, 98, 85, 170, 146, 105, 160, 127, 142, 122, 124, 118, 108, 142, 126, 121, 108, 123, 135, 150, 143, 143, 113, 137, 129, 108, 101, 161, 149, 121, 102, 112, 140, 111, 134, 118, 138, 126, 134, 138, 112, 137, 119, 148, 126, 133, 100, 140, 119, 117, 115, 140, 152, 136, 104, 110, 143, 144, 143, 121, 128, 131, 118, 123, 122, 128, 132, 139, 117, 123, 101, 105, 130, 127, 130, 144, 141, 150, 125, 105, 127, 143, 147, 130, 129, 112, 128, 125, 131, 125, 131, 135, 130, 126, 105, 117, 132, 136, 144, 115, 136, 157, 133, 112, 111, 125, 150, 128, 123, 111, 125, 130, 140, 135, 133, 133, 138, 127, 114, 131, 128, 146, 160, 112, 116, 151, 128, 120, 106, 123, 144, 139, 123, 105, 122, 124, 148, 120, 115, 113, 128, 126, 124, 144, 135, 155, 173, 119, 125, 135, 118, 128, 113, 131, 132, 132, 128, 110, 126, 125, 147, 126, 120, 108, 117, 125, 133, 121, 132] },
    Case { width: 23, height: 14, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bilinear, expected: &[160, 131, 169, 84, 160, 115, 108, 102, 119, 134, 108, 123, 161, 146, 128, 152, 97, 131, 86, 138, 136, 113, 101, 140, 154, 143, 103, 91, 162, 95, 116, 108, 107, 142, 120, 118, 161, 158, 130, 98, 110, 135, 94, 150, 129, 121, 114, 141, 97, 156, 114, 98, 128, 133, 124, 92, 152, 150, 133, 150, 167, 138, 132, 92, 114, 131, 102, 163, 98, 129, 126, 117, 102, 165, 142, 105, 133, 162, 132, 103, 125, 158, 144, 116, 167, 109, 116, 98, 116, 131, 109, 125, 153, 136, 122, 117, 89, 158, 164, 113, 89, 133, 139, 115, 113, 165, 156, 141, 117, 121, 143, 92, 128, 101, 117, 116, 123, 144, 127, 138, 93, 124, 133, 120, 92, 112, 147, 126, 142, 173, 142, 124, 117, 107, 122, 98, 140, 141, 124, 128, 140, 151, 138, 137, 101, 96, 107, 128, 104, 139, 155, 139, 110, 144, 134, 116, 88, 99, 140, 106, 146, 113, 132, 130, 122, 159, 129, 133, 109, 87, 132, 136, 116, 130, 163, 151, 112, 144, 147, 146, 88, 112, 117, 114, 130, 130, 140, 96, 102, 167, 137, 114] },
    Case { width: 23, height: 14, rule: ResizeRule::Squash, interpolation: Interpolation::Bicubic, expected: &[84, 69, 162, 141, 89, 163, 117, 137, 160, 112, 123, 155, 149, 134, 152, 95, 111, 148, 150, 129, 145, 114, 125, 147, 94, 83, 172, 151, 104, 165, 128, 148, 118, 122, 116, 101, 145, 126, 120, 103, 121, 136, 154, 146, 147, 113, 141, 128, 104, 99, 166, 153, 121, 96, 108, 143, 105, 136, 115, 141, 125, 138, 139, 108, 138, 116, 154, 125, 135, 96, 144, 115, 114, 114, 138, 158, 137, 97, 104, 147, 152, 147, 119, 127, 133, 115, 119, 120, 129, 134, 141, 116, 120, 99, 98, 131, 127, 128, 145, 144, 153, 126, 98, 124, 147, 154, 131, 130, 107, 129, 125, 133, 124, 132, 135, 134, 126, 102, 113, 132, 137, 144, 113, 137, 162, 134, 107, 106, 123, 156, 127, 122, 105, 125, 131, 143, 138, 135, 132, 141, 125, 113, 129, 129, 148, 162, 113, 115, 154, 127, 118, 100, 122, 148, 143, 123, 97, 120, 124, 155, 119, 112, 110, 128, 124, 124, 146, 137, 158, 178, 121, 126, 134, 116, 129, 110, 132, 134, 135, 129, 105, 125, 125, 153, 127, 119, 104, 114, 125, 135, 121, 133] },
    Case { width: 23, height: 14, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bicubic, expected: &[167, 130, 174, 79, 166, 112, 107, 96, 117, 135, 104, 121, 166, 151, 126, 157, 87, 131, 81, 141, 137, 113, 96, 141, 160, 144, 99, 87, 168, 88, 115, 105, 100, 143, 117, 114, 167, 168, 131, 89, 104, 135, 92, 153, 127, 121, 109, 139, 91, 161, 110, 94, 128, 132, 123, 83, 157, 151, 136, 155, 174, 141, 133, 83, 108, 134, 101, 168, 92, 129, 128, 118, 99, 171, 142, 102, 137, 171, 131, 96, 124, 159, 151, 108, 178, 102, 109, 91, 116, 133, 108, 124, 163, 136, 122, 113, 81, 167, 176, 113, 81, 131, 138, 113, 103, 172, 165, 148, 111, 121, 152, 87, 131, 89, 117, 112, 121, 144, 126, 142, 87, 123, 132, 120, 88, 108, 146, 129, 149, 181, 146, 123, 116, 101, 119, 93, 146, 146, 124, 128, 143, 151, 139, 137, 100, 88, 95, 128, 101, 144, 158, 143, 105, 144, 134, 109, 80, 90, 146, 106, 155, 108, 132, 133, 123, 165, 127, 132, 109, 79, 135, 136, 115, 132, 168, 156, 104, 147, 152, 154, 79, 108, 113, 115, 132, 133, 140, 92, 98, 175, 140, 113] },
    Case { width: 10, height: 31, rule: ResizeRule::Squash, interpolation: Interpolation::Bilinear, expected: &[79, 80, 165, 100, 83, 168, 121, 90, 163, 145, 102, 145, 165, 120, 146, 130, 141, 137, 86, 156, 122, 108, 112, 127, 98, 109, 168, 119, 112, 149, 140, 119, 105, 162, 131, 106, 142, 148, 123, 94, 157, 135, 105, 119, 135, 127, 100, 126, 119, 142, 150, 141, 145, 103, 162, 152, 112, 139, 162, 139, 92, 144, 131, 105, 103, 132, 126, 103, 128, 148, 129, 122, 141, 163, 143, 162, 154, 97, 155, 146, 142, 97, 120, 117, 103, 95, 127, 127, 109, 137, 148, 133, 126, 170, 156, 120, 160, 100, 146, 146, 91, 117, 97, 93, 123, 100, 102, 126, 124, 120, 118, 148, 142, 130, 165, 154, 127, 130, 112, 119, 153, 113, 150, 92, 116, 127, 98, 123, 135, 121, 135, 117, 146, 152, 130, 161, 153, 127, 124, 112, 119, 91, 102, 115, 99, 146, 153, 98, 149, 107, 119, 156, 127, 143, 162, 126, 163, 135, 130, 131, 98, 130, 89, 105, 122, 106, 133, 116, 96, 170, 156, 117, 155, 119, 138, 143, 104, 160, 113, 149, 144, 93, 131, 91, 109, 113, 103, 134, 127, 125, 163, 137] },
    Case { width: 10, height: 31, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bilinear, expected: &[148, 167, 75, 167, 172, 115, 185, 179, 154, 76, 190, 66, 94, 75, 105, 113, 92, 145, 131, 111, 184, 150, 134, 96, 154, 176, 79, 172, 180, 122, 191, 188, 165, 81, 70, 80, 100, 84, 123, 118, 100, 166, 137, 120, 81, 155, 142, 124, 159, 184, 82, 178, 189, 129, 68, 68, 175, 87, 79, 94, 105, 92, 140, 124, 109, 187, 142, 128, 105, 161, 151, 152, 165, 65, 86, 183, 69, 136, 74, 77, 186, 92, 87, 108, 111, 101, 158, 129, 117, 80, 148, 137, 130, 166, 159, 180, 170, 73, 89, 189, 78, 143, 79, 85, 68, 98, 96, 122, 116, 109, 175, 135, 126, 101, 153, 145, 154, 172, 168, 80, 176, 82, 93, 66, 86, 150, 85, 94, 79, 103, 104, 136, 122, 118, 65, 140, 134, 122, 159, 154, 179, 177, 176, 108, 181, 90, 96, 72, 95, 157, 90, 102, 89, 109, 113, 150, 127, 126, 82, 146, 143, 143, 164, 162, 75, 183, 185, 136, 187, 99, 100, 77, 103, 164, 96, 111, 100, 114, 121, 164, 133, 135, 100, 151, 151, 164, 170, 171, 100, 188, 65, 164] },
    Case { width: 10, height: 31, rule: ResizeRule::Squash, interpolation: Interpolation::Bicubic, expected: &[75, 77, 164, 97, 80, 170, 121, 87, 169, 144, 99, 146, 174, 116, 146, 135, 140, 136, 79, 164, 119, 108, 110, 127, 95, 108, 172, 118, 111, 155, 141, 119, 96, 170, 131, 99, 146, 152, 122, 87, 166, 137, 105, 114, 136, 129, 94, 124, 117, 143, 154, 139, 148, 97, 168, 156, 109, 141, 170, 147, 81, 149, 131, 103, 98, 133, 128, 98, 127, 150, 132, 120, 138, 170, 145, 167, 158, 87, 160, 148, 152, 86, 118, 113, 100, 86, 126, 126, 104, 138, 149, 136, 126, 176, 163, 120, 164, 97, 148, 154, 84, 117, 89, 88, 122, 97, 97, 127, 123, 119, 117, 148, 144, 129, 173, 161, 128, 129, 106, 119, 163, 110, 150, 84, 115, 128, 95, 123, 137, 122, 136, 113, 146, 158, 131, 169, 163, 128, 122, 106, 117, 82, 96, 114, 96, 146, 158, 94, 152, 99, 121, 161, 130, 144, 171, 125, 172, 138, 131, 134, 92, 131, 79, 102, 123, 107, 136, 113, 92, 173, 160, 118, 156, 119, 141, 142, 99, 165, 109, 157, 145, 85, 132, 84, 108, 110, 105, 138, 128, 128, 167, 140] },
    Case { width: 10, height: 31, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bicubic, expected: &[148, 167, 75, 167, 172, 115, 185, 179, 154, 76, 190, 66, 94, 75, 105, 113, 92, 145, 131, 111, 184, 150, 134, 96, 154, 176, 79, 172, 180, 122, 191, 188, 165, 81, 70, 80, 100, 84, 123, 118, 100, 166, 137, 120, 81, 155, 142, 124, 159, 184, 82, 178, 189, 129, 68, 68, 175, 87, 79, 94, 105, 92, 140, 124, 109, 187, 142, 128, 105, 161, 151, 152, 165, 65, 86, 183, 69, 136, 74, 77, 186, 92, 87, 108, 111, 101, 158, 129, 117, 80, 148, 137, 130, 166, 159, 180, 170, 73, 89, 189, 78, 143, 79, 85, 68, 98, 96, 122, 116, 109, 175, 135, 126, 101, 153, 145, 154, 172, 168, 80, 176, 82, 93, 66, 86, 150, 85, 94, 79, 103, 104, 136, 122, 118, 65, 140, 134, 122, 159, 154, 179, 177, 176, 108, 181, 90, 96, 72, 95, 157, 90, 102, 89, 109, 113, 150, 127, 126, 82, 146, 143, 143, 164, 162, 75, 183, 185, 136, 187, 99, 100, 77, 103, 164, 96, 111, 100, 114, 121, 164, 133, 135, 100, 151, 151, 164, 170, 171, 100, 188, 65, 164] },
    Case { width: 6, height: 6, rule: ResizeRule::Squash, interpolation: Interpolation::Bilinear, expected: &[64, 64, 164, 75, 65, 162, 89, 67, 160, 103, 71, 159, 117, 76, 156, 131, 84, 155, 145, 93, 153, 156, 101, 151, 67, 69, 164, 79, 70, 164, 93, 73, 163, 106, 76, 163, 121, 82, 163, 134, 89, 163, 148, 98, 162, 160, 107, 162, 71, 75, 164, 83, 76, 166, 97, 79, 167, 110, 82, 169, 125, 88, 171, 138, 95, 173, 152, 104, 174, 164, 113, 175, 76, 82, 164, 87, 83, 167, 101, 85, 171, 115, 89, 175, 129, 94, 178, 143, 102, 172, 157, 111, 170, 168, 119, 172, 79, 88, 164, 91, 89, 169, 105, 92, 174, 118, 95, 180, 133, 101, 186, 146, 108, 121, 160, 117, 85, 172, 126, 90, 84, 95, 164, 95, 96, 170, 109, 98, 178, 123, 102, 175, 137, 107, 123, 151, 115, 91, 165, 124, 80, 176, 132, 87, 88, 101, 164, 99, 102, 172, 113, 104, 164, 127, 108, 133, 141, 113, 83, 155, 121, 83, 169, 130, 92, 180, 138, 100, 91, 106, 164, 103, 107, 173, 117, 110, 137, 130, 113, 68, 145, 119, 79, 158, 126, 90, 172, 135, 102, 184, 144, 111] },
    Case { width: 6, height: 6, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bilinear, expected: &[73, 68, 163, 84, 69, 163, 95, 71, 162, 107, 75, 161, 117, 79, 161, 129, 85, 160, 140, 91, 160, 151, 99, 159, 77, 73, 164, 88, 74, 165, 99, 76, 166, 110, 80, 166, 121, 84, 167, 132, 90, 167, 143, 96, 168, 154, 104, 169, 80, 78, 165, 91, 79, 167, 102, 81, 169, 114, 85, 171, 124, 89, 172, 136, 95, 174, 147, 101, 176, 158, 109, 178, 83, 83, 166, 94, 84, 169, 105, 87, 172, 117, 90, 176, 127, 95, 178, 139, 100, 171, 150, 107, 159, 161, 115, 162, 87, 88, 167, 98, 89, 171, 109, 91, 176, 120, 95, 180, 131, 99, 184, 142, 105, 148, 153, 111, 91, 164, 119, 95, 90, 93, 167, 101, 94, 173, 112, 97, 179, 123, 100, 175, 134, 105, 149, 145, 110, 114, 156, 117, 74, 167, 125, 79, 93, 98, 168, 104, 99, 175, 115, 102, 182, 127, 105, 164, 137, 110, 93, 149, 115, 75, 160, 122, 82, 171, 130, 89, 97, 103, 169, 108, 104, 177, 119, 107, 139, 130, 110, 107, 141, 115, 84, 152, 120, 82, 163, 127, 90, 174, 135, 99] },
    Case { width: 6, height: 6, rule: ResizeRule::Squash, interpolation: Interpolation::Bicubic, expected: &[63, 64, 164, 74, 64, 162, 89, 66, 160, 103, 71, 159, 117, 76, 155, 131, 84, 154, 146, 94, 152, 157, 102, 150, 66, 68, 164, 77, 69, 164, 92, 71, 163, 106, 75, 163, 120, 81, 162, 134, 88, 162, 149, 98, 161, 160, 107, 161, 70, 75, 164, 82, 76, 165, 97, 78, 167, 110, 82, 169, 125, 88, 170, 138, 95, 176, 153, 105, 180, 165, 114, 181, 75, 82, 164, 86, 82, 166, 101, 84, 171, 115, 89, 175, 129, 94, 179, 143, 102, 175, 158, 112, 174, 169, 120, 177, 78, 88, 164, 90, 89, 168, 105, 91, 174, 118, 95, 182, 133, 101, 197, 146, 108, 117, 161, 118, 72, 173, 127, 84, 83, 95, 163, 94, 95, 169, 109, 97, 185, 123, 102, 188, 137, 107, 119, 151, 115, 80, 166, 125, 72, 177, 133, 82, 87, 102, 163, 99, 102, 174, 114, 104, 169, 127, 109, 134, 142, 114, 71, 155, 122, 76, 170, 132, 95, 182, 140, 102, 90, 106, 163, 102, 107, 182, 117, 109, 138, 130, 113, 56, 145, 119, 78, 158, 126, 91, 173, 136, 104, 185, 145, 113] },
    Case { width: 6, height: 6, rule: ResizeRule::CentreCrop { crop_pct: 0.8 }, interpolation: Interpolation::Bicubic, expected: &[71, 67, 163, 84, 68, 162, 95, 70, 162, 106, 73, 160, 117, 78, 160, 128, 84, 159, 139, 90, 158, 152, 100, 157, 75, 73, 164, 88, 74, 165, 99, 76, 166, 110, 79, 166, 121, 84, 167, 132, 90, 167, 143, 96, 168, 156, 106, 169, 78, 78, 165, 91, 79, 167, 102, 81, 169, 114, 84, 171, 124, 89, 172, 136, 95, 178, 147, 101, 186, 160, 111, 188, 81, 83, 165, 94, 84, 169, 105, 87, 172, 117, 90, 176, 127, 94, 181, 139, 100, 176, 150, 107, 165, 163, 116, 168, 85, 88, 166, 98, 89, 171, 109, 91, 175, 120, 94, 184, 131, 99, 199, 142, 105, 154, 153, 111, 85, 166, 121, 85, 88, 93, 166, 101, 94, 173, 112, 97, 187, 123, 100, 185, 134, 104, 156, 145, 110, 110, 156, 117, 64, 169, 126, 67, 91, 98, 167, 104, 99, 175, 115, 102, 191, 127, 105, 170, 137, 109, 87, 149, 115, 66, 160, 122, 82, 173, 131, 90, 95, 104, 172, 108, 105, 178, 119, 108, 138, 131, 111, 99, 141, 115, 75, 153, 121, 76, 164, 128, 92, 177, 137, 101] },
];
