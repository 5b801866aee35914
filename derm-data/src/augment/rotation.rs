//! Rotation by any angle.

use serde::{Deserialize, Serialize};

use super::probability;
use crate::error::setting;
use crate::portable_rng::PortableRng;
use crate::{Error, RgbPixels};

/// Rotation about the centre, bilinear, by an angle uniform in ±`max_degrees`; what comes in at the border is the
/// picture reflected.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1 |
/// | `max_degrees` | 180 | 0 to 180 |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Probability that the picture is rotated.
    pub probability: f64,
    /// Largest angle to either side, in degrees.
    pub max_degrees: f64,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { probability: 0.0, max_degrees: 180.0 }
    }
}

impl Rotation {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("rotation.probability", self.probability)?;
        if (0.0..=180.0).contains(&self.max_degrees) {
            return Ok(());
        }
        Err(setting("rotation.max_degrees", self.max_degrees, "an angle from 0 to 180"))
    }

    /// The angle in degrees.
    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<f64> {
        let happens = rng.chance(self.probability);
        let degrees = rng.between(-self.max_degrees, self.max_degrees);
        happens.then_some(degrees)
    }
}

/// Fixed-point places are in 1/65536 of a pixel, weights in 1/256.
const PLACE_BITS: u32 = 16;

/// Turns a picture about its centre, counter-clockwise for positive angles.
pub(super) fn rotate(from: &RgbPixels, degrees: f64, to: &mut RgbPixels) {
    let (width, height) = (from.width(), from.height());
    to.reshape(width, height);
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let one = f64::from(1u32 << PLACE_BITS);
    let (step_x, step_y) = ((cosine * one).round() as i64, (sine * one).round() as i64);
    let (centre_x, centre_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    let bytes = from.as_bytes();
    for (row, line) in to.as_bytes_mut().chunks_exact_mut(3 * width).enumerate() {
        let down = row as f64 - centre_y;
        // The place in the original of the row's first pixel.
        let mut x = ((centre_x - cosine * centre_x - sine * down) * one).round() as i64;
        let mut y = ((centre_y - sine * centre_x + cosine * down) * one).round() as i64;
        for pixel in line.chunks_exact_mut(3) {
            let (column, part_x) = (x >> PLACE_BITS, (x >> (PLACE_BITS - 8) & 0xFF) as u32);
            let (line, part_y) = (y >> PLACE_BITS, (y >> (PLACE_BITS - 8) & 0xFF) as u32);
            let (left, right) = (reflect(column, width), reflect(column + 1, width));
            let (upper, lower) = (reflect(line, height) * width, reflect(line + 1, height) * width);
            let corner = |at: usize| &bytes[3 * at..3 * at + 3];
            let (a, b) = (corner(upper + left), corner(upper + right));
            let (c, d) = (corner(lower + left), corner(lower + right));
            for (channel, value) in pixel.iter_mut().enumerate() {
                let above = u32::from(a[channel]) * (256 - part_x) + u32::from(b[channel]) * part_x;
                let below = u32::from(c[channel]) * (256 - part_x) + u32::from(d[channel]) * part_x;
                *value = ((above * (256 - part_y) + below * part_y + (1 << 15)) >> 16) as u8;
            }
            x += step_x;
            y += step_y;
        }
    }
}

/// An index beyond the ends comes back from them, the end itself counted twice: −1 is 0, `side` is `side` − 1.
pub(crate) fn reflect(at: i64, side: usize) -> usize {
    let side = side as i64;
    if (0..side).contains(&at) {
        return at as usize;
    }
    let within = at.rem_euclid(2 * side);
    within.min(2 * side - 1 - within) as usize
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture() -> RgbPixels {
        let data =
            (0..7 * 7).flat_map(|at| [(at * 5) as u8, (at * 3 + 40) as u8, 250 - (at * 2) as u8]).collect();
        RgbPixels::new(7, 7, data).unwrap()
    }

    #[test]
    fn quarter_turns_move_whole_pixels() {
        let from = picture();
        let mut to = RgbPixels::empty();
        rotate(&from, 0.0, &mut to);
        assert_eq!(to, from);
        rotate(&from, 90.0, &mut to);
        // Counter-clockwise: the right-most column becomes the first row.
        let right_most: Vec<[u8; 3]> = from.iter().skip(6).step_by(7).collect();
        assert_eq!(to.iter().take(7).collect::<Vec<_>>(), right_most);
        rotate(&from, 180.0, &mut to);
        let mut reversed: Vec<[u8; 3]> = from.iter().collect();
        reversed.reverse();
        assert_eq!(to.iter().collect::<Vec<_>>(), reversed);
    }

    #[test]
    fn reflection_has_the_ends_twice() {
        let indices: Vec<usize> = (-4..8).map(|at| reflect(at, 3)).collect();
        assert_eq!(indices, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert!((-9..9).all(|at| reflect(at, 1) == 0));
    }
}
