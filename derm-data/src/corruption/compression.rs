//! JPEG and pixelation.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ExtendedColorType};

use crate::error::setting;
use crate::resize::box_scaled;
use crate::{Error, RgbPixels};

/// Through JPEG of a quality and back.
pub(super) fn jpeg(picture: &RgbPixels, quality: u8) -> Result<RgbPixels, Error> {
    let (width, height) = (picture.width(), picture.height());
    let wrong =
        || setting("sides of a picture for JPEG", format!("{width} by {height}"), "at most 65535 each");
    let side = |side: usize| u16::try_from(side).map(u32::from).map_err(|_| wrong());
    let mut file = Vec::new();
    let (wide, high) = (side(width)?, side(height)?);
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(picture.as_bytes(), wide, high, ExtendedColorType::Rgb8)
        .map_err(|_| wrong())?;
    let decoded = JpegDecoder::new(std::io::Cursor::new(file)).and_then(DynamicImage::from_decoder);
    let bytes = decoded.map_err(|_| wrong())?.into_rgb8().into_raw();
    RgbPixels::new(width, height, bytes).ok_or_else(wrong)
}

/// Scaled down to a share of each side and up again, by box filters.
pub(super) fn pixelate(picture: &RgbPixels, share: f64) -> Result<RgbPixels, Error> {
    let (width, height) = (picture.width(), picture.height());
    let less = |side: usize| ((side as f64 * share) as usize).max(1);
    box_scaled(&box_scaled(picture, less(width), less(height))?, width, height)
}
