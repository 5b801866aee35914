//! Blur by a lens, by a motion, by a zoom.

use crate::RgbPixels;
use crate::augment::reflect;

/// Mean over a disc of a radius in pixels. Its weight falls from 1 to 0 over the two pixels about the radius, so that
/// half a pixel still is a blur and a little more is a little stronger; the disc is then smoothed by a Gaussian of deviation `edge` over 3 by 3 pixels.
pub(super) fn defocus(from: &RgbPixels, radius: f64, edge: f64, to: &mut RgbPixels) {
    let reach = radius.ceil() as i64 + 1;
    let side = (2 * reach + 1) as usize;
    let place = |at: usize| (at as i64 - reach) as f64;
    let disc: Vec<f64> = (0..side * side)
        .map(|at| {
            let (x, y) = (place(at % side), place(at / side));
            (0.5 * (radius + 1.0 - (x * x + y * y).sqrt())).clamp(0.0, 1.0)
        })
        .collect();
    let beside = if edge > 0.0 { (-0.5 / (edge * edge)).exp() } else { 0.0 };
    let weight = |offset: i64| if offset == 0 { 1.0 } else { beside } / (1.0 + 2.0 * beside);
    let mut kernel = Vec::new();
    for row in 0..side {
        for column in 0..side {
            let mut sum = 0.0;
            for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                let (y, x) = (row as i64 + dy, column as i64 + dx);
                if (0..side as i64).contains(&y) && (0..side as i64).contains(&x) {
                    sum += weight(dy) * weight(dx) * disc[y as usize * side + x as usize];
                }
            }
            if sum > 1e-9 {
                kernel.push((column as i64 - reach, row as i64 - reach, sum));
            }
        }
    }
    convolve(from, &kernel, Border::Reflected, to);
}

/// Half a Gaussian along a line, as `ImageMagick`'s `-motion-blur`: 2 ⌈radius⌉ + 1 pixels from the pixel itself in one
/// direction, the border's pixels repeated.
pub(super) fn motion(from: &RgbPixels, radius: f64, sigma: f64, degrees: f64, to: &mut RgbPixels) {
    let length = 2 * radius.ceil().max(1.0) as i64 + 1;
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let kernel: Vec<(i64, i64, f64)> = (0..length)
        .map(|step| {
            let along = step as f64;
            let weight = (-0.5 * (along / sigma) * (along / sigma)).exp();
            ((along * cosine - 0.5).ceil() as i64, (along * sine - 0.5).ceil() as i64, weight)
        })
        .collect();
    convolve(from, &kernel, Border::Repeated, to);
}

/// Mean of the picture and of `count` zooms of it, by 1, 1 + `step` and so on.
pub(super) fn zoom(from: &RgbPixels, count: usize, step: f64, to: &mut RgbPixels) {
    let (width, height) = (from.width(), from.height());
    let mut sums: Vec<f32> = from.as_bytes().iter().map(|&value| f32::from(value)).collect();
    let bytes = from.as_bytes();
    for factor in (0..count).map(|at| 1.0 + step * at as f64) {
        let columns = Place::all(width, factor);
        for (row, line) in Place::all(height, factor).iter().zip(sums.chunks_exact_mut(3 * width)) {
            let (upper, lower) = (3 * row.first * width, 3 * row.second * width);
            for (column, pixel) in columns.iter().zip(line.chunks_exact_mut(3)) {
                for (channel, sum) in pixel.iter_mut().enumerate() {
                    let value = |start: usize, at: usize| f32::from(bytes[start + 3 * at + channel]);
                    let mix = |start: usize| {
                        let first = value(start, column.first);
                        first + column.part * (value(start, column.second) - first)
                    };
                    let above = mix(upper);
                    *sum += above + row.part * (mix(lower) - above);
                }
            }
        }
    }
    for (value, sum) in to.as_bytes_mut().iter_mut().zip(&sums) {
        *value = (sum / (count + 1) as f32 + 0.5) as u8;
    }
}

/// Two neighbours and how far it is from the first to the second.
struct Place {
    first: usize,
    second: usize,
    part: f32,
}

impl Place {
    /// Where each pixel of a line comes from when the line is zoomed about its middle.
    fn all(side: usize, factor: f64) -> Vec<Self> {
        let middle = (side as f64 - 1.0) / 2.0;
        (0..side)
            .map(|at| {
                let from = middle + (at as f64 - middle) / factor;
                let first = from.floor().max(0.0) as usize;
                Self { first, second: (first + 1).min(side - 1), part: (from - first as f64) as f32 }
            })
            .collect()
    }
}

#[derive(Clone, Copy)]
enum Border {
    Reflected,
    Repeated,
}

/// Weighted mean over offsets (x, y, weight).
fn convolve(from: &RgbPixels, kernel: &[(i64, i64, f64)], border: Border, to: &mut RgbPixels) {
    let (width, height) = (from.width(), from.height());
    let total: f64 = kernel.iter().map(|(_, _, weight)| weight).sum();
    let inside = |at: i64, side: usize| match border {
        Border::Reflected => reflect(at, side),
        Border::Repeated => at.clamp(0, side as i64 - 1) as usize,
    };
    let reach = kernel.iter().map(|(x, _, _)| x.unsigned_abs() as usize).max().unwrap_or(0);
    // Every row with as much beside it as the kernel reaches, so that the inner loop knows no border.
    let stride = 3 * (width + 2 * reach);
    let mut padded = vec![0.0f32; stride * height];
    for (bytes, line) in from.as_bytes().chunks_exact(3 * width).zip(padded.chunks_exact_mut(stride)) {
        for (at, pixel) in line.chunks_exact_mut(3).enumerate() {
            let column = 3 * inside(at as i64 - reach as i64, width);
            for (number, byte) in pixel.iter_mut().zip(&bytes[column..column + 3]) {
                *number = f32::from(*byte);
            }
        }
    }
    let mut sums = vec![0.0f32; 3 * width];
    for (row, bytes) in to.as_bytes_mut().chunks_exact_mut(3 * width).enumerate() {
        sums.fill(0.5);
        for &(x, y, weight) in kernel {
            let weight = (weight / total) as f32;
            let start =
                stride * inside(row as i64 + y, height) + 3 * (reach as i64 + x).unsigned_abs() as usize;
            for (sum, number) in sums.iter_mut().zip(&padded[start..start + 3 * width]) {
                *sum += weight * number;
            }
        }
        for (byte, sum) in bytes.iter_mut().zip(&sums) {
            *byte = *sum as u8;
        }
    }
}
