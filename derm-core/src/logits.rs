use ndarray::{Array2, ArrayView2};

use crate::{Probabilities, ValueError};

/// Class scores before the softmax, shape [N, C], all finite, at least one row and one class.
///
/// ```
/// use derm_core::Logits;
/// use ndarray::array;
/// let logits = Logits::new(array![[2.0, 0.0], [0.0, 0.0]])?;
/// let probabilities = logits.softmax();
/// assert!((probabilities.view()[[0, 0]] - 0.8807970779778824).abs() < 1e-15);
/// assert_eq!(probabilities.view()[[1, 0]], 0.5);
/// # Ok::<(), derm_core::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Logits(Array2<f64>);

impl Logits {
    /// Checks and takes the scores.
    ///
    /// # Errors
    /// [`ValueError::Empty`] or [`ValueError::NotFinite`].
    pub fn new(values: Array2<f64>) -> Result<Self, ValueError> {
        crate::probabilities::check_finite("logits", &values.view())?;
        Ok(Self(values))
    }

    /// The scores, shape [N, C].
    pub fn view(&self) -> ArrayView2<'_, f64> {
        self.0.view()
    }

    /// Number of rows N.
    pub fn num_samples(&self) -> usize {
        self.0.nrows()
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> usize {
        self.0.ncols()
    }

    /// `softmax(z)_c = exp(z_c − m) / Σ_j exp(z_j − m)`, m the row's maximum, so that nothing overflows.
    pub fn softmax(&self) -> Probabilities {
        let mut values = self.0.clone();
        for mut row in values.rows_mut() {
            let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            row.mapv_inplace(|z| (z - maximum).exp());
            let sum = row.sum();
            row /= sum;
        }
        Probabilities::from_normalized(values)
    }

    /// The softmax of `z / temperature`.
    ///
    /// # Errors
    /// [`ValueError::Temperature`] unless the temperature is positive and finite.
    pub fn softmax_at(&self, temperature: f64) -> Result<Probabilities, ValueError> {
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(ValueError::Temperature { value: temperature });
        }
        // A tiny temperature may overflow a quotient; the softmax only needs differences, which then
        // saturate at zero weight.
        let mut values = self.0.clone();
        for mut row in values.rows_mut() {
            let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            row.mapv_inplace(|z| ((z - maximum) / temperature).exp());
            let sum = row.sum();
            row /= sum;
        }
        Ok(Probabilities::from_normalized(values))
    }

    /// `log softmax(z)_c = z_c − m − ln Σ_j exp(z_j − m)`, shape [N, C].
    pub fn log_softmax(&self) -> Array2<f64> {
        let mut values = self.0.clone();
        for mut row in values.rows_mut() {
            let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let log_sum = row.iter().map(|z| (z - maximum).exp()).sum::<f64>().ln();
            row.mapv_inplace(|z| z - maximum - log_sum);
        }
        values
    }
}
