use derm_metrics::clopper_pearson_upper;
use serde::{Deserialize, Serialize};

use crate::{Error, GridPoint};

/// The error rate, as a fraction of the target, that is assumed when the place to begin is planned. Simulated
/// with a model that is 85 % right, a half began too late and filled the first tier in 260 of 500 draws of
/// 150 lesions, nothing began too early and filled it in 345, a third in 437; two places that share the level
/// filled it in 322.
const PLANNED_RISK: f64 = 1.0 / 3.0;

/// One threshold that was tested.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestedThreshold {
    /// The threshold.
    pub threshold: f64,
    /// Calibration rows (one a group) that it lets into the tier.
    pub count: usize,
    /// Those of them that are errors of the tier.
    pub errors: usize,
    /// Exact upper bound of the risk at that level; 1 where no row is in.
    pub risk_upper_bound: f64,
    /// Whether the bound is at most the target, so that the threshold is certified.
    pub certified: bool,
}

impl TestedThreshold {
    /// The exact binomial test at `level` of "the risk at this threshold exceeds the target".
    pub(crate) fn new(
        threshold: f64,
        (count, errors): (usize, usize),
        target_risk: f64,
        level: f64,
    ) -> Result<Self, Error> {
        let risk_upper_bound = if count == 0 { 1.0 } else { clopper_pearson_upper(errors, count, level)? };
        Ok(Self { threshold, count, errors, risk_upper_bound, certified: risk_upper_bound <= target_risk })
    }
}

/// How the threshold of one tier came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierFit {
    /// The risk that must not be exceeded.
    pub target_risk: f64,
    /// Probability, over calibration sets, that the chosen threshold exceeds it: the policy's δ, or for one of
    /// C predicted classes δ/C.
    pub delta: f64,
    /// The level that all tests of this tier share: `delta`, or for the second tier `delta` over the number of
    /// first-tier choices.
    pub level: f64,
    /// The chosen threshold; `None` where the tier stays empty.
    pub threshold: Option<f64>,
    /// Calibration rows in the tier.
    pub count: usize,
    /// Errors among them.
    pub errors: usize,
    /// Their share; `None` for an empty tier.
    pub observed_risk: Option<f64>,
    /// Where the tier stays empty though there were candidates: the smallest target that the same tests would
    /// have certified, in a fixed sequence the bound of the first of them, else the smallest bound. It tells
    /// how far off the target is; in a fixed sequence it is no guarantee, since it was read off the data.
    pub smallest_certifiable_risk: Option<f64>,
    /// The tests in their order.
    pub tested: Vec<TestedThreshold>,
}

impl TierFit {
    /// An empty tier before any test.
    pub(crate) fn untested(target_risk: f64, delta: f64, level: f64) -> Self {
        Self {
            target_risk,
            delta,
            level,
            threshold: None,
            count: 0,
            errors: 0,
            observed_risk: None,
            smallest_certifiable_risk: None,
            tested: Vec::new(),
        }
    }

    /// Takes a certified threshold.
    pub(crate) fn choose(&mut self, TestedThreshold { threshold, count, errors, .. }: TestedThreshold) {
        (self.threshold, self.count, self.errors) = (Some(threshold), count, errors);
        self.observed_risk = Some(errors as f64 / count as f64);
    }
}

/// Fixed-sequence testing of "the risk at this threshold exceeds the target", from the most certain rows
/// downwards.
///
/// Every test is the exact binomial one at the full level, and testing goes on while it rejects; a hypothesis
/// is looked at only after all before it have been rejected, so searching costs no level and the family-wise
/// error is at most `level` for any population. The first thresholds let too few rows in to certify anything,
/// and testing them would end the sequence; it begins where the expected number of rows would do. That
/// depends on the number of rows, the target and the expected shares, never on a label.
///
/// `outcome` gives the rows and the errors above a threshold.
///
/// # Source
/// Angelopoulos et al. 2021, "Learn then Test", section 4.
pub(crate) fn fixed_sequence(
    points: &[GridPoint],
    samples: usize,
    target_risk: f64,
    delta: f64,
    level: f64,
    outcome: impl Fn(f64) -> (usize, usize),
) -> Result<TierFit, Error> {
    let mut fit = TierFit::untested(target_risk, delta, level);
    for &GridPoint { threshold, .. } in &points[first_tested(points, samples, target_risk, level)?..] {
        let test = TestedThreshold::new(threshold, outcome(threshold), target_risk, level)?;
        fit.tested.push(test);
        if !test.certified {
            break;
        }
        fit.choose(test);
    }
    if fit.threshold.is_none() {
        fit.smallest_certifiable_risk = fit.tested.first().map(|test| test.risk_upper_bound);
    }
    Ok(fit)
}

/// The first point that is expected to certify the target where the error rate is the planned one; where none
/// is, the first that would without any error; else the last. 0 where there is no point.
fn first_tested(points: &[GridPoint], samples: usize, target_risk: f64, level: f64) -> Result<usize, Error> {
    for planned in [PLANNED_RISK, 0.0] {
        for (index, point) in points.iter().enumerate() {
            let expected = point.expected_share * samples as f64;
            let (count, errors) =
                (expected.floor() as usize, (expected * target_risk * planned).round() as usize);
            if count > errors && clopper_pearson_upper(errors, count, level)? <= target_risk {
                return Ok(index);
            }
        }
    }
    Ok(points.len().saturating_sub(1))
}
