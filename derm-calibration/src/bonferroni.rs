use crate::fixed_sequence::{TestedThreshold, TierFit};
use crate::{Error, GridPoint};

/// Tests every threshold at `level` over their number and takes the lowest that is certified, which lets the
/// most rows in.
///
/// The upper bounds of all candidates hold at once with probability 1 − `level`, so any certified one may be
/// taken, and the smallest of them is itself a risk that was certified. Beside fixed-sequence testing it
/// costs power, and it does not need the risk to rise along the candidates.
///
/// # Source
/// Clopper and Pearson 1934, Bonferroni's inequality; Angelopoulos et al. 2021, section 2.3.
pub(crate) fn bonferroni(
    points: &[GridPoint],
    target_risk: f64,
    delta: f64,
    level: f64,
    outcome: impl Fn(f64) -> (usize, usize),
) -> Result<TierFit, Error> {
    let mut fit = TierFit::untested(target_risk, delta, level);
    if points.is_empty() {
        return Ok(fit);
    }
    let level = level / points.len() as f64;
    for &GridPoint { threshold, .. } in points {
        fit.tested.push(TestedThreshold::new(threshold, outcome(threshold), target_risk, level)?);
    }
    // Candidates stand largest threshold first.
    let chosen = fit.tested.iter().rev().find(|test| test.certified).copied();
    if let Some(test) = chosen {
        fit.choose(test);
    } else {
        let bounds = fit.tested.iter().map(|test| test.risk_upper_bound);
        fit.smallest_certifiable_risk = Some(bounds.fold(1.0, f64::min));
    }
    Ok(fit)
}
