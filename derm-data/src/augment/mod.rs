//! What may happen to a training image, and what does happen to one of them in one epoch.

mod augmentation;
mod blur;
mod colour_jitter;
mod cut_out;
mod drawn;
mod hair;
mod orientation;
mod rand_augment;
mod random_resized_crop;
mod rotation;
mod scratch;
mod vignette;

pub use augmentation::Augmentation;
pub use blur::Blur;
pub use colour_jitter::ColourJitter;
pub use cut_out::CutOut;
pub use drawn::Drawn;
pub use hair::Hair;
pub use orientation::Orientation;
pub use rand_augment::RandAugment;
pub use random_resized_crop::RandomResizedCrop;
pub use rotation::Rotation;
pub(crate) use rotation::reflect;
pub use scratch::Scratch;
pub use vignette::Vignette;

use crate::Error;
use crate::error::setting;

/// Checks a probability.
fn probability(name: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(setting(name, value, "a probability from 0 to 1"))
}

/// Checks a range: both ends within bounds, the first not above the second.
fn range(
    name: &'static str,
    [low, high]: [f64; 2],
    bounds: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), Error> {
    if bounds.contains(&low) && bounds.contains(&high) && low <= high {
        return Ok(());
    }
    Err(setting(name, format!("[{low}, {high}]"), expected))
}
