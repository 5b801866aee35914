use derm_core::{Logits, Predictions, Probabilities, Validation};
use derm_metrics::{Binning, CalibrationNorm, ece};
use serde::{Deserialize, Serialize};

use crate::calibration_error::check_bins;
use crate::error::check_positive;
use crate::{Calibrate, CalibratorInput, Error, FitCalibrator, FittedOn};

/// Relative length of the Newton step that ends the search; the error after it is about its square.
const LAST_STEP: f64 = 1e-10;

/// Where to look for the temperature.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `min_temperature` | 0.05 | lower bound, above 0 |
/// | `max_temperature` | 10 | upper bound, above the lower one |
/// | `n_bins` | 15 | bins of the reported calibration errors, 1 to the number of rows |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemperatureConfig {
    /// Lower bound of the search.
    pub min_temperature: f64,
    /// Upper bound of the search.
    pub max_temperature: f64,
    /// Bins of the reported calibration errors.
    pub n_bins: usize,
}

impl Default for TemperatureConfig {
    fn default() -> Self {
        Self { min_temperature: 0.05, max_temperature: 10.0, n_bins: 15 }
    }
}

impl TemperatureConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Range`] unless 0 < `min_temperature` < `max_temperature` < ∞, [`Error::Count`] for no bins.
    pub fn validate(&self) -> Result<(), Error> {
        let Self { min_temperature, max_temperature, n_bins } = *self;
        check_positive("min_temperature", min_temperature)?;
        if !(max_temperature.is_finite() && max_temperature > min_temperature) {
            let expected = "a finite number above min_temperature";
            return Err(Error::Range { argument: "max_temperature", value: max_temperature, expected });
        }
        if n_bins == 0 {
            return Err(Error::Count { argument: "n_bins", value: 0, minimum: 1 });
        }
        Ok(())
    }
}

/// A bound of the search at which the likelihood still rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureBound {
    /// `min_temperature`: the more certain the better, as where every row is right.
    Lower,
    /// `max_temperature`: the less certain the better, as where the model is no better than chance.
    Upper,
}

/// Temperature scaling: `softmax(z / T)` with the one `T` that minimises the mean negative log-likelihood of
/// the validation rows. It changes no ranking, so accuracy and AUROC stay.
///
/// # Source
/// Guo et al. 2017, section 4.2. The likelihood is convex in 1/T; its derivative's root is found by Newton
/// steps inside a bracket, to the last bits, rather than by a few steps of L-BFGS from 1.5 as in the authors'
/// code.
///
/// ```
/// use derm_calibration::{TemperatureConfig, TemperatureScaling};
/// use derm_core::*;
/// use ndarray::array;
/// # let metadata = PredictionMetadata {
/// #     task: "diagnosis".into(),
/// #     view: View::Identity,
/// #     labels: LabelMap::new(["mel", "nv"])?,
/// #     split_hash: "0f3a".into(),
/// # };
/// # let names = || (0..4).map(|i| format!("image_{i}")).collect::<Vec<_>>();
/// # let columns = PredictionColumns {
/// #     ids: names(),
/// #     groups: names(),
/// #     cases: names(),
/// #     targets: vec![0, 0, 0, 1],
/// #     ..PredictionColumns::default()
/// # };
/// // Four equally certain rows, three of them right: the best probability is 3/4, so z / T = ln 3.
/// let values = array![[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]];
/// # let scores = Scores { kind: ScoreKind::Logits, values };
/// # let validation = Predictions::<Validation>::new(metadata, columns, scores)?;
/// // Four rows fill four bins of the reported calibration errors.
/// let config = TemperatureConfig { n_bins: 4, ..TemperatureConfig::default() };
/// let scaling = TemperatureScaling::fit(&validation, &config)?;
/// assert!((scaling.temperature - 4.0 / 3.0_f64.ln()).abs() < 1e-12);
/// let calibrated = scaling.apply(&Logits::new(array![[4.0, 0.0]])?)?;
/// assert!((calibrated.view()[[0, 0]] - 0.75).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureScaling {
    /// The temperature T.
    pub temperature: f64,
    /// The bound, where the minimum lies at one.
    pub at_bound: Option<TemperatureBound>,
    /// The bounds and bins that it was fitted with.
    pub config: TemperatureConfig,
    /// Mean negative log-likelihood of the validation rows at T = 1, in nats.
    pub nll_before: f64,
    /// The same at the temperature.
    pub nll_after: f64,
    /// Expected calibration error (uniform bins, L1) of the validation rows at T = 1.
    pub ece_before: f64,
    /// The same at the temperature. It is measured on the rows of the fit and so is a little too good.
    pub ece_after: f64,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl TemperatureScaling {
    /// Fits the temperature.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where the predictions are averages, [`Error::Range`] or [`Error::Count`] for an
    /// impossible configuration, [`Error::TooMany`] for more bins than rows. That rows are finite and there is at
    /// least one, `Predictions` has checked.
    pub fn fit(validation: &Predictions<Validation>, config: &TemperatureConfig) -> Result<Self, Error> {
        config.validate()?;
        let view = || validation.metadata().view.clone();
        let logits = validation.logits().ok_or_else(|| Error::NoLogits { view: view() })?;
        let targets = validation.targets();
        check_bins(Binning::Uniform { n_bins: config.n_bins }, targets.len())?;
        let (temperature, at_bound) = minimum(&logits, targets, config);
        let after = logits.softmax_at(temperature)?;
        let error = |p: &Probabilities| ece(p, targets, config.n_bins, CalibrationNorm::L1);
        Ok(Self {
            temperature,
            at_bound,
            config: *config,
            nll_before: mean_nll(&logits, targets, 1.0),
            nll_after: mean_nll(&logits, targets, temperature),
            ece_before: error(&logits.softmax())?,
            ece_after: error(&after)?,
            fitted_on: FittedOn::new(validation),
        })
    }

    /// The calibrated probabilities `softmax(z / T)`, shape [N, C].
    ///
    /// # Errors
    /// [`Error::Value`] where the temperature was changed to one that is not positive and finite.
    pub fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        Ok(logits.softmax_at(self.temperature)?)
    }
}

impl FitCalibrator for TemperatureConfig {
    type Fitted = TemperatureScaling;

    fn fit(&self, validation: &Predictions<Validation>) -> Result<TemperatureScaling, Error> {
        TemperatureScaling::fit(validation, self)
    }
}

impl Calibrate for TemperatureScaling {
    fn name(&self) -> &'static str {
        "temperature"
    }

    fn input(&self) -> CalibratorInput {
        CalibratorInput::Logits
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        Some(&self.fitted_on)
    }

    fn keeps_argmax(&self) -> bool {
        true
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        self.apply(logits)
    }
}

/// Mean NLL of `z / T` from the logarithms, so that no probability underflows.
fn mean_nll(logits: &Logits, targets: &[usize], temperature: f64) -> f64 {
    let of_row = |(row, &target): (ndarray::ArrayView1<'_, f64>, &usize)| {
        let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = row.iter().map(|z| ((z - maximum) / temperature).exp()).sum();
        sum.ln() - (row[target] - maximum) / temperature
    };
    logits.view().rows().into_iter().zip(targets).map(of_row).sum::<f64>() / targets.len() as f64
}

/// Mean over rows of the first and second derivative of the NLL in b = 1/T: `E_p[z] − z_y` and `Var_p[z]`.
fn derivatives(logits: &Logits, targets: &[usize], b: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, &target) in logits.view().rows().into_iter().zip(targets) {
        let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for z in row {
            let shifted = z - maximum;
            let weight = (b * shifted).exp();
            sum += weight;
            first += weight * shifted;
            second += weight * shifted * shifted;
        }
        let mean = first / sum;
        slope += mean - (row[target] - maximum);
        curvature += second / sum - mean * mean;
    }
    (slope / targets.len() as f64, curvature / targets.len() as f64)
}

/// The minimiser of the mean NLL over T inside the bounds.
fn minimum(
    logits: &Logits,
    targets: &[usize],
    config: &TemperatureConfig,
) -> (f64, Option<TemperatureBound>) {
    let slope = |b| derivatives(logits, targets, b).0;
    let (mut low, mut high) = (1.0 / config.max_temperature, 1.0 / config.min_temperature);
    if slope(low) >= 0.0 {
        return (config.max_temperature, Some(TemperatureBound::Upper));
    }
    if slope(high) <= 0.0 {
        return (config.min_temperature, Some(TemperatureBound::Lower));
    }
    let mut b = 1.0_f64.clamp(low, high);
    // Newton where it stays inside the bracket, halving (of the logarithm) where it does not: each step
    // shrinks the bracket, and 200 halvings are far below the resolution of a double.
    for _ in 0..200 {
        let (slope, curvature) = derivatives(logits, targets, b);
        if slope < 0.0 {
            low = b;
        } else {
            high = b;
        }
        let newton = b - slope / curvature;
        // Past this the slope is rounding: a bracket of its signs would throw the search back.
        if (newton - b).abs() <= LAST_STEP * b {
            b = newton.clamp(low, high);
            break;
        }
        b = if newton > low && newton < high { newton } else { (low * high).sqrt() };
    }
    (1.0 / b, None)
}
