use derm_core::Probabilities;

use crate::Error;

/// Brier score `(1/N) Σ_i Σ_c (p_ic − [y_i = c])²`, in [0, 2]: summed over the classes, not halved for two.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// Brier 1950; scikit-learn `brier_score_loss(scale_by_half=False)`.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.5, 0.5], [0.0, 1.0]])?;
/// assert_eq!(derm_metrics::brier(&probabilities, &[0, 0])?, 1.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn brier(probabilities: &Probabilities, targets: &[usize]) -> Result<f64, Error> {
    let rows = brier_per_sample(probabilities, targets)?;
    Ok(rows.iter().sum::<f64>() / rows.len() as f64)
}

pub(crate) fn brier_per_sample(probabilities: &Probabilities, targets: &[usize]) -> Result<Vec<f64>, Error> {
    probabilities.check_targets(targets)?;
    let of_row = |(row, &target): (usize, &usize)| {
        let term = |(class, &p): (usize, &f64)| (p - f64::from(u8::from(class == target))).powi(2);
        probabilities.row(row).iter().enumerate().map(term).sum()
    };
    Ok(targets.iter().enumerate().map(of_row).collect())
}
