use derm_core::Probabilities;

use crate::{ConfusionMatrix, Error};

/// Matthews correlation coefficient over all classes, in [−1, 1]:
/// `(n Σ_c hits_c − Σ_c true_c predicted_c) / √((n² − Σ true_c²)(n² − Σ predicted_c²))`. `None` where the targets
/// or the predictions are of one class only (scikit-learn says 0).
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// Gorodkin 2004; scikit-learn `matthews_corrcoef`.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6]])?;
/// assert_eq!(derm_metrics::matthews(&probabilities, &[0, 1])?, Some(1.0));
/// assert_eq!(derm_metrics::matthews(&probabilities, &[0, 0])?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn matthews(probabilities: &Probabilities, targets: &[usize]) -> Result<Option<f64>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.matthews())
}

impl ConfusionMatrix {
    /// Matthews correlation coefficient; see [`matthews`].
    pub fn matthews(&self) -> Option<f64> {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total());
        // Whole numbers: n² stays exact far past any data set.
        let product = |a: &[u64], b: &[u64]| -> i128 {
            a.iter().zip(b).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum()
        };
        let n = i128::from(total);
        let hits: u64 = self.hits().iter().sum();
        let covariance = n * i128::from(hits) - product(&support, &predicted);
        let spread =
            (n * n - product(&support, &support)) as f64 * (n * n - product(&predicted, &predicted)) as f64;
        (spread > 0.0).then(|| covariance as f64 / spread.sqrt())
    }
}
