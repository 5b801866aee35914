/// The share of training that is done, in [0, 1]: what lies outside counts as the nearer end, NaN as the start.
pub(crate) fn share(progress: f64) -> f64 {
    if progress >= 1.0 {
        1.0
    } else if progress > 0.0 {
        progress
    } else {
        0.0
    }
}
