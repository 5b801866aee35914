use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::{ConfusionMatrix, Error};

/// How much a disagreement between class `i` and class `j` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// 1 for any.
    None,
    /// `|i − j|`, for classes whose order means something.
    Linear,
    /// `(i − j)²`.
    Quadratic,
}

impl KappaWeights {
    fn of(self, i: usize, j: usize) -> f64 {
        let distance = i.abs_diff(j) as f64;
        match self {
            Self::None => f64::from(u8::from(i != j)),
            Self::Linear => distance,
            Self::Quadratic => distance * distance,
        }
    }
}

/// Cohen's κ between targets and predictions, at most 1: `1 − Σ w_ij O_ij / Σ w_ij E_ij`, with `O` the confusion
/// matrix and `E` the counts that independent margins would give. `None` where both sides always say one and the
/// same class, so that no disagreement is expected.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// Cohen 1960 and 1968; scikit-learn `cohen_kappa_score` over all C labels.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{KappaWeights, cohen_kappa};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]])?;
/// assert_eq!(cohen_kappa(&probabilities, &[0, 0, 0, 1], KappaWeights::None)?, Some(0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cohen_kappa(
    probabilities: &Probabilities,
    targets: &[usize],
    weights: KappaWeights,
) -> Result<Option<f64>, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.cohen_kappa(weights))
}

impl ConfusionMatrix {
    /// Cohen's κ; see [`cohen_kappa`].
    pub fn cohen_kappa(&self, weights: KappaWeights) -> Option<f64> {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total() as f64);
        let (mut observed, mut expected) = (0.0, 0.0);
        for ((i, j), &count) in self.counts().indexed_iter() {
            let weight = weights.of(i, j);
            observed += weight * count as f64;
            expected += weight * (support[i] as f64 * predicted[j] as f64) / total;
        }
        (expected > 0.0).then(|| 1.0 - observed / expected)
    }
}
