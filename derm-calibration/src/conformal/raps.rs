//! RAPS: regularised adaptive prediction sets.
//!
//! APS plus `λ max(0, rank_c − k_reg)`, ranks from 1: classes far down the ranking pay, so that large sets shrink.
//!
//! Source: Angelopoulos, Bates, Malik and Jordan 2021, "Uncertainty sets for image classifiers using conformal
//! prediction".

/// The score of every class of a row of probabilities, shape `[C]`; `ranking` holds its classes in falling order.
pub(super) fn scores(row: &[f64], ranking: &[usize], u: f64, lambda: f64, k_reg: usize) -> Vec<f64> {
    let mut scores = super::aps::scores(row, ranking, u);
    for (index, &class) in ranking.iter().enumerate() {
        scores[class] += lambda * (index + 1).saturating_sub(k_reg) as f64;
    }
    scores
}
