//! What augmentation may do.

use serde::{Deserialize, Serialize};

use super::{
    Blur, ColourJitter, CutOut, Hair, Orientation, RandAugment, RandomResizedCrop, Rotation, Vignette,
    probability,
};
use crate::Error;
use crate::portable_rng::{PortableRng, Purpose};

/// What augmentation may do to a training image.
///
/// What it does to one record in one epoch follows from (seed, epoch, record index) alone, so that batches do not
/// depend on the number of workers or on where an epoch was resumed.
///
/// | field | default | range |
/// |---|---|---|
/// | `horizontal_flip` | 0.5 | probability |
/// | `vertical_flip` | 0.5 | probability |
/// | `quarter_turns` | 0.0 | probability of a quarter turn, to either side alike |
/// | `random_resized_crop` | off | [`RandomResizedCrop`]: a part of the picture, scaled to the size |
/// | `rotation` | off | [`Rotation`] by any angle |
/// | `hair` | off | [`Hair`] drawn across |
/// | `vignette` | off | [`Vignette`]: dark corners |
/// | `colour_jitter` | off | [`ColourJitter`] in HSV, and contrast |
/// | `rand_augment` | off | [`RandAugment`] |
/// | `blur` | off | [`Blur`], Gaussian |
/// | `cut_out` | off | [`CutOut`]: a rectangle is hidden |
///
/// Each part that is off has `probability` 0 and defaults that are in use once it is raised.
///
/// ```
/// use derm_core::Interpolation;
/// use derm_data::{Augmentation, ColourJitter, RandomResizedCrop, Resize, ResizeRule, RgbPixels, Scratch};
/// let augmentation = Augmentation {
///     random_resized_crop: RandomResizedCrop { probability: 1.0, ..RandomResizedCrop::default() },
///     colour_jitter: ColourJitter { probability: 0.8, ..ColourJitter::default() },
///     ..Augmentation::default()
/// };
/// augmentation.validate()?;
/// let picture = RgbPixels::new(20, 15, (0..900).map(|at| (at % 251) as u8).collect()).unwrap();
/// let resize = Resize::new(8, ResizeRule::Squash, Interpolation::Bilinear)?;
/// let mut scratch = Scratch::new();
/// // Record 17 in epoch 3 of the run with seed 5.
/// let drawn = augmentation.draw(5, 3, 17);
/// let once = drawn.apply(&picture, &resize, &mut scratch)?.clone();
/// assert_eq!((once.width(), once.height()), (8, 8));
/// assert_eq!(augmentation.draw(5, 3, 17).apply(&picture, &resize, &mut scratch)?, &once);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Probability that left and right are exchanged.
    pub horizontal_flip: f64,
    /// Probability that top and bottom are exchanged.
    pub vertical_flip: f64,
    /// Probability of a quarter turn, to the left or to the right alike.
    pub quarter_turns: f64,
    /// A part of the picture, scaled to the size.
    pub random_resized_crop: RandomResizedCrop,
    /// Rotation by any angle.
    pub rotation: Rotation,
    /// Hair drawn across.
    pub hair: Hair,
    /// Dark corners.
    pub vignette: Vignette,
    /// Changes of hue, saturation, value and contrast.
    pub colour_jitter: ColourJitter,
    /// A few operations of one list.
    pub rand_augment: RandAugment,
    /// Gaussian blur.
    pub blur: Blur,
    /// A rectangle is hidden.
    pub cut_out: CutOut,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { horizontal_flip: 0.5, vertical_flip: 0.5, ..Self::none() }
    }
}

impl Augmentation {
    /// Nothing happens.
    pub fn none() -> Self {
        Self {
            horizontal_flip: 0.0,
            vertical_flip: 0.0,
            quarter_turns: 0.0,
            random_resized_crop: RandomResizedCrop::default(),
            rotation: Rotation::default(),
            hair: Hair::default(),
            vignette: Vignette::default(),
            colour_jitter: ColourJitter::default(),
            rand_augment: RandAugment::default(),
            blur: Blur::default(),
            cut_out: CutOut::default(),
        }
    }

    /// Checks the ranges, those of parts that are off too.
    ///
    /// # Errors
    /// [`Error::Setting`] for a probability outside [0, 1] or a value outside the range that its part names.
    pub fn validate(&self) -> Result<(), Error> {
        probability("horizontal_flip", self.horizontal_flip)?;
        probability("vertical_flip", self.vertical_flip)?;
        probability("quarter_turns", self.quarter_turns)?;
        self.random_resized_crop.validate()?;
        self.rotation.validate()?;
        self.hair.validate()?;
        self.vignette.validate()?;
        self.colour_jitter.validate()?;
        self.rand_augment.validate()?;
        self.blur.validate()?;
        self.cut_out.validate()
    }

    /// The ways in which a picture may lie, where flips and quarter turns are all that happens to it; none where
    /// anything else may.
    ///
    /// ```
    /// use derm_data::{Augmentation, Blur, Orientation};
    /// let flips = Augmentation { horizontal_flip: 0.5, ..Augmentation::none() };
    /// assert_eq!(flips.orientations(), Some(vec![Orientation::UPRIGHT, Orientation::MIRRORED]));
    /// let blurred = Augmentation { blur: Blur { probability: 0.1, ..Blur::default() }, ..flips };
    /// assert_eq!(blurred.orientations(), None);
    /// ```
    pub fn orientations(&self) -> Option<Vec<Orientation>> {
        let Self {
            horizontal_flip,
            vertical_flip,
            quarter_turns,
            random_resized_crop,
            rotation,
            hair,
            vignette,
            colour_jitter,
            rand_augment,
            blur,
            cut_out,
        } = self;
        let others = [
            random_resized_crop.probability,
            rotation.probability,
            hair.probability,
            vignette.probability,
            colour_jitter.probability,
            rand_augment.probability,
            blur.probability,
            cut_out.probability,
        ];
        if others.iter().any(|&probability| probability > 0.0) {
            return None;
        }
        let may = |probability: f64| [false, true].into_iter().filter(move |on| !on || probability > 0.0);
        let turns =
            [None, Some(false), Some(true)].into_iter().filter(|turn| turn.is_none() || *quarter_turns > 0.0);
        let mut found = Vec::new();
        for turn in turns {
            for mirror_rows in may(*vertical_flip) {
                for mirror_columns in may(*horizontal_flip) {
                    let orientation = Orientation::of(mirror_columns, mirror_rows, turn);
                    if !found.contains(&orientation) {
                        found.push(orientation);
                    }
                }
            }
        }
        Some(found)
    }

    /// How the record for which `key` stands lies in `epoch`, as [`Augmentation::draw`] has it.
    pub fn orientation(&self, seed: u64, epoch: u64, key: u64) -> Orientation {
        let mut rng = PortableRng::new(seed, Purpose::Augment, epoch, key);
        // Every draw is made whatever the probabilities, so that changing one leaves the others' outcomes alone.
        let mirror_columns = rng.chance(self.horizontal_flip);
        let mirror_rows = rng.chance(self.vertical_flip);
        let turned = rng.chance(self.quarter_turns);
        let other_way = rng.chance(0.5);
        Orientation::of(mirror_columns, mirror_rows, turned.then_some(other_way))
    }
}
