//! Skin around and under a lesion.

use super::noise::{clouds, noise};
use super::tint::{Tint, mix, scale, tint};
use crate::portable_rng::PortableRng;

/// The six Fitzpatrick types, from very fair to very dark.
pub(super) const FITZPATRICK: [&str; 6] = ["I", "II", "III", "IV", "V", "VI"];

/// How often each type occurs.
pub(super) const FITZPATRICK_WEIGHTS: [f64; 6] = [0.12, 0.26, 0.26, 0.18, 0.11, 0.07];

/// One person's skin.
#[derive(Clone, Debug)]
pub(super) struct Skin {
    /// Mean colour.
    pub(super) base: Tint,
    flush: Tint,
    seed: u64,
    blotchiness: f64,
    furrows: f64,
}

impl Skin {
    /// Skin of a Fitzpatrick type (0 to 5), with personal variation.
    pub(super) fn draw(fitzpatrick: usize, rng: &mut PortableRng) -> Self {
        let means = [
            tint(240, 206, 190),
            tint(233, 190, 166),
            tint(219, 168, 138),
            tint(190, 134, 101),
            tint(148, 100, 74),
            tint(104, 68, 52),
        ];
        let mean = means[fitzpatrick.min(5)];
        let brightness = 1.0 + 0.07 * rng.bell();
        let warmth = 0.03 * rng.bell();
        let base = scale([mean[0] + warmth, mean[1], mean[2] - warmth], brightness);
        let flush = mix(base, tint(196, 92, 84), 0.30);
        Self {
            base,
            flush,
            seed: rng.bits(),
            blotchiness: rng.between(0.10, 0.45),
            furrows: rng.between(0.02, 0.06),
        }
    }

    /// The colour at a point of the lesion plane.
    pub(super) fn colour(&self, x: f64, y: f64) -> Tint {
        let blotch = (0.5 + 0.8 * clouds(x * 1.3, y * 1.3, self.seed)).clamp(0.0, 1.0);
        let colour = mix(self.base, self.flush, blotch * self.blotchiness);
        // Furrows: thin darker lines where two smooth fields cross their middle.
        let ridge = 1.0 - (2.0 * noise(x * 5.5 + y * 2.0, y * 5.5 - x * 2.0, self.seed ^ 0x11) - 1.0).abs();
        let line = ridge * ridge * ridge * ridge;
        let grain = noise(x * 17.0, y * 17.0, self.seed ^ 0x22) - 0.5;
        scale(colour, 1.0 - self.furrows * line + 0.035 * grain)
    }

    /// How a pigment of fair skin looks here: darker skin darkens whatever lies in it.
    pub(super) fn under(&self, pigment: Tint) -> Tint {
        let luma = 0.3 * self.base[0] + 0.6 * self.base[1] + 0.1 * self.base[2];
        scale(pigment, 0.28 + 0.72 * (luma / 0.80).min(1.05))
    }
}
