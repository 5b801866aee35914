//! The outline of a lesion, in polar form without a trigonometric function.

use crate::portable_rng::PortableRng;

/// A closed curve `r(θ) = radius · (1 + Σ_k a_k cos kθ + b_k sin kθ)`, made oval by a stretch.
///
/// cos kθ and sin kθ are the real and the imaginary part of (cos θ + i sin θ)^k, by complex multiplication.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// Mean radius in the lesion plane.
    pub(super) radius: f64,
    axis: (f64, f64),
    stretch: f64,
    /// `a_k` and `b_k` for k = 1, 2, …
    harmonics: Vec<(f64, f64)>,
}

/// How uneven an outline is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unevenness {
    /// Amplitude of the harmonics 2 and 3, which make it lopsided.
    pub(super) asymmetry: f64,
    /// Amplitude of the harmonics 4 to 9, which make notches.
    pub(super) irregularity: f64,
    /// Long axis by short axis, minus 1.
    pub(super) elongation: f64,
}

impl Outline {
    /// A random outline of that radius and unevenness.
    pub(super) fn draw(radius: f64, uneven: Unevenness, rng: &mut PortableRng) -> Self {
        let mut harmonics = vec![(0.0, 0.0)];
        for k in 2..=9 {
            let (c, s) = rng.direction();
            let amplitude =
                if k <= 3 { uneven.asymmetry } else { uneven.irregularity } * rng.between(0.6, 1.2);
            harmonics.push((amplitude * c, amplitude * s));
        }
        Self { radius, axis: rng.direction(), stretch: 1.0 + uneven.elongation, harmonics }
    }

    /// Depth of a point: 1 at the centre, 0 on the outline, negative outside.
    pub(super) fn depth(&self, x: f64, y: f64) -> f64 {
        let (along, across) = (x * self.axis.0 + y * self.axis.1, y * self.axis.0 - x * self.axis.1);
        let root = self.stretch.sqrt();
        let (u, v) = (along / root, across * root);
        let r = (u * u + v * v).sqrt();
        if r < 1e-9 {
            return 1.0;
        }
        let (c, s) = (u / r, v / r);
        let (mut re, mut im, mut wave) = (1.0, 0.0, 1.0);
        for (a, b) in &self.harmonics {
            (re, im) = (re * c - im * s, re * s + im * c);
            wave += a * re + b * im;
        }
        1.0 - r / (self.radius * wave.max(0.2))
    }

    /// A point inside: `fraction` of the mean radius away from the centre in direction (c, s).
    pub(super) fn inside(&self, fraction: f64, direction: (f64, f64)) -> (f64, f64) {
        (self.radius * fraction * direction.0, self.radius * fraction * direction.1)
    }
}
