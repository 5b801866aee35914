use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::{Binning, CalibrationNorm, Error, ReliabilityTable};

/// Expected calibration error of the most probable class over uniform, right-closed bins, in [0, 1].
///
/// With `share` and `gap = |mean confidence − accuracy|` of each bin, [`CalibrationNorm::L1`] is `Σ share ·
/// gap`.
///
/// # Errors
/// [`Error::Value`] where the targets do not fit; [`Error::Count`] for no bins.
///
/// # Source
/// Guo et al. 2017. torchmetrics and netcal close bins on the left, which differs where a confidence lies on
/// an edge.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{CalibrationNorm, ece};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.75, 0.25], [0.25, 0.75]])?;
/// assert_eq!(ece(&probabilities, &[0, 1], 15, CalibrationNorm::L1)?, 0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ece(
    probabilities: &Probabilities,
    targets: &[usize],
    n_bins: usize,
    norm: CalibrationNorm,
) -> Result<f64, Error> {
    Ok(ReliabilityTable::top_label(probabilities, targets, Binning::Uniform { n_bins })?.error(norm))
}

/// Calibration error over bins of equal size, by [`CalibrationNorm::L1`], in [0, 1].
///
/// # Errors
/// As [`ece`].
///
/// # Source
/// Nixon et al. 2019, with runs of the sorted rows. Cutting at interpolated edges, as some code does, drops
/// the smallest confidence.
pub fn adaptive_ece(probabilities: &Probabilities, targets: &[usize], n_bins: usize) -> Result<f64, Error> {
    let table = ReliabilityTable::top_label(probabilities, targets, Binning::EqualMass { n_bins })?;
    Ok(table.error(CalibrationNorm::L1))
}

/// Calibration error of every class's probability, and their mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClasswiseEce {
    /// The plain mean over all C classes.
    pub mean: f64,
    /// Calibration error of `p_c` against `[y = c]`, shape `[C]`.
    pub per_class: Vec<f64>,
    /// Number of uniform, right-closed bins.
    pub n_bins: usize,
}

/// Class-wise calibration error: for each class the [`CalibrationNorm::L1`] error of `p_c` against `[y = c]`
/// over uniform bins and all rows.
///
/// # Errors
/// As [`ece`].
///
/// # Source
/// Kull et al. 2019, eq. 3.
pub fn classwise_ece(
    probabilities: &Probabilities,
    targets: &[usize],
    n_bins: usize,
) -> Result<ClasswiseEce, Error> {
    probabilities.check_targets(targets)?;
    let of_class = |class: usize| {
        let confidence = probabilities.view().column(class).to_vec();
        let correct: Vec<bool> = targets.iter().map(|&target| target == class).collect();
        let table = ReliabilityTable::new(&confidence, &correct, Binning::Uniform { n_bins })?;
        Ok(table.error(CalibrationNorm::L1))
    };
    let per_class = (0..probabilities.num_classes()).map(of_class).collect::<Result<Vec<f64>, Error>>()?;
    Ok(ClasswiseEce { mean: per_class.iter().sum::<f64>() / per_class.len() as f64, per_class, n_bins })
}
