//! Top-k: the same number of classes for every row.
//!
//! `s_c = rank_c − 1 + u`, ranks from 1. With u = 1 the set is the k most probable classes for one k; with a
//! uniform u some rows get k − 1, so that the coverage is exact.
//!
//! Source: the sets of a fixed size that Angelopoulos, Bates, Malik and Jordan 2021 compare with, their size chosen by the
//! conformal quantile, with the randomisation of APS (Romano et al. 2020).

/// The score of every class, shape `[C]`; `ranking` holds the classes in falling order of probability.
pub(super) fn scores(ranking: &[usize], u: f64) -> Vec<f64> {
    let mut scores = vec![0.0; ranking.len()];
    for (index, &class) in ranking.iter().enumerate() {
        scores[class] = index as f64 + u;
    }
    scores
}
