use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::{ClassIndex, ValueError};

/// How far the sum of a row of probabilities may be from 1.
///
/// Single precision keeps a softmax over a thousand classes within 1e-6; half precision within 1e-3 would not
/// pass, and should be normalised by whoever rounded it.
pub const ROW_SUM_TOLERANCE: f64 = 1e-5;

/// Class probabilities, shape [N, C]: finite, in [0, 1], rows that sum to 1 within [`ROW_SUM_TOLERANCE`], at
/// least one row and one class. The values are kept as they came; rows are not renormalised.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])?;
/// assert_eq!(probabilities.predicted(), [1, 0]); // a tie goes to the lower index
/// assert_eq!(probabilities.confidence(), [0.5, 0.4]);
/// assert_eq!(probabilities.ranking(0), [1, 2, 0]);
/// assert!(Probabilities::new(array![[0.2, 0.5]]).is_err());
/// # Ok::<(), derm_core::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities(Array2<f64>);

impl Probabilities {
    /// Checks and takes the probabilities.
    ///
    /// # Errors
    /// [`ValueError::Empty`], [`ValueError::NotFinite`], [`ValueError::NotAProbability`] or
    /// [`ValueError::RowSum`].
    pub fn new(values: Array2<f64>) -> Result<Self, ValueError> {
        check_finite("probabilities", &values.view())?;
        for (row, line) in values.rows().into_iter().enumerate() {
            for (class, &value) in line.iter().enumerate() {
                // Single-precision rounding may carry a saturated probability just past 1.
                if !(0.0..=1.0 + ROW_SUM_TOLERANCE).contains(&value) {
                    return Err(ValueError::NotAProbability { row, class, value });
                }
            }
            let sum = line.sum();
            if (sum - 1.0).abs() > ROW_SUM_TOLERANCE {
                return Err(ValueError::RowSum { row, sum });
            }
        }
        Ok(Self(values))
    }

    /// Rows that are normalised by construction.
    pub(crate) fn from_normalized(values: Array2<f64>) -> Self {
        Self(values)
    }

    /// The probabilities, shape [N, C].
    pub fn view(&self) -> ArrayView2<'_, f64> {
        self.0.view()
    }

    /// One row, shape `[C]`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> ArrayView1<'_, f64> {
        self.0.row(row)
    }

    /// Number of rows N, at least 1.
    pub fn num_samples(&self) -> usize {
        self.0.nrows()
    }

    /// Number of classes C, at least 1.
    pub fn num_classes(&self) -> usize {
        self.0.ncols()
    }

    /// The class of the largest probability of each row, the lowest index among equal ones.
    pub fn predicted(&self) -> Vec<usize> {
        self.0.rows().into_iter().map(|row| arg_max(&row)).collect()
    }

    /// The largest probability of each row.
    pub fn confidence(&self) -> Vec<f64> {
        self.0.rows().into_iter().map(|row| row[arg_max(&row)]).collect()
    }

    /// The class of the largest probability of one row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn class(&self, row: usize) -> ClassIndex {
        ClassIndex::new(arg_max(&self.0.row(row)))
    }

    /// All classes of one row, most probable first, equal ones by index.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn ranking(&self, row: usize) -> Vec<usize> {
        let row = self.0.row(row);
        let mut classes: Vec<usize> = (0..row.len()).collect();
        // The sort is stable and the values are finite, so ties keep the order of the indices.
        classes.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        classes
    }

    /// The rows at `indices`, in that order.
    ///
    /// # Errors
    /// [`ValueError::Empty`] for no index.
    ///
    /// # Panics
    /// Where an index is no row.
    pub fn select(&self, indices: &[usize]) -> Result<Self, ValueError> {
        if indices.is_empty() {
            return Err(ValueError::Empty { argument: "indices" });
        }
        Ok(Self(self.0.select(ndarray::Axis(0), indices)))
    }

    /// Checks that `targets` has one class of these probabilities for each row.
    ///
    /// # Errors
    /// [`ValueError::Length`] or [`ValueError::ClassOutOfRange`].
    pub fn check_targets(&self, targets: &[usize]) -> Result<(), ValueError> {
        if targets.len() != self.num_samples() {
            let (got, expected) = (targets.len(), self.num_samples());
            return Err(ValueError::Length { argument: "targets", got, expected });
        }
        check_targets(targets, self.num_classes())
    }
}

fn arg_max(row: &ArrayView1<'_, f64>) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate().skip(1) {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

pub(crate) fn check_finite(argument: &'static str, values: &ArrayView2<'_, f64>) -> Result<(), ValueError> {
    if values.is_empty() {
        return Err(ValueError::Empty { argument });
    }
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, class), &value)) => Err(ValueError::NotFinite { argument, row, class, value }),
    }
}

pub(crate) fn check_targets(targets: &[usize], num_classes: usize) -> Result<(), ValueError> {
    if targets.is_empty() {
        return Err(ValueError::Empty { argument: "targets" });
    }
    match targets.iter().position(|&target| target >= num_classes) {
        None => Ok(()),
        Some(row) => Err(ValueError::ClassOutOfRange { row, target: targets[row], num_classes }),
    }
}
