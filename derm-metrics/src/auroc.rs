use derm_core::Probabilities;
use rayon::prelude::*;

use crate::class_average::support;
use crate::ranked_rows::{RankedRows, check_scores, class_area};
use crate::{ClassAverage, Error};

/// Area under the ROC curve of a score against labels (`true` is positive): `P(s⁺ > s⁻) + ½ P(s⁺ = s⁻)` over
/// pairs of a positive and a negative row, in O(N log N). `None` without both labels.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite.
///
/// # Source
/// scikit-learn `roc_auc_score`.
///
/// ```
/// assert_eq!(derm_metrics::auroc(&[3.0, 1.0, 1.0], &[true, true, false])?, Some(0.75));
/// assert_eq!(derm_metrics::auroc(&[3.0, 1.0], &[true, true])?, None);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn auroc(scores: &[f64], labels: &[bool]) -> Result<Option<f64>, Error> {
    check_scores(scores, labels)?;
    Ok(RankedRows::of_scores(scores, labels).area(|_| 1))
}

/// Area under the ROC curve of every class against the rest, shape `[C]`, by the class's probability.
///
/// [`auroc`] of every class, in O(N log N) a class, the classes in parallel, and counted in integers, so that
/// neither the order of rows nor the number of threads changes a bit. `None` where all or no samples are of
/// the class.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `roc_auc_score` of each class.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.4, 0.6]])?;
/// assert_eq!(derm_metrics::auroc_ovr(&probabilities, &[0, 1, 0])?, [Some(0.75), Some(0.75)]);
/// assert_eq!(derm_metrics::auroc_ovr(&probabilities, &[0, 0, 0])?, [None, None]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn auroc_ovr(probabilities: &Probabilities, targets: &[usize]) -> Result<Vec<Option<f64>>, Error> {
    probabilities.check_targets(targets)?;
    let classes = (0..probabilities.num_classes()).into_par_iter();
    Ok(classes.map(|class| class_area(probabilities, targets, class)).collect())
}

/// The one-vs-rest areas averaged over the classes that have one; `None` where no class has.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `roc_auc_score(multi_class="ovr")`, which refuses classes without samples.
pub fn averaged_auroc_ovr(
    probabilities: &Probabilities,
    targets: &[usize],
    average: ClassAverage,
) -> Result<Option<f64>, Error> {
    let areas = auroc_ovr(probabilities, targets)?;
    Ok(average.mean(&areas, &support(areas.len(), targets)))
}

/// One-vs-one area: the mean over pairs of classes with samples of `½ (A(i | j) + A(j | i))`, where `A(i | j)`
/// is the area by the probability of `i` over the rows of the two classes. `None` for fewer than two such
/// classes.
///
/// It does not depend on how common the classes are.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// Hand and Till 2001; scikit-learn `roc_auc_score(multi_class="ovo")`.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.3, 0.1, 0.6]])?;
/// assert_eq!(derm_metrics::auroc_ovo(&probabilities, &[0, 1, 2])?, Some(1.0));
/// assert_eq!(derm_metrics::auroc_ovo(&probabilities, &[0, 1, 1])?, Some(0.75));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn auroc_ovo(probabilities: &Probabilities, targets: &[usize]) -> Result<Option<f64>, Error> {
    probabilities.check_targets(targets)?;
    let rank = |class| RankedRows::of_class(probabilities, targets, class);
    let ranked: Vec<RankedRows> = (0..probabilities.num_classes()).into_par_iter().map(rank).collect();
    Ok(mean_pair_area(&ranked, targets, |_| 1))
}

/// The one-vs-one area where row `i` stands `weight(i)` times: one sweep a class, O(N C) in all.
pub(crate) fn mean_pair_area(
    ranked: &[RankedRows],
    targets: &[usize],
    weight: impl Fn(usize) -> u64,
) -> Option<f64> {
    let num_classes = ranked.len();
    let mut support = vec![0_u64; num_classes];
    for (row, &target) in targets.iter().enumerate() {
        support[target] += weight(row);
    }
    let present: Vec<usize> = (0..num_classes).filter(|&class| support[class] > 0).collect();
    let mut sum = 0.0;
    for &class in &present {
        // Rows of each class below the sweep, in the tie at it, and twice the ordered pairs.
        let (mut below, mut tied) = (vec![0_u64; num_classes], vec![0_u64; num_classes]);
        let mut doubled = vec![0_u64; num_classes];
        let mut in_tie: Vec<usize> = Vec::new();
        for (row, tie_ends) in ranked[class].rising() {
            tied[targets[row]] += weight(row);
            in_tie.push(targets[row]);
            if tie_ends {
                if tied[class] > 0 {
                    for &other in &present {
                        doubled[other] += tied[class] * (2 * below[other] + tied[other]);
                    }
                }
                for other in in_tie.drain(..) {
                    below[other] += std::mem::take(&mut tied[other]);
                }
            }
        }
        let area =
            |&other: &usize| doubled[other] as f64 / 2.0 / (support[class] as f64 * support[other] as f64);
        sum += present.iter().filter(|&&other| other != class).map(area).sum::<f64>();
    }
    let ordered_pairs = present.len() * present.len().saturating_sub(1);
    (ordered_pairs > 0).then(|| sum / ordered_pairs as f64)
}
