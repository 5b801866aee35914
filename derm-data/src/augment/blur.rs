//! Gaussian blur.

use serde::{Deserialize, Serialize};

use super::{probability, range};
use crate::Error;
use crate::portable_rng::PortableRng;

/// Gaussian blur of a width uniform in `sigma`; the border is reflected.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1 |
/// | `sigma` | [0.1, 2] | 0.01 to 50 pixels of the resized picture |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Probability that the picture is blurred.
    pub probability: f64,
    /// Least and largest standard deviation, in pixels.
    pub sigma: [f64; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self { probability: 0.0, sigma: [0.1, 2.0] }
    }
}

impl Blur {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("blur.probability", self.probability)?;
        range("blur.sigma", self.sigma, 0.01..=50.0, "two widths from 0.01 to 50 pixels, the lower first")
    }

    /// The width in pixels.
    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<f64> {
        let happens = rng.chance(self.probability);
        let sigma = rng.between(self.sigma[0], self.sigma[1]);
        happens.then_some(sigma)
    }
}
