//! SAPS: sorted adaptive prediction sets.
//!
//! `s_c = u · p_max` for the most probable class, else `p_max + (rank_c − 2 + u) λ`: only the largest probability
//! is believed, the others are replaced by their ranks.
//!
//! Source: Huang, Xi, Zhang, Yao, Qiu and Wei 2024, "Conformal prediction for deep classifier via label ranking".

/// The score of every class of a row of probabilities, shape `[C]`; `ranking` holds its classes in falling order.
pub(super) fn scores(row: &[f64], ranking: &[usize], u: f64, lambda: f64) -> Vec<f64> {
    let largest = row[ranking[0]];
    let mut scores = vec![u * largest; row.len()];
    for (index, &class) in ranking.iter().enumerate().skip(1) {
        scores[class] = largest + ((index - 1) as f64 + u) * lambda;
    }
    scores
}
