use derm_core::{Logits, Predictions, Probabilities, Role};
use serde::{Deserialize, Serialize};

use crate::calibrate::scores;
use crate::error::check_positive;
use crate::{Calibrate, CalibratorInput, Error, top3_mass};

/// What rows are ordered by when some may be refused: larger is more certain.
///
/// | score | formula | from |
/// |---|---|---|
/// | `max_probability` | `max_c p_c` | calibrated probabilities |
/// | `margin` | largest − second largest probability | calibrated probabilities |
/// | `negative_entropy` | `Σ_c p_c ln p_c`, in [−ln C, 0], nats | calibrated probabilities |
/// | `top3_mass` | sum of the three largest probabilities | calibrated probabilities |
/// | `energy` | `T ln Σ_c exp(z_c / T)`, any real number | uncalibrated logits |
///
/// With two classes the first three give one order. The energy is the only one that knows how large the logits are
/// together: it falls for inputs unlike those of training, where a softmax can stay certain.
///
/// # Source
/// Hendrycks and Gimpel 2017 (maximum probability); Scheffer et al. 2001 (margin); Liu et al. 2020 (energy, the
/// negative of theirs).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SelectiveScore {
    /// The largest probability.
    MaxProbability,
    /// The largest probability less the second largest.
    Margin,
    /// The negative entropy of the probabilities.
    NegativeEntropy,
    /// The sum of the three largest probabilities.
    Top3Mass,
    /// The negative free energy of the logits.
    Energy {
        /// Temperature T > 0 of the energy; 1 in the paper.
        temperature: f64,
    },
}

impl SelectiveScore {
    /// The score of every row, shape `[N]`, ready for a [`RiskCoverage`](crate::RiskCoverage) curve.
    ///
    /// # Errors
    /// As [`Calibrate::calibrate`]; for the energy [`Error::NoLogits`] where the table has none, and
    /// [`Error::Range`] for a temperature that is not a positive number.
    pub fn scores<R: Role>(
        self,
        predictions: &Predictions<R>,
        calibrator: &impl Calibrate,
    ) -> Result<Vec<f64>, Error> {
        let probabilities = || calibrator.calibrate(predictions);
        Ok(match self {
            Self::MaxProbability => probabilities()?.confidence(),
            Self::Margin => margin(&probabilities()?),
            Self::NegativeEntropy => negative_entropy(&probabilities()?),
            Self::Top3Mass => of_rows(&probabilities()?, top3_mass),
            Self::Energy { temperature } => {
                energy(&scores(predictions, CalibratorInput::Logits)?, temperature)?
            }
        })
    }
}

/// The largest probability of each row less the second largest, shape `[N]`; of one class alone its probability.
pub fn margin(probabilities: &Probabilities) -> Vec<f64> {
    of_rows(probabilities, |row| {
        let (mut first, mut second) = (0.0_f64, 0.0_f64);
        for &p in row {
            if p > first {
                (first, second) = (p, first);
            } else {
                second = second.max(p);
            }
        }
        first - second
    })
}

/// `Σ_c p_c ln p_c` of each row, in nats, shape `[N]`; a probability of 0 adds nothing.
pub fn negative_entropy(probabilities: &Probabilities) -> Vec<f64> {
    of_rows(probabilities, |row| row.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum())
}

/// The negative free energy `T ln Σ_c exp(z_c / T)` of each row, shape `[N]`.
///
/// ```
/// use derm_calibration::energy;
/// use derm_core::Logits;
/// let logits = Logits::new(ndarray::array![[0.0, 0.0], [1000.0, 0.0]])?;
/// assert_eq!(energy(&logits, 1.0)?, [2.0_f64.ln(), 1000.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Range`] for a temperature that is not a positive number.
pub fn energy(logits: &Logits, temperature: f64) -> Result<Vec<f64>, Error> {
    check_positive("temperature", temperature)?;
    let of_row = |row: ndarray::ArrayView1<'_, f64>| {
        let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = row.iter().map(|z| ((z - maximum) / temperature).exp()).sum();
        maximum + temperature * sum.ln()
    };
    Ok(logits.view().rows().into_iter().map(of_row).collect())
}

fn of_rows(probabilities: &Probabilities, score: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    probabilities.view().rows().into_iter().map(|row| score(&row.to_vec())).collect()
}
