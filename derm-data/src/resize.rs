//! Images to the network's size.

use derm_core::{ImageInput, Interpolation};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::{Error, RgbPixels};

/// How a picture that is not square becomes square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ResizeRule {
    /// Both sides are scaled to the size; the picture is distorted, nothing is cut off.
    #[default]
    Squash,
    /// The shorter side is scaled to size / `crop_pct` (rounded down) and the centre is cut out, as torchvision's
    /// and timm's evaluation transforms do.
    CentreCrop {
        /// Share of the shorter side that stays, 0.05 to 1; 0.875 is 224 of 256.
        crop_pct: f32,
    },
}

/// Resizing to a square of `size` pixels.
///
/// Kernels are widened by the scale when shrinking (antialiased), as PIL and torchvision's `antialias=True` do.
///
/// ```
/// use derm_core::Interpolation;
/// use derm_data::{Resize, ResizeRule, RgbPixels};
/// let resize = Resize::new(2, ResizeRule::Squash, Interpolation::Bilinear)?;
/// let grey = RgbPixels::new(8, 6, vec![90; 144]).unwrap();
/// assert_eq!(resize.apply(&grey)?.as_bytes(), &[90; 12]);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ResizeFields")]
pub struct Resize {
    size: usize,
    rule: ResizeRule,
    interpolation: Interpolation,
}

/// [`Resize`] as it stands in a file, before its ranges are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResizeFields {
    size: usize,
    rule: ResizeRule,
    interpolation: Interpolation,
}

impl TryFrom<ResizeFields> for Resize {
    type Error = Error;

    fn try_from(fields: ResizeFields) -> Result<Self, Error> {
        Self::new(fields.size, fields.rule, fields.interpolation)
    }
}

impl Resize {
    /// Largest side that is accepted.
    pub const MAX_SIZE: usize = 4096;
    /// Largest ratio of the sides of a picture.
    const MAX_ASPECT: usize = 100;

    /// Resizing to `size` pixels by a rule and a kernel.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size outside 1 to [`Resize::MAX_SIZE`] or a `crop_pct` outside [0.05, 1].
    pub fn new(size: usize, rule: ResizeRule, interpolation: Interpolation) -> Result<Self, Error> {
        if !(1..=Self::MAX_SIZE).contains(&size) {
            return Err(setting("image size", size, "1 to 4096 pixels"));
        }
        if let ResizeRule::CentreCrop { crop_pct } = rule
            && !(0.05..=1.0).contains(&crop_pct)
        {
            return Err(setting("crop_pct", crop_pct, "0.05 to 1"));
        }
        Ok(Self { size, rule, interpolation })
    }

    /// What a backbone's published weights expect: the centre crop with its `crop_pct`.
    ///
    /// # Errors
    /// As [`Resize::new`].
    pub fn for_input(input: &ImageInput) -> Result<Self, Error> {
        Self::new(input.size, ResizeRule::CentreCrop { crop_pct: input.crop_pct }, input.interpolation)
    }

    /// Side of the result in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How the picture becomes square.
    pub fn rule(&self) -> ResizeRule {
        self.rule
    }

    /// The kernel.
    pub fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// The resized picture. One that has the size already is returned as it is.
    ///
    /// # Errors
    /// [`Error::Resize`] for a picture whose sides differ by more than 100 to 1, or one too large to address.
    pub fn apply(&self, pixels: &RgbPixels) -> Result<RgbPixels, Error> {
        let (width, height) = (pixels.width(), pixels.height());
        let (short, long) = (width.min(height), width.max(height));
        if long / short > Self::MAX_ASPECT {
            return Err(Error::Resize {
                width,
                height,
                reason: "its sides differ by more than 100 to 1".to_owned(),
            });
        }
        match self.rule {
            ResizeRule::Squash => self.scaled(pixels, self.size, self.size),
            ResizeRule::CentreCrop { crop_pct } => {
                // In f32, in which 8 / 0.8 is 10.
                let short = (self.size as f32 / crop_pct).floor().max(self.size as f32) as usize;
                let (wide, high) = if width <= height {
                    (short, short * height / width)
                } else {
                    (short * width / height, short)
                };
                centre(&self.scaled(pixels, wide, high)?, self.size)
            }
        }
    }

    fn scaled(&self, pixels: &RgbPixels, wide: usize, high: usize) -> Result<RgbPixels, Error> {
        let (width, height) = (pixels.width(), pixels.height());
        if (width, height) == (wide, high) {
            return Ok(pixels.clone());
        }
        let failed = |reason: String| Error::Resize { width, height, reason };
        let side = |side: usize| u32::try_from(side).map_err(|error| failed(error.to_string()));
        let filter = match self.interpolation {
            Interpolation::Bilinear => FilterType::Bilinear,
            // Cubic convolution with a = -0.5.
            Interpolation::Bicubic => FilterType::CatmullRom,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
        let source = ImageRef::new(side(width)?, side(height)?, pixels.as_bytes(), PixelType::U8x3)
            .map_err(|error| failed(error.to_string()))?;
        let mut target = Image::new(side(wide)?, side(high)?, PixelType::U8x3);
        Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(error.to_string()))?;
        RgbPixels::new(wide, high, target.into_vec()).ok_or_else(|| failed("it vanished".to_owned()))
    }
}

/// The middle `size` by `size` pixels; offsets are rounded half to even, as torchvision's are.
fn centre(pixels: &RgbPixels, size: usize) -> Result<RgbPixels, Error> {
    let offset = |side: usize| {
        let rest = side - size;
        let half = rest / 2;
        half + usize::from(rest % 2 == 1 && half % 2 == 1)
    };
    let (left, top) = (offset(pixels.width()), offset(pixels.height()));
    let mut data = Vec::with_capacity(size * size * 3);
    for row in top..top + size {
        let start = (row * pixels.width() + left) * 3;
        data.extend_from_slice(&pixels.as_bytes()[start..start + size * 3]);
    }
    let (width, height) = (pixels.width(), pixels.height());
    let lost = || Error::Resize { width, height, reason: "nothing is left of it".to_owned() };
    RgbPixels::new(size, size, data).ok_or_else(lost)
}
