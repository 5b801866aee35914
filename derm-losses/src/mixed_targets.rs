use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};

use crate::Error;
use crate::error::check_range;
use crate::target_expectation::distributions;

/// The targets of a batch whose images were mixed from two: `λ` of a, `1 − λ` of b.
///
/// [`MixedTargets::forward`] mixes the losses, which works with any criterion. [`MixedTargets::soft`] mixes the
/// targets, which is the same where the loss is linear in the target and reduced over N or summed: cross-entropy,
/// focal on the probability or the sigmoid, LDAM, logit adjustment, asymmetric, poly-1, generalised cross-entropy. It
/// differs for symmetric
/// cross-entropy, focal of the cross-entropy, and reductions by target weights.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::Targets;
/// use derm_losses::{CrossEntropyLossConfig, MixedTargets};
///
/// let device = Device::default();
/// let [a, b] = [[0], [1]].map(|index| Targets::from_indices(&index, 2, &device).unwrap());
/// // a box of 8 × 4 of the 16 × 8 pixels came from b
/// let mixed = MixedTargets::cutmix(a, b, [16, 8], [8, 4])?;
/// assert_eq!(mixed.lambda(), 0.75);
/// let loss = CrossEntropyLossConfig::default().init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[3.0_f32.ln(), 0.0]], &device);
/// // −¾ log ¾ − ¼ log ¼
/// let value = mixed.forward(&loss, logits).into_scalar::<f32>();
/// assert!((value - (4.0_f32.ln() - 0.75 * 3.0_f32.ln())).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Zhang et al. 2018, "mixup: beyond empirical risk minimization"; Yun et al. 2019, "`CutMix`: regularization
/// strategy to train strong classifiers with localizable features".
#[derive(Debug, Clone)]
pub struct MixedTargets {
    a: Targets,
    b: Targets,
    lambda: f64,
}

impl MixedTargets {
    /// Mixup: the images are `λ a + (1 − λ) b`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a λ outside [0, 1], [`Error::MixedSamples`] where a and b differ in their number
    /// of samples.
    pub fn mixup(a: Targets, b: Targets, lambda: f64) -> Result<Self, Error> {
        check_range("lambda", lambda, "a number in [0, 1]", |v| (0.0..=1.0).contains(&v))?;
        let samples = [a.num_samples(), b.num_samples()];
        if samples[0] != samples[1] {
            return Err(Error::MixedSamples { a: samples[0], b: samples[1] });
        }
        Ok(Self { a, b, lambda })
    }

    /// Cutmix: a box of `patch` = [height, width] pixels of images of the size `image` came from b. λ is the share
    /// of pixels that a kept: computed from the box as it was pasted, after it was cut off at the image's edge.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a box that is larger than the image, or an image without pixels;
    /// [`Error::MixedSamples`] as [`MixedTargets::mixup`].
    pub fn cutmix(a: Targets, b: Targets, image: [usize; 2], patch: [usize; 2]) -> Result<Self, Error> {
        let size = ["image height", "image width"].into_iter().zip(image);
        for (parameter, size) in size {
            check_range(parameter, size as f64, "at least 1", |v| v >= 1.0)?;
        }
        let sides = ["patch height", "patch width"].into_iter().zip(patch).zip(image);
        for ((parameter, side), limit) in sides {
            check_range(parameter, side as f64, "at most the image's", |v| v <= limit as f64)?;
        }
        let share = (patch[0] * patch[1]) as f64 / (image[0] * image[1]) as f64;
        Self::mixup(a, b, 1.0 - share)
    }

    /// The share λ of a.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// One soft target a sample: `λ a + (1 − λ) b`.
    pub fn soft(&self, num_classes: usize) -> Targets {
        let [a, b] = [&self.a, &self.b].map(|targets| distributions(targets, num_classes));
        Targets::Soft(a * self.lambda + b * (1.0 - self.lambda))
    }

    /// The mixed loss of each sample, `λ ℓ(a) + (1 − λ) ℓ(b)`: logits `[.., C]` → `[N]`.
    ///
    /// # Panics
    /// As the criterion.
    pub fn per_sample<const D: usize>(&self, criterion: &impl Criterion, logits: Tensor<D>) -> Tensor<1> {
        self.mix(criterion.per_sample(logits.clone(), &self.a), criterion.per_sample(logits, &self.b))
    }

    /// The mixed loss, `λ L(a) + (1 − λ) L(b)`, each reduced as the criterion reduces: logits `[.., C]` → `[1]`.
    ///
    /// # Panics
    /// As the criterion.
    pub fn forward<const D: usize>(&self, criterion: &impl Criterion, logits: Tensor<D>) -> Tensor<1> {
        self.mix(criterion.forward(logits.clone(), &self.a), criterion.forward(logits, &self.b))
    }

    fn mix(&self, a: Tensor<1>, b: Tensor<1>) -> Tensor<1> {
        a * self.lambda + b * (1.0 - self.lambda)
    }
}
