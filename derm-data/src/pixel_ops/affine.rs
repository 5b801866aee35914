//! Affine maps to the nearest pixel, as Pillow's `Image.transform` computes them.

use crate::RgbPixels;

/// The pixel at (x, y) is the original's at (a x + b y + c, d x + e y + f), counted from pixel centres; black beyond the
/// border. In steps of 1/65536 pixel, as Pillow's `affine_fixed`.
pub(crate) fn transform_nearest(from: &RgbPixels, matrix: [f64; 6], to: &mut RgbPixels) {
    let (width, height) = (from.width(), from.height());
    to.reshape(width, height);
    let fixed = |number: f64| (number * 65536.0 + 0.5).floor() as i64;
    let [a, b, c, d, e, f] = matrix;
    let (step_x, step_y) = (fixed(a), fixed(d));
    let (line_x, line_y) = (fixed(b), fixed(e));
    let mut start = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let bytes = from.as_bytes();
    for row in to.as_bytes_mut().chunks_exact_mut(3 * width) {
        let (mut x, mut y) = start;
        for pixel in row.chunks_exact_mut(3) {
            let (column, line) = (x >> 16, y >> 16);
            if (0..width as i64).contains(&column) && (0..height as i64).contains(&line) {
                let at = 3 * (line as usize * width + column as usize);
                pixel.copy_from_slice(&bytes[at..at + 3]);
            } else {
                pixel.fill(0);
            }
            x += step_x;
            y += step_y;
        }
        start.0 += line_x;
        start.1 += line_y;
    }
}

/// Rotation about the centre, counter-clockwise, as Pillow's `Image.rotate`.
pub(crate) fn rotate_nearest(from: &RgbPixels, degrees: f64, to: &mut RgbPixels) {
    let (centre_x, centre_y) = (from.width() as f64 / 2.0, from.height() as f64 / 2.0);
    let (sine, cosine) = (-degrees.to_radians()).sin_cos();
    let (a, b, d, e) = (cosine, sine, -sine, cosine);
    let c = -a * centre_x - b * centre_y + centre_x;
    let f = -d * centre_x - e * centre_y + centre_y;
    transform_nearest(from, [a, b, c, d, e, f], to);
}
