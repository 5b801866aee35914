//! Equality of two evaluations.
use proptest::prelude::*;

/// Two f32 evaluations of one expression in another order.
pub(crate) const F32_NOISE: f64 = 2e-5;

pub(crate) fn close(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} and {b}");
    }
    Ok(())
}
