use derm_core::Probabilities;

use crate::confusion_matrix::ratio;
use crate::{ConfusionMatrix, Error};

/// Predicted over true count of each class, shape `[C]`: above 1 the model says the class too often. `None`
/// for a class without samples.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.6, 0.4]])?;
/// assert_eq!(derm_metrics::over_prediction_ratio(&probabilities, &[0, 1])?, [Some(2.0), Some(0.0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn over_prediction_ratio(
    probabilities: &Probabilities,
    targets: &[usize],
) -> Result<Vec<Option<f64>>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.over_prediction_ratio())
}

impl ConfusionMatrix {
    /// Predicted over true count of each class; see [`over_prediction_ratio`].
    pub fn over_prediction_ratio(&self) -> Vec<Option<f64>> {
        self.predicted().into_iter().zip(self.support()).map(|(predicted, of)| ratio(predicted, of)).collect()
    }
}
