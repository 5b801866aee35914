//! Hair across the picture.

use serde::{Deserialize, Serialize};

use super::probability;
use crate::error::setting;
use crate::portable_rng::PortableRng;
use crate::{Error, RgbPixels};

/// Dark, curved, anti-aliased strokes, as hair looks in dermoscopy.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1 |
/// | `count` | [3, 20] | strokes, 1 to 200 |
///
/// A stroke is a quadratic Bézier curve of 0.3 to 1 times the side, 0.4 to 1.2 % of the side thick, brown to black, 60
/// to 95 % opaque. No published generator is followed; the numbers were chosen by looking at dermoscopy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hair {
    /// Probability that there is hair.
    pub probability: f64,
    /// Least and largest number of strokes.
    pub count: [usize; 2],
}

impl Default for Hair {
    fn default() -> Self {
        Self { probability: 0.0, count: [3, 20] }
    }
}

impl Hair {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("hair.probability", self.probability)?;
        let [least, most] = self.count;
        if 1 <= least && least <= most && most <= 200 {
            return Ok(());
        }
        Err(setting(
            "hair.count",
            format!("[{least}, {most}]"),
            "two numbers of strokes, 1 to 200, the lower first",
        ))
    }

    /// The strokes of one picture.
    pub(super) fn draw(&self, mut rng: PortableRng) -> Vec<Stroke> {
        if !rng.chance(self.probability) {
            return Vec::new();
        }
        let count = self.count[0] + rng.below(self.count[1] - self.count[0] + 1);
        // Hair lies mostly one way.
        let lie = rng.direction();
        (0..count).map(|_| Stroke::draw(&mut rng, lie)).collect()
    }
}

/// One hair; places and thickness in units of the side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    points: [(f64, f64); 3],
    thickness: f64,
    colour: [f32; 3],
    opacity: f32,
}

/// Straight pieces that a curve is drawn in.
const PIECES: usize = 12;

impl Stroke {
    fn draw(rng: &mut PortableRng, lie: (f64, f64)) -> Self {
        let middle = (rng.fraction(), rng.fraction());
        let astray = rng.direction();
        let half = 0.5 * rng.between(0.3, 1.0);
        let mixed = (lie.0 + 0.6 * astray.0, lie.1 + 0.6 * astray.1);
        let norm = (mixed.0 * mixed.0 + mixed.1 * mixed.1).sqrt();
        let along = (mixed.0 / norm * half, mixed.1 / norm * half);
        let bend = rng.between(-0.5, 0.5);
        let points = [
            (middle.0 - along.0, middle.1 - along.1),
            (middle.0 - bend * along.1, middle.1 + bend * along.0),
            (middle.0 + along.0, middle.1 + along.1),
        ];
        let thickness = rng.between(0.004, 0.012);
        let tone = rng.fraction() as f32;
        let colour = [20.0 + 50.0 * tone, 14.0 + 32.0 * tone, 10.0 + 20.0 * tone];
        Self { points, thickness, colour, opacity: rng.between(0.6, 0.95) as f32 }
    }

    /// Draws it; `cover` is memory for how much of each pixel lies under it.
    pub(super) fn apply(&self, picture: &mut RgbPixels, cover: &mut Vec<f32>) {
        let (width, height) = (picture.width(), picture.height());
        let side = width.min(height) as f64;
        // Thinner than a pixel it would come and go along its way; paler instead.
        let thickness = self.thickness * side;
        let (half, share) = if thickness < 1.0 { (0.5, thickness as f32) } else { (thickness / 2.0, 1.0) };
        cover.clear();
        cover.resize(width * height, 0.0);
        let place = |step: usize| {
            let t = step as f64 / PIECES as f64;
            let [a, b, c] = self.points;
            let mix =
                |a: f64, b: f64, c: f64| (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
            (mix(a.0, b.0, c.0) * width as f64, mix(a.1, b.1, c.1) * height as f64)
        };
        for step in 0..PIECES {
            cover_piece(place(step), place(step + 1), half, (width, height), cover);
        }
        for (pixel, &covered) in picture.as_bytes_mut().chunks_exact_mut(3).zip(&*cover) {
            if covered > 0.0 {
                let weight = covered * share * self.opacity;
                for (value, colour) in pixel.iter_mut().zip(self.colour) {
                    let old = f32::from(*value);
                    // Hair on something darker than itself does not brighten it.
                    *value = (old + weight * (colour.min(old) - old) + 0.5) as u8;
                }
            }
        }
    }
}

/// Raises the cover of the pixels within half a thickness, and half a pixel for its soft edge, of a straight piece.
fn cover_piece(a: (f64, f64), b: (f64, f64), half: f64, (width, height): (usize, usize), cover: &mut [f32]) {
    let reach = half + 0.5;
    let bound = |low: f64, high: f64, side: usize| {
        let first = (low - reach - 0.5).ceil().max(0.0) as usize;
        let end = ((high + reach - 0.5).floor() + 1.0).clamp(0.0, side as f64) as usize;
        first..end
    };
    let columns = bound(a.0.min(b.0), a.0.max(b.0), width);
    let along = (b.0 - a.0, b.1 - a.1);
    let square = (along.0 * along.0 + along.1 * along.1).max(1e-12);
    for row in bound(a.1.min(b.1), a.1.max(b.1), height) {
        for column in columns.clone() {
            let to = (column as f64 + 0.5 - a.0, row as f64 + 0.5 - a.1);
            let t = ((to.0 * along.0 + to.1 * along.1) / square).clamp(0.0, 1.0);
            let off = (to.0 - t * along.0, to.1 - t * along.1);
            let distance = (off.0 * off.0 + off.1 * off.1).sqrt();
            let covered = (reach - distance).clamp(0.0, 1.0) as f32;
            let cell = &mut cover[row * width + column];
            *cell = cell.max(covered);
        }
    }
}
