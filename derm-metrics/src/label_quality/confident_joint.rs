use derm_core::Probabilities;
use ndarray::Array2;

use crate::Error;

/// How far below a class's threshold a probability still counts as at it, as in cleanlab: a class whose rows all
/// have one probability has that very number as its threshold, up to rounding.
const THRESHOLD_ROUNDING: f64 = 1e-6;

/// The mean `p_c` over the rows that are given class c, shape `[C]`; `None` for a class without rows.
///
/// A row whose `p_c` reaches it is as certain of class c as rows of that class usually are, which makes up for
/// classes that the network is always less certain of.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
///
/// # Source
/// Northcutt, Jiang and Chuang 2021, "Confident learning", eq. 2; cleanlab `get_confident_thresholds`.
pub fn confident_thresholds(
    probabilities: &Probabilities,
    given: &[usize],
) -> Result<Vec<Option<f64>>, Error> {
    probabilities.check_targets(given)?;
    let mut sums = vec![(0.0, 0_usize); probabilities.num_classes()];
    for (row, &class) in given.iter().enumerate() {
        let (sum, count) = &mut sums[class];
        *sum += probabilities.view()[[row, class]];
        *count += 1;
    }
    Ok(sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect())
}

/// How many rows that are given one class are, by the network's own measure, of another: the counts of confident
/// learning.
///
/// The probabilities must be out-of-sample: a network that was trained on a label agrees with it.
///
/// A row counts at (given, guess) where its probability of some class reaches that class's
/// [threshold](confident_thresholds); the guess is that class, or the most probable one where several reach theirs.
/// Rows that reach none do not count.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::ConfidentJoint;
/// let probabilities =
///     Probabilities::new(ndarray::array![[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])?;
/// let joint = ConfidentJoint::new(&probabilities, &[0, 0, 0, 1, 1])?;
/// // thresholds 0.6 and 0.75: the third row looks like the second class, the last like neither
/// assert_eq!(joint.counts(), ndarray::array![[2, 1], [0, 1]]);
/// assert_eq!(joint.off_diagonal_rows(), [2]);
/// assert_eq!(joint.calibrated(), ndarray::array![[2, 1], [0, 2]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Northcutt, Jiang and Chuang 2021, eq. 1; cleanlab `compute_confident_joint`, which the tests compare with. One
/// deviation: the probabilities are not rescaled here, so a row that sums to 1 within the tolerance is taken as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfidentJoint {
    counts: Array2<u64>,
    off_diagonal: Vec<usize>,
    support: Vec<u64>,
}

impl ConfidentJoint {
    /// Counts the rows.
    ///
    /// # Errors
    /// As [`confident_thresholds`].
    pub fn new(probabilities: &Probabilities, given: &[usize]) -> Result<Self, Error> {
        let thresholds = confident_thresholds(probabilities, given)?;
        let num_classes = probabilities.num_classes();
        let predicted = probabilities.predicted();
        let mut counts: Array2<u64> = Array2::zeros((num_classes, num_classes));
        let mut support = vec![0; num_classes];
        let mut off_diagonal = Vec::new();
        for (row, &given) in given.iter().enumerate() {
            support[given] += 1;
            let reaches = |class: &usize| {
                let p = probabilities.view()[[row, *class]];
                thresholds[*class].is_some_and(|threshold| p >= threshold - THRESHOLD_ROUNDING)
            };
            let mut reached = (0..num_classes).filter(reaches);
            let guess = match (reached.next(), reached.next()) {
                (None, _) => continue,
                (Some(class), None) => class,
                (Some(_), Some(_)) => predicted[row],
            };
            counts[[given, guess]] += 1;
            if guess != given {
                off_diagonal.push(row);
            }
        }
        for class in 0..num_classes {
            counts[[class, class]] = counts[[class, class]].max(1);
        }
        Ok(Self { counts, off_diagonal, support })
    }

    /// The counts, rows the given class, columns the guessed one, shape [C, C]. The diagonal is at least 1.
    pub fn counts(&self) -> &Array2<u64> {
        &self.counts
    }

    /// The rows that were counted off the diagonal, in rising order.
    pub fn off_diagonal_rows(&self) -> &[usize] {
        &self.off_diagonal
    }

    /// The counts scaled to the number of rows of each given class, in whole numbers that keep that sum, shape
    /// [C, C]: each is rounded (halves to even), and what is then missing goes to the entries that rounding took most
    /// from, what is too much comes from those that it gave most to; of equal ones the lower class goes first, where
    /// cleanlab's choice depends on its sort.
    pub fn calibrated(&self) -> Array2<u64> {
        let mut calibrated = Array2::zeros(self.counts.dim());
        for (class, mut row) in calibrated.rows_mut().into_iter().enumerate() {
            let counts = self.counts.row(class);
            let scale = self.support[class] as f64 / counts.sum() as f64;
            let exact: Vec<f64> = counts.iter().map(|&count| count as f64 * scale).collect();
            for (entry, rounded) in row.iter_mut().zip(rounded_to_sum(&exact, self.support[class])) {
                *entry = rounded;
            }
        }
        calibrated
    }

    /// The estimated joint distribution of given and true class: [`ConfidentJoint::calibrated`] over its sum, shape
    /// [C, C]. The noise rate that it estimates is the sum off the diagonal.
    pub fn estimated_joint(&self) -> Array2<f64> {
        let calibrated = self.calibrated();
        let total = calibrated.sum() as f64;
        calibrated.mapv(|count| count as f64 / total)
    }
}

/// Whole numbers near `exact`, which sums to `sum`: rounded (halves to even), then 1 more for those with the largest
/// remainder, or 1 less for those with the smallest, until the sum is kept.
fn rounded_to_sum(exact: &[f64], sum: u64) -> Vec<u64> {
    let mut rounded: Vec<i64> = exact.iter().map(|x| x.round_ties_even() as i64).collect();
    let missing = sum as i64 - rounded.iter().sum::<i64>();
    let remainder = |&i: &usize| (exact[i] - exact[i].round_ties_even()) * missing.signum() as f64;
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    // Each rounding is off by at most 1/2, so fewer entries are missing than there are.
    for &i in order.iter().take(missing.unsigned_abs() as usize) {
        rounded[i] += missing.signum();
    }
    rounded.into_iter().map(|x| x.max(0) as u64).collect()
}
