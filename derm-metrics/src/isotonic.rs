use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_finite, check_length, check_not_empty};

/// The rising step function that is nearest to the data in the (weighted) least-squares sense, interpolated
/// linearly between its steps and constant past its ends.
///
/// Minimises `Σ w_i (f(x_i) − y_i)²` over all non-decreasing `f`. Rows of equal `x` are averaged first, then
/// adjacent violators are pooled; O(n log n) for the sort, O(n) for the pooling. The values lie between the
/// smallest and the largest `y`, so that a fit to labels of 0 and 1 is a probability.
///
/// # Source
/// Ayer et al. 1955; scikit-learn `IsotonicRegression(out_of_bounds="clip")`, which also joins inputs that
/// differ by less than 1e-15. Here only equal ones are joined.
///
/// ```
/// use derm_metrics::IsotonicRegression;
/// let fit = IsotonicRegression::fit(&[0.1, 0.2, 0.3, 0.4], &[0.0, 1.0, 0.0, 1.0], None)?;
/// assert_eq!(fit.thresholds(), [0.1, 0.2, 0.3, 0.4]);
/// assert_eq!(fit.values(), [0.0, 0.5, 0.5, 1.0]);
/// assert_eq!((fit.predict(0.25), fit.predict(-1.0), fit.predict(2.0)), (0.5, 0.0, 1.0));
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct IsotonicRegression {
    thresholds: Vec<f64>,
    values: Vec<f64>,
}

impl IsotonicRegression {
    /// Fits inputs `x` `[N]` to responses `y` `[N]`, each row counting `weights` `[N]`, or 1. A row of weight 0
    /// is left out.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths; [`Error::Entry`] for a number that is not finite or a
    /// negative weight; [`Error::Range`] where the weights sum to 0 or past the largest number.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Result<Self, Error> {
        check_not_empty("x", x.len())?;
        check_length("y", y.len(), x.len())?;
        check_finite("x", x)?;
        check_finite("y", y)?;
        if let Some(weights) = weights {
            check_weights(weights, x.len())?;
        }
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let mut order: Vec<usize> = (0..x.len()).filter(|&row| weight(row) > 0.0).collect();
        // Equal inputs are summed in the order of their responses, so that the order of rows changes no bit.
        order.sort_unstable_by(|&a, &b| {
            let key = |row: usize| (x[row] + 0.0, y[row], weight(row));
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
        });
        let mut blocks: Vec<Block> = Vec::new();
        for same in order.chunk_by(|&a, &b| x[a] == x[b]) {
            let mut block = Block::new(x[same[0]] + 0.0);
            for &row in same {
                block.weight += weight(row);
                block.sum += weight(row) * y[row];
            }
            while let Some(last) = blocks.pop_if(|last| last.mean() >= block.mean()) {
                block.join(&last);
            }
            blocks.push(block);
        }
        let (mut thresholds, mut values) = (Vec::new(), Vec::new());
        for block in &blocks {
            thresholds.push(block.first);
            values.push(block.mean());
            if block.last > block.first {
                thresholds.push(block.last);
                values.push(block.mean());
            }
        }
        Ok(Self { thresholds, values })
    }

    /// The value at `x`; NaN for NaN.
    pub fn predict(&self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        let above = self.thresholds.partition_point(|&threshold| threshold < x);
        let last = self.thresholds.len() - 1;
        match above {
            0 => self.values[0],
            above if above > last => self.values[last],
            above => {
                let (x0, x1) = (self.thresholds[above - 1], self.thresholds[above]);
                let (y0, y1) = (self.values[above - 1], self.values[above]);
                // The upper end exactly; the interpolation would round it.
                if x == x1 { y1 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)) }
            }
        }
    }

    /// The inputs at which the slope changes, strictly rising, at least one.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// The value at each threshold, never falling.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// A run of inputs that share one value.
#[derive(Debug)]
struct Block {
    first: f64,
    last: f64,
    weight: f64,
    sum: f64,
}

impl Block {
    fn new(x: f64) -> Self {
        Self { first: x, last: x, weight: 0.0, sum: 0.0 }
    }

    fn mean(&self) -> f64 {
        self.sum / self.weight
    }

    fn join(&mut self, before: &Self) {
        self.first = before.first;
        self.weight += before.weight;
        self.sum += before.sum;
    }
}

/// The fields of a file, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    thresholds: Vec<f64>,
    values: Vec<f64>,
}

impl TryFrom<Form> for IsotonicRegression {
    type Error = Error;

    fn try_from(Form { thresholds, values }: Form) -> Result<Self, Error> {
        check_not_empty("thresholds", thresholds.len())?;
        check_length("values", values.len(), thresholds.len())?;
        check_finite("thresholds", &thresholds)?;
        check_finite("values", &values)?;
        check_rising("thresholds", &thresholds, "a number above the one before", |before, after| {
            before < after
        })?;
        check_rising("values", &values, "a number not below the one before", |before, after| {
            before <= after
        })?;
        Ok(Self { thresholds, values })
    }
}

fn check_rising(
    argument: &'static str,
    numbers: &[f64],
    expected: &'static str,
    rises: fn(f64, f64) -> bool,
) -> Result<(), Error> {
    match numbers.windows(2).position(|pair| !rises(pair[0], pair[1])) {
        None => Ok(()),
        Some(before) => {
            let position = before + 1;
            Err(Error::Entry { argument, position, value: numbers[position], expected })
        }
    }
}

fn check_weights(weights: &[f64], rows: usize) -> Result<(), Error> {
    check_length("weights", weights.len(), rows)?;
    if let Some(position) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        let (value, expected) = (weights[position], "a finite number not below 0");
        return Err(Error::Entry { argument: "weights", position, value, expected });
    }
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 && sum.is_finite() {
        Ok(())
    } else {
        let expected = "a positive finite sum";
        Err(Error::Range { argument: "weights", value: sum, expected })
    }
}
