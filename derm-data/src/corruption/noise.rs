//! Noise, number by number.

use crate::RgbPixels;
use crate::portable_rng::PortableRng;

fn level(number: f64) -> u8 {
    number.round().clamp(0.0, 255.0) as u8
}

/// Adds a normal number of deviation `sigma` grey levels.
pub(super) fn gaussian(picture: &mut RgbPixels, sigma: f64, rng: &mut PortableRng) {
    for value in picture.as_bytes_mut() {
        *value = level(f64::from(*value) + sigma * rng.normal());
    }
}

/// Adds a normal number in proportion to the value.
pub(super) fn speckle(picture: &mut RgbPixels, sigma: f64, rng: &mut PortableRng) {
    for value in picture.as_bytes_mut() {
        let own = f64::from(*value);
        *value = level(own + own * sigma * rng.normal());
    }
}

/// Sets a share of the numbers to 0 or 255.
pub(super) fn impulse(picture: &mut RgbPixels, amount: f64, rng: &mut PortableRng) {
    for value in picture.as_bytes_mut() {
        let (hit, salt) = (rng.chance(amount), rng.chance(0.5));
        if hit {
            *value = if salt { 255 } else { 0 };
        }
    }
}

/// Replaces a value by a Poisson count, `white` being the expected count of 255.
pub(super) fn shot(picture: &mut RgbPixels, white: f64, rng: &mut PortableRng) {
    // The distribution of every level, to be searched with one uniform number a value.
    let cumulative: Vec<Vec<f64>> =
        (0..=255u8).map(|value| poisson(f64::from(value) / 255.0 * white)).collect();
    for value in picture.as_bytes_mut() {
        let at = rng.fraction();
        let count = cumulative[usize::from(*value)].partition_point(|&below| below <= at);
        *value = level(count as f64 / white * 255.0);
    }
}

/// P(count ≤ k) for k = 0, 1, … as far as doubles tell it from 1.
fn poisson(mean: f64) -> Vec<f64> {
    let mut cumulative = Vec::new();
    let (mut share, mut sum) = ((-mean).exp(), 0.0);
    for count in 1.. {
        sum += share;
        cumulative.push(sum);
        if f64::from(count) > mean && share < 1e-17 {
            break;
        }
        share *= mean / f64::from(count);
    }
    cumulative
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable_rng::Purpose;

    #[test]
    fn counts_have_the_mean_and_variance_of_poisson() {
        let mut rng = PortableRng::new(1, Purpose::Corruption, 0, 0);
        for mean in [0.0, 0.3, 5.0, 60.0] {
            let cumulative = poisson(mean);
            let counts: Vec<f64> = (0..20_000)
                .map(|_| {
                    let at = rng.fraction();
                    cumulative.partition_point(|&below| below <= at) as f64
                })
                .collect();
            let got = counts.iter().sum::<f64>() / 20_000.0;
            let variance = counts.iter().map(|count| (count - got) * (count - got)).sum::<f64>() / 20_000.0;
            assert!((got - mean).abs() <= 4.0 * (mean / 20_000.0).sqrt(), "mean {mean}: {got}");
            assert!((variance - mean).abs() <= 0.05 * mean, "mean {mean}: variance {variance}");
        }
    }
}
