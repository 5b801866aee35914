use derm_metrics::clopper_pearson_upper;
use serde::{Deserialize, Serialize};

use crate::{Error, GridPoint};

/// The error rates, as fractions of the target, for which the two places to begin are planned: one early, for a model
/// far better than its target, and one late, for a model closer to it.
const PLANNED_RISKS: [f64; 2] = [1.0 / 3.0, 0.5];

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
    /// The level it was tested at.
    pub level: f64,
    /// Exact upper bound of the risk at that level; 1 where no row is in.
    pub risk_upper_bound: f64,
    /// Whether the bound is at most the target, so that the threshold is certified.
    pub certified: bool,
}

/// How the threshold of one tier came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierFit {
    /// The risk that must not be exceeded.
    pub target_risk: f64,
    /// Probability, over calibration sets, that the chosen threshold exceeds it.
    pub delta: f64,
    /// The level that all tests of this tier share: δ, or for the second tier δ over the number of first-tier choices.
    pub level: f64,
    /// The chosen threshold; `None` where the tier stays empty.
    pub threshold: Option<f64>,
    /// Calibration rows in the tier.
    pub count: usize,
    /// Errors among them.
    pub errors: usize,
    /// Their share; `None` for an empty tier.
    pub observed_risk: Option<f64>,
    /// Where the tier stays empty though there were rows to certify: the smallest target that these tests would have
    /// certified. It tells how far off the target is. It is no guarantee, since it was read off the data.
    pub smallest_certifiable_risk: Option<f64>,
    /// The tests in their order.
    pub tested: Vec<TestedThreshold>,
}

/// Fixed-sequence testing of "the risk at this threshold exceeds the target", from the most certain rows downwards.
///
/// Every test is the exact binomial one, and testing goes on while it rejects; a hypothesis is looked at only after all
/// before it have been rejected, so no level is spent on the search. Two places to begin, each with half the level, keep
/// an unlucky start among few rows from ending everything; a chain that comes through to the second place brings its
/// half along (the fallback procedure). Where to begin depends on the number of rows, the target and the expected
/// shares, never on a label. The family-wise error is at most `level` for any population.
///
/// `outcome` gives the rows and the errors above a threshold.
///
/// # Source
/// Angelopoulos et al. 2021, "Learn then Test", section 4; Wiens 2003 for the fallback.
pub(crate) fn fixed_sequence(
    points: &[GridPoint],
    samples: usize,
    target_risk: f64,
    delta: f64,
    level: f64,
    outcome: impl Fn(f64) -> (usize, usize),
) -> Result<TierFit, Error> {
    let starts = starts(points, samples, target_risk, level)?;
    let own_level = level / starts.len().max(1) as f64;
    let mut fit = TierFit {
        target_risk,
        delta,
        level,
        threshold: None,
        count: 0,
        errors: 0,
        observed_risk: None,
        smallest_certifiable_risk: None,
        tested: Vec::new(),
    };
    let mut available = 0.0;
    for (index, point) in points.iter().enumerate() {
        let begins = starts.contains(&index);
        if begins {
            available += own_level;
        }
        if available == 0.0 {
            continue;
        }
        let (count, errors) = outcome(point.threshold);
        let risk_upper_bound =
            if count == 0 { 1.0 } else { clopper_pearson_upper(errors, count, available)? };
        let certified = risk_upper_bound <= target_risk;
        let threshold = point.threshold;
        fit.tested.push(TestedThreshold {
            threshold,
            count,
            errors,
            level: available,
            risk_upper_bound,
            certified,
        });
        if certified {
            (fit.threshold, fit.count, fit.errors) = (Some(threshold), count, errors);
            fit.observed_risk = Some(errors as f64 / count as f64);
        } else {
            available = 0.0;
        }
    }
    if fit.threshold.is_none() {
        // Nothing was certified, so exactly the places to begin were tested.
        let bounds = fit.tested.iter().map(|test| test.risk_upper_bound);
        fit.smallest_certifiable_risk = bounds.reduce(f64::min);
    }
    Ok(fit)
}

/// The first points that are expected to certify the target at each planned risk; the last point where none is.
fn starts(points: &[GridPoint], samples: usize, target_risk: f64, level: f64) -> Result<Vec<usize>, Error> {
    let mut starts = Vec::new();
    for planned in PLANNED_RISKS {
        let level = level / PLANNED_RISKS.len() as f64;
        for (index, point) in points.iter().enumerate() {
            let expected = point.expected_share * samples as f64;
            let (count, errors) =
                (expected.floor() as usize, (expected * target_risk * planned).round() as usize);
            if count > errors && clopper_pearson_upper(errors, count, level)? <= target_risk {
                if !starts.contains(&index) {
                    starts.push(index);
                }
                break;
            }
        }
    }
    if starts.is_empty() && !points.is_empty() {
        starts.push(points.len() - 1);
    }
    Ok(starts)
}
