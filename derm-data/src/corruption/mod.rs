//! Pictures made worse on purpose, to see what a model makes of them.

mod blurs;
mod compression;
mod kind;
mod letters;
mod noise;
mod overlay;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use kind::CorruptionKind;

use crate::error::setting;
use crate::pixel_ops::{blend_brightness, blend_contrast, gaussian_blur, lookup, luma_mean};
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Error, RgbPixels};

/// A kind of corruption at one level, written `gaussian_noise:3` or `jpeg_q:30`.
///
/// What is random in it follows from (seed, record index, kind) alone: the levels of a kind share their random numbers,
/// so that a picture gets worse from level to level and never by another draw.
///
/// Lengths in pixels are those of the reference at its 224 pixels and scale with the shorter side; those of the plain
/// series are pixels of the picture as it is.
///
/// ```
/// use derm_data::{Corruption, CorruptionKind, RgbPixels};
/// let picture = RgbPixels::new(32, 24, (0..2304).map(|at| (at % 200) as u8).collect()).unwrap();
/// let worse = "gaussian_noise:3".parse::<Corruption>()?.apply(&picture, 7, 0)?;
/// assert_eq!((worse.width(), worse.height()), (32, 24));
/// let names: Vec<String> = CorruptionKind::JpegQ.series().map(|level| level.to_string()).collect();
/// assert_eq!(names, ["jpeg_q:50", "jpeg_q:30", "jpeg_q:20", "jpeg_q:10", "jpeg_q:5"]);
/// # Ok::<(), derm_data::Error>(())
/// ```
///
/// # Source
/// The fifteen kinds and their parameters: DermaMNIST-C of Di Salvo, Doerrich and Ledig 2024, "MedMNIST-C: Comprehensive
/// benchmark and improved classifier robustness by simulating realistic image corruptions" (their package `medmnistc`
/// 0.1.0, Apache-2.0, was read for the numbers; this is other code). Deviations: results are rounded, not cut off;
/// JPEG keeps the colours at full resolution; the last two black corners change places (theirs shrink to 0.90 and grow
/// to 0.95); the first motion blur has σ 4 in place of 5, because theirs changes a picture as the second does; characters
/// are larger, as many as theirs can be at most and of one colour, because theirs change a picture of 224 pixels by less
/// than a grey level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Corruption {
    kind: CorruptionKind,
    level: f64,
}

impl Corruption {
    /// A kind at a level: a severity from 1 to 5 for the kinds of DermaMNIST-C, a value in the kind's own unit for the
    /// plain series.
    ///
    /// # Errors
    /// [`Error::Setting`] for a level outside the range that [`CorruptionKind`] names.
    pub fn new(kind: CorruptionKind, level: f64) -> Result<Self, Error> {
        let (range, expected) = kind.range();
        let whole = !kind.is_whole() || level.fract() == 0.0;
        // No shift at all is no corruption.
        if range.contains(&level) && whole && !kind.is_nothing(level) {
            return Ok(Self { kind, level });
        }
        Err(setting("level of a corruption", format!("{}:{level}", kind.name()), expected))
    }

    /// What is done.
    pub fn kind(&self) -> CorruptionKind {
        self.kind
    }

    /// How much.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The picture made worse; of the same size.
    ///
    /// # Errors
    /// [`Error::Setting`] for JPEG of a picture with a side of more than 65,535 pixels.
    pub fn apply(&self, picture: &RgbPixels, seed: u64, record: usize) -> Result<RgbPixels, Error> {
        let mut rng = PortableRng::new(seed, Purpose::Corruption, self.kind as u64, record as u64);
        let mut worse = picture.clone();
        let scale = picture.width().min(picture.height()) as f64 / REFERENCE_SIDE;
        let at = self.level as usize - usize::from(self.level >= 1.0);
        match self.kind {
            CorruptionKind::Pixelate => {
                return compression::pixelate(picture, [0.7, 0.5, 0.4, 0.3, 0.25][at]);
            }
            CorruptionKind::JpegCompression => return compression::jpeg(picture, [30, 20, 15, 10, 7][at]),
            CorruptionKind::GaussianNoise => {
                noise::gaussian(&mut worse, 255.0 * [0.04, 0.08, 0.12, 0.18, 0.26][at], &mut rng);
            }
            CorruptionKind::SpeckleNoise => {
                noise::speckle(&mut worse, [0.05, 0.15, 0.2, 0.35, 0.45][at], &mut rng);
            }
            CorruptionKind::ImpulseNoise => {
                noise::impulse(&mut worse, [0.01, 0.03, 0.06, 0.09, 0.17][at], &mut rng);
            }
            CorruptionKind::ShotNoise => noise::shot(&mut worse, [60.0, 25.0, 18.0, 10.0, 5.0][at], &mut rng),
            CorruptionKind::DefocusBlur => {
                let (radius, edge) = [(4.0, 0.1), (5.0, 0.2), (6.0, 0.3), (7.0, 0.4), (8.0, 0.5)][at];
                blurs::defocus(picture, radius * scale, edge * scale, &mut worse);
            }
            CorruptionKind::MotionBlur => {
                // The reference begins with (10, 5), which changes a picture as (15, 5) does.
                let (radius, sigma) = [(10.0, 4.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0)][at];
                let degrees = rng.between(-45.0, 45.0);
                blurs::motion(picture, radius * scale, sigma * scale, degrees, &mut worse);
            }
            CorruptionKind::ZoomBlur => {
                // The largest factor and the step of the factors from 1 to it.
                let (count, step) = [(12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)][at];
                blurs::zoom(picture, count, step, &mut worse);
            }
            CorruptionKind::BrightnessUp => blend_brightness(&mut worse, [1.1, 1.2, 1.3, 1.4, 1.5][at]),
            CorruptionKind::BrightnessDown => blend_brightness(&mut worse, [0.9, 0.8, 0.7, 0.6, 0.5][at]),
            CorruptionKind::ContrastUp => blend_contrast(&mut worse, [1.1, 1.2, 1.3, 1.4, 1.6][at]),
            CorruptionKind::ContrastDown => blend_contrast(&mut worse, [0.8, 0.7, 0.6, 0.5, 0.4][at]),
            CorruptionKind::BlackCorner => {
                overlay::black_corner(&mut worse, [1.10, 1.05, 1.00, 0.95, 0.90][at]);
            }
            CorruptionKind::Characters => {
                let (words, letters, size) =
                    [(1, 6, 0.14), (2, 7, 0.15), (3, 8, 0.16), (4, 9, 0.17), (6, 10, 0.18)][at];
                overlay::characters(&mut worse, words, letters, size, &mut rng);
            }
            CorruptionKind::GaussianSigma => noise::gaussian(&mut worse, self.level, &mut rng),
            CorruptionKind::JpegQ => return compression::jpeg(picture, self.level as u8),
            CorruptionKind::ContrastC => {
                let (mean, factor) = (luma_mean(picture), self.level as f32);
                lookup(&mut worse, |value| {
                    (mean + factor * (f32::from(value) - mean) + 0.5).clamp(0.0, 255.0) as u8
                });
            }
            CorruptionKind::Brightness => {
                let shift = self.level as f32;
                lookup(&mut worse, |value| (f32::from(value) + shift).round().clamp(0.0, 255.0) as u8);
            }
            CorruptionKind::Blur => gaussian_blur(&mut worse, self.level, &mut Vec::new()),
        }
        Ok(worse)
    }
}

/// The side in pixels that the lengths of DermaMNIST-C are for.
const REFERENCE_SIDE: f64 = 224.0;

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.level)
    }
}

impl FromStr for Corruption {
    type Err = Error;

    /// # Errors
    /// [`Error::Setting`] for a kind that is not known, or a level that is no number or outside its range.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || setting("corruption", text, "`kind:level`, such as gaussian_noise:3 or jpeg_q:30");
        let (name, level) = text.split_once(':').ok_or_else(wrong)?;
        let kind = CorruptionKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(wrong)?;
        Self::new(kind, level.parse().map_err(|_| wrong())?)
    }
}

impl From<Corruption> for String {
    fn from(corruption: Corruption) -> Self {
        corruption.to_string()
    }
}

impl TryFrom<String> for Corruption {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
