//! Operations on 8-bit pixels that augmentation and corruption share.

mod affine;
mod blend;
mod gaussian;
mod histogram;
mod hsv;

pub(crate) use affine::{rotate_nearest, transform_nearest};
pub(crate) use blend::{blend_brightness, blend_colour, blend_contrast, blend_sharpness, luma_mean};
pub(crate) use gaussian::gaussian_blur;
pub(crate) use histogram::{auto_contrast, equalize};
pub(crate) use hsv::{HsvShift, shift_hsv};

use crate::RgbPixels;

/// Every byte through a table.
pub(crate) fn lookup(picture: &mut RgbPixels, of: impl Fn(u8) -> u8) {
    let mut table = [0; 256];
    for (value, entry) in (0..=255).zip(&mut table) {
        *entry = of(value);
    }
    for value in picture.as_bytes_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Bytes of one channel through its own table.
pub(crate) fn lookup_channels(picture: &mut RgbPixels, tables: &[[u8; 256]; 3]) {
    let [reds, greens, blues] = tables;
    for pixel in picture.as_bytes_mut().chunks_exact_mut(3) {
        pixel[0] = reds[usize::from(pixel[0])];
        pixel[1] = greens[usize::from(pixel[1])];
        pixel[2] = blues[usize::from(pixel[2])];
    }
}
