//! One image's way from a file to planes, step by step, on one core.
//!
//! The picture is the made one of the tests at 200 by 150 pixels, as JPEG of quality 90; where `DERM_DATA_DIR` is set,
//! a HAM10000 file is read too.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use derm_core::{Interpolation, Normalization};
use derm_data::{
    Augmentation, Blur, ColourJitter, CutOut, Hair, Normalizer, Orientation, RandAugment, RandomResizedCrop,
    Resize, ResizeRule, RgbPixels, Rotation, Scratch, Vignette, decode_bytes, decode_file,
};

const SIZE: usize = 224;

fn file() -> Vec<u8> {
    if let Some(root) = std::env::var_os("DERM_DATA_DIR") {
        return std::fs::read(PathBuf::from(root).join("ham10000/images/ISIC_0024307.jpg")).unwrap();
    }
    let photo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images/photo.png");
    let photo = decode_file(photo).unwrap();
    let rows = photo.as_bytes().chunks_exact(3 * photo.width()).take(150);
    let cut: Vec<u8> = rows.flat_map(|row| row[..600].to_vec()).collect();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode(&cut, 200, 150, image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

fn training() -> Augmentation {
    Augmentation {
        random_resized_crop: RandomResizedCrop { probability: 1.0, ..RandomResizedCrop::default() },
        colour_jitter: ColourJitter { probability: 1.0, ..ColourJitter::default() },
        ..Augmentation::default()
    }
}

fn bench(criterion: &mut Criterion) {
    let bytes = file();
    let picture = decode_bytes(&bytes, "bench").unwrap();
    let resize = Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let resized = resize.apply(&picture).unwrap();
    let normalizer = Normalizer::new(Normalization::IMAGENET).unwrap();
    let mut planes = vec![0.0f32; 3 * SIZE * SIZE];
    let mut scratch = Scratch::new();

    let mut group = criterion.benchmark_group("image");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |b| b.iter(|| decode_bytes(black_box(&bytes), "bench").unwrap()));
    let none = Augmentation::none();
    group.bench_function("resize", |b| {
        let drawn = none.draw(0, 0, 0);
        b.iter(|| drawn.apply(black_box(&picture), &resize, &mut scratch).unwrap().as_bytes()[0]);
    });
    let quarter = (0..).map(|index| Augmentation { quarter_turns: 1.0, ..none }.orientation(0, 0, index));
    for (name, orientation) in [
        ("upright", Orientation::UPRIGHT),
        ("mirrored", Orientation::MIRRORED),
        ("turned", quarter.take(1).next().unwrap()),
    ] {
        group.bench_function(format!("normalise/{name}"), |b| {
            b.iter(|| normalizer.write_planes(black_box(&resized), orientation, &mut planes));
        });
    }
    // Each part on the picture that has the size already, so that what is timed is the part and a copy.
    let p = 1.0;
    let parts: Vec<(&str, Augmentation)> = vec![
        ("copy", none),
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
            "hsv",
            Augmentation {
                colour_jitter: ColourJitter { probability: p, contrast: 0.0, ..ColourJitter::default() },
                ..none
            },
        ),
        (
            "rand_augment",
            Augmentation { rand_augment: RandAugment { probability: p, ..RandAugment::default() }, ..none },
        ),
        ("blur", Augmentation { blur: Blur { probability: p, ..Blur::default() }, ..none }),
        ("cut_out", Augmentation { cut_out: CutOut { probability: p, ..CutOut::default() }, ..none }),
    ];
    for (name, augmentation) in parts {
        group.bench_function(format!("part/{name}"), |b| {
            let mut index = 0;
            b.iter(|| {
                index += 1;
                let drawn = augmentation.draw(0, 0, index);
                drawn.apply(black_box(&resized), &resize, &mut scratch).unwrap().as_bytes()[0]
            });
        });
    }
    for (name, augmentation) in [("resize", Augmentation::default()), ("crop_flips_jitter", training())] {
        group.bench_function(format!("whole/{name}"), |b| {
            let mut index = 0;
            b.iter(|| {
                index += 1;
                let picture: RgbPixels = decode_bytes(black_box(&bytes), "bench").unwrap();
                let drawn = augmentation.draw(0, 0, index);
                let pixels = drawn.apply(&picture, &resize, &mut scratch).unwrap();
                normalizer.write_planes(pixels, drawn.orientation(), &mut planes);
                planes[0]
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
