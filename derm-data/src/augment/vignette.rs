//! Dark corners.

use serde::{Deserialize, Serialize};

use super::{probability, range};
use crate::portable_rng::PortableRng;
use crate::{Error, RgbPixels};

/// Corners darkened as by the tube of a dermatoscope: brightness falls smoothly from a circle outwards.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1 |
/// | `strength` | [0.2, 0.8] | share of the light that is lost in the outermost corner, 0 to 1 |
///
/// With the distance r from a centre within 5 % of the picture's, in units of half the shorter side, the factor is 1 up
/// to r₀ (0.75 to 1), then 1 − strength · smoothstep((r − r₀) / (√2 − r₀)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vignette {
    /// Probability that the corners are dark.
    pub probability: f64,
    /// Least and largest share of the light that is lost.
    pub strength: [f64; 2],
}

impl Default for Vignette {
    fn default() -> Self {
        Self { probability: 0.0, strength: [0.2, 0.8] }
    }
}

impl Vignette {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("vignette.probability", self.probability)?;
        range("vignette.strength", self.strength, 0.0..=1.0, "two shares from 0 to 1, the lower first")
    }

    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<Corners> {
        let happens = rng.chance(self.probability);
        let corners = Corners {
            strength: rng.between(self.strength[0], self.strength[1]) as f32,
            start: rng.between(0.75, 1.0) as f32,
            centre: (rng.between(-0.1, 0.1) as f32, rng.between(-0.1, 0.1) as f32),
        };
        happens.then_some(corners)
    }
}

/// The corners of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Corners {
    strength: f32,
    start: f32,
    /// Off the middle, in units of half the shorter side.
    centre: (f32, f32),
}

impl Corners {
    pub(super) fn apply(&self, picture: &mut RgbPixels) {
        let (width, height) = (picture.width(), picture.height());
        let half = width.min(height) as f32 / 2.0;
        let off = |at: usize, side: usize, centre: f32| (at as f32 + 0.5 - side as f32 / 2.0) / half - centre;
        let span = std::f32::consts::SQRT_2 - self.start;
        for (row, line) in picture.as_bytes_mut().chunks_exact_mut(3 * width).enumerate() {
            let y = off(row, height, self.centre.1);
            for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
                let x = off(column, width, self.centre.0);
                let t = (((x * x + y * y).sqrt() - self.start) / span).clamp(0.0, 1.0);
                let factor = 1.0 - self.strength * t * t * (3.0 - 2.0 * t);
                for value in pixel {
                    *value = (f32::from(*value) * factor + 0.5) as u8;
                }
            }
        }
    }
}
