use std::f64::consts::PI;

use derm_core::ValueError;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_length, check_positive};

/// The smallest bandwidth: below it the estimate is the one at this bandwidth, as in the authors' code.
pub const MIN_SIGMA: f64 = 1e-3;
/// Terms of the cosine series whose damping is below this are left out.
const DAMPING: f64 = 1e-17;
/// Points in each half wave of the highest cosine: enough for every crossing that holds an area.
const POINTS_A_TERM: usize = 6;
/// How close the fixed point is searched.
const SIGMA_TOLERANCE: f64 = 1e-10;

/// The smooth calibration error and the bandwidth that it chose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmoothEce {
    /// The error, in [0, 1].
    pub value: f64,
    /// The bandwidth σ at which error and bandwidth agree; [`MIN_SIGMA`] where the error is smaller still.
    pub sigma: f64,
}

/// Smooth calibration error: the residuals `y_i − c_i` smoothed by a Gaussian of width σ that is reflected at 0
/// and 1,
///
/// `f(σ) = ∫₀¹ |(1/N) Σ_i K_σ(t, c_i) (y_i − c_i)| dt`,
///
/// at the one σ with `f(σ) = σ`. It has no bins and no bandwidth to choose, is continuous in the
/// confidences, and is within a constant factor of the distance to the nearest calibrated predictor.
///
/// The reflected Gaussian is the heat kernel of the interval, `K_σ(t, c) = 1 + 2 Σ_k exp(−k²π²σ²/2) cos(kπt)
/// cos(kπc)`, so that the smoothed residual is a short cosine series: it is built in O(N/σ) and integrated
/// exactly between its zeros.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a confidence outside [0, 1].
///
/// # Source
/// Błasiok and Nakkiran 2024. Their relplot convolves on a grid whose end points it counts once under
/// reflection, and reads high where confidences saturate.
///
/// ```
/// // Every confidence is 0.7 and 7 of 10 are right: calibrated.
/// let confidence = [0.7; 10];
/// let correct = [true, true, true, true, true, true, true, false, false, false];
/// assert!(derm_calibration::smooth_ece(&confidence, &correct)?.value < 1e-12);
/// // All wrong: the error is 0.7, and smoothing does not change that.
/// let smooth = derm_calibration::smooth_ece(&confidence, &[false; 10])?;
/// assert!((smooth.value - 0.7).abs() < 1e-9 && (smooth.sigma - 0.7).abs() < 1e-9);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
pub fn smooth_ece(confidence: &[f64], correct: &[bool]) -> Result<SmoothEce, Error> {
    check_binary(confidence, correct)?;
    Ok(smooth_ece_of(confidence, correct))
}

/// The same of rows that were checked.
pub(crate) fn smooth_ece_of(confidence: &[f64], correct: &[bool]) -> SmoothEce {
    let residual = |row: usize| f64::from(u8::from(correct[row])) - confidence[row];
    let mut series = CosineSeries::new(confidence, residual);
    let mut error_at = |sigma: f64| series.smoothed(sigma).absolute_integral();
    let (mut low, mut at_low) = (MIN_SIGMA, None);
    let mut high = 1.0;
    // f never rises, so the fixed point is bracketed by any σ below f(σ) and any above. Halving downwards
    // first keeps the series short: the terms that a σ needs grow as 1/σ.
    let mut at_high = error_at(high);
    while at_low.is_none() {
        let sigma = (high / 2.0).max(MIN_SIGMA);
        let error = error_at(sigma);
        if error > sigma {
            (low, at_low) = (sigma, Some(error));
        } else if sigma <= MIN_SIGMA {
            return SmoothEce { value: error, sigma: MIN_SIGMA };
        } else {
            (high, at_high) = (sigma, error);
        }
    }
    let mut at_low = at_low.unwrap_or(1.0) - low;
    let mut at_high = at_high - high;
    // Regula falsi with the Illinois weights: a bracket and superlinear.
    let mut side = 0;
    for _ in 0..100 {
        let sigma = (low * at_high - high * at_low) / (at_high - at_low);
        let sigma = if sigma > low && sigma < high { sigma } else { f64::midpoint(low, high) };
        let gap = error_at(sigma) - sigma;
        if gap.abs() <= SIGMA_TOLERANCE || high - low <= SIGMA_TOLERANCE {
            return SmoothEce { value: sigma + gap, sigma };
        }
        if gap > 0.0 {
            (low, at_low) = (sigma, gap);
            if side == 1 {
                at_high /= 2.0;
            }
            side = 1;
        } else {
            (high, at_high) = (sigma, gap);
            if side == -1 {
                at_low /= 2.0;
            }
            side = -1;
        }
    }
    let sigma = f64::midpoint(low, high);
    SmoothEce { value: error_at(sigma), sigma }
}

/// One point of a smoothed reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmoothReliabilityPoint {
    /// The confidence, from 0 to 1.
    pub confidence: f64,
    /// The smoothed share of right rows at it; `None` where the density is below 1e-6, so that there is
    /// nothing to divide by.
    pub accuracy: Option<f64>,
    /// The smoothed density of the confidences, with integral 1.
    pub density: f64,
}

/// The smoothed reliability curve at `points` confidences from 0 to 1, evenly spaced, with the bandwidth
/// `sigma`, as a rule that of [`smooth_ece`]: what a figure draws.
///
/// # Errors
/// As [`smooth_ece`]; [`Error::Count`] below two points, [`Error::Range`] unless `sigma` is at least
/// [`MIN_SIGMA`] and finite.
///
/// # Source
/// Błasiok and Nakkiran 2024, section 4; relplot.
pub fn smooth_reliability(
    confidence: &[f64],
    correct: &[bool],
    sigma: f64,
    points: usize,
) -> Result<Vec<SmoothReliabilityPoint>, Error> {
    check_binary(confidence, correct)?;
    check_positive("sigma", sigma)?;
    if sigma < MIN_SIGMA {
        return Err(Error::Range { argument: "sigma", value: sigma, expected: "a number of 0.001 or more" });
    }
    if points < 2 {
        return Err(Error::Count { argument: "points", value: points, minimum: 2 });
    }
    let density = CosineSeries::new(confidence, |_| 1.0).smoothed(sigma);
    let right = CosineSeries::new(confidence, |row| f64::from(u8::from(correct[row]))).smoothed(sigma);
    let point = |index: usize| {
        let confidence = index as f64 / (points - 1) as f64;
        let (density, right) = (density.at(confidence).max(0.0), right.at(confidence));
        let accuracy = (density > 1e-6).then(|| (right / density).clamp(0.0, 1.0));
        SmoothReliabilityPoint { confidence, accuracy, density }
    };
    Ok((0..points).map(point).collect())
}

/// Refuses no rows, other lengths and confidences outside [0, 1].
pub(crate) fn check_binary(confidence: &[f64], correct: &[bool]) -> Result<(), Error> {
    if confidence.is_empty() {
        return Err(ValueError::Empty { argument: "confidence" }.into());
    }
    check_length("correct", correct.len(), confidence.len())?;
    let allowed = 0.0..=1.0 + derm_core::ROW_SUM_TOLERANCE;
    match confidence.iter().position(|p| !allowed.contains(p)) {
        None => Ok(()),
        Some(position) => {
            let (value, expected) = (confidence[position], "a number from 0 to 1");
            Err(Error::Entry { argument: "confidence", position, value, expected })
        }
    }
}

/// `a_k = (1/N) Σ_i w_i cos(kπ c_i)`, as many of them as have been asked for.
struct CosineSeries {
    /// `2 cos(π c_i)`, and `w_i / N` times the cosines of the last two k.
    rows: Vec<[f64; 3]>,
    coefficients: Vec<f64>,
}

impl CosineSeries {
    fn new(confidence: &[f64], weight: impl Fn(usize) -> f64) -> Self {
        let n = confidence.len() as f64;
        let row = |(row, c): (usize, &f64)| {
            let (cosine, weight) = ((PI * c.min(1.0)).cos(), weight(row) / n);
            [2.0 * cosine, weight * cosine, weight]
        };
        let rows: Vec<[f64; 3]> = confidence.iter().enumerate().map(row).collect();
        let first = rows.iter().map(|row| row[2]).sum();
        let second = rows.iter().map(|row| row[1]).sum();
        Self { rows, coefficients: vec![first, second] }
    }

    /// The density smoothed with σ.
    fn smoothed(&mut self, sigma: f64) -> Smoothed {
        // exp(−k²π²σ²/2) ≥ DAMPING.
        let terms = ((-2.0 * DAMPING.ln()).sqrt() / (PI * sigma)).ceil() as usize + 1;
        while self.coefficients.len() < terms {
            let mut sum = 0.0;
            for [twice, last, before] in &mut self.rows {
                // cos((k + 1)θ) = 2 cos θ cos(kθ) − cos((k − 1)θ).
                let next = *twice * *last - *before;
                (*before, *last) = (*last, next);
                sum += next;
            }
            self.coefficients.push(sum);
        }
        let damped = |(k, a): (usize, &f64)| {
            let exponent = k as f64 * PI * sigma;
            a * (-0.5 * exponent * exponent).exp() * if k == 0 { 1.0 } else { 2.0 }
        };
        Smoothed { terms: self.coefficients[..terms].iter().enumerate().map(damped).collect() }
    }
}

/// `Σ_k b_k cos(kπt)` on [0, 1].
struct Smoothed {
    terms: Vec<f64>,
}

impl Smoothed {
    /// The value at `t`, by Clenshaw's recurrence.
    fn at(&self, t: f64) -> f64 {
        let cosine = (PI * t).cos();
        let (mut one, mut two) = (0.0, 0.0);
        for &term in self.terms[1..].iter().rev() {
            (one, two) = (term + 2.0 * cosine * one - two, one);
        }
        self.terms[0] + cosine * one - two
    }

    /// The integral from 0 to `t`: `b_0 t + Σ_k b_k sin(kπt)/(kπ)`.
    fn integral(&self, t: f64) -> f64 {
        let (sine, cosine) = (PI * t).sin_cos();
        let (mut one, mut two) = (0.0, 0.0);
        for (k, &term) in self.terms.iter().enumerate().skip(1).rev() {
            (one, two) = (term / (k as f64 * PI) + 2.0 * cosine * one - two, one);
        }
        self.terms[0] * t + sine * one
    }

    /// `∫₀¹ |·|`, exact between the zeros.
    fn absolute_integral(&self) -> f64 {
        let points = POINTS_A_TERM * self.terms.len();
        let (mut sum, mut since) = (0.0, 0.0);
        let (mut t, mut value) = (0.0, self.at(0.0));
        for point in 1..=points {
            let next = point as f64 / points as f64;
            let at_next = self.at(next);
            if value * at_next < 0.0 {
                let reached = self.integral(self.zero(t, next, value));
                sum += (reached - since).abs();
                since = reached;
            }
            (t, value) = (next, at_next);
        }
        sum + (self.integral(1.0) - since).abs()
    }

    /// The zero between `low` and `high`, where the sign changes. The integral is flat there, so a few digits
    /// of it are many of the area.
    fn zero(&self, mut low: f64, mut high: f64, at_low: f64) -> f64 {
        for _ in 0..30 {
            let middle = f64::midpoint(low, high);
            if self.at(middle) * at_low > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    }
}
