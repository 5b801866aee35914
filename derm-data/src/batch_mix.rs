//! Mixup and cutmix: two pictures of a batch become one.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};

/// Mixup, cutmix, or either by chance, of a whole batch with one λ.
///
/// Picture i is mixed with picture B − 1 − i (the batch reversed, as in timm; the middle one of an odd batch with
/// itself): mixup takes λ xᵢ + (1 − λ) xⱼ, cutmix puts a box of xⱼ over xᵢ. Targets become λ yᵢ + (1 − λ) yⱼ. λ comes
/// from Beta(α, α). The box has (1 − λ) of the area and its centre anywhere; where it hangs over the border it is cut
/// off, and λ is set to the share of pixels that are really of xᵢ. A batch of one is left as it is.
///
/// What happens follows from (seed, epoch, number of the batch) alone.
///
/// | field | default | range |
/// |---|---|---|
/// | `mixup_alpha` | 0 (no mixup) | 0 to 100 |
/// | `cutmix_alpha` | 0 (no cutmix) | 0 to 100 |
/// | `probability` | 1 | that a batch is mixed at all |
/// | `switch_probability` | 0.5 | that it is cutmix, where both are on |
///
/// # Source
/// Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "`CutMix`"; `timm.data.Mixup` in
/// its mode `batch` with `correct_lam`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchMix {
    /// α of mixup; 0 for none.
    pub mixup_alpha: f64,
    /// α of cutmix; 0 for none.
    pub cutmix_alpha: f64,
    /// Probability that a batch is mixed.
    pub probability: f64,
    /// Probability of cutmix where both are on.
    pub switch_probability: f64,
}

impl Default for BatchMix {
    fn default() -> Self {
        Self { mixup_alpha: 0.0, cutmix_alpha: 0.0, probability: 1.0, switch_probability: 0.5 }
    }
}

/// What happens to one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mixing {
    Nothing,
    Mixup { lambda: f64 },
    CutMix { lambda: f64, centre: (f64, f64) },
}

impl BatchMix {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] for an α outside [0, 100] or a probability outside [0, 1].
    pub fn validate(&self) -> Result<(), Error> {
        for (name, alpha) in [("mixup_alpha", self.mixup_alpha), ("cutmix_alpha", self.cutmix_alpha)] {
            if !(0.0..=100.0).contains(&alpha) {
                return Err(setting(name, alpha, "0 (off) to 100"));
            }
        }
        for (name, probability) in
            [("probability", self.probability), ("switch_probability", self.switch_probability)]
        {
            if !(0.0..=1.0).contains(&probability) {
                return Err(setting(name, probability, "a probability from 0 to 1"));
            }
        }
        Ok(())
    }

    /// Whether any batch is mixed.
    pub fn is_on(&self) -> bool {
        self.probability > 0.0 && (self.mixup_alpha > 0.0 || self.cutmix_alpha > 0.0)
    }

    /// Mixes a batch in place and gives λ, the share of a picture that is its own: 1 where nothing happens.
    ///
    /// # Shapes
    /// - `images`: [B, 3, S, S] with S = `image_size`
    /// - `targets`: [B, C], a distribution over classes a row
    ///
    /// # Errors
    /// [`Error::Setting`] where `images` are not B such pictures or `targets` not B rows.
    pub fn apply(
        &self,
        images: &mut [f32],
        targets: &mut [f32],
        batch_size: usize,
        image_size: usize,
        (seed, epoch, batch): (u64, u64, u64),
    ) -> Result<f32, Error> {
        let plane = image_size * image_size;
        if plane == 0 || images.len() != batch_size * 3 * plane {
            return Err(setting("length of the images", images.len(), "batch size · 3 · image size²"));
        }
        if targets.len().checked_rem(batch_size) != Some(0) {
            return Err(setting("length of the targets", targets.len(), "a multiple of the batch size"));
        }
        if batch_size < 2 {
            return Ok(1.0);
        }
        let (images, width) = (Rows { numbers: images, len: 3 * plane }, targets.len() / batch_size);
        let lambda = match self.draw(seed, epoch, batch) {
            Mixing::Nothing => return Ok(1.0),
            Mixing::Mixup { lambda } => {
                images.each_pair(|own, other| blend(own, other, lambda as f32));
                lambda as f32
            }
            Mixing::CutMix { lambda, centre } => {
                let (rows, columns) = box_of(lambda, centre, image_size);
                images.each_pair(|own, other| {
                    for (own, other) in own.chunks_exact_mut(plane).zip(other.chunks_exact_mut(plane)) {
                        for row in rows.clone() {
                            let line = row * image_size + columns.start..row * image_size + columns.end;
                            own[line.clone()].swap_with_slice(&mut other[line]);
                        }
                    }
                });
                1.0 - (rows.len() * columns.len()) as f32 / plane as f32
            }
        };
        if width > 0 {
            Rows { numbers: targets, len: width }.each_pair(|own, other| blend(own, other, lambda));
        }
        Ok(lambda)
    }

    fn draw(&self, seed: u64, epoch: u64, batch: u64) -> Mixing {
        let mut rng = PortableRng::new(seed, Purpose::BatchMix, epoch, batch);
        let happens = rng.chance(self.probability);
        let switched = rng.chance(self.switch_probability);
        let centre = (rng.fraction(), rng.fraction());
        let cut = self.cutmix_alpha > 0.0 && (switched || self.mixup_alpha <= 0.0);
        let alpha = if cut { self.cutmix_alpha } else { self.mixup_alpha };
        if !happens || alpha <= 0.0 {
            return Mixing::Nothing;
        }
        let lambda = beta(alpha, &mut rng);
        if cut { Mixing::CutMix { lambda, centre } } else { Mixing::Mixup { lambda } }
    }
}

/// Rows of one length.
struct Rows<'a> {
    numbers: &'a mut [f32],
    len: usize,
}

impl Rows<'_> {
    /// Every row with its partner from the other end, each pair once.
    fn each_pair(self, mut change: impl FnMut(&mut [f32], &mut [f32])) {
        let count = self.numbers.len() / self.len;
        let (first, second) = self.numbers.split_at_mut(count.div_ceil(2) * self.len);
        let pairs = first.chunks_exact_mut(self.len).zip(second.chunks_exact_mut(self.len).rev());
        pairs.for_each(|(own, other)| change(own, other));
    }
}

/// Both at once: λ of its own and the rest of the other.
fn blend(own: &mut [f32], other: &mut [f32], lambda: f32) {
    for (a, b) in own.iter_mut().zip(other) {
        (*a, *b) = (lambda * *a + (1.0 - lambda) * *b, lambda * *b + (1.0 - lambda) * *a);
    }
}

/// Rows and columns of the box, cut off at the border; as timm's `rand_bbox`.
fn box_of(lambda: f64, centre: (f64, f64), side: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let half = (side as f64 * (1.0 - lambda).sqrt()) as usize / 2;
    let span = |centre: f64| {
        let at = (centre * side as f64) as usize;
        at.saturating_sub(half)..(at + half).min(side)
    };
    (span(centre.1), span(centre.0))
}

/// A number from Beta(α, α): X / (X + Y) with X and Y from Gamma(α), as logarithms, so that a small α does not end in
/// 0 / 0.
fn beta(alpha: f64, rng: &mut PortableRng) -> f64 {
    let (x, y) = (ln_gamma_variate(alpha, rng), ln_gamma_variate(alpha, rng));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a number from Gamma(α, 1): Marsaglia and Tsang 2000, "A simple method for generating gamma
/// variables", for α + 1, brought down by a power of a uniform number.
fn ln_gamma_variate(alpha: f64, rng: &mut PortableRng) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    let down = (1.0 - rng.fraction()).ln() / alpha;
    loop {
        let normal = rng.normal();
        let root = 1.0 + c * normal;
        let v = root * root * root;
        if v > 0.0 && (1.0 - rng.fraction()).ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return (d * v).ln() + down;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(alpha: f64) -> Vec<f64> {
        let mut rng = PortableRng::new(3, Purpose::BatchMix, 0, 0);
        let mut numbers: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }

    #[test]
    fn lambda_follows_the_beta_distribution() {
        // Distributions that can be written down.
        let half = |x: f64| x.sqrt().asin() * 2.0 / std::f64::consts::PI;
        let known: [(f64, &dyn Fn(f64) -> f64); 3] =
            [(0.5, &half), (1.0, &|x| x), (2.0, &|x| x * x * (3.0 - 2.0 * x))];
        for (alpha, distribution) in known {
            let numbers = sorted(alpha);
            let count = numbers.len() as f64;
            let most = numbers
                .iter()
                .enumerate()
                .map(|(at, &x)| {
                    let expected = distribution(x);
                    (expected - at as f64 / count).abs().max((expected - (at + 1) as f64 / count).abs())
                })
                .fold(0.0, f64::max);
            // Kolmogorov-Smirnov at the level 0.001.
            assert!(most < 1.95 / count.sqrt(), "alpha {alpha}: {most}");
        }
        for alpha in [0.05, 0.2, 0.4, 8.0] {
            let numbers = sorted(alpha);
            let count = numbers.len() as f64;
            let mean = numbers.iter().sum::<f64>() / count;
            let variance = numbers.iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / count;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((mean - 0.5).abs() < 4.0 * (expected / count).sqrt(), "alpha {alpha}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "alpha {alpha}: variance {variance}");
        }
        // Far too small for plain gamma numbers.
        assert!(sorted(1e-4).iter().all(|x| (0.0..=1.0).contains(x)));
    }
}
