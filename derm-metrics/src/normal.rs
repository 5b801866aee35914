//! The standard normal distribution.

use std::f64::consts::SQRT_2;

use statrs::function::erf::{erfc, erfc_inv};

/// `P(Z ≤ z)`.
pub(crate) fn cumulative(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// The `z` with `P(Z ≤ z) = p`; infinite at 0 and 1.
pub(crate) fn quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// The `z` with `P(|Z| > z) = alpha`.
pub(crate) fn two_sided_quantile(alpha: f64) -> f64 {
    SQRT_2 * erfc_inv(alpha)
}

/// `P(|Z| > |z|)`.
pub(crate) fn two_sided_p(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2)
}
