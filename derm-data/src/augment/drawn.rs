//! What happens to one picture.

use super::colour_jitter::Jitter;
use super::cut_out::Hidden;
use super::hair::Stroke;
use super::rand_augment::Operation;
use super::random_resized_crop::Crop;
use super::vignette::Corners;
use super::{Augmentation, Orientation, Scratch, rotation};
use crate::pixel_ops::gaussian_blur;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Error, Resize, RgbPixels};

/// What happens to one record in one epoch, drawn by [`Augmentation::draw`].
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    orientation: Orientation,
    crop: Option<Crop>,
    degrees: Option<f64>,
    hair: Vec<Stroke>,
    corners: Option<Corners>,
    jitter: Option<Jitter>,
    operations: Vec<Operation>,
    sigma: Option<f64>,
    hidden: Option<Hidden>,
}

impl Augmentation {
    /// What happens in `epoch` to the record for which `key` stands: its index, unless an epoch shows it more than once.
    /// It follows from (seed, epoch, key) alone, and each kind of change from numbers of its own, so that switching one on
    /// or off leaves the others as they were.
    pub fn draw(&self, seed: u64, epoch: u64, key: u64) -> Drawn {
        let rng = |purpose| PortableRng::new(seed, purpose, epoch, key);
        // What has probability 0 need not be asked.
        let asked = |probability: f64, purpose| (probability > 0.0).then(|| rng(purpose));
        Drawn {
            orientation: self.orientation(seed, epoch, key),
            crop: asked(self.random_resized_crop.probability, Purpose::RandomResizedCrop)
                .and_then(|rng| self.random_resized_crop.draw(rng)),
            degrees: asked(self.rotation.probability, Purpose::Rotation)
                .and_then(|rng| self.rotation.draw(rng)),
            hair: asked(self.hair.probability, Purpose::Hair)
                .map(|rng| self.hair.draw(rng))
                .unwrap_or_default(),
            corners: asked(self.vignette.probability, Purpose::Vignette)
                .and_then(|rng| self.vignette.draw(rng)),
            jitter: asked(self.colour_jitter.probability, Purpose::ColourJitter)
                .and_then(|rng| self.colour_jitter.draw(rng)),
            operations: asked(self.rand_augment.probability, Purpose::RandAugment)
                .map(|rng| self.rand_augment.draw(rng))
                .unwrap_or_default(),
            sigma: asked(self.blur.probability, Purpose::Blur).and_then(|rng| self.blur.draw(rng)),
            hidden: asked(self.cut_out.probability, Purpose::CutOut).and_then(|rng| self.cut_out.draw(rng)),
        }
    }
}

impl Drawn {
    /// How the picture lies: [`Normalizer::write_planes`](crate::Normalizer::write_planes) turns it on the way, which
    /// costs nothing.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Whether the picture is the resized one as it is, up to its orientation: a cache of resized pictures will do.
    pub fn is_orientation_only(&self) -> bool {
        self.crop.is_none() && !self.changes_pixels()
    }

    fn changes_pixels(&self) -> bool {
        self.degrees.is_some()
            || !self.hair.is_empty()
            || self.corners.is_some()
            || self.jitter.is_some()
            || !self.operations.is_empty()
            || self.sigma.is_some()
            || self.hidden.is_some()
    }

    /// The augmented picture, S by S pixels, not yet turned: crop and resize in one pass, rotation, hair, vignette,
    /// colour jitter, `RandAugment`, blur, cut-out, in this order. It lies in the scratch until its next use.
    ///
    /// # Errors
    /// [`Error::Resize`] as [`Resize::apply`].
    pub fn apply<'a>(
        &self,
        picture: &RgbPixels,
        resize: &Resize,
        scratch: &'a mut Scratch,
    ) -> Result<&'a RgbPixels, Error> {
        match &self.crop {
            Some(crop) => {
                let window = crop.window(picture.width(), picture.height());
                resize.window_into(picture, window, &mut scratch.resize, &mut scratch.picture)?;
            }
            None => resize.apply_into(picture, &mut scratch.resize, &mut scratch.picture)?,
        }
        if let Some(degrees) = self.degrees {
            rotation::rotate(&scratch.picture, degrees, &mut scratch.other);
            std::mem::swap(&mut scratch.picture, &mut scratch.other);
        }
        for stroke in &self.hair {
            stroke.apply(&mut scratch.picture, &mut scratch.numbers);
        }
        if let Some(corners) = &self.corners {
            corners.apply(&mut scratch.picture);
        }
        if let Some(jitter) = &self.jitter {
            jitter.apply(&mut scratch.picture);
        }
        for operation in &self.operations {
            operation.apply(scratch);
        }
        if let Some(sigma) = self.sigma {
            gaussian_blur(&mut scratch.picture, sigma, &mut scratch.numbers);
        }
        if let Some(hidden) = &self.hidden {
            hidden.apply(&mut scratch.picture);
        }
        Ok(&scratch.picture)
    }
}
