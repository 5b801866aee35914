//! Image files to pixels.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use derm_core::FileError;
use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::{Error, RgbPixels};

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
    let decoded = || -> image::ImageResult<DynamicImage> {
        let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = decoded().map_err(|error| failed(error.to_string()))?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    RgbPixels::new(width, height, image.into_raw()).ok_or_else(|| failed("it has no pixels".to_owned()))
}
