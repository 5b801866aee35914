//! Pillow's `ImageOps`: tables made from each channel's histogram.

use super::lookup_channels;
use crate::RgbPixels;

fn histograms(picture: &RgbPixels) -> [[u64; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in picture.iter() {
        for (counts, value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    counts
}

fn identity() -> [u8; 256] {
    std::array::from_fn(|value| value as u8)
}

/// Stretches each channel to 0 to 255, as `ImageOps.autocontrast`.
pub(crate) fn auto_contrast(picture: &mut RgbPixels) {
    let tables = histograms(picture).map(|counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return identity();
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        std::array::from_fn(|value| (value as f64 * scale + offset).clamp(0.0, 255.0) as u8)
    });
    lookup_channels(picture, &tables);
}

/// Makes each channel's histogram as even as it gets, as `ImageOps.equalize`.
pub(crate) fn equalize(picture: &mut RgbPixels) {
    let tables = histograms(picture).map(|counts| {
        let taken = counts.iter().filter(|&&count| count > 0).count();
        let last = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<u64>() - last) / 255;
        if taken <= 1 || step == 0 {
            return identity();
        }
        let mut below = step / 2;
        counts.map(|count| {
            let level = (below / step).min(255) as u8;
            below += count;
            level
        })
    });
    lookup_channels(picture, &tables);
}
