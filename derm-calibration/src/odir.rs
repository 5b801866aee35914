use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_not_negative;

/// Off-diagonal and intercept regularisation of an affine map of C scores:
///
/// `λ · (1/(C (C − 1))) Σ_{i ≠ j} w_ij² + μ · (1/C) Σ_j b_j²`
///
/// is added to the mean negative log-likelihood. The diagonal is free, so that the map may sharpen or blur
/// every class as it likes and pays only for mixing them and for moving their priors.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `lambda` | 1e-2 | weight λ of the mean square of the off-diagonal entries, 0 or more |
/// | `mu` | 1e-2 | weight μ of the mean square of the intercepts, 0 or more |
///
/// Kull et al. search both in powers of ten by cross-validation, which
/// [`select_calibrator`](crate::select_calibrator) does over whatever candidates it is given; the defaults
/// here are the middle of that range. With both at 0 the fit is the plain maximum of the likelihood.
///
/// # Source
/// Kull et al. 2019, "Beyond temperature scaling", eq. 6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Odir {
    /// Weight of the off-diagonal entries.
    pub lambda: f64,
    /// Weight of the intercepts.
    pub mu: f64,
}

impl Default for Odir {
    fn default() -> Self {
        Self { lambda: 1e-2, mu: 1e-2 }
    }
}

impl Odir {
    /// No regularisation.
    pub const NONE: Self = Self { lambda: 0.0, mu: 0.0 };

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Range`] unless both are finite and not negative.
    pub fn validate(&self) -> Result<(), Error> {
        check_not_negative("lambda", self.lambda)?;
        check_not_negative("mu", self.mu)
    }

    /// The weights of ½θ² for parameters [C, C + 1], the intercepts last.
    pub(crate) fn penalty(&self, classes: usize) -> Array2<f64> {
        let c = classes as f64;
        Array2::from_shape_fn((classes, classes + 1), |(row, column)| {
            if column == classes {
                2.0 * self.mu / c
            } else if column == row {
                0.0
            } else {
                2.0 * self.lambda / (c * (c - 1.0))
            }
        })
    }
}
