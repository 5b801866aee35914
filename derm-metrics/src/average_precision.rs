use derm_core::Probabilities;
use rayon::prelude::*;

use crate::class_average::support;
use crate::ranked_rows::{RankedRows, check_scores};
use crate::{ClassAverage, Error};

/// Average precision of a score against labels (`true` is positive): `Σ_n (R_n − R_{n−1}) P_n` over the
/// distinct scores from the highest, without interpolation. `None` without positives.
///
/// Its value for a score that says nothing is the share of positives, so it compares only at one prevalence.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite.
///
/// # Source
/// scikit-learn `average_precision_score`.
///
/// ```
/// let value = derm_metrics::average_precision(&[0.9, 0.8, 0.7], &[true, false, true])?;
/// assert_eq!(value, Some((1.0 + 2.0 / 3.0) / 2.0));
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Result<Option<f64>, Error> {
    check_scores(scores, labels)?;
    Ok(RankedRows::of_scores(scores, labels).average_precision(|_| 1))
}

/// [`average_precision`] of every class against the rest, shape `[C]`; `None` for a class without samples.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `average_precision_score` of each class.
pub fn average_precision_ovr(
    probabilities: &Probabilities,
    targets: &[usize],
) -> Result<Vec<Option<f64>>, Error> {
    probabilities.check_targets(targets)?;
    let of_class = |class| RankedRows::of_class(probabilities, targets, class).average_precision(|_| 1);
    Ok((0..probabilities.num_classes()).into_par_iter().map(of_class).collect())
}

/// The average precisions averaged over the classes with samples.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `average_precision_score(average="macro" | "weighted")`.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{ClassAverage, averaged_average_precision};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6]])?;
/// assert_eq!(averaged_average_precision(&probabilities, &[0, 1], ClassAverage::Macro)?, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn averaged_average_precision(
    probabilities: &Probabilities,
    targets: &[usize],
    average: ClassAverage,
) -> Result<Option<f64>, Error> {
    let values = average_precision_ovr(probabilities, targets)?;
    Ok(average.mean(&values, &support(values.len(), targets)))
}
