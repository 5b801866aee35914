use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::check_finite;
use crate::logistic_likelihood::{fit_logistic, sigmoid};
use crate::one_vs_rest::check_rows;
use crate::{BinaryMap, Error, Odds, OneVsRest, StoppingRule};

/// What [`PlattMap`] is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlattTargets {
    /// Platt's prior correction: `(N₊ + 1)/(N₊ + 2)` for positive rows and `1/(N₋ + 2)` for negative ones, so
    /// that the likelihood has a maximum even where the classes can be separated, or one has no row.
    #[default]
    Smoothed,
    /// 1 and 0: plain maximum likelihood.
    Plain,
}

/// How [`PlattScaling`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `targets` | `smoothed` | with Platt's prior correction, or `plain` |
/// | `stopping` | gradient 1e-8, 100 steps | when the fit ends |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlattConfig {
    /// What it is fitted to.
    pub targets: PlattTargets,
    /// When the fit ends.
    pub stopping: StoppingRule,
}

/// `p = 1 / (1 + exp(a s + b))` of a score s, by maximum likelihood; a is negative where larger scores mean
/// more positive rows.
///
/// As a [`BinaryMap`] the score is the log-odds `ln(p / (1 − p))`, which for two classes is the difference of
/// the logits.
///
/// # Source
/// Platt 1999; scikit-learn `_sigmoid_calibration` for [`PlattTargets::Smoothed`], statsmodels `Logit` for
/// [`PlattTargets::Plain`]. Newton's method instead of Platt's own, whose flaws Lin et al. 2007 describe.
///
/// ```
/// use derm_calibration::{PlattConfig, PlattMap, PlattTargets};
/// // Three of four rows with score 1 are positive, one of four with score −1.
/// let scores = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
/// let positive = [true, true, true, false, true, false, false, false];
/// let config = PlattConfig { targets: PlattTargets::Plain, ..PlattConfig::default() };
/// let map = PlattMap::fit_scores(&scores, &positive, &config)?;
/// assert!((map.probability(1.0) - 0.75).abs() < 1e-9);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlattMap {
    /// Slope a.
    pub a: f64,
    /// Intercept b.
    pub b: f64,
}

/// Platt scaling of every class's log-odds against the rest, renormalised; for two classes the plain binary
/// form. See [`PlattMap`].
pub type PlattScaling = OneVsRest<PlattMap>;

impl PlattMap {
    /// Fits to `scores` `[N]`, any finite numbers, and whether each row is `positive` `[N]`.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] for a score that is not finite,
    /// [`Error::NotConverged`] where plain targets leave the likelihood without a maximum.
    pub fn fit_scores(scores: &[f64], positive: &[bool], config: &PlattConfig) -> Result<Self, Error> {
        check_rows(positive, scores.len())?;
        check_finite("scores", scores)?;
        let count = positive.iter().filter(|positive| **positive).count() as f64;
        let (high, low) = match config.targets {
            PlattTargets::Smoothed => {
                ((count + 1.0) / (count + 2.0), 1.0 / (positive.len() as f64 - count + 2.0))
            }
            PlattTargets::Plain => (1.0, 0.0),
        };
        let targets: Vec<f64> = positive.iter().map(|&positive| if positive { high } else { low }).collect();
        let features = Array2::from_shape_fn(
            (scores.len(), 2),
            |(row, column)| if column == 0 { scores[row] } else { 1.0 },
        );
        let (weights, _) = fit_logistic(Self::NAME, &features, &targets, &config.stopping)?;
        Ok(Self { a: -weights[0], b: -weights[1] })
    }

    /// The probability at a score.
    pub fn probability(&self, score: f64) -> f64 {
        sigmoid(-(self.a * score + self.b))
    }
}

impl BinaryMap for PlattMap {
    type Config = PlattConfig;

    const NAME: &'static str = "platt";

    fn fit(odds: &[Odds], positive: &[bool], config: &PlattConfig) -> Result<Self, Error> {
        let scores: Vec<f64> = odds.iter().map(Odds::log_odds).collect();
        Self::fit_scores(&scores, positive, config)
    }

    fn map(&self, odds: &Odds) -> f64 {
        self.probability(odds.log_odds())
    }
}
