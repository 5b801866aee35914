//! A rectangle of the picture is hidden.

use serde::{Deserialize, Serialize};

use super::{probability, range};
use crate::portable_rng::PortableRng;
use crate::{Error, RgbPixels};

/// One rectangle is filled with the picture's mean colour. It lies wholly within the picture.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1 |
/// | `area` | [0.02, 0.2] | shares of the picture, above 0 to 1 |
/// | `aspect` | [0.5, 2] | width / height, 0.01 to 100, uniform in its logarithm; sides are cut at the picture's |
///
/// # Source
/// `DeVries` and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout"; area and aspect as
/// in Zhong et al. 2017, "Random Erasing Data Augmentation".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CutOut {
    /// Probability that a rectangle is hidden.
    pub probability: f64,
    /// Least and largest share of the area.
    pub area: [f64; 2],
    /// Least and largest width / height.
    pub aspect: [f64; 2],
}

impl Default for CutOut {
    fn default() -> Self {
        Self { probability: 0.0, area: [0.02, 0.2], aspect: [0.5, 2.0] }
    }
}

impl CutOut {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("cut_out.probability", self.probability)?;
        let shares = "two shares of the area, above 0 to 1, the lower first";
        range("cut_out.area", self.area, f64::MIN_POSITIVE..=1.0, shares)?;
        range("cut_out.aspect", self.aspect, 0.01..=100.0, "two ratios from 0.01 to 100, the lower first")
    }

    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<Hidden> {
        let happens = rng.chance(self.probability);
        let area = rng.between(self.area[0], self.area[1]);
        let aspect = rng.between(self.aspect[0].ln(), self.aspect[1].ln()).exp();
        let (left, top) = (rng.fraction(), rng.fraction());
        happens.then_some(Hidden { area, aspect, left, top })
    }
}

/// The rectangle of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hidden {
    area: f64,
    aspect: f64,
    left: f64,
    top: f64,
}

impl Hidden {
    pub(super) fn apply(&self, picture: &mut RgbPixels) {
        let (width, height) = (picture.width(), picture.height());
        let area = self.area * (width * height) as f64;
        let wide = ((area * self.aspect).sqrt().round() as usize).clamp(1, width);
        let high = ((area / self.aspect).sqrt().round() as usize).clamp(1, height);
        let left = (self.left * (width - wide + 1) as f64) as usize;
        let top = (self.top * (height - high + 1) as f64) as usize;
        let sums = picture.iter().fold([0u64; 3], |sums, pixel| {
            [0, 1, 2].map(|channel| sums[channel] + u64::from(pixel[channel]))
        });
        let count = (width * height) as u64;
        let mean = sums.map(|sum| ((sum + count / 2) / count) as u8);
        for row in picture.as_bytes_mut().chunks_exact_mut(3 * width).skip(top).take(high) {
            for pixel in row[3 * left..3 * (left + wide)].chunks_exact_mut(3) {
                pixel.copy_from_slice(&mean);
            }
        }
    }
}
