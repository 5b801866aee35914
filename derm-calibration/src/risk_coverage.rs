use derm_core::{Probabilities, ValueError};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_closed_unit;

/// How close a risk may come from above to a limit and still count as at it: the rounding of a quotient of
/// counts.
const RISK_ROUNDING: f64 = 1e-12;
/// The same for the number of rows that a coverage asks for.
const COVERAGE_ROUNDING: f64 = 1e-9;

/// Error rate of the most confident rows against how many there are.
///
/// Rows stand in order of falling confidence, ties by row; `risk()[i − 1]` is the error rate of the first i,
/// at coverage i/N.
///
/// # Source
/// El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017.
///
/// ```
/// use derm_calibration::RiskCoverage;
/// let curve = RiskCoverage::new(&[0.9, 0.6, 0.8], &[true, false, true])?;
/// assert_eq!(curve.risk(), [0.0, 0.0, 1.0 / 3.0]);
/// assert_eq!(curve.coverage_at_risk(0.1)?, 2.0 / 3.0);
/// assert_eq!(curve.risk_at_coverage(1.0)?, 1.0 / 3.0);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RiskCoverage {
    risk: Vec<f64>,
    errors: usize,
}

/// Summaries of a risk-coverage curve, all in [0, 1] and smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Aurc {
    /// Area under the curve: the mean of `r_i` over i = 1..N.
    pub aurc: f64,
    /// The same with all errors last, the best that an order could do.
    pub optimal_aurc: f64,
    /// `aurc − optimal_aurc`.
    pub e_aurc: f64,
    /// `aurc − (r + (1 − r) ln(1 − r))`, r the error rate of all rows: Geifman et al.'s continuous
    /// approximation.
    pub e_aurc_continuous: f64,
    /// Area under the generalised curve, the mean of `(i/N) r_i`.
    pub augrc: f64,
}

impl RiskCoverage {
    /// The curve of `confidence` `[N]`, any finite score, and whether rows are `correct` `[N]`.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Range`] for a confidence that is not finite.
    pub fn new(confidence: &[f64], correct: &[bool]) -> Result<Self, Error> {
        if confidence.is_empty() {
            return Err(ValueError::Empty { argument: "confidence" }.into());
        }
        if correct.len() != confidence.len() {
            let (got, expected) = (correct.len(), confidence.len());
            return Err(ValueError::Length { argument: "correct", got, expected }.into());
        }
        if let Some(&value) = confidence.iter().find(|value| !value.is_finite()) {
            return Err(Error::Range { argument: "confidence", value, expected: "finite numbers" });
        }
        let mut order: Vec<usize> = (0..confidence.len()).collect();
        // Adding 0 turns −0 into 0, which compares equal to it and must tie with it.
        order.sort_by(|&a, &b| (confidence[b] + 0.0).total_cmp(&(confidence[a] + 0.0)));
        Ok(Self::of_order(order.into_iter().map(|row| correct[row])))
    }

    /// The curve of the most probable class by its probability.
    ///
    /// # Errors
    /// [`Error::Value`] where the targets do not fit the probabilities.
    pub fn top_label(probabilities: &Probabilities, targets: &[usize]) -> Result<Self, Error> {
        probabilities.check_targets(targets)?;
        let predicted = probabilities.predicted();
        let correct: Vec<bool> =
            predicted.iter().zip(targets).map(|(class, target)| class == target).collect();
        Self::new(&probabilities.confidence(), &correct)
    }

    fn of_order(correct: impl Iterator<Item = bool>) -> Self {
        let mut errors = 0_usize;
        let mut risk = Vec::new();
        for (row, correct) in correct.enumerate() {
            errors += usize::from(!correct);
            risk.push(errors as f64 / (row + 1) as f64);
        }
        Self { risk, errors }
    }

    /// `r_1 … r_N`: the error rate at coverage i/N.
    pub fn risk(&self) -> &[f64] {
        &self.risk
    }

    /// The areas under the curve.
    ///
    /// # Source
    /// Geifman et al. 2019 (AURC, E-AURC); Traub et al. 2024 (AUGRC). The trapezoid rule, or a factor N/(N −
    /// 1), gives other numbers.
    pub fn aurc(&self) -> Aurc {
        let n = self.risk.len();
        let mean = |risk: &[f64]| risk.iter().sum::<f64>() / n as f64;
        let optimal = mean(Self::of_order((0..n).map(|row| row < n - self.errors)).risk());
        let aurc = mean(&self.risk);
        let total = self.errors as f64 / n as f64;
        let approximation = if self.errors < n { total + (1.0 - total) * (-total).ln_1p() } else { 1.0 };
        let generalised = self.risk.iter().zip(1..).map(|(risk, i)| risk * f64::from(i) / n as f64);
        Aurc {
            aurc,
            optimal_aurc: optimal,
            e_aurc: aurc - optimal,
            e_aurc_continuous: aurc - approximation,
            augrc: generalised.sum::<f64>() / n as f64,
        }
    }

    /// The largest coverage i/N with `r_i ≤ max_risk`, 0 if there is none. Read off the rows that chose it,
    /// it promises nothing for others: see [`AbstainPolicy`](crate::AbstainPolicy).
    ///
    /// # Errors
    /// [`Error::Range`] unless `max_risk` is in [0, 1].
    pub fn coverage_at_risk(&self, max_risk: f64) -> Result<f64, Error> {
        check_closed_unit("max_risk", max_risk)?;
        let last = self.risk.iter().rposition(|&risk| risk <= max_risk + RISK_ROUNDING);
        Ok(last.map_or(0.0, |index| (index + 1) as f64 / self.risk.len() as f64))
    }

    /// The error rate of the `⌈coverage · N⌉` most confident rows, at least one.
    ///
    /// # Errors
    /// [`Error::Range`] unless `coverage` is in [0, 1].
    pub fn risk_at_coverage(&self, coverage: f64) -> Result<f64, Error> {
        check_closed_unit("coverage", coverage)?;
        let rows = (coverage * self.risk.len() as f64 - COVERAGE_ROUNDING).ceil() as usize;
        Ok(self.risk[rows.clamp(1, self.risk.len()) - 1])
    }
}
