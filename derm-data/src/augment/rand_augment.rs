//! `RandAugment`: a few operations of one list, at one magnitude.

use serde::{Deserialize, Serialize};

use super::{Scratch, probability};
use crate::Error;
use crate::error::setting;
use crate::pixel_ops::{
    auto_contrast, blend_brightness, blend_colour, blend_contrast, blend_sharpness, equalize, lookup,
    rotate_nearest, transform_nearest,
};
use crate::portable_rng::PortableRng;

/// `operations` operations, each drawn alike from fourteen, at one magnitude.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1, of each of the operations (the paper's is 1) |
/// | `operations` | 2 | 1 to 14 |
/// | `magnitude` | 9 | 0 to 30 |
///
/// Identity, shear x and y (up to 0.3), translation x and y (150/331 of the side), rotation (30°), brightness, colour,
/// contrast, sharpness (factor 1 ± 0.9), posterise (8 to 4 bits), solarise (threshold 255 to 0), auto-contrast,
/// equalise; figures at magnitude 30, linear from none at 0, those with two directions signed at random. Pixels equal
/// Pillow's through `torchvision.transforms.RandAugment` (nearest neighbour, black beyond the border).
///
/// # Source
/// Cubuk et al. 2020, "`RandAugment`: Practical automated data augmentation with a reduced search space"; torchvision
/// 0.29.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Probability of each operation.
    pub probability: f64,
    /// Operations a picture.
    pub operations: usize,
    /// How strong they are, 0 to 30.
    pub magnitude: usize,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { probability: 0.0, operations: 2, magnitude: 9 }
    }
}

/// The largest magnitude: torchvision's 31 bins.
const MOST: usize = 30;

impl RandAugment {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("rand_augment.probability", self.probability)?;
        if !(1..=14).contains(&self.operations) {
            return Err(setting("rand_augment.operations", self.operations, "1 to 14"));
        }
        if self.magnitude > MOST {
            return Err(setting("rand_augment.magnitude", self.magnitude, "0 to 30"));
        }
        Ok(())
    }

    pub(super) fn draw(&self, mut rng: PortableRng) -> Vec<Operation> {
        let mut drawn = Vec::new();
        for _ in 0..self.operations {
            let happens = rng.chance(self.probability);
            let kind = KINDS[rng.below(KINDS.len())];
            let negative = rng.chance(0.5);
            if happens {
                drawn.push(Operation { kind, magnitude: self.magnitude, negative });
            }
        }
        drawn
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Colour,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// In torchvision's order.
const KINDS: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Colour,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

/// One operation on one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operation {
    kind: Kind,
    magnitude: usize,
    negative: bool,
}

impl Operation {
    /// `most` at the largest magnitude, with its sign.
    fn signed(&self, most: f64) -> f64 {
        let size = most * self.magnitude as f64 / MOST as f64;
        if self.negative { -size } else { size }
    }

    /// Changes the picture in the scratch.
    pub(super) fn apply(&self, scratch: &mut Scratch) {
        let Scratch { picture, other, .. } = scratch;
        let across = self.signed(150.0 / 331.0 * picture.width() as f64).trunc();
        let down = self.signed(150.0 / 331.0 * picture.height() as f64).trunc();
        let mut moved = |matrix: [f64; 6]| {
            transform_nearest(picture, matrix, other);
            std::mem::swap(picture, other);
        };
        let factor = (1.0 + self.signed(0.9)) as f32;
        match self.kind {
            Kind::Identity => {}
            Kind::ShearX => moved([1.0, self.signed(0.3), 0.0, 0.0, 1.0, 0.0]),
            Kind::ShearY => moved([1.0, 0.0, 0.0, self.signed(0.3), 1.0, 0.0]),
            Kind::TranslateX => moved([1.0, 0.0, -across, 0.0, 1.0, 0.0]),
            Kind::TranslateY => moved([1.0, 0.0, 0.0, 0.0, 1.0, -down]),
            Kind::Rotate => {
                rotate_nearest(picture, self.signed(30.0), other);
                std::mem::swap(picture, other);
            }
            Kind::Brightness => blend_brightness(picture, factor),
            Kind::Colour => blend_colour(picture, factor),
            Kind::Contrast => blend_contrast(picture, factor),
            Kind::Sharpness => {
                blend_sharpness(picture, factor, other);
                std::mem::swap(picture, other);
            }
            Kind::Posterize => {
                // Half to even, as torch rounds.
                let dropped = (self.magnitude as f64 / (MOST as f64 / 4.0)).round_ties_even() as u32;
                let mask = (0xFFu32 << dropped) as u8;
                lookup(picture, |value| value & mask);
            }
            Kind::Solarize => {
                let threshold = 255.0 * (MOST - self.magnitude) as f64 / MOST as f64;
                lookup(picture, |value| if f64::from(value) < threshold { value } else { 255 - value });
            }
            Kind::AutoContrast => auto_contrast(picture),
            Kind::Equalize => equalize(picture),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{RgbPixels, decode_bytes};

    /// Pixels in which a rotation may take the neighbour: Pillow rounds the matrix to 15 places.
    const ROTATED: usize = 4;

    #[test]
    fn every_operation_equals_torchvision() {
        let source = include_bytes!("../../tests/golden/images/rand_augment_source.png");
        let source = decode_bytes(source, "source").unwrap();
        let expected = include_bytes!("../../tests/golden/images/rand_augment.png");
        let expected = decode_bytes(expected, "expected").unwrap();
        let mut blocks = expected.as_bytes().chunks_exact(source.as_bytes().len());
        let mut scratch = Scratch::new();
        for kind in KINDS {
            for magnitude in [4, 9, 30] {
                for negative in [false, true] {
                    scratch.picture = source.clone();
                    Operation { kind, magnitude, negative }.apply(&mut scratch);
                    let block = blocks.next().unwrap().to_vec();
                    let expected = RgbPixels::new(source.width(), source.height(), block).unwrap();
                    let different =
                        scratch.picture.iter().zip(expected.iter()).filter(|(a, b)| a != b).count();
                    let allowed = if kind == Kind::Rotate { ROTATED } else { 0 };
                    assert!(different <= allowed, "{kind:?} at {magnitude}: {different} pixels differ");
                }
            }
        }
        assert!(blocks.next().is_none());
    }
}
