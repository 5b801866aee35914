//! Pillow's `ImageEnhance`: a blend of the picture with a lesser version of itself.

use super::lookup;
use crate::RgbPixels;

/// `low + factor (high − low)` as Pillow's `Image.blend` computes it: cut off, not rounded.
#[inline]
fn blend(low: i32, high: i32, factor: f32) -> u8 {
    (low as f32 + factor * (high - low) as f32).clamp(0.0, 255.0) as u8
}

/// Grey level of a pixel by ITU-R 601-2, as Pillow's `convert("L")`.
#[inline]
fn luma(pixel: &[u8]) -> u8 {
    let sum = u32::from(pixel[0]) * 19595 + u32::from(pixel[1]) * 38470 + u32::from(pixel[2]) * 7471;
    ((sum + 0x8000) >> 16) as u8
}

/// Mean grey level.
pub(crate) fn luma_mean(picture: &RgbPixels) -> f32 {
    let sum: u64 = picture.as_bytes().chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum();
    (sum as f64 / (picture.width() * picture.height()) as f64) as f32
}

/// Blend with black; a factor above 1 brightens.
pub(crate) fn blend_brightness(picture: &mut RgbPixels, factor: f32) {
    lookup(picture, |value| blend(0, i32::from(value), factor));
}

/// Blend with the mean grey.
pub(crate) fn blend_contrast(picture: &mut RgbPixels, factor: f32) {
    let mean = (luma_mean(picture) + 0.5) as i32;
    lookup(picture, |value| blend(mean, i32::from(value), factor));
}

/// Blend with the grey picture.
pub(crate) fn blend_colour(picture: &mut RgbPixels, factor: f32) {
    for pixel in picture.as_bytes_mut().chunks_exact_mut(3) {
        let grey = i32::from(luma(pixel));
        for value in pixel {
            *value = blend(grey, i32::from(*value), factor);
        }
    }
}

/// Blend with the picture smoothed by the kernel (1 1 1, 1 5 1, 1 1 1) / 13, whose border is left as it is.
pub(crate) fn blend_sharpness(from: &RgbPixels, factor: f32, to: &mut RgbPixels) {
    to.copy_from(from);
    let (width, height) = (from.width(), from.height());
    if width < 3 || height < 3 {
        return;
    }
    let stride = 3 * width;
    let bytes = from.as_bytes();
    for row in 1..height - 1 {
        let lines = [row - 1, row, row + 1].map(|row| &bytes[row * stride..(row + 1) * stride]);
        let target = &mut to.as_bytes_mut()[row * stride..(row + 1) * stride];
        for at in 3..stride - 3 {
            let around: u32 = lines
                .iter()
                .map(|line| u32::from(line[at - 3]) + u32::from(line[at]) + u32::from(line[at + 3]))
                .sum();
            let own = u32::from(lines[1][at]);
            let smooth = (2 * (around + 4 * own) + 13) / 26;
            target[at] = blend(smooth as i32, own as i32, factor);
        }
    }
}
