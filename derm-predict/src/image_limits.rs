use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use derm_core::FileError;
use derm_data::{MAX_PIXELS, RgbPixels, decode_bytes, image_dimensions};

use crate::{Error, Picture};

/// How large an image may be, so that no upload takes the server's memory.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `max_bytes` | 64 MiB | of the file, before anything of it is read |
/// | `max_pixels` | [`MAX_PIXELS`](derm_data::MAX_PIXELS) | width times height as the header says, before anything is decoded; more than the default is refused by the decoder all the same |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Largest size of a file in bytes.
    pub max_bytes: u64,
    /// Largest number of pixels.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: MAX_PIXELS }
    }
}

impl ImageLimits {
    /// The pixels of a picture.
    ///
    /// # Errors
    /// [`Error::ImageTooLarge`] over a limit, [`Error::File`] and [`Error::Data`] for what is no readable image.
    pub(crate) fn pixels<'a>(&self, picture: Picture<'a>) -> Result<Cow<'a, RgbPixels>, Error> {
        match picture {
            Picture::Pixels(pixels) => Ok(Cow::Borrowed(pixels)),
            Picture::Bytes { bytes, name } => self.decode(bytes, Path::new(name)).map(Cow::Owned),
            Picture::File(path) => self.decode(&self.read(path)?, path).map(Cow::Owned),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(FileError::at(path, "read"))?;
        let size = file.metadata().map_err(FileError::at(path, "read"))?.len();
        self.check(path, "bytes", size, self.max_bytes)?;
        // A file may grow while it is read, and a device has no size at all.
        let read = file.take(self.max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(FileError::at(path, "read"))?;
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8], name: &Path) -> Result<RgbPixels, Error> {
        self.check(name, "bytes", bytes.len() as u64, self.max_bytes)?;
        let (width, height) = image_dimensions(bytes, name)?;
        self.check(name, "pixels", u64::from(width) * u64::from(height), self.max_pixels)?;
        Ok(decode_bytes(bytes, name)?)
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the limits")]
    fn check(&self, name: &Path, unit: &'static str, got: u64, maximum: u64) -> Result<(), Error> {
        if got <= maximum {
            Ok(())
        } else {
            Err(Error::ImageTooLarge { name: name.to_owned(), unit, got, maximum })
        }
    }
}
