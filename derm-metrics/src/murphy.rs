use serde::{Deserialize, Serialize};

use crate::reliability::{BinSums, bin_index, check_confidence};
use crate::{Binning, Error};

/// The Brier score of a yes-or-no forecast by bins: `brier = reliability − resolution + uncertainty +
/// within_bin`.
///
/// With `n_k` rows in bin k, their mean forecast `p_k` and outcome `y_k`, and the base rate r.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MurphyDecomposition {
    /// How the rows were binned.
    pub binning: Binning,
    /// `(1/N) Σ (p_i − y_i)²`.
    pub brier: f64,
    /// `Σ n_k/N (p_k − y_k)²`: the squared L2 calibration error of these bins.
    pub reliability: f64,
    /// `Σ n_k/N (y_k − r)²`.
    pub resolution: f64,
    /// `r (1 − r)`.
    pub uncertainty: f64,
    /// What the bins hide, `(1/N) Σ_k Σ_{i in k} ((p_i − p_k)² − 2 (p_i − p_k)(y_i − y_k))`. It vanishes where
    /// all forecasts of a bin are equal; the textbook's three parts leave it out and then do not sum up.
    pub within_bin: f64,
}

/// Decomposes the Brier score of a forecast of `outcomes` by bins.
///
/// The parts depend on the bins; [`corp`](crate::corp) needs none.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a forecast outside [0, 1],
/// [`Error::Count`] for no bins.
///
/// # Source
/// Murphy 1973; the terms within bins: Stephenson, Coelho and Jolliffe 2008.
///
/// ```
/// use derm_metrics::{Binning, murphy};
/// let parts = murphy(&[0.1, 0.3, 0.6, 0.8], &[false, true, false, true], Binning::Uniform { n_bins: 2 })?;
/// let sum = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin;
/// assert!((parts.brier - sum).abs() < 1e-15);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn murphy(forecast: &[f64], outcomes: &[bool], binning: Binning) -> Result<MurphyDecomposition, Error> {
    check_confidence(forecast, outcomes)?;
    let index = bin_index(forecast, binning)?;
    let (Binning::Uniform { n_bins } | Binning::EqualMass { n_bins }) = binning;
    let mut sums = BinSums::new(n_bins);
    for ((&bin, &p), &y) in index.iter().zip(forecast).zip(outcomes) {
        sums.add(bin, p, y, 1);
    }
    let n = forecast.len() as f64;
    let rate = outcomes.iter().filter(|&&y| y).count() as f64 / n;
    let (mut brier, mut reliability, mut resolution, mut within_bin) = (0.0, 0.0, 0.0, 0.0);
    for ((&bin, &p), &y) in index.iter().zip(forecast).zip(outcomes) {
        let y = f64::from(u8::from(y));
        let (mean_p, mean_y) = sums.means(bin);
        brier += (p - y).powi(2) / n;
        reliability += (mean_p - mean_y).powi(2) / n;
        resolution += (mean_y - rate).powi(2) / n;
        within_bin += ((p - mean_p).powi(2) - 2.0 * (p - mean_p) * (y - mean_y)) / n;
    }
    let uncertainty = rate * (1.0 - rate);
    Ok(MurphyDecomposition { binning, brier, reliability, resolution, uncertainty, within_bin })
}
