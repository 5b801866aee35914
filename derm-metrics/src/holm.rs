use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_alpha, check_not_empty};

/// P-values of several comparisons, corrected so that the chance of any false rejection is at most `alpha`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holm {
    /// The adjusted p-values, in the order of the comparisons: each is at most `alpha` exactly where the
    /// comparison is rejected at family-wise level `alpha`.
    pub adjusted: Vec<f64>,
    /// Which comparisons are rejected.
    pub rejected: Vec<bool>,
    /// The family-wise level.
    pub alpha: f64,
}

/// Holm's step-down correction: the i-th smallest of m p-values becomes
/// `max over j ≤ i of min(1, (m − j + 1) p_(j))`. Valid for any dependence between the comparisons.
///
/// # Errors
/// [`Error::Value`] for no p-value, [`Error::Entry`] for one outside [0, 1], [`Error::Range`] unless `alpha` is
/// in (0, 1).
///
/// # Source
/// Holm 1979; statsmodels `multipletests(method="holm")`.
///
/// ```
/// let holm = derm_metrics::holm(&[0.04, 0.01, 0.03], 0.05)?;
/// assert_eq!(holm.adjusted, [0.06, 0.03, 0.06]);
/// assert_eq!(holm.rejected, [false, true, false]);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn holm(p_values: &[f64], alpha: f64) -> Result<Holm, Error> {
    check_not_empty("p_values", p_values.len())?;
    check_alpha(alpha)?;
    if let Some(position) = p_values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        let (value, expected) = (p_values[position], "a number from 0 to 1");
        return Err(Error::Entry { argument: "p_values", position, value, expected });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut adjusted, mut largest) = (vec![0.0; p_values.len()], 0.0_f64);
    for (rank, &comparison) in order.iter().enumerate() {
        let scaled = (p_values.len() - rank) as f64 * p_values[comparison];
        largest = largest.max(scaled.min(1.0));
        adjusted[comparison] = largest;
    }
    let rejected = adjusted.iter().map(|&p| p <= alpha).collect();
    Ok(Holm { adjusted, rejected, alpha })
}
