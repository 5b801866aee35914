//! The kinds of corruption, and how strong each can be.

use std::ops::RangeInclusive;

use super::Corruption;

/// What is done to a picture. The first fifteen are DermaMNIST-C's, with severities from 1 to 5; the last five are plain,
/// with levels in a unit of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CorruptionKind {
    /// `pixelate`: scaled down to 0.7 to 0.25 of the side and up again, by box filters.
    Pixelate = 1,
    /// `jpeg_compression`: quality 30 to 7.
    JpegCompression = 2,
    /// `gaussian_noise`: deviation 0.04 to 0.26 of the full range.
    GaussianNoise = 3,
    /// `speckle_noise`: Gaussian in proportion to the value, deviation 0.05 to 0.45 of it.
    SpeckleNoise = 4,
    /// `impulse_noise`: 1 to 17 % of the numbers become 0 or 255.
    ImpulseNoise = 5,
    /// `shot_noise`: Poisson counts, 60 to 5 for white.
    ShotNoise = 6,
    /// `defocus_blur`: a disc of radius 4 to 8 pixels.
    DefocusBlur = 7,
    /// `motion_blur`: half a Gaussian along a line of 21 to 41 pixels, in a random direction.
    MotionBlur = 8,
    /// `zoom_blur`: the mean of the picture zoomed by 1 up to 1.11 to 1.3.
    ZoomBlur = 9,
    /// `brightness_up`: factor 1.1 to 1.5.
    BrightnessUp = 10,
    /// `brightness_down`: factor 0.9 to 0.5.
    BrightnessDown = 11,
    /// `contrast_up`: factor 1.1 to 1.6 about the mean grey.
    ContrastUp = 12,
    /// `contrast_down`: factor 0.8 to 0.4.
    ContrastDown = 13,
    /// `black_corner`: black beyond a circle of 1.1 to 0.9 times half the shorter side.
    BlackCorner = 14,
    /// `characters`: 1 to 6 words of 6 to 10 letters at random places.
    Characters = 15,
    /// `gaussian_sigma`: Gaussian noise of a deviation in grey levels, 0.5 to 255; levels 4, 8, 16, 32, 64.
    GaussianSigma = 16,
    /// `jpeg_q`: JPEG of a quality, 1 to 95; levels 50, 30, 20, 10, 5.
    JpegQ = 17,
    /// `contrast_c`: a factor on the distance from the mean grey, 0 to 4 but not 1; levels 0.8, 0.6, 0.4, 0.3, 0.2.
    ContrastC = 18,
    /// `brightness`: grey levels that are added, −255 to 255 but not 0; levels 16, 32, 48, 64, 96.
    Brightness = 19,
    /// `blur`: Gaussian blur of a deviation in pixels, 0.3 to 50; levels 1, 2, 3, 5, 8.
    Blur = 20,
}

impl CorruptionKind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Pixelate,
        Self::JpegCompression,
        Self::GaussianNoise,
        Self::SpeckleNoise,
        Self::ImpulseNoise,
        Self::ShotNoise,
        Self::DefocusBlur,
        Self::MotionBlur,
        Self::ZoomBlur,
        Self::BrightnessUp,
        Self::BrightnessDown,
        Self::ContrastUp,
        Self::ContrastDown,
        Self::BlackCorner,
        Self::Characters,
        Self::GaussianSigma,
        Self::JpegQ,
        Self::ContrastC,
        Self::Brightness,
        Self::Blur,
    ];

    /// Whether it is one of the fifteen of DermaMNIST-C.
    pub fn is_dermamnist_c(self) -> bool {
        self <= Self::Characters
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pixelate => "pixelate",
            Self::JpegCompression => "jpeg_compression",
            Self::GaussianNoise => "gaussian_noise",
            Self::SpeckleNoise => "speckle_noise",
            Self::ImpulseNoise => "impulse_noise",
            Self::ShotNoise => "shot_noise",
            Self::DefocusBlur => "defocus_blur",
            Self::MotionBlur => "motion_blur",
            Self::ZoomBlur => "zoom_blur",
            Self::BrightnessUp => "brightness_up",
            Self::BrightnessDown => "brightness_down",
            Self::ContrastUp => "contrast_up",
            Self::ContrastDown => "contrast_down",
            Self::BlackCorner => "black_corner",
            Self::Characters => "characters",
            Self::GaussianSigma => "gaussian_sigma",
            Self::JpegQ => "jpeg_q",
            Self::ContrastC => "contrast_c",
            Self::Brightness => "brightness",
            Self::Blur => "blur",
        }
    }

    /// Its five stated levels, from the weakest.
    pub fn levels(self) -> [f64; 5] {
        match self {
            Self::GaussianSigma => [4.0, 8.0, 16.0, 32.0, 64.0],
            Self::JpegQ => [50.0, 30.0, 20.0, 10.0, 5.0],
            Self::ContrastC => [0.8, 0.6, 0.4, 0.3, 0.2],
            Self::Brightness => [16.0, 32.0, 48.0, 64.0, 96.0],
            Self::Blur => [1.0, 2.0, 3.0, 5.0, 8.0],
            _ => [1.0, 2.0, 3.0, 4.0, 5.0],
        }
    }

    /// The corruptions at its stated levels, from the weakest.
    pub fn series(self) -> impl Iterator<Item = Corruption> {
        self.levels().into_iter().map(move |level| Corruption { kind: self, level })
    }

    /// What a level may be.
    pub(super) fn range(self) -> (RangeInclusive<f64>, &'static str) {
        match self {
            Self::GaussianSigma => (0.5..=255.0, "a deviation of 0.5 to 255 grey levels"),
            Self::JpegQ => (1.0..=95.0, "a whole quality from 1 to 95"),
            Self::ContrastC => (0.0..=4.0, "a factor from 0 to 4, not 1"),
            Self::Brightness => (-255.0..=255.0, "a shift of -255 to 255 grey levels, not 0"),
            Self::Blur => (0.3..=50.0, "a deviation of 0.3 to 50 pixels"),
            _ => (1.0..=5.0, "a severity of 1, 2, 3, 4 or 5"),
        }
    }

    /// Whether levels are whole numbers.
    pub(super) fn is_whole(self) -> bool {
        self.is_dermamnist_c() || self == Self::JpegQ
    }

    /// Whether a level within the range leaves every picture as it is.
    pub(super) fn is_nothing(self, level: f64) -> bool {
        match self {
            Self::ContrastC => level == 1.0,
            Self::Brightness => level.round() == 0.0,
            _ => false,
        }
    }
}
