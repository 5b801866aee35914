use std::collections::BTreeMap;

use derm_core::Probabilities;
use ndarray::{Array2, Axis};

use crate::Error;
use crate::error::{check_finite, check_length, check_not_empty};

/// The lesions, cases or patients behind the rows, in the order of their names, and the rules by which rows
/// become one number a unit.
///
/// [`Predictions::mean_over`](derm_core::Predictions::mean_over) averages a whole table; these rules work on
/// arrays, calibrated probabilities included.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::Units;
/// use ndarray::array;
/// let units = Units::new(&["b", "a", "b"])?;
/// let probabilities = Probabilities::new(array![[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])?;
/// assert_eq!(units.names(), ["a", "b"]);
/// assert_eq!(units.mean(&probabilities)?.view(), array![[0.4, 0.6], [0.7, 0.3]]);
/// assert_eq!(units.max(&[0.1, 0.6, 0.5])?, [0.6, 0.5]);
/// assert_eq!(units.targets(&[0, 1, 0])?, [1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    names: Vec<String>,
    rows: Vec<Vec<usize>>,
    num_samples: usize,
}

impl Units {
    /// The units that `of_row` `[N]` names, one a row.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows.
    pub fn new<S: AsRef<str>>(of_row: &[S]) -> Result<Self, Error> {
        check_not_empty("groups", of_row.len())?;
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, unit) in of_row.iter().enumerate() {
            members.entry(unit.as_ref()).or_default().push(row);
        }
        let (names, rows) = members.into_iter().map(|(name, rows)| (name.to_owned(), rows)).unzip();
        Ok(Self { names, rows, num_samples: of_row.len() })
    }

    /// The names of the U units, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows of each unit, rising, shape `[U]`.
    pub fn rows(&self) -> &[Vec<usize>] {
        &self.rows
    }

    /// The class of each unit, shape `[U]`, where all its rows share one.
    ///
    /// # Errors
    /// [`Error::Value`] for another length, [`Error::MixedUnit`] for a unit of two classes.
    pub fn targets(&self, targets: &[usize]) -> Result<Vec<usize>, Error> {
        check_length("targets", targets.len(), self.num_samples)?;
        let of_unit = |(name, rows): (&String, &Vec<usize>)| {
            let first = targets[rows[0]];
            match rows.iter().map(|&row| targets[row]).find(|&target| target != first) {
                None => Ok(first),
                Some(second) => Err(Error::MixedUnit { unit: name.clone(), first, second }),
            }
        };
        self.names.iter().zip(&self.rows).map(of_unit).collect()
    }

    /// The mean probability over the rows of each unit, shape [U, C].
    ///
    /// # Errors
    /// [`Error::Value`] for another number of rows.
    pub fn mean(&self, probabilities: &Probabilities) -> Result<Probabilities, Error> {
        check_length("probabilities", probabilities.num_samples(), self.num_samples)?;
        let mut means = Array2::zeros((self.rows.len(), probabilities.num_classes()));
        for (mut mean, rows) in means.axis_iter_mut(Axis(0)).zip(&self.rows) {
            for &row in rows {
                mean += &probabilities.row(row);
            }
            mean /= rows.len() as f64;
        }
        Ok(Probabilities::new(means)?)
    }

    /// The largest score of each unit, shape `[U]`: a patient is as suspicious as the most suspicious lesion.
    /// Its label is [`Units::any`].
    ///
    /// # Errors
    /// [`Error::Value`] for another number of rows, [`Error::Entry`] for a score that is not finite.
    pub fn max(&self, scores: &[f64]) -> Result<Vec<f64>, Error> {
        check_length("scores", scores.len(), self.num_samples)?;
        check_finite("scores", scores)?;
        let of_unit =
            |rows: &Vec<usize>| rows.iter().map(|&row| scores[row]).fold(f64::NEG_INFINITY, f64::max);
        Ok(self.rows.iter().map(of_unit).collect())
    }

    /// Whether any row of each unit is positive, shape `[U]`.
    ///
    /// # Errors
    /// [`Error::Value`] for another number of rows.
    pub fn any(&self, labels: &[bool]) -> Result<Vec<bool>, Error> {
        check_length("labels", labels.len(), self.num_samples)?;
        Ok(self.rows.iter().map(|rows| rows.iter().any(|&row| labels[row])).collect())
    }

    /// The class that most rows of each unit are predicted as, shape `[U]`. Among classes of equally many votes
    /// the one of larger mean probability over the unit's rows wins, then the lower index.
    ///
    /// # Errors
    /// [`Error::Value`] for another number of rows.
    pub fn majority_vote(&self, probabilities: &Probabilities) -> Result<Vec<usize>, Error> {
        let means = self.mean(probabilities)?;
        let predicted = probabilities.predicted();
        let of_unit = |(unit, rows): (usize, &Vec<usize>)| {
            let mut votes = vec![0_usize; probabilities.num_classes()];
            for &row in rows {
                votes[predicted[row]] += 1;
            }
            let better = |a: usize, b: usize| {
                votes[a] > votes[b] || (votes[a] == votes[b] && means.row(unit)[a] > means.row(unit)[b])
            };
            (1..votes.len()).fold(0, |best, class| if better(class, best) { class } else { best })
        };
        Ok(self.rows.iter().enumerate().map(of_unit).collect())
    }
}
