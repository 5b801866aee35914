//! A record's picture as a report embeds it.

use std::io::Cursor;

use derm_data::{ImageSource, Record, RgbPixels, decode_file};
use image::imageops::thumbnail;
use image::{ExtendedColorType, ImageFormat, RgbImage};

use crate::Error;

/// The pixels of a record as they were published or drawn.
pub(crate) fn pixels(record: &Record) -> Result<RgbPixels, Error> {
    match &record.image {
        ImageSource::File(path) => Ok(decode_file(path)?),
        ImageSource::Rgb(pixels) => Ok(pixels.as_ref().clone()),
        ImageSource::Absent => Err(derm_data::Error::NoImage { id: record.id.clone() }.into()),
    }
}

/// The picture as a PNG file.
pub(crate) fn png(pixels: &RgbPixels, id: &str) -> Result<Vec<u8>, Error> {
    encode(pixels.as_bytes(), (pixels.width() as u32, pixels.height() as u32), id)
}

/// The picture as a PNG file, its longer side `side` pixels or what it was where that is less.
pub(crate) fn small_png(pixels: &RgbPixels, side: u32, id: &str) -> Result<Vec<u8>, Error> {
    let (width, height) = (pixels.width() as u32, pixels.height() as u32);
    let longer = width.max(height);
    let picture = RgbImage::from_raw(width, height, pixels.as_bytes().to_vec());
    let Some(picture) = picture.filter(|_| longer > side) else { return png(pixels, id) };
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longer)).max(1) as u32;
    let small = thumbnail(&picture, scaled(width), scaled(height));
    encode(&small, small.dimensions(), id)
}

fn encode(bytes: &[u8], (width, height): (u32, u32), id: &str) -> Result<Vec<u8>, Error> {
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut file,
        bytes,
        width,
        height,
        ExtendedColorType::Rgb8,
        ImageFormat::Png,
    )
    .map_err(|error| Error::Image { id: id.to_owned(), reason: error.to_string() })?;
    Ok(file.into_inner())
}
