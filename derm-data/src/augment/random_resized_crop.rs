//! A random part of the picture, scaled to the size.

use serde::{Deserialize, Serialize};

use super::{probability, range};
use crate::Error;
use crate::portable_rng::PortableRng;
use crate::resize::Window;

/// Tries before the centre is taken.
const TRIES: usize = 10;

/// Random resized crop, as torchvision samples it: an area and an aspect ratio (uniform in its logarithm), rounded to
/// whole pixels; ten tries to find one that fits, then the largest centred part whose ratio is within the range.
///
/// | field | default | range |
/// |---|---|---|
/// | `probability` | 0 (off) | 0 to 1; otherwise the picture is resized as for evaluation |
/// | `scale` | [0.08, 1] | shares of the picture's area, above 0 to 1 |
/// | `ratio` | [3/4, 4/3] | width / height, 0.01 to 100 |
///
/// # Source
/// Szegedy et al. 2015, "Going Deeper with Convolutions"; `torchvision.transforms.RandomResizedCrop`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Probability that a part is taken.
    pub probability: f64,
    /// Least and largest share of the area.
    pub scale: [f64; 2],
    /// Least and largest width / height of the part.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { probability: 0.0, scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    pub(super) fn validate(&self) -> Result<(), Error> {
        probability("random_resized_crop.probability", self.probability)?;
        let shares = "two shares of the area, above 0 to 1, the lower first";
        range("random_resized_crop.scale", self.scale, f64::MIN_POSITIVE..=1.0, shares)?;
        let ratios = "two ratios from 0.01 to 100, the lower first";
        range("random_resized_crop.ratio", self.ratio, 0.01..=100.0, ratios)
    }

    pub(super) fn draw(&self, mut rng: PortableRng) -> Option<Crop> {
        let happens = rng.chance(self.probability);
        let tries = std::array::from_fn(|_| Try {
            area: rng.between(self.scale[0], self.scale[1]),
            ratio: rng.between(self.ratio[0].ln(), self.ratio[1].ln()).exp(),
            left: rng.fraction(),
            top: rng.fraction(),
        });
        happens.then_some(Crop { tries, ratio: self.ratio })
    }
}

/// The tries of one picture; which of them fits depends on its sides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Crop {
    tries: [Try; TRIES],
    ratio: [f64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Try {
    /// Share of the picture's area.
    area: f64,
    /// Width / height.
    ratio: f64,
    /// Where the part lies among the places it can lie in, in [0, 1).
    left: f64,
    /// The same from the top.
    top: f64,
}

impl Crop {
    /// The part of a picture of these sides.
    pub(super) fn window(&self, width: usize, height: usize) -> Window {
        let sides = (width as f64, height as f64);
        for one in &self.tries {
            let area = sides.0 * sides.1 * one.area;
            let wide = (area * one.ratio).sqrt().round_ties_even() as usize;
            let high = (area / one.ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&wide) && (1..=height).contains(&high) {
                let place = |fraction: f64, rest: usize| ((fraction * (rest + 1) as f64) as usize).min(rest);
                let (left, top) = (place(one.left, width - wide), place(one.top, height - high));
                return Window { left, top, width: wide, height: high };
            }
        }
        let ratio = sides.0 / sides.1;
        let (wide, high) = if ratio < self.ratio[0] {
            (width, (sides.0 / self.ratio[0]).round_ties_even() as usize)
        } else if ratio > self.ratio[1] {
            ((sides.1 * self.ratio[1]).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        // A ratio range that admits no whole number of pixels leaves one row or column.
        let (wide, high) = (wide.clamp(1, width), high.clamp(1, height));
        Window { left: (width - wide) / 2, top: (height - high) / 2, width: wide, height: high }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::portable_rng::Purpose;

    fn draw(config: RandomResizedCrop, number: u64) -> Crop {
        config.draw(PortableRng::new(1, Purpose::RandomResizedCrop, 0, number)).unwrap()
    }

    #[test]
    fn areas_and_ratios_spread_over_their_ranges() {
        let config = RandomResizedCrop { probability: 1.0, ..RandomResizedCrop::default() };
        let windows: Vec<Window> = (0..4000).map(|number| draw(config, number).window(2000, 1500)).collect();
        let shares: Vec<f64> = windows.iter().map(|w| (w.width * w.height) as f64 / 3e6).collect();
        assert!(shares.iter().all(|share| (0.0799..=1.0).contains(share)));
        // torchvision's own sampler over 20,000 draws: mean 0.4339 (deviation 0.2155), 0.3325 of them below 0.31, mean
        // logarithm of the ratio 0.0317 (deviation 0.1635). Four standard errors of 4,000 draws.
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
        assert!((mean(&shares) - 0.4339).abs() < 4.0 * 0.2155 / 4000f64.sqrt(), "{}", mean(&shares));
        let below = shares.iter().filter(|share| **share < 0.31).count() as f64 / 4000.0;
        assert!((below - 0.3325).abs() < 0.03, "{below} of the areas are below 0.31");
        let logs: Vec<f64> = windows.iter().map(|w| (w.width as f64 / w.height as f64).ln()).collect();
        let end = (4.0f64 / 3.0).ln() + 0.01;
        assert!(logs.iter().all(|log| log.abs() <= end));
        assert!((mean(&logs) - 0.0317).abs() < 4.0 * 0.1635 / 4000f64.sqrt(), "{}", mean(&logs));
        assert!(windows.iter().all(|w| w.left + w.width <= 2000 && w.top + w.height <= 1500));
        let right_most = windows.iter().filter(|w| w.left + w.width == 2000).count();
        assert!(right_most > 0, "the last place is reached");
    }

    #[test]
    fn what_does_not_fit_is_centred() {
        // No part of the whole area has one of these ratios.
        let config = RandomResizedCrop { probability: 1.0, scale: [1.0, 1.0], ratio: [0.9, 1.1] };
        let window = draw(config, 0).window(300, 100);
        assert_eq!(window, Window { left: 95, top: 0, width: 110, height: 100 });
        let window = draw(config, 0).window(1, 300);
        assert_eq!(window, Window { left: 0, top: 149, width: 1, height: 1 });
        assert_eq!(draw(config, 0).window(1, 1), Window { left: 0, top: 0, width: 1, height: 1 });
    }
}
