use derm_core::Probabilities;

use crate::{ConfusionMatrix, Error};

/// Share of rows whose most probable class is the target; of equal probabilities the lower class counts.
///
/// `probabilities` [N, C], `targets` `[N]` → in [0, 1].
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `accuracy_score`.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6]])?;
/// assert_eq!(derm_metrics::accuracy(&probabilities, &[0, 0])?, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn accuracy(probabilities: &Probabilities, targets: &[usize]) -> Result<f64, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.accuracy())
}
