//! Image files to pixels.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use derm_core::FileError;
use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::{Error, RgbPixels};

/// Largest picture that is decoded, in pixels: more is a mistake or an attack.
const MAX_PIXELS: u64 = 1 << 27;

/// Reads an image file (JPEG or PNG, told by its content, not its name) as 8-bit RGB, upright as its EXIF orientation
/// says. Grey becomes equal channels, an alpha channel is dropped.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, [`Error::Decode`] where it is not an image or is cut short.
pub fn decode_file(path: impl AsRef<Path>) -> Result<RgbPixels, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
    decode_bytes(&bytes, path)
}

/// Decodes an image that is in memory; `name` stands for it in errors.
///
/// # Errors
/// [`Error::Decode`].
pub fn decode_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<RgbPixels, Error> {
    let failed = |reason: String| Error::Decode { path: name.as_ref().to_owned(), reason };
    if bytes.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    if is_cut_jpeg(bytes) {
        return Err(failed("the JPEG data end before the picture does".to_owned()));
    }
    let opened = || ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder();
    let mut decoder = opened().map_err(|error| failed(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(failed(format!("{width} by {height} pixels: expected at most {MAX_PIXELS} in all")));
    }
    let decoded = || -> image::ImageResult<DynamicImage> {
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = decoded().map_err(|error| failed(error.to_string()))?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    RgbPixels::new(width, height, image.into_raw()).ok_or_else(|| failed("it has no pixels".to_owned()))
}

/// Whether a JPEG stops before its end-of-image marker. The decoder would fill the rest with grey and say nothing.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return false;
    }
    // Segments follow each other up to the first scan. A thumbnail, which has an end marker of its own, lies within one.
    let mut at = 2;
    loop {
        match bytes.get(at..at + 4) {
            // Fill bytes before a marker, and markers without a length.
            Some([0xFF, 0xFF, ..]) => at += 1,
            Some([0xFF, 0x01 | 0xD0..=0xD7, ..]) => at += 2,
            // Entropy-coded data never contain FF D9.
            Some([0xFF, 0xDA, ..]) => return !bytes[at..].windows(2).any(|pair| pair == [0xFF, 0xD9]),
            Some(&[0xFF, _, high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            // Not a marker: the decoder says what is wrong.
            Some(_) => return false,
            None => return true,
        }
    }
}
