use derm_core::{Predictions, Validation};
use serde::{Deserialize, Serialize};

use crate::no_fields::no_fields;
use crate::{
    BetaConfig, BetaVariant, Calibrator, DirichletConfig, Error, FitCalibrator, HistogramConfig,
    IsotonicConfig, MatrixConfig, PlattConfig, TemperatureConfig, VectorConfig,
};

/// Which [`Calibrator`] to fit, and how: what a recipe file holds.
///
/// ```
/// use derm_calibration::{CalibratorConfig, DirichletConfig, Odir};
/// let config: CalibratorConfig =
///     serde_json::from_str(r#"{"method": "dirichlet", "odir": {"lambda": 0.1, "mu": 0.1}}"#)?;
/// let odir = Odir { lambda: 0.1, mu: 0.1 };
/// assert_eq!(config, CalibratorConfig::Dirichlet(DirichletConfig { odir, ..DirichletConfig::default() }));
/// assert!(serde_json::from_str::<CalibratorConfig>(r#"{"method": "dirichlet", "ridge": 1}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalibratorConfig {
    /// The softmax as it is.
    #[serde(deserialize_with = "no_fields")]
    Identity,
    /// One temperature for all classes.
    Temperature(TemperatureConfig),
    /// A scale and a bias a class.
    Vector(VectorConfig),
    /// An affine map of the logits.
    Matrix(MatrixConfig),
    /// An affine map of the logarithms of the probabilities.
    Dirichlet(DirichletConfig),
    /// A sigmoid of every class's log-odds.
    Platt(PlattConfig),
    /// A beta map of every class.
    Beta(BetaConfig),
    /// A rising step function a class.
    Isotonic(IsotonicConfig),
    /// The rates of bins, for every class.
    HistogramBinning(HistogramConfig),
}

impl CalibratorConfig {
    /// All methods with their defaults, simplest first.
    pub fn all() -> [Self; 9] {
        [
            Self::Identity,
            Self::Temperature(TemperatureConfig::default()),
            Self::Platt(PlattConfig::default()),
            Self::Vector(VectorConfig::default()),
            Self::Beta(BetaConfig::default()),
            Self::HistogramBinning(HistogramConfig::default()),
            Self::Matrix(MatrixConfig::default()),
            Self::Dirichlet(DirichletConfig::default()),
            Self::Isotonic(IsotonicConfig::default()),
        ]
    }

    /// The name in files, as [`Calibrator::name`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Temperature(_) => "temperature",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
            Self::Dirichlet(_) => "dirichlet",
            Self::Platt(_) => "platt",
            Self::Beta(_) => "beta",
            Self::Isotonic(_) => "isotonic",
            Self::HistogramBinning(_) => "histogram_binning",
        }
    }

    /// Number of free parameters for C `classes`, by which [`select_calibrator`](crate::select_calibrator)
    /// calls one simpler than another. Isotonic regression may have a step at every one of its `samples`.
    pub fn parameters(&self, classes: usize, samples: usize) -> usize {
        match self {
            Self::Identity => 0,
            Self::Temperature(_) => 1,
            Self::Platt(_) | Self::Vector(_) => 2 * classes,
            Self::Beta(config) => match config.variant {
                BetaVariant::Abm => 3 * classes,
                BetaVariant::Ab | BetaVariant::Am => 2 * classes,
            },
            Self::HistogramBinning(config) => config.n_bins * classes,
            Self::Matrix(_) | Self::Dirichlet(_) => classes * (classes + 1),
            Self::Isotonic(_) => samples * classes,
        }
    }
}

impl FitCalibrator for CalibratorConfig {
    type Fitted = Calibrator;

    fn fit(&self, validation: &Predictions<Validation>) -> Result<Calibrator, Error> {
        Ok(match self {
            Self::Identity => Calibrator::Identity,
            Self::Temperature(config) => config.fit(validation)?.into(),
            Self::Vector(config) => config.fit(validation)?.into(),
            Self::Matrix(config) => config.fit(validation)?.into(),
            Self::Dirichlet(config) => config.fit(validation)?.into(),
            Self::Platt(config) => config.fit(validation)?.into(),
            Self::Beta(config) => config.fit(validation)?.into(),
            Self::Isotonic(config) => config.fit(validation)?.into(),
            Self::HistogramBinning(config) => config.fit(validation)?.into(),
        })
    }
}
