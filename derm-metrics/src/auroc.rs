use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How the areas of the classes make one number; the mean runs over the classes whose area is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AurocAverage {
    /// The plain mean.
    Macro,
    /// The mean weighted by the number of samples of each class.
    Weighted,
}

/// Area under the ROC curve of every class against the rest, shape `[C]`, by the class's probability.
///
/// `P(s⁺ > s⁻) + ½ P(s⁺ = s⁻)` over pairs of a sample of the class and one of another, in O(N log N) a class
/// and counted in integers, so that the order of rows changes no bit. `None` where all or no samples are of
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
    Ok((0..probabilities.num_classes())
        .map(|class| RankedRows::new(probabilities, targets, class).area(|_| 1))
        .collect())
}

/// The one-vs-rest areas averaged over the classes that have one; `None` where no class has.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// scikit-learn `roc_auc_score(multi_class="ovr")`.
pub fn averaged_auroc_ovr(
    probabilities: &Probabilities,
    targets: &[usize],
    average: AurocAverage,
) -> Result<Option<f64>, Error> {
    let areas = auroc_ovr(probabilities, targets)?;
    let mut support = vec![0_u64; areas.len()];
    for &target in targets {
        support[target] += 1;
    }
    Ok(mean_area(&areas, &support, average))
}

pub(crate) fn mean_area(areas: &[Option<f64>], support: &[u64], average: AurocAverage) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (area, &support) in areas.iter().zip(support) {
        let weight = match average {
            AurocAverage::Macro => 1.0,
            AurocAverage::Weighted => support as f64,
        };
        if let Some(area) = area {
            sum += weight * area;
            total += weight;
        }
    }
    (total > 0.0).then(|| sum / total)
}

/// The rows of one class's score in rising order, made once and used for every resample.
#[derive(Debug, Clone)]
pub(crate) struct RankedRows {
    /// `row << 2 | last of its tie << 1 | positive`: one word a row keeps the sweep in the cache.
    packed: Vec<u64>,
}

impl RankedRows {
    pub(crate) fn new(probabilities: &Probabilities, targets: &[usize], class: usize) -> Self {
        let scores = probabilities.view();
        let mut order: Vec<(f64, usize)> = scores.column(class).iter().copied().zip(0..).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let pack = |(rank, &(score, row)): (usize, &(f64, usize))| {
            // `total_cmp` sets −0 apart from 0; equality does not, and a tie ends only where equality does.
            let tie_ends = order.get(rank + 1).is_none_or(|next| next.0 != score);
            (row as u64) << 2 | u64::from(tie_ends) << 1 | u64::from(targets[row] == class)
        };
        Self { packed: order.iter().enumerate().map(pack).collect() }
    }

    /// The area where row `i` stands `weight(i)` times.
    pub(crate) fn area(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        // Twice the number of ordered pairs, so that a tie's half is whole.
        let mut doubled = 0_u64;
        let (mut negatives, mut positives) = (0_u64, 0_u64);
        let (mut tied_negatives, mut tied_positives) = (0_u64, 0_u64);
        for &word in &self.packed {
            let weight = weight((word >> 2) as usize);
            let positive = word & 1;
            tied_positives += weight * positive;
            tied_negatives += weight * (1 - positive);
            if word & 2 != 0 {
                doubled += tied_positives * (2 * negatives + tied_negatives);
                positives += tied_positives;
                negatives += tied_negatives;
                tied_positives = 0;
                tied_negatives = 0;
            }
        }
        let pairs = positives as f64 * negatives as f64;
        (pairs > 0.0).then(|| doubled as f64 / 2.0 / pairs)
    }
}
