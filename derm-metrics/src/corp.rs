use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::reliability::{check_confidence, top_label_correct};
use crate::{Error, IsotonicRegression};

/// The Brier score of a yes-or-no forecast in three parts: `brier = miscalibration − discrimination +
/// uncertainty`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CorpDecomposition {
    /// `(1/N) Σ (p_i − y_i)²`, in [0, 1]: for two classes half of [`brier`](crate::brier), which sums over both.
    pub brier: f64,
    /// What recalibration would gain, MCB ≥ 0.
    pub miscalibration: f64,
    /// What the recalibrated forecast gains over the base rate, DSC ≥ 0.
    pub discrimination: f64,
    /// `r (1 − r)` of the base rate r, UNC: a property of the data.
    pub uncertainty: f64,
}

/// Decomposes the Brier score of a forecast of `outcomes` with the isotonic fit of the outcomes on the forecast
/// as the recalibrated one, so that nothing depends on bins.
///
/// With `S(f)` the mean squared error, `c` the fit and `r` the base rate: MCB = S(p) − S(c), DSC = S(r) − S(c),
/// UNC = S(r). A rounding error below 0 counts as 0.
///
/// # Errors
/// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a forecast outside [0, 1].
///
/// # Source
/// Dimitriadis, Gneiting and Jordan 2021 (CORP).
///
/// ```
/// let parts = derm_metrics::corp(&[0.2, 0.4, 0.6, 0.8], &[false, true, false, true])?;
/// assert!((parts.brier - (parts.miscalibration - parts.discrimination + parts.uncertainty)).abs() < 1e-15);
/// assert_eq!(parts.uncertainty, 0.25);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
pub fn corp(forecast: &[f64], outcomes: &[bool]) -> Result<CorpDecomposition, Error> {
    check_confidence(forecast, outcomes)?;
    let y: Vec<f64> = outcomes.iter().map(|&outcome| f64::from(u8::from(outcome))).collect();
    let fit = IsotonicRegression::fit(forecast, &y, None)?;
    let n = y.len() as f64;
    let error =
        |of: &dyn Fn(usize) -> f64| (0..y.len()).map(|row| (of(row) - y[row]).powi(2)).sum::<f64>() / n;
    let rate = y.iter().sum::<f64>() / n;
    let brier = error(&|row| forecast[row]);
    let recalibrated = error(&|row| fit.predict(forecast[row]));
    let uncertainty = rate * (1.0 - rate);
    Ok(CorpDecomposition {
        brier,
        miscalibration: (brier - recalibrated).max(0.0),
        discrimination: (uncertainty - recalibrated).max(0.0),
        uncertainty,
    })
}

/// [`corp`] of every class's probability against `[y = c]`, shape `[C]`. The parts of all classes sum to a
/// decomposition of [`brier`](crate::brier).
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
pub fn corp_per_class(
    probabilities: &Probabilities,
    targets: &[usize],
) -> Result<Vec<CorpDecomposition>, Error> {
    probabilities.check_targets(targets)?;
    let of_class = |class: usize| {
        let outcomes: Vec<bool> = targets.iter().map(|&target| target == class).collect();
        corp(&probabilities.view().column(class).to_vec(), &outcomes)
    };
    (0..probabilities.num_classes()).map(of_class).collect()
}

/// [`corp`] of the largest probability against whether its class is the target.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities.
pub fn corp_top_label(probabilities: &Probabilities, targets: &[usize]) -> Result<CorpDecomposition, Error> {
    let correct = top_label_correct(probabilities, targets)?;
    corp(&probabilities.confidence(), &correct)
}
