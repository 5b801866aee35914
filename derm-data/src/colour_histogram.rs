//! Colour and size of a lesion as plain numbers, for baselines that a network must beat.

use crate::RgbPixels;

/// The share of pixels in each of 4 × 4 × 4 colour cells, and an estimate of the lesion's area.
///
/// A linear model on these 65 numbers is the baseline that knows colour and size and nothing of shape or texture.
///
/// ```
/// use derm_data::{ColourHistogram, RgbPixels};
/// let mut bytes = vec![200; 32 * 32 * 3];
/// for row in 8..24 {
///     for column in 8..24 {
///         bytes[(row * 32 + column) * 3..][..3].copy_from_slice(&[90, 50, 40]);
///     }
/// }
/// let features = ColourHistogram::of(&RgbPixels::new(32, 32, bytes).unwrap());
/// assert_eq!(features.area(), 0.25);
/// assert_eq!(features.to_row().len(), ColourHistogram::WIDTH);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ColourHistogram {
    cells: [f32; 64],
    area: f32,
}

impl ColourHistogram {
    /// Length of [`ColourHistogram::to_row`].
    pub const WIDTH: usize = 65;

    /// Sum over the channels of the difference to skin, in 8-bit steps, from which a pixel counts as lesion.
    const CONTRAST: i32 = 45;

    /// Measures a picture. Skin is the median, channel by channel, of a frame between 1/12 and 1/6 of the side from
    /// the border (without its corners, where a vignette lies); lesion is what differs from it within the inscribed
    /// disc of radius 0.425 sides.
    pub fn of(pixels: &RgbPixels) -> Self {
        let (width, height) = (pixels.width(), pixels.height());
        let mut cells = [0.0; 64];
        let mut frame: [Vec<u8>; 3] = Default::default();
        for (index, pixel) in pixels.iter().enumerate() {
            let [red, green, blue] = pixel.map(|value| usize::from(value / 64));
            cells[red * 16 + green * 4 + blue] += 1.0;
            let (row, column) = (index / width, index % width);
            // Distances from the nearer border, in 1/12 of the side.
            let from_row = 12 * row.min(height - 1 - row) / height;
            let from_column = 12 * column.min(width - 1 - column) / width;
            let (near, far) = (from_row.min(from_column), from_row.max(from_column));
            if near == 1 && far >= 3 {
                for (values, value) in frame.iter_mut().zip(pixel) {
                    values.push(value);
                }
            }
        }
        let count = (width * height) as f32;
        for cell in &mut cells {
            *cell /= count;
        }
        let skin = frame.map(|mut values| {
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(255)
        });
        let inside = |index: usize| {
            let x = ((index % width) as f64 + 0.5) / width as f64 - 0.5;
            let y = ((index / width) as f64 + 0.5) / height as f64 - 0.5;
            x * x + y * y < 0.425 * 0.425
        };
        let differs = |pixel: [u8; 3]| {
            let sum: i32 = pixel.iter().zip(skin).map(|(&a, b)| (i32::from(a) - i32::from(b)).abs()).sum();
            sum > Self::CONTRAST
        };
        let lesion =
            pixels.iter().enumerate().filter(|(index, pixel)| inside(*index) && differs(*pixel)).count();
        Self { cells, area: lesion as f32 / count }
    }

    /// Share of pixels in each colour cell; red is the slowest index, blue the fastest.
    pub fn cells(&self) -> &[f32; 64] {
        &self.cells
    }

    /// Share of the picture that is lesion, by the estimate.
    pub fn area(&self) -> f32 {
        self.area
    }

    /// The 64 shares and then the area.
    pub fn to_row(&self) -> Vec<f32> {
        self.cells.iter().copied().chain([self.area]).collect()
    }
}
