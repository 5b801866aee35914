use derm_core::Probabilities;

use crate::{ClassSet, ConfusionMatrix, Error};

/// Mean over classes of the recall, in [0, 1].
///
/// `Σ_c recall_c / |classes|`; with [`ClassSet::All`] a class without samples counts as 0.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `balanced_accuracy_score` ([`ClassSet::Present`]) and
/// `recall_score(average="macro", zero_division=0)` over all labels ([`ClassSet::All`]).
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{ClassSet, balanced_accuracy};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])?;
/// assert_eq!(balanced_accuracy(&probabilities, &[0, 0, 1], ClassSet::Present)?, 0.5);
/// assert_eq!(balanced_accuracy(&probabilities, &[0, 0, 1], ClassSet::All)?, 1.0 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn balanced_accuracy(
    probabilities: &Probabilities,
    targets: &[usize],
    classes: ClassSet,
) -> Result<f64, Error> {
    Ok(ConfusionMatrix::new(probabilities, targets)?.balanced_accuracy(classes))
}
