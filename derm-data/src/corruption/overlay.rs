//! What covers a part of the picture.

use super::letters::{COLUMNS, LETTERS, ROWS};
use crate::RgbPixels;
use crate::pixel_ops::luma_mean;
use crate::portable_rng::PortableRng;

/// Black beyond a circle about the centre, its radius a multiple of half the shorter side.
pub(super) fn black_corner(picture: &mut RgbPixels, multiple: f64) {
    let (width, height) = (picture.width(), picture.height());
    let radius = (width.min(height) as f64 / 2.0 * multiple).floor();
    let (middle_x, middle_y) = ((width / 2) as f64, (height / 2) as f64);
    for (row, line) in picture.as_bytes_mut().chunks_exact_mut(3 * width).enumerate() {
        for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (x, y) = (column as f64 - middle_x, row as f64 - middle_y);
            if x * x + y * y > radius * radius {
                pixel.fill(0);
            }
        }
    }
}

/// Side of a letter's cell, in shares of the picture's shorter side and of the reference's font scale: a line of seven
/// cells is a tenth of the picture at the first severity.
const CELL: f64 = 0.1 / 7.0 / 0.14;

/// Words of lower-case letters, `size` as large, at random places, in one colour: dark on a bright picture and bright on
/// a dark one. With a colour for each word, one that falls on another could make the change smaller.
pub(super) fn characters(
    picture: &mut RgbPixels,
    words: usize,
    letters: usize,
    size: f64,
    rng: &mut PortableRng,
) {
    let (width, height) = (picture.width(), picture.height());
    let bright = luma_mean(picture) >= 128.0;
    let colour = [(); 3].map(|()| {
        let tone = (rng.fraction() * 64.0) as u8;
        if bright { tone } else { 255 - tone }
    });
    for _ in 0..words {
        let place = (rng.fraction(), rng.fraction());
        // As many draws for a short word as for a long one, so that words lie alike at all levels.
        let drawn: [usize; MOST_LETTERS] = std::array::from_fn(|_| rng.below(LETTERS.len()));
        let columns = (COLUMNS + 1) * letters;
        // No smaller than a pixel, no longer than the picture.
        let cell = (CELL * size * width.min(height) as f64).min(width as f64 / columns as f64).max(1.0);
        let left = place.0 * (width as f64 - cell * columns as f64).max(0.0);
        let top = place.1 * (height as f64 - cell * ROWS as f64).max(0.0);
        let end = |start: f64, cells: usize, side: usize| ((start + cell * cells as f64) as usize).min(side);
        for row in top as usize..end(top, ROWS, height) {
            for column in left as usize..end(left, columns, width) {
                let along = ((column as f64 - left) / cell).max(0.0) as usize;
                let down = ((row as f64 - top) / cell).max(0.0) as usize;
                let (letter, at) = (along / (COLUMNS + 1), along % (COLUMNS + 1));
                let inked = at < COLUMNS && LETTERS[drawn[letter.min(MOST_LETTERS - 1)]][at] >> down & 1 == 1;
                if inked {
                    let start = 3 * (row * width + column);
                    picture.as_bytes_mut()[start..start + 3].copy_from_slice(&colour);
                }
            }
        }
    }
}

/// Letters of the longest word.
const MOST_LETTERS: usize = 10;
