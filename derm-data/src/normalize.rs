//! Pixels to the numbers that a network takes.

use derm_core::Normalization;

use crate::error::setting;
use crate::{Error, Orientation, RgbPixels};

/// Standardisation of 8-bit pixels: `(v / 255 − mean) / std` for each channel, as a table of 3 × 256 numbers.
///
/// ```
/// use derm_core::Normalization;
/// use derm_data::{Normalizer, Orientation, RgbPixels};
/// let normalizer = Normalizer::new(Normalization::HALF)?;
/// let pixels = RgbPixels::new(1, 1, vec![0, 255, 255]).unwrap();
/// let mut planes = [9.0; 3];
/// normalizer.write_planes(&pixels, Orientation::UPRIGHT, &mut planes);
/// assert_eq!(planes, [-1.0, 1.0, 1.0]);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Normalizer {
    normalization: Normalization,
    table: Box<[[f32; 256]; 3]>,
}

impl Normalizer {
    /// The table of a normalisation.
    ///
    /// # Errors
    /// [`Error::Setting`] for a mean that is not finite or a deviation that is not positive and finite.
    pub fn new(normalization: Normalization) -> Result<Self, Error> {
        let mut table = Box::new([[0.0; 256]; 3]);
        for (channel, row) in table.iter_mut().enumerate() {
            let (mean, std) = (normalization.mean[channel], normalization.std[channel]);
            if !mean.is_finite() {
                return Err(setting("normalization mean", mean, "a finite number"));
            }
            if !(std.is_finite() && std > 0.0) {
                return Err(setting("normalization std", std, "a positive finite number"));
            }
            for (value, entry) in row.iter_mut().enumerate() {
                *entry = (value as f32 / 255.0 - mean) / std;
            }
        }
        Ok(Self { normalization, table })
    }

    /// The normalisation.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Writes a square picture as three planes, R, G, B, each row by row, turned as `orientation` says.
    ///
    /// # Panics
    /// Where the picture is not square or `planes` does not have its 3 · side² numbers.
    pub fn write_planes(&self, pixels: &RgbPixels, orientation: Orientation, planes: &mut [f32]) {
        let side = pixels.width();
        assert_eq!(pixels.height(), side, "the picture is not square");
        assert_eq!(planes.len(), 3 * side * side, "three planes of {side} by {side} numbers");
        let (red, rest) = planes.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        let targets = red
            .chunks_exact_mut(side)
            .zip(green.chunks_exact_mut(side))
            .zip(blue.chunks_exact_mut(side))
            .map(|((red, green), blue)| [red, green, blue]);
        let rows = pixels.as_bytes().chunks_exact(3 * side);
        // A row of the result is a row of the picture, or a column of it where it is transposed; each is walked in its
        // own direction, so that no pixel's place is worked out by itself.
        for (row, target) in targets.enumerate() {
            let along = if orientation.mirrors_rows() { side - 1 - row } else { row };
            if orientation.transposes() {
                let column = 3 * along..3 * along + 3;
                let pixels = rows.clone().map(|row| &row[column.clone()]);
                if orientation.mirrors_columns() {
                    self.write_row(pixels.rev(), target);
                } else {
                    self.write_row(pixels, target);
                }
            } else {
                let row = &pixels.as_bytes()[3 * side * along..3 * side * (along + 1)];
                if orientation.mirrors_columns() {
                    self.write_row(row.chunks_exact(3).rev(), target);
                } else {
                    self.write_row(row.chunks_exact(3), target);
                }
            }
        }
    }

    /// One row of each plane.
    #[inline]
    fn write_row<'a>(&self, pixels: impl Iterator<Item = &'a [u8]>, [red, green, blue]: [&mut [f32]; 3]) {
        let [reds, greens, blues] = &*self.table;
        for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
            let [r, g, b] = *pixel else { continue };
            *red = reds[usize::from(r)];
            *green = greens[usize::from(g)];
            *blue = blues[usize::from(b)];
        }
    }
}
