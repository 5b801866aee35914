//! Gaussian blur.

use crate::RgbPixels;
use crate::augment::reflect;

/// Blurs in place, one direction after the other; weights reach to 3 σ (at least a pixel) and sum to 1, the border is
/// reflected. `numbers` is memory for what lies between.
pub(crate) fn gaussian_blur(picture: &mut RgbPixels, sigma: f64, numbers: &mut Vec<f32>) {
    let weights = weights(sigma);
    let radius = weights.len() as i64 - 1;
    let (width, height) = (picture.width(), picture.height());
    let stride = 3 * width;
    numbers.clear();
    numbers.resize(stride * height + stride + 3 * (width + 2 * radius as usize), 0.0);
    let (across, rest) = numbers.split_at_mut(stride * height);
    let (line, padded) = rest.split_at_mut(stride);
    for (bytes, out) in picture.as_bytes().chunks_exact(stride).zip(across.chunks_exact_mut(stride)) {
        for (at, pixel) in padded.chunks_exact_mut(3).enumerate() {
            let from = 3 * reflect(at as i64 - radius, width);
            for (value, byte) in pixel.iter_mut().zip(&bytes[from..from + 3]) {
                *value = f32::from(*byte);
            }
        }
        out.fill(0.0);
        for offset in -radius..=radius {
            let weight = weights[offset.unsigned_abs() as usize];
            let start = 3 * (offset + radius) as usize;
            for (sum, value) in out.iter_mut().zip(&padded[start..start + stride]) {
                *sum += weight * value;
            }
        }
    }
    for (row, bytes) in picture.as_bytes_mut().chunks_exact_mut(stride).enumerate() {
        line.fill(0.5);
        for offset in -radius..=radius {
            let weight = weights[offset.unsigned_abs() as usize];
            let from = stride * reflect(row as i64 + offset, height);
            for (sum, value) in line.iter_mut().zip(&across[from..from + stride]) {
                *sum += weight * value;
            }
        }
        for (byte, sum) in bytes.iter_mut().zip(&*line) {
            *byte = *sum as u8;
        }
    }
}

/// The weights from the centre outwards.
fn weights(sigma: f64) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil().max(1.0) as usize;
    let raw: Vec<f64> =
        (0..=radius).map(|at| (-0.5 * (at as f64 / sigma) * (at as f64 / sigma)).exp()).collect();
    let sum = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
    raw.iter().map(|weight| (weight / sum) as f32).collect()
}
