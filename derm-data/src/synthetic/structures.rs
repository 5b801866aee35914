//! Dermoscopic structures that lie on a lesion: globules and dots, vessels and streaks, networks, ridges,
//! scale, lacunae.

use super::noise::{cells, noise};
use super::tint::{Tint, mix, smoothstep};

/// A soft round or oval spot.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// Centre in the lesion plane.
    pub(super) centre: (f64, f64),
    /// Radius where the spot has faded to half.
    pub(super) radius: f64,
    /// Width of the fade, as a fraction of the radius.
    pub(super) softness: f64,
    /// Colour.
    pub(super) colour: Tint,
    /// Opacity at the centre.
    pub(super) opacity: f64,
}

impl Spot {
    fn over(&self, below: Tint, x: f64, y: f64) -> Tint {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let reach = self.radius * (1.0 + self.softness);
        let square = dx * dx + dy * dy;
        if square >= reach * reach {
            return below;
        }
        let distance = square.sqrt();
        let fade = 1.0 - smoothstep(self.radius * (1.0 - self.softness), reach, distance);
        mix(below, self.colour, fade * self.opacity)
    }
}

/// A straight piece of a line that may taper.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    /// First end.
    pub(super) from: (f64, f64),
    /// Other end.
    pub(super) to: (f64, f64),
    /// Half width at the first end and at the other.
    pub(super) half_width: (f64, f64),
    /// Colour.
    pub(super) colour: Tint,
    /// Opacity on the axis.
    pub(super) opacity: f64,
}

impl Stroke {
    fn over(&self, below: Tint, x: f64, y: f64) -> Tint {
        let (ux, uy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let (dx, dy) = (x - self.from.0, y - self.from.1);
        let length = ux * ux + uy * uy;
        let t = if length > 0.0 { ((dx * ux + dy * uy) / length).clamp(0.0, 1.0) } else { 0.0 };
        let (rx, ry) = (dx - t * ux, dy - t * uy);
        let half = self.half_width.0 + (self.half_width.1 - self.half_width.0) * t;
        let square = rx * rx + ry * ry;
        if square >= 4.0 * half * half {
            return below;
        }
        mix(below, self.colour, (1.0 - smoothstep(0.4 * half, 2.0 * half, square.sqrt())) * self.opacity)
    }
}

/// A repeating pattern over the whole lesion.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// Pigment network: a mesh of darker lines around holes.
    Network {
        /// Size of a hole.
        period: f64,
        /// Colour of the lines.
        colour: Tint,
        /// Opacity of the lines.
        opacity: f64,
        /// Share of the lesion, from the border inwards, that carries the mesh.
        reach: f64,
        /// Noise seed.
        seed: u64,
    },
    /// Ridges and fissures: winding bands, as on the surface of a brain.
    Ridges {
        /// Distance from one band to the next.
        period: f64,
        /// Direction across the bands.
        direction: (f64, f64),
        /// Colour of the fissures.
        colour: Tint,
        /// Opacity of the fissures.
        opacity: f64,
        /// Noise seed.
        seed: u64,
    },
    /// Scale: ragged light flakes.
    Scale {
        /// Size of a flake.
        period: f64,
        /// Colour of the flakes.
        colour: Tint,
        /// Opacity of the flakes.
        opacity: f64,
        /// Share of the surface without flakes, in [0, 1].
        threshold: f64,
        /// Noise seed.
        seed: u64,
    },
    /// Lacunae: packed round lagoons between pale septa.
    Lacunae {
        /// Size of a lagoon.
        period: f64,
        /// Colour of the septa.
        septum: Tint,
        /// Colour of the darkest lagoons.
        deep: Tint,
        /// Opacity.
        opacity: f64,
        /// Noise seed.
        seed: u64,
    },
}

impl Pattern {
    /// The pattern over `below` at a point with the given depth (0 at the border, 1 at the centre).
    fn over(&self, below: Tint, x: f64, y: f64, depth: f64) -> Tint {
        match self {
            Self::Network { period, colour, opacity, reach, seed } => {
                let (near, second, _) = cells(x / period, y / period, *seed);
                let line = 1.0 - smoothstep(0.0, 0.55, second - near);
                let place = 1.0 - smoothstep(*reach, reach + 0.25, depth);
                // A real mesh fades here and there.
                let fading = 0.45 + 0.55 * noise(x * 4.0, y * 4.0, seed ^ 0x31);
                mix(below, *colour, line * opacity * place * fading)
            }
            Self::Ridges { period, direction, colour, opacity, seed } => {
                let bend = 1.5 * noise(x * 3.4, y * 3.4, *seed) + 0.6 * noise(x * 8.0, y * 8.0, seed ^ 0x77);
                let along = (x * direction.0 + y * direction.1) / period + bend;
                let wave = (2.0 * (along - along.floor()) - 1.0).abs();
                let fading = 0.5 + 0.5 * noise(x * 5.0, y * 5.0, seed ^ 0x32);
                mix(below, *colour, smoothstep(0.3, 0.95, wave) * opacity * fading)
            }
            Self::Scale { period, colour, opacity, threshold, seed } => {
                let flake = 0.65 * noise(x / period, y / period, *seed)
                    + 0.35 * noise(x * 2.3 / period, y * 2.3 / period, seed ^ 0x5A);
                mix(below, *colour, smoothstep(*threshold, threshold + 0.3, flake) * opacity)
            }
            Self::Lacunae { period, septum, deep, opacity, seed } => {
                let (near, second, own) = cells(x / period, y / period, *seed);
                // Round lagoons, darkest in the middle, in a paler ground.
                let lagoon = 1.0 - smoothstep(0.12, 0.62, near);
                let wall = 1.0 - smoothstep(0.0, 0.5, second - near);
                let ground = mix(below, *septum, wall * 0.85 * opacity);
                mix(ground, *deep, lagoon * (0.45 + 0.55 * own) * opacity)
            }
        }
    }
}

/// Everything that lies on one lesion, from the bottom to the top.
#[derive(Clone, Debug, Default)]
pub(super) struct Structures {
    /// Patterns over the whole lesion.
    pub(super) patterns: Vec<Pattern>,
    /// Lines: vessels, streaks.
    pub(super) strokes: Vec<Stroke>,
    /// Spots: globules, dots, nests, veils, scars.
    pub(super) spots: Vec<Spot>,
}

impl Structures {
    /// All structures over `below` at a point.
    pub(super) fn over(&self, below: Tint, x: f64, y: f64, depth: f64) -> Tint {
        let mut colour = below;
        for pattern in &self.patterns {
            colour = pattern.over(colour, x, y, depth);
        }
        for stroke in &self.strokes {
            colour = stroke.over(colour, x, y);
        }
        for spot in &self.spots {
            colour = spot.over(colour, x, y);
        }
        colour
    }
}
