//! Image files to pixels.

mod colour_profile;
mod jpeg_segments;
mod tiff_directories;

use std::fs;
use std::io::Cursor;
use std::path::Path;

use derm_core::FileError;
use image::codecs::bmp::BmpDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageResult, Limits};

use crate::{Error, RgbPixels};

/// Largest picture that is decoded, in pixels: more is a mistake or an attack.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Most bytes that a decoder may take for a picture: `MAX_PIXELS` of 16-bit RGBA.
const MAX_BYTES: u64 = MAX_PIXELS * 8;

/// Reads an image file (JPEG, PNG, WebP, BMP or TIFF, told by its content, not its name) as 8-bit sRGB, upright as its
/// orientation tag says. See [`decode_bytes`].
///
/// # Errors
/// [`Error::File`] where the file cannot be read, [`Error::Decode`] as [`decode_bytes`] says.
pub fn decode_file(path: impl AsRef<Path>) -> Result<RgbPixels, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
    decode_bytes(&bytes, path)
}

/// Decodes an image that is in memory; `name` stands for it in errors.
///
/// - **Orientation**: the EXIF tag of JPEG, PNG and WebP and TIFF's own are applied. BMP has none.
/// - **Colours**: an embedded ICC profile (JPEG, PNG, WebP, TIFF) is applied, with the perceptual intent, so that the
///   pixels are sRGB. A profile that changes no colour by more than a grey level (sRGB in all its spellings) is left
///   out and costs nothing. A profile that cannot be read, or whose colour space is not the picture's, is ignored as
///   viewers do. A CMYK or YCCK JPEG (Adobe's inverted ones too) becomes RGB by (1 − c)(1 − k); its profile is not used.
/// - **Depth**: 16 bits become 8 by rounding `v / 257` (Pillow cuts the low byte off, which is up to a level darker).
/// - Grey becomes equal channels; a palette is looked up; an alpha channel is dropped and the colour below it kept, as
///   Pillow's `convert("RGB")` does.
///
/// # Errors
/// [`Error::Decode`] where it is empty, none of the five formats, cut short, damaged where the format can tell,
/// animated (WebP, APNG) or of several pages (TIFF; thumbnails and masks do not count), or larger than 2²⁷ pixels, which
/// is found out before anything is decoded. What follows the end of the picture is ignored.
pub fn decode_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<RgbPixels, Error> {
    decode(bytes).map_err(|reason| Error::Decode { path: name.as_ref().to_owned(), reason })
}

/// Width and height of an image that is in memory, as its header says (before it is turned upright); nothing is
/// decoded. `name` stands for it in errors.
///
/// ```
/// use derm_data::{Error, image_dimensions};
/// assert!(matches!(image_dimensions(b"no image", "upload"), Err(Error::Decode { .. })));
/// ```
///
/// # Errors
/// [`Error::Decode`] where it is empty, none of the five formats, or its header is damaged.
pub fn image_dimensions(bytes: &[u8], name: impl AsRef<Path>) -> Result<(u32, u32), Error> {
    let named = |reason| Error::Decode { path: name.as_ref().to_owned(), reason };
    if bytes.is_empty() {
        return Err(named(EMPTY.to_owned()));
    }
    Ok(open(bytes).map_err(named)?.decoder.dimensions())
}

/// A decoder that has read the header, and what it will find there.
struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    /// Whether there may be an orientation tag: asking costs a second reading of the header.
    oriented: bool,
    /// Where a colour profile may be found.
    profile: Profile<'a>,
}

enum Profile<'a> {
    /// There is none.
    None,
    /// The decoder has it, if there is one.
    Ask,
    /// It was found beside the decoder.
    Found(&'a [u8]),
}

fn decode(bytes: &[u8]) -> Result<RgbPixels, String> {
    if bytes.is_empty() {
        return Err(EMPTY.to_owned());
    }
    let Opened { mut decoder, oriented, profile } = open(bytes)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width} by {height} pixels: expected at most {MAX_PIXELS} in all"));
    }
    let said = |error: image::ImageError| error.to_string();
    let mut left = limits();
    left.reserve(decoder.total_bytes()).map_err(said)?;
    decoder.set_limits(left).map_err(said)?;
    let profile = match profile {
        Profile::None => None,
        Profile::Ask => decoder.icc_profile().ok().flatten(),
        Profile::Found(profile) => Some(profile.to_vec()),
    };
    let orientation = if oriented { Some(decoder.orientation().map_err(said)?) } else { None };
    let mut image = DynamicImage::from_decoder(decoder).map_err(said)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let grey = !image.color().has_color();
    let mut image = image.into_rgb8();
    if let Some(profile) = profile {
        colour_profile::to_srgb(&profile, grey, &mut image);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    RgbPixels::new(width, height, image.into_raw()).ok_or_else(|| "it has no pixels".to_owned())
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

fn open(bytes: &[u8]) -> Result<Opened<'_>, String> {
    let format =
        if tiff_directories::is_tiff(bytes) { Ok(ImageFormat::Tiff) } else { image::guess_format(bytes) };
    let format = format
        .map_err(|_| "its content is of no known kind: expected JPEG, PNG, WebP, BMP or TIFF".to_owned())?;
    let data = Cursor::new(bytes);
    match format {
        ImageFormat::Jpeg => {
            let segments = jpeg_segments::scan(bytes);
            if !segments.ends {
                return Err("the JPEG data end before the picture does".to_owned());
            }
            let profile = if segments.profile { Profile::Ask } else { Profile::None };
            boxed(JpegDecoder::new(data), segments.exif, profile)
        }
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(data, limits()).map_err(|error| error.to_string())?;
            if decoder.is_apng().map_err(|error| error.to_string())? {
                return Err(ANIMATED.to_owned());
            }
            boxed(Ok(decoder), true, Profile::Ask)
        }
        ImageFormat::WebP => {
            let decoder = WebPDecoder::new(data).map_err(|error| error.to_string())?;
            if decoder.has_animation() {
                return Err(ANIMATED.to_owned());
            }
            boxed(Ok(decoder), true, Profile::Ask)
        }
        ImageFormat::Bmp => boxed(BmpDecoder::new(data), false, Profile::None),
        ImageFormat::Tiff => {
            if tiff_directories::has_several(bytes) {
                return Err("it has several pages: expected one picture".to_owned());
            }
            let profile = tiff_directories::profile(bytes).map_or(Profile::None, Profile::Found);
            boxed(TiffDecoder::new(data), true, profile)
        }
        other => Err(format!("it is {other:?}: expected JPEG, PNG, WebP, BMP or TIFF")),
    }
}

const EMPTY: &str = "it is empty";

const ANIMATED: &str = "it is animated: expected one picture";

fn boxed<'a>(
    decoder: ImageResult<impl ImageDecoder + 'a>,
    oriented: bool,
    profile: Profile<'a>,
) -> Result<Opened<'a>, String> {
    let decoder = decoder.map_err(|error| error.to_string())?;
    Ok(Opened { decoder: Box::new(decoder), oriented, profile })
}
