//! Seeded randomness whose integers and fractions are the same on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for: streams of different purposes never share numbers, even
/// under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The class of every synthetic lesion.
    Classes = 1,
    /// The look of one synthetic lesion.
    Lesion = 2,
    /// The views of one synthetic lesion.
    Views = 3,
    /// The questionnaire of one synthetic lesion.
    Answers = 4,
    /// A synthetic patient.
    Patient = 5,
    /// Label noise of one synthetic lesion.
    LabelNoise = 6,
    /// The order of groups before a split.
    Split = 7,
    /// The order of records within an epoch.
    Order = 8,
    /// The augmentation of one record in one epoch.
    Augment = 9,
    /// The captions of one synthetic lesion.
    Caption = 30,
    /// Whose text is hidden in training.
    TextDropout = 31,
    /// Which answers a sweep takes away.
    AnswerDropout = 40,
    /// Permutations of answers between groups.
    PermutationImportance = 41,
    /// The folds of a leak report.
    LeakFolds = 42,
    /// The random resized crop of one record in one epoch, and so on for the next ones.
    RandomResizedCrop = 101,
    /// Rotation.
    Rotation = 102,
    /// Hair.
    Hair = 103,
    /// Dark corners.
    Vignette = 104,
    /// Colour jitter.
    ColourJitter = 105,
    /// `RandAugment`.
    RandAugment = 106,
    /// Blur.
    Blur = 107,
    /// Cut-out.
    CutOut = 108,
    /// Mixup and cutmix of one batch.
    BatchMix = 109,
    /// A corruption of one record; the kind's number stands in the place of the epoch.
    Corruption = 110,
    /// The order of groups before they are dealt out to folds.
    Folds = 20,
    /// The order of groups before the rest beside a fold is divided.
    FoldRest = 21,
    /// The order of groups before a published training part is divided.
    PublishedSplit = 22,
}

/// A `ChaCha8` stream, addressed by seed, purpose and a number; numbers are derived from its 64-bit words by
/// explicit arithmetic, so that no library's sampling code can change them.
#[derive(Clone, Debug)]
pub(crate) struct PortableRng(ChaCha8Rng);

impl PortableRng {
    /// The stream `(seed, purpose, epoch, number)`.
    pub(crate) fn new(seed: u64, purpose: Purpose, epoch: u64, number: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&epoch.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(number);
        Self(rng)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A fraction in [0, 1) with 53 random bits.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A number in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction()
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// An index below `n` (0 for n of 0), unbiased by rejection.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = (n as u64).max(1);
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let bits = self.bits();
            if bits < limit {
                return (bits % n) as usize;
            }
        }
    }

    /// A bell-shaped number around 0 within (-1, 1): the mean of four uniform ones, standard deviation 0.289.
    pub(crate) fn bell(&mut self) -> f64 {
        (self.fraction() + self.fraction() + self.fraction() + self.fraction()) * 0.5 - 1.0
    }

    /// A normal number with mean 0 and deviation 1 (Marsaglia's polar method).
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// A direction: a point on the unit circle, uniform, by rejection from the disc (no sine or cosine).
    pub(crate) fn direction(&mut self) -> (f64, f64) {
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if (0.01..=1.0).contains(&square) {
                let norm = square.sqrt();
                return (x / norm, y / norm);
            }
        }
    }

    /// An index drawn in proportion to the weights (the last one where rounding leaves a rest).
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.fraction() * total;
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        weights.len().saturating_sub(1)
    }

    /// A uniformly random order of `items` (Fisher-Yates from the end).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}
