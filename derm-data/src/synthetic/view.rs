//! One photograph of a lesion: its pose, its light, hair and vignette.

use super::lesion::Lesion;
use super::noise::{lattice, noise};
use super::tint::{Tint, mix, scale, smoothstep, tint};
use crate::portable_rng::PortableRng;

/// A hair: a quadratic curve across the picture.
#[derive(Clone, Debug)]
struct Hair {
    points: [(f64, f64); 3],
    half_width: f64,
    colour: Tint,
    opacity: f64,
}

/// How a photograph was taken.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Cosine and sine of the rotation.
    rotation: (f64, f64),
    zoom: f64,
    shift: (f64, f64),
    gain: f64,
    balance: Tint,
    light: (f64, f64),
    /// Radius where the field of view ends, and the width of its fade; beyond the corners where there is none.
    vignette: (f64, f64),
    hairs: Vec<Hair>,
    grain: f64,
    seed: u64,
}

impl View {
    /// A random view; `hairiness` in [0, 1] belongs to the person.
    pub(super) fn draw(hairiness: f64, rng: &mut PortableRng) -> Self {
        let side = rng.direction();
        let strength = rng.between(0.0, 0.12);
        let strands = (hairiness * hairiness * 6.0 + rng.between(-0.6, 0.9)).max(0.0) as usize;
        let dark = rng.chance(0.85);
        let hairs = (0..strands).map(|_| Hair::draw(dark, rng)).collect();
        let vignette = match rng.weighted(&[0.5, 0.3, 0.2]) {
            0 => (2.2, 0.9),
            1 => (rng.between(1.25, 1.45), 0.35),
            _ => (rng.between(1.08, 1.20), 0.07),
        };
        Self {
            rotation: rng.direction(),
            zoom: rng.between(0.88, 1.12),
            shift: (0.09 * rng.bell(), 0.09 * rng.bell()),
            gain: rng.between(0.90, 1.06),
            balance: [1.0 + 0.04 * rng.bell(), 1.0, 1.0 + 0.05 * rng.bell()],
            light: (side.0 * strength, side.1 * strength),
            vignette,
            hairs,
            grain: rng.between(0.006, 0.018),
            seed: rng.bits(),
        }
    }

    /// The photograph, `size` pixels square, as RGB bytes.
    pub(super) fn photograph(&self, lesion: &Lesion, size: usize) -> Vec<u8> {
        let cover = self.hair_cover(size);
        let pixel = 2.0 / size as f64;
        let mut data = Vec::with_capacity(size * size * 3);
        for row in 0..size {
            let v = (row as f64 + 0.5) * pixel - 1.0;
            for column in 0..size {
                let u = (column as f64 + 0.5) * pixel - 1.0;
                // Two samples on the pixel's diagonal, so that sharp borders and small dots do not break up.
                let quarter = 0.25 * pixel;
                let mut colour = mix(
                    self.sample(lesion, u - quarter, v - quarter),
                    self.sample(lesion, u + quarter, v + quarter),
                    0.5,
                );
                if let Some((hair, opacity)) = cover[row * size + column] {
                    colour = mix(colour, hair, opacity);
                }
                let field = 1.0
                    - smoothstep(
                        self.vignette.0 - self.vignette.1,
                        self.vignette.0 + self.vignette.1,
                        (u * u + v * v).sqrt(),
                    );
                let glow = 0.02 * (noise(u * 1.5, v * 1.5, self.seed) - 0.5);
                let light =
                    self.gain * (1.0 + self.light.0 * u + self.light.1 * v + glow) * (0.06 + 0.94 * field);
                let colour = scale(colour, light);
                let grain = self.grain * (lattice(column as i64, row as i64, self.seed ^ 0x0F) - 0.5) * 2.0;
                for (value, balance) in colour.iter().zip(self.balance) {
                    let value = (value * balance + grain).clamp(0.0, 1.0);
                    data.push((value * 255.0 + 0.5).floor() as u8);
                }
            }
        }
        data
    }

    /// The lesion's colour at a point of the picture.
    fn sample(&self, lesion: &Lesion, u: f64, v: f64) -> Tint {
        let (x, y) = ((u - self.shift.0) / self.zoom, (v - self.shift.1) / self.zoom);
        let (c, s) = self.rotation;
        lesion.colour(x * c - y * s, x * s + y * c)
    }

    /// Colour and opacity of the hair over each pixel.
    fn hair_cover(&self, size: usize) -> Vec<Option<(Tint, f64)>> {
        let mut cover: Vec<Option<(Tint, f64)>> = vec![None; size * size];
        let pixel = 2.0 / size as f64;
        for hair in &self.hairs {
            // Never thinner than half a pixel: a thinner hair becomes fainter instead.
            let half = hair.half_width.max(0.5 * pixel);
            let opacity = hair.opacity * (hair.half_width / half).sqrt();
            let steps = 16usize;
            let mut from = hair.at(0.0);
            for step in 1..=steps {
                let to = hair.at(step as f64 / steps as f64);
                let reach = half + pixel;
                let column_of = |u: f64| ((u + 1.0) / pixel).floor().clamp(0.0, size as f64 - 1.0) as usize;
                let columns = column_of(from.0.min(to.0) - reach)..=column_of(from.0.max(to.0) + reach);
                let rows = column_of(from.1.min(to.1) - reach)..=column_of(from.1.max(to.1) + reach);
                for row in rows {
                    for column in columns.clone() {
                        let (u, v) = ((column as f64 + 0.5) * pixel - 1.0, (row as f64 + 0.5) * pixel - 1.0);
                        let distance = distance_to_segment((u, v), from, to);
                        let share =
                            (1.0 - smoothstep(half - 0.5 * pixel, half + 0.5 * pixel, distance)) * opacity;
                        let below = cover[row * size + column].map_or(0.0, |(_, share)| share);
                        if share > below {
                            cover[row * size + column] = Some((hair.colour, share));
                        }
                    }
                }
                from = to;
            }
        }
        cover
    }
}

impl Hair {
    fn draw(dark: bool, rng: &mut PortableRng) -> Self {
        let (from, across) = (rng.direction(), rng.direction());
        let middle = (rng.between(-0.8, 0.8), rng.between(-0.8, 0.8));
        let length = rng.between(0.6, 1.5);
        let colour = if dark { tint(44, 32, 28) } else { tint(150, 116, 82) };
        Self {
            points: [
                (middle.0 - length * from.0, middle.1 - length * from.1),
                (middle.0 + 0.35 * across.0, middle.1 + 0.35 * across.1),
                (middle.0 + length * from.0, middle.1 + length * from.1),
            ],
            half_width: rng.between(0.010, 0.020),
            colour,
            opacity: rng.between(0.65, 0.9),
        }
    }

    fn at(&self, t: f64) -> (f64, f64) {
        let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        let [p, q, r] = self.points;
        (a * p.0 + b * q.0 + c * r.0, a * p.1 + b * q.1 + c * r.1)
    }
}

fn distance_to_segment(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (ux, uy) = (to.0 - from.0, to.1 - from.1);
    let (dx, dy) = (point.0 - from.0, point.1 - from.1);
    let length = ux * ux + uy * uy;
    let t = if length > 0.0 { ((dx * ux + dy * uy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (rx, ry) = (dx - t * ux, dy - t * uy);
    (rx * rx + ry * ry).sqrt()
}
