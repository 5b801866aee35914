//! What augmentation draws and what it does; mixing of batches.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use derm_core::Interpolation;
use derm_data::{
    Augmentation, BatchMix, Blur, ColourJitter, CutOut, Error, Hair, Orientation, RandAugment,
    RandomResizedCrop, Resize, ResizeRule, RgbPixels, Rotation, Scratch, Vignette,
};
use proptest::prelude::*;

/// Gradients, an edge and a grid: everything that is done to it shows.
fn picture(width: usize, height: usize) -> RgbPixels {
    let data = (0..width * height)
        .flat_map(|at| {
            let (x, y) = (at % width, at / width);
            let dark = if (x + width / 7 > y) == (x / 5 % 2 == 0) { 70 } else { 0 };
            [
                (220 - dark - x * 40 / width) as u8,
                (150 - dark + y * 60 / height) as u8,
                (90 + x * 50 / width) as u8,
            ]
        })
        .collect();
    RgbPixels::new(width, height, data).unwrap()
}

fn resize(size: usize) -> Resize {
    Resize::new(size, ResizeRule::Squash, Interpolation::Bilinear).unwrap()
}

/// Each part alone, always happening.
fn parts() -> Vec<(&'static str, Augmentation)> {
    let none = Augmentation::none();
    let p = 1.0;
    vec![
        (
            "random_resized_crop",
            Augmentation {
                random_resized_crop: RandomResizedCrop { probability: p, ..RandomResizedCrop::default() },
                ..none
            },
        ),
        ("rotation", Augmentation { rotation: Rotation { probability: p, ..Rotation::default() }, ..none }),
        ("hair", Augmentation { hair: Hair { probability: p, ..Hair::default() }, ..none }),
        ("vignette", Augmentation { vignette: Vignette { probability: p, ..Vignette::default() }, ..none }),
        (
            "colour_jitter",
            Augmentation {
                colour_jitter: ColourJitter { probability: p, ..ColourJitter::default() },
                ..none
            },
        ),
        (
            "rand_augment",
            Augmentation {
                rand_augment: RandAugment { probability: p, operations: 6, ..RandAugment::default() },
                ..none
            },
        ),
        ("blur", Augmentation { blur: Blur { probability: p, sigma: [0.5, 2.0] }, ..none }),
        ("cut_out", Augmentation { cut_out: CutOut { probability: p, ..CutOut::default() }, ..none }),
    ]
}

/// All of them in one.
fn everything() -> Augmentation {
    let mut all = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
    for (_, part) in parts() {
        all = join(all, part);
    }
    all
}

/// The first with what is on in the second.
fn join(mut all: Augmentation, part: Augmentation) -> Augmentation {
    let none = Augmentation::none();
    macro_rules! take {
        ($($field:ident),*) => { $(if part.$field != none.$field { all.$field = part.$field; })* };
    }
    take!(random_resized_crop, rotation, hair, vignette, colour_jitter, rand_augment, blur, cut_out);
    all
}

#[test]
fn with_every_probability_0_the_picture_is_the_resized_one() {
    let (picture, resize, mut scratch) = (picture(50, 40), resize(32), Scratch::new());
    let plain = resize.apply(&picture).unwrap();
    for index in 0..20 {
        let drawn = Augmentation::default().draw(1, 2, index);
        assert!(drawn.is_orientation_only());
        assert_eq!(drawn.orientation(), Augmentation::default().orientation(1, 2, index));
        assert_eq!(drawn.apply(&picture, &resize, &mut scratch).unwrap(), &plain);
    }
}

#[test]
fn with_probability_1_each_part_always_changes_it() {
    let (picture, resize, mut scratch) = (picture(50, 40), resize(32), Scratch::new());
    let plain = resize.apply(&picture).unwrap();
    for (name, part) in parts() {
        part.validate().unwrap();
        let mut different = Vec::new();
        for index in 0..40 {
            let drawn = part.draw(1, 0, index);
            assert!(!drawn.is_orientation_only(), "{name}");
            let got = drawn.apply(&picture, &resize, &mut scratch).unwrap();
            assert_ne!(got, &plain, "{name}, record {index}");
            if !different.contains(got) {
                different.push(got.clone());
            }
        }
        assert!(different.len() >= 38, "{name}: {} of 40 are different", different.len());
    }
}

#[test]
fn a_probability_is_a_share() {
    let half = Augmentation { blur: Blur { probability: 0.5, ..Blur::default() }, ..Augmentation::none() };
    let count = (0..2000).filter(|&index| !half.draw(0, 0, index).is_orientation_only()).count();
    // Four standard errors.
    assert!((911..=1089).contains(&count), "{count} of 2000");
}

#[test]
fn a_draw_follows_from_its_key_alone() {
    let all = everything();
    assert_eq!(all.draw(1, 2, 3), all.draw(1, 2, 3));
    for other in [all.draw(2, 2, 3), all.draw(1, 3, 3), all.draw(1, 2, 4)] {
        assert_ne!(all.draw(1, 2, 3), other);
    }
    // A used scratch is as good as a new one.
    let (picture, resize, mut used) = (picture(50, 40), resize(32), Scratch::new());
    for index in 0..10 {
        let drawn = all.draw(5, 0, index);
        let got = drawn.apply(&picture, &resize, &mut used).unwrap().clone();
        assert_eq!(&got, drawn.apply(&picture, &resize, &mut Scratch::new()).unwrap());
    }
}

#[test]
fn switching_one_part_off_leaves_the_others_draws() {
    let all = everything();
    let none = Augmentation::none();
    for index in 0..20 {
        let with = format!("{:?}", all.draw(4, 1, index));
        let without = Augmentation { hair: none.hair, rand_augment: none.rand_augment, ..all };
        let without = format!("{:?}", without.draw(4, 1, index));
        for field in ["orientation: ", "crop: ", "degrees: ", "corners: ", "jitter: ", "sigma: ", "hidden: "]
        {
            let of = |text: &str| {
                let start = text.find(field).unwrap();
                text[start..start + 60.min(text.len() - start)].split("hair").next().unwrap().to_owned()
            };
            assert!(with.contains(&of(&without)) || of(&with) == of(&without), "{field}");
        }
    }
    // And by pixels: what hair alone draws does not depend on what else there is.
    let hair = Augmentation { hair: all.hair, ..none };
    let flips = Augmentation { hair: all.hair, horizontal_flip: 0.5, ..none };
    let (picture, resize) = (picture(50, 40), resize(32));
    let (mut a, mut b) = (Scratch::new(), Scratch::new());
    for index in 0..10 {
        assert_eq!(
            hair.draw(1, 1, index).apply(&picture, &resize, &mut a).unwrap(),
            flips.draw(1, 1, index).apply(&picture, &resize, &mut b).unwrap()
        );
    }
}

#[test]
fn a_grey_picture_stays_grey_under_jitter_blur_and_cut_out() {
    let grey = RgbPixels::new(40, 30, (0..1200).flat_map(|at| [(at * 7 % 256) as u8; 3]).collect()).unwrap();
    let none = Augmentation::none();
    let strong = Augmentation {
        colour_jitter: ColourJitter {
            probability: 1.0,
            hue: 0.5,
            saturation: 1.0,
            ..ColourJitter::default()
        },
        blur: Blur { probability: 1.0, ..Blur::default() },
        cut_out: CutOut { probability: 1.0, ..CutOut::default() },
        vignette: Vignette { probability: 1.0, ..Vignette::default() },
        rotation: Rotation { probability: 1.0, ..Rotation::default() },
        ..none
    };
    let mut scratch = Scratch::new();
    for index in 0..20 {
        let got = strong.draw(0, 0, index).apply(&grey, &resize(24), &mut scratch).unwrap().clone();
        assert!(got.iter().all(|[r, g, b]| r == g && g == b));
    }
}

#[test]
fn a_part_of_a_picture_is_that_part_alone() {
    // Red to the left, blue to the right: a crop of the left half may not see blue.
    let data = (0..60 * 40).flat_map(|at| if at % 60 < 30 { [255, 0, 0] } else { [0, 0, 255] }).collect();
    let picture = RgbPixels::new(60, 40, data).unwrap();
    let crop = Augmentation {
        random_resized_crop: RandomResizedCrop {
            probability: 1.0,
            scale: [0.1, 0.3],
            ..RandomResizedCrop::default()
        },
        ..Augmentation::none()
    };
    let (mut pure, mut scratch) = (0, Scratch::new());
    for index in 0..100 {
        let got = crop.draw(0, 0, index).apply(&picture, &resize(16), &mut scratch).unwrap().clone();
        let reds = got.iter().filter(|pixel| pixel[0] > 0).count();
        let blues = got.iter().filter(|pixel| pixel[2] > 0).count();
        assert!(reds + blues >= 256);
        pure += usize::from(reds == 0 || blues == 0);
        // Where both show, the edge is sharp: at most a column of mixed pixels to each side of it, more where one pixel
        // becomes several.
        assert!(reds + blues <= 256 + 16 * 3, "{reds} red, {blues} blue");
    }
    assert!((20..80).contains(&pure), "{pure} of 100 show one side only");
}

#[test]
fn extreme_pictures_are_taken_or_named() {
    let (all, mut scratch) = (everything(), Scratch::new());
    for (width, height) in [(1, 1), (1, 2), (3, 1), (100, 1), (1, 100), (2000, 1500)] {
        for index in 0..5 {
            let drawn = all.draw(0, 0, index);
            let got = drawn.apply(&picture(width, height), &resize(16), &mut scratch).unwrap();
            assert_eq!((got.width(), got.height()), (16, 16));
        }
    }
    for (width, height) in [(1, 300), (300, 1)] {
        let result = all.draw(0, 0, 0).apply(&picture(width, height), &resize(16), &mut scratch);
        assert!(matches!(result, Err(Error::Resize { .. })));
    }
    // A network may be as small as a pixel.
    for index in 0..20 {
        assert!(all.draw(0, 0, index).apply(&picture(9, 7), &resize(1), &mut scratch).is_ok());
    }
}

#[test]
fn settings_outside_their_ranges_are_named() {
    let none = Augmentation::none();
    let wrong: Vec<(&str, Augmentation)> = vec![
        ("horizontal_flip", Augmentation { horizontal_flip: f64::NAN, ..none }),
        (
            "random_resized_crop.scale",
            Augmentation {
                random_resized_crop: RandomResizedCrop { scale: [0.5, 0.4], ..RandomResizedCrop::default() },
                ..none
            },
        ),
        (
            "random_resized_crop.scale",
            Augmentation {
                random_resized_crop: RandomResizedCrop { scale: [0.0, 0.4], ..RandomResizedCrop::default() },
                ..none
            },
        ),
        (
            "random_resized_crop.ratio",
            Augmentation {
                random_resized_crop: RandomResizedCrop {
                    ratio: [f64::NAN, 1.0],
                    ..RandomResizedCrop::default()
                },
                ..none
            },
        ),
        (
            "rotation.max_degrees",
            Augmentation { rotation: Rotation { max_degrees: 181.0, ..Rotation::default() }, ..none },
        ),
        ("hair.count", Augmentation { hair: Hair { count: [0, 3], ..Hair::default() }, ..none }),
        ("hair.count", Augmentation { hair: Hair { count: [5, 3], ..Hair::default() }, ..none }),
        (
            "vignette.strength",
            Augmentation { vignette: Vignette { strength: [0.0, 1.1], ..Vignette::default() }, ..none },
        ),
        (
            "colour_jitter.hue",
            Augmentation { colour_jitter: ColourJitter { hue: 0.51, ..ColourJitter::default() }, ..none },
        ),
        (
            "colour_jitter.value",
            Augmentation { colour_jitter: ColourJitter { value: -0.1, ..ColourJitter::default() }, ..none },
        ),
        (
            "rand_augment.operations",
            Augmentation { rand_augment: RandAugment { operations: 0, ..RandAugment::default() }, ..none },
        ),
        (
            "rand_augment.magnitude",
            Augmentation { rand_augment: RandAugment { magnitude: 31, ..RandAugment::default() }, ..none },
        ),
        ("blur.sigma", Augmentation { blur: Blur { sigma: [0.0, 1.0], ..Blur::default() }, ..none }),
        ("cut_out.area", Augmentation { cut_out: CutOut { area: [0.1, 1.1], ..CutOut::default() }, ..none }),
        (
            "cut_out.probability",
            Augmentation { cut_out: CutOut { probability: 1.1, ..CutOut::default() }, ..none },
        ),
    ];
    for (expected, augmentation) in wrong {
        let error = augmentation.validate().unwrap_err();
        assert!(matches!(&error, Error::Setting { name, .. } if *name == expected), "{expected}: {error}");
    }
    everything().validate().unwrap();
    for text in ["{\"blurr\": {}}", "{\"blur\": {\"sigmas\": [1, 2]}}"] {
        assert!(serde_json::from_str::<Augmentation>(text).is_err(), "{text}");
    }
    let read: Augmentation = serde_json::from_str("{\"blur\": {\"probability\": 0.3}}").unwrap();
    assert_eq!(read.blur, Blur { probability: 0.3, ..Blur::default() });
    assert_eq!(read.horizontal_flip, 0.5);
}

/// A batch whose pictures are constant: i + 1 in every number; one class each.
fn batch(count: usize, size: usize) -> (Vec<f32>, Vec<f32>) {
    let images = (0..count).flat_map(|at| vec![at as f32 + 1.0; 3 * size * size]).collect();
    let targets =
        (0..count).flat_map(|at| (0..count).map(move |class| f32::from(u8::from(class == at)))).collect();
    (images, targets)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mixing_keeps_sums_and_its_lambda_is_true(
        count in 1..7usize, size in 1..20usize, mixup in 0.0..2.0f64, cutmix in 0.0..2.0f64, key in any::<(u64, u64, u64)>(),
    ) {
        let mix = BatchMix { mixup_alpha: mixup, cutmix_alpha: cutmix, ..BatchMix::default() };
        mix.validate().unwrap();
        let (before, _) = batch(count, size);
        let (mut images, mut targets) = batch(count, size);
        let lambda = mix.apply(&mut images, &mut targets, count, size, key).unwrap();
        prop_assert!((0.0..=1.0).contains(&lambda));
        let again = { let (mut a, mut b) = batch(count, size); mix.apply(&mut a, &mut b, count, size, key).unwrap(); (a, b) };
        prop_assert_eq!(&again, &(images.clone(), targets.clone()));
        if count == 1 {
            prop_assert_eq!(lambda, 1.0);
            prop_assert_eq!(&images, &before);
        }
        let plane = 3 * size * size;
        for at in 0..count {
            let other = count - 1 - at;
            let row = &targets[at * count..(at + 1) * count];
            prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            if other == at {
                prop_assert!(images[at * plane..(at + 1) * plane].iter().all(|&x| (x - (at + 1) as f32).abs() < 1e-5));
            } else {
                prop_assert!((row[at] - lambda).abs() < 1e-6 && (row[other] - (1.0 - lambda)).abs() < 1e-6);
                // The mean of constant pictures tells what share is whose, for mixup and cutmix alike.
                let mean = images[at * plane..(at + 1) * plane].iter().map(|&x| f64::from(x)).sum::<f64>() / plane as f64;
                let expected = f64::from(lambda) * (at + 1) as f64 + f64::from(1.0 - lambda) * (other + 1) as f64;
                prop_assert!((mean - expected).abs() < 1e-4, "{} for {}", mean, expected);
            }
        }
    }

    #[test]
    fn cutmix_moves_pixels_and_makes_none(count in 2..6usize, size in 2..12usize, key in any::<(u64, u64, u64)>()) {
        let mix = BatchMix { cutmix_alpha: 1.0, ..BatchMix::default() };
        let mut images: Vec<f32> = (0..count * 3 * size * size).map(|at| at as f32).collect();
        let mut targets = vec![1.0; count];
        mix.apply(&mut images, &mut targets, count, size, key).unwrap();
        // Every number is still there, at its own place of one of the two pictures.
        let plane = 3 * size * size;
        for (at, &number) in images.iter().enumerate() {
            let (picture, place) = (at / plane, at % plane);
            let from = number as usize;
            prop_assert!(from % plane == place);
            prop_assert!(from / plane == picture || from / plane == count - 1 - picture);
        }
        let mut sorted = images.clone();
        sorted.sort_by(f32::total_cmp);
        prop_assert!(sorted.iter().enumerate().all(|(at, &number)| number == at as f32));
    }
}

#[test]
fn mixing_is_off_by_default_and_wrong_settings_are_named() {
    assert!(!BatchMix::default().is_on());
    let (mut images, mut targets) = batch(4, 3);
    assert_eq!(BatchMix::default().apply(&mut images, &mut targets, 4, 3, (0, 0, 0)).unwrap(), 1.0);
    assert_eq!((images, targets), batch(4, 3));
    for wrong in [
        BatchMix { mixup_alpha: -0.1, ..BatchMix::default() },
        BatchMix { cutmix_alpha: f64::NAN, ..BatchMix::default() },
        BatchMix { probability: 1.5, ..BatchMix::default() },
        BatchMix { switch_probability: f64::NAN, ..BatchMix::default() },
    ] {
        assert!(matches!(wrong.validate(), Err(Error::Setting { .. })), "{wrong:?}");
    }
    let on = BatchMix { mixup_alpha: 0.4, ..BatchMix::default() };
    assert!(on.is_on());
    for (images, targets, count, size) in [(11, 2, 2, 1), (12, 3, 2, 1), (12, 4, 0, 1), (0, 0, 2, 0)] {
        let result = on.apply(&mut vec![0.0; images], &mut vec![0.0; targets], count, size, (0, 0, 0));
        assert!(images == 12 && targets == 4 && count == 2 || result.is_err(), "{images} {targets}");
    }
    // Both kinds come up, in about equal parts.
    let both = BatchMix { mixup_alpha: 1.0, cutmix_alpha: 1.0, ..BatchMix::default() };
    let cut = (0..400)
        .filter(|&number| {
            let (mut images, mut targets) = batch(2, 8);
            both.apply(&mut images, &mut targets, 2, 8, (1, 0, number)).unwrap();
            images.iter().all(|&x| x == 1.0 || x == 2.0)
        })
        .count();
    assert!((160..=240).contains(&cut), "{cut} of 400 are cutmix");
}

#[test]
fn the_orientations_of_an_augmentation_are_those_that_it_draws() {
    for (flips, turns) in [
        ([0.0, 0.0], 0.0),
        ([0.5, 0.0], 0.0),
        ([0.0, 0.5], 0.0),
        ([0.5, 0.5], 0.0),
        ([0.0, 0.0], 0.5),
        ([0.5, 0.0], 0.5),
        ([0.5, 0.5], 0.5),
    ] {
        let [horizontal_flip, vertical_flip] = flips;
        let augmentation =
            Augmentation { horizontal_flip, vertical_flip, quarter_turns: turns, ..Augmentation::none() };
        let listed = augmentation.orientations().unwrap();
        let mut drawn: Vec<Orientation> = (0..400).map(|key| augmentation.orientation(1, 2, key)).collect();
        assert!(drawn.iter().all(|orientation| listed.contains(orientation)));
        drawn.dedup();
        assert!(listed.iter().all(|orientation| drawn.contains(orientation)), "{flips:?} {turns}");
    }
}
