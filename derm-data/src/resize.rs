//! Images to the network's size.

use derm_core::{ImageInput, Interpolation};
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
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
        let mut target = RgbPixels::empty();
        self.apply_into(pixels, &mut ResizeBuffers::default(), &mut target)?;
        Ok(target)
    }

    /// [`Resize::apply`] in memory that is used again.
    pub(crate) fn apply_into(
        &self,
        pixels: &RgbPixels,
        buffers: &mut ResizeBuffers,
        target: &mut RgbPixels,
    ) -> Result<(), Error> {
        match self.rule {
            ResizeRule::Squash => {
                let size = (self.size, self.size);
                self.scale(pixels, Window::whole(pixels), &mut buffers.resizer, size, target)
            }
            ResizeRule::CentreCrop { crop_pct } => {
                self.scale_around(pixels, crop_pct, buffers)?;
                // Half to even, as torchvision rounds.
                let offset = |side: usize| {
                    let rest = side - self.size;
                    let half = rest / 2;
                    half + usize::from(rest % 2 == 1 && half % 2 == 1)
                };
                let (left, top) = (offset(buffers.between.width()), offset(buffers.between.height()));
                self.cut(&buffers.between, left, top, target);
                Ok(())
            }
        }
    }

    /// A part of the picture alone, scaled to the size.
    pub(crate) fn window_into(
        &self,
        pixels: &RgbPixels,
        window: Window,
        buffers: &mut ResizeBuffers,
        target: &mut RgbPixels,
    ) -> Result<(), Error> {
        self.scale(pixels, window, &mut buffers.resizer, (self.size, self.size), target)
    }

    /// The S by S pixels at one place of the picture scaled so that its shorter side is S / `share`; by the rule
    /// [`ResizeRule::Squash`] both sides are. `place` has 0 for the left or top, 1 for the middle, 2 for the right or
    /// bottom.
    pub(crate) fn part_into(
        &self,
        pixels: &RgbPixels,
        share: f32,
        place: (usize, usize),
        buffers: &mut ResizeBuffers,
        target: &mut RgbPixels,
    ) -> Result<(), Error> {
        match self.rule {
            ResizeRule::Squash => {
                let side = self.longer_than_size(share);
                let window = Window::whole(pixels);
                self.scale(pixels, window, &mut buffers.resizer, (side, side), &mut buffers.between)?;
            }
            ResizeRule::CentreCrop { .. } => self.scale_around(pixels, share, buffers)?,
        }
        let offset = |place: usize, side: usize| {
            let rest = side - self.size;
            match place {
                0 => 0,
                1 => rest / 2 + usize::from(rest % 2 == 1 && rest / 2 % 2 == 1),
                _ => rest,
            }
        };
        let (left, top) =
            (offset(place.0, buffers.between.width()), offset(place.1, buffers.between.height()));
        self.cut(&buffers.between, left, top, target);
        Ok(())
    }

    /// The side of which the size is the share, rounded down: in f32, in which 8 / 0.8 is 10.
    fn longer_than_size(&self, share: f32) -> usize {
        (self.size as f32 / share).floor().max(self.size as f32) as usize
    }

    /// The whole picture, its shorter side `size / share`, into the buffer between.
    fn scale_around(&self, pixels: &RgbPixels, share: f32, buffers: &mut ResizeBuffers) -> Result<(), Error> {
        let (width, height) = (pixels.width(), pixels.height());
        let short = self.longer_than_size(share);
        let (wide, high) =
            if width <= height { (short, short * height / width) } else { (short * width / height, short) };
        let window = Window::whole(pixels);
        self.scale(pixels, window, &mut buffers.resizer, (wide, high), &mut buffers.between)
    }

    /// Whether a picture's sides are near enough to each other.
    pub(crate) fn check(pixels: &RgbPixels) -> Result<(), Error> {
        let (width, height) = (pixels.width(), pixels.height());
        if width.max(height) / width.min(height) > Self::MAX_ASPECT {
            let reason = "its sides differ by more than 100 to 1".to_owned();
            return Err(Error::Resize { width, height, reason });
        }
        Ok(())
    }

    fn scale(
        &self,
        pixels: &RgbPixels,
        window: Window,
        resizer: &mut Resizer,
        (wide, high): (usize, usize),
        target: &mut RgbPixels,
    ) -> Result<(), Error> {
        Self::check(pixels)?;
        let filter = match self.interpolation {
            Interpolation::Bilinear => FilterType::Bilinear,
            // Cubic convolution with a = -0.5.
            Interpolation::Bicubic => FilterType::CatmullRom,
        };
        convolve(pixels, window, filter, resizer, (wide, high), target)
    }

    /// The `size` by `size` pixels from (left, top) on.
    fn cut(&self, pixels: &RgbPixels, left: usize, top: usize, target: &mut RgbPixels) {
        target.reshape(self.size, self.size);
        let rows = pixels.as_bytes().chunks_exact(3 * pixels.width()).skip(top);
        for (from, to) in rows.zip(target.as_bytes_mut().chunks_exact_mut(3 * self.size)) {
            to.copy_from_slice(&from[3 * left..3 * (left + self.size)]);
        }
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Window {
    /// All of it.
    pub(crate) fn whole(pixels: &RgbPixels) -> Self {
        Self { left: 0, top: 0, width: pixels.width(), height: pixels.height() }
    }
}

/// What resizing needs beside its picture, to be used again.
#[derive(Debug)]
pub(crate) struct ResizeBuffers {
    resizer: Resizer,
    between: RgbPixels,
}

impl Default for ResizeBuffers {
    fn default() -> Self {
        Self { resizer: Resizer::new(), between: RgbPixels::empty() }
    }
}

/// A window of a picture, scaled by a filter.
fn convolve(
    pixels: &RgbPixels,
    window: Window,
    filter: FilterType,
    resizer: &mut Resizer,
    (wide, high): (usize, usize),
    target: &mut RgbPixels,
) -> Result<(), Error> {
    let (width, height) = (pixels.width(), pixels.height());
    if window == Window::whole(pixels) && (width, height) == (wide, high) {
        target.copy_from(pixels);
        return Ok(());
    }
    let failed = |reason: String| Error::Resize { width, height, reason };
    let side = |side: usize| u32::try_from(side).map_err(|error| failed(error.to_string()));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    // By the pixels' type: a call that chooses among all types at run time compiles the kernels of every one.
    let whole = TypedImageRef::<U8x3>::from_buffer(side(width)?, side(height)?, pixels.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    // The window is cut out before its pixels are weighed: what lies beside it takes no part, as in torchvision.
    let source = TypedCroppedImage::from_ref(
        &whole,
        side(window.left)?,
        side(window.top)?,
        side(window.width)?,
        side(window.height)?,
    )
    .map_err(|error| failed(error.to_string()))?;
    target.reshape(wide, high);
    let mut image = TypedImage::<U8x3>::from_buffer(side(wide)?, side(high)?, target.as_bytes_mut())
        .map_err(|error| failed(error.to_string()))?;
    resizer.resize_typed(&source, &mut image, &options).map_err(|error| failed(error.to_string()))
}

/// The whole picture at another size, by box filter.
pub(crate) fn box_scaled(pixels: &RgbPixels, wide: usize, high: usize) -> Result<RgbPixels, Error> {
    let mut target = RgbPixels::empty();
    let window = Window::whole(pixels);
    convolve(pixels, window, FilterType::Box, &mut Resizer::new(), (wide, high), &mut target)?;
    Ok(target)
}
