use derm_core::Probabilities;

use crate::Error;

/// Whether the target of each row is among its `k` most probable classes, shape `[N]`.
///
/// Of equal probabilities the lower class ranks first, so that exactly `k` classes count (scikit-learn's
/// `top_k_accuracy_score` prefers the higher index).
///
/// # Errors
/// [`Error::Value`] where the targets do not fit; [`Error::Count`] unless `k` is 1 to C.
pub fn top_k_hits(probabilities: &Probabilities, targets: &[usize], k: usize) -> Result<Vec<bool>, Error> {
    probabilities.check_targets(targets)?;
    let maximum = probabilities.num_classes();
    if !(1..=maximum).contains(&k) {
        return Err(Error::Count { argument: "k", value: k, minimum: 1, maximum });
    }
    let hit = |(row, &target): (usize, &usize)| {
        let row = probabilities.row(row);
        let ahead = |(class, &p): (usize, &f64)| p > row[target] || (p == row[target] && class < target);
        row.iter().enumerate().filter(|&entry| ahead(entry)).count() < k
    };
    Ok(targets.iter().enumerate().map(hit).collect())
}

/// Share of rows whose target is among the `k` most probable classes, in [0, 1].
///
/// # Errors
/// As [`top_k_hits`].
///
/// # Source
/// scikit-learn `top_k_accuracy_score` where nothing is tied.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.5, 0.3, 0.2], [0.4, 0.2, 0.4]])?;
/// assert_eq!(derm_metrics::top_k_accuracy(&probabilities, &[1, 2], 2)?, 1.0);
/// assert_eq!(derm_metrics::top_k_accuracy(&probabilities, &[1, 2], 1)?, 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn top_k_accuracy(probabilities: &Probabilities, targets: &[usize], k: usize) -> Result<f64, Error> {
    let hits = top_k_hits(probabilities, targets, k)?;
    Ok(hits.iter().filter(|&&hit| hit).count() as f64 / hits.len() as f64)
}
