//! APS: adaptive prediction sets.
//!
//! `s_c` is the mass of the classes ranked before c, plus `u · p_c`. With a uniform u the coverage is exact; with
//! u = 1 it is conservative, and sets are larger.
//!
//! Source: Romano, Sesia and Candès 2020, "Classification with valid and adaptive coverage". Libraries that
//! subtract `U · p_c` from the mass with c use U = 1 − u.

/// The score of every class of a row of probabilities, shape `[C]`; `ranking` holds its classes in falling order.
pub(super) fn scores(row: &[f64], ranking: &[usize], u: f64) -> Vec<f64> {
    let mut scores = vec![0.0; row.len()];
    let mut before = 0.0;
    for &class in ranking {
        scores[class] = before + u * row[class];
        before += row[class];
    }
    scores
}
