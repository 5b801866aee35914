//! LAC: least ambiguous classifiers.
//!
//! `s_c = 1 − p_c`. The smallest sets on average of all scores, where the probabilities are right; rows that are
//! hard get sets that are too small, and a set may be empty.
//!
//! Source: Sadinle, Lei and Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error levels".

/// The score of every class of a row of probabilities, shape `[C]`.
pub(super) fn scores(row: &[f64]) -> Vec<f64> {
    row.iter().map(|p| 1.0 - p).collect()
}
