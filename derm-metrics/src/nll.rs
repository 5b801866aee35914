use derm_core::Probabilities;

use crate::Error;

/// The clip that the standard table uses: below any probability that single precision logits give in
/// practice, above the smallest positive number, so that one row cannot make the mean infinite.
pub const NLL_CLIP: f64 = 1e-12;

/// Mean negative log-likelihood `−(1/N) Σ ln max(p_t, clip)` in nats, with nothing renormalised.
///
/// A clip of 0 is allowed; a target of probability 0 then makes the result infinite.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit; [`Error::Range`] unless `clip` is in [0, 1].
///
/// # Source
/// scikit-learn `log_loss` where no probability is 0.
///
/// ```
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.5, 0.5], [0.25, 0.75]])?;
/// let nll = derm_metrics::nll(&probabilities, &[0, 0], derm_metrics::NLL_CLIP)?;
/// assert!((nll - 8.0_f64.ln() / 2.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn nll(probabilities: &Probabilities, targets: &[usize], clip: f64) -> Result<f64, Error> {
    let rows = nll_per_sample(probabilities, targets, clip)?;
    Ok(rows.iter().sum::<f64>() / rows.len() as f64)
}

pub(crate) fn nll_per_sample(
    probabilities: &Probabilities,
    targets: &[usize],
    clip: f64,
) -> Result<Vec<f64>, Error> {
    probabilities.check_targets(targets)?;
    if !(0.0..=1.0).contains(&clip) {
        return Err(Error::Range { argument: "clip", value: clip, expected: "a number from 0 to 1" });
    }
    let rows = probabilities.view();
    Ok(targets.iter().enumerate().map(|(row, &target)| -rows[[row, target]].max(clip).ln()).collect())
}
