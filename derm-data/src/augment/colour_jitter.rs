//! Colour jitter in hue, saturation and value.

use serde::{Deserialize, Serialize};

use super::probability;
use crate::error::setting;
use crate::pixel_ops::{HsvShift, lookup, luma_mean, shift_hsv};
use crate::portable_rng::PortableRng;
use crate::{Error, RgbPixels};

/// Contrast about the mean grey, then a shift of hue and factors on saturation and value (HSV).
///
/// | field | default | range | drawn |
/// |---|---|---|---|
/// | `probability` | 0 (off) | 0 to 1 | |
/// | `hue` | 0.02 | 0 to 0.5 of the circle | shift in ±`hue` |
/// | `saturation` | 0.2 | 0 to 1 | factor in 1 ± `saturation` |
/// | `value` | 0.2 | 0 to 1 | factor in 1 ± `value` |
/// | `contrast` | 0.2 | 0 to 1 | factor in 1 ± `contrast` |
///
/// A grey picture stays grey. The order is fixed, unlike torchvision's `ColorJitter`, and value is the largest channel
/// (HSV), unlike its brightness, which scales all channels alike and so is the same up to clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColourJitter {
    /// Probability that colours change.
    pub probability: f64,
    /// Largest shift of the hue, as a share of the colour circle.
    pub hue: f64,
    /// Largest relative change of the saturation.
    pub saturation: f64,
    /// Largest relative change of the value.
    pub value: f64,
    /// Largest relative change of the contrast.
    pub contrast: f64,
}

impl Default for ColourJitter {
    fn default() -> Self {
        Self { probability: 0.0, hue: 0.02, saturation: 0.2, value: 0.2, contrast: 0.2 }
    }
}

impl ColourJitter {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("colour_jitter.probability", self.probability)?;
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(setting("colour_jitter.hue", self.hue, "a share of the circle from 0 to 0.5"));
        }
        for (name, value) in [
            ("colour_jitter.saturation", self.saturation),
            ("colour_jitter.value", self.value),
            ("colour_jitter.contrast", self.contrast),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(setting(name, value, "a relative change from 0 to 1"));
            }
        }
        Ok(())
    }

    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<Jitter> {
        let happens = rng.chance(self.probability);
        let hue = rng.between(-self.hue, self.hue) as f32;
        let mut factor = |by: f64| rng.between(1.0 - by, 1.0 + by) as f32;
        let shift = HsvShift { hue, saturation: factor(self.saturation), value: factor(self.value) };
        let contrast = factor(self.contrast);
        happens.then_some(Jitter { shift, contrast })
    }
}

/// The change of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Jitter {
    shift: HsvShift,
    contrast: f32,
}

impl Jitter {
    pub(super) fn apply(&self, picture: &mut RgbPixels) {
        if self.contrast != 1.0 {
            let mean = luma_mean(picture);
            lookup(picture, |value| {
                (mean + self.contrast * (f32::from(value) - mean) + 0.5).clamp(0.0, 255.0) as u8
            });
        }
        shift_hsv(picture, self.shift);
    }
}
