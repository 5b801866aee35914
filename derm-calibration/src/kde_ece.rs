use serde::{Deserialize, Serialize};

use crate::Error;
use crate::smooth_ece::check_binary;

/// Intervals of the trapezoid rule on [0, 1].
const INTERVALS: usize = 2000;
/// The smallest bandwidth: ten intervals, below which the grid would miss the kernel.
pub const MIN_BANDWIDTH: f64 = 0.005;
/// Factor of Scott's rule for a Gaussian kernel, as the authors use it.
const SCOTT: f64 = 1.06;

/// How wide the kernel of [`kde_ece`] is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// `h = 1.06 σ̂ N^{−1/5}`, σ̂ the standard deviation of the confidences (N − 1 in the denominator, 0 for
    /// a single row), and at least [`MIN_BANDWIDTH`].
    #[default]
    Scott,
    /// This h, from [`MIN_BANDWIDTH`] to 1.
    Fixed(f64),
}

/// A calibration error by kernel density estimation, with its bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdeEce {
    /// The error, in [0, 1].
    pub value: f64,
    /// The half width h of the kernel.
    pub bandwidth: f64,
}

/// Calibration error by kernel density estimation: with the triweight kernel `K(u) = 35/32 (1 − u²)³` on [−1,
/// 1], mirrored at 0 and 1,
///
/// `∫₀¹ |t − π̂(t)| p̂(t) dt = ∫₀¹ |(1/N) Σ_i K_h(t, c_i) (t − y_i)| dt`,
///
/// p̂ the density of the confidences and π̂ the kernel regression of `correct` on them.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a confidence outside [0, 1],
/// [`Error::Range`] for a fixed bandwidth outside its range.
///
/// # Source
/// Zhang et al. 2020, "Mix-n-Match", section 4 (estimator `ECE^KDE`, top label); Scott 1992 for the rule. The
/// integral is a trapezoid sum over 2,001 points; nothing is divided by the density's mass, which mirroring keeps
/// at 1.
///
/// ```
/// use derm_calibration::{Bandwidth, kde_ece};
/// let confidence = [0.6, 0.7, 0.8, 0.9];
/// let error = kde_ece(&confidence, &[true, false, true, true], Bandwidth::Fixed(0.1))?;
/// assert!(error.value > 0.0 && error.value < 1.0 && error.bandwidth == 0.1);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
pub fn kde_ece(confidence: &[f64], correct: &[bool], bandwidth: Bandwidth) -> Result<KdeEce, Error> {
    check_binary(confidence, correct)?;
    bandwidth.validate()?;
    Ok(kde_ece_of(confidence, correct, bandwidth))
}

impl Bandwidth {
    pub(crate) fn validate(self) -> Result<(), Error> {
        match self {
            Self::Fixed(value) if !(MIN_BANDWIDTH..=1.0).contains(&value) => {
                Err(Error::Range { argument: "bandwidth", value, expected: "a number from 0.005 to 1" })
            }
            Self::Scott | Self::Fixed(_) => Ok(()),
        }
    }

    fn width(self, confidence: &[f64]) -> f64 {
        match self {
            Self::Fixed(h) => h,
            Self::Scott => {
                let n = confidence.len() as f64;
                let mean = confidence.iter().sum::<f64>() / n;
                let variance =
                    confidence.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
                (SCOTT * variance.sqrt() * n.powf(-0.2)).max(MIN_BANDWIDTH)
            }
        }
    }
}

/// The same of rows and a bandwidth that were checked.
pub(crate) fn kde_ece_of(confidence: &[f64], correct: &[bool], bandwidth: Bandwidth) -> KdeEce {
    let h = bandwidth.width(confidence);
    let step = 1.0 / INTERVALS as f64;
    // Σ K and Σ K y at each grid point.
    let mut density = vec![0.0; INTERVALS + 1];
    let mut right = vec![0.0; INTERVALS + 1];
    for (&c, &correct) in confidence.iter().zip(correct) {
        let c = c.min(1.0);
        for centre in [c, -c, 2.0 - c] {
            let first = ((centre - h) / step).ceil().max(0.0);
            let last = ((centre + h) / step).floor().min(INTERVALS as f64);
            if first > last {
                continue;
            }
            for point in first as usize..=last as usize {
                let u = (point as f64 * step - centre) / h;
                let kernel = (1.0 - u * u).max(0.0).powi(3);
                density[point] += kernel;
                if correct {
                    right[point] += kernel;
                }
            }
        }
    }
    let scale = 35.0 / 32.0 / (h * confidence.len() as f64);
    let value = |point: usize| scale * (point as f64 * step * density[point] - right[point]).abs();
    let inside: f64 = (1..INTERVALS).map(value).sum();
    let sum = step * (inside + f64::midpoint(value(0), value(INTERVALS)));
    KdeEce { value: sum.min(1.0), bandwidth: h }
}
