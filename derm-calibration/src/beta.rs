use std::f64::consts::LN_2;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::logistic_likelihood::{fit_logistic, sigmoid};
use crate::one_vs_rest::check_rows;
use crate::{BinaryMap, Error, Odds, OneVsRest, StoppingRule};

/// Which parameters of [`BetaMap`] are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaVariant {
    /// All three.
    #[default]
    Abm,
    /// a and b; `c = (a − b) ln 2`, so that one half stays one half.
    Ab,
    /// a = b, and c.
    Am,
}

/// How [`BetaCalibration`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `variant` | `abm` | free parameters: `abm`, `ab` or `am` |
/// | `stopping` | gradient 1e-8, 100 steps | when the fit ends |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BetaConfig {
    /// Free parameters.
    pub variant: BetaVariant,
    /// When the fit ends.
    pub stopping: StoppingRule,
}

/// `logit q = a ln p − b ln(1 − p) + c` by maximum likelihood, with a, b ≥ 0 so that it never falls.
///
/// Where a (else b) comes out negative it is set to 0 and the rest refitted; where that leaves the other one
/// negative, it is set to 0 too, and the map is constant.
///
/// # Source
/// Kull et al. 2017, "Beta calibration". Their code leaves the second slope negative where the refit makes it
/// so, which turns the ranking round.
///
/// ```
/// use derm_calibration::{BetaConfig, BetaMap, BinaryMap, Odds};
/// let p = [0.2, 0.2, 0.2, 0.6, 0.6, 0.9, 0.9, 0.9];
/// let odds = p.map(|p| Odds::new(p)).into_iter().collect::<Result<Vec<_>, _>>()?;
/// let positive = [false, true, false, true, false, true, true, false];
/// let map = BetaMap::fit(&odds, &positive, &BetaConfig::default())?;
/// // Three levels and three parameters, two of them at their bound or inside: rates come near.
/// assert!((map.map(&odds[0]) - 1.0 / 3.0).abs() < 0.05);
/// # Ok::<(), derm_calibration::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaMap {
    /// Weight of `ln p`, 0 or more.
    pub a: f64,
    /// Weight of `−ln(1 − p)`, 0 or more.
    pub b: f64,
    /// Intercept.
    pub c: f64,
}

/// Beta calibration of every class against the rest, renormalised. See [`BetaMap`].
pub type BetaCalibration = OneVsRest<BetaMap>;

impl BinaryMap for BetaMap {
    type Config = BetaConfig;

    const NAME: &'static str = "beta";

    fn fit(odds: &[Odds], positive: &[bool], config: &BetaConfig) -> Result<Self, Error> {
        check_rows(positive, odds.len())?;
        let targets: Vec<f64> = positive.iter().map(|&positive| f64::from(u8::from(positive))).collect();
        let weights = |columns: &[fn(&Odds) -> f64]| -> Result<Vec<f64>, Error> {
            let features = Array2::from_shape_fn((odds.len(), columns.len()), |(row, column)| {
                columns[column](&odds[row])
            });
            Ok(fit_logistic(Self::NAME, &features, &targets, &config.stopping)?.0)
        };
        let left: fn(&Odds) -> f64 = |odds| odds.ln_p;
        let right: fn(&Odds) -> f64 = |odds| -odds.ln_rest;
        let one: fn(&Odds) -> f64 = |_| 1.0;
        let constant = || Ok(Self { a: 0.0, b: 0.0, c: weights(&[one])?[0] });
        let free = |a: f64, b: f64, c: f64| Self { a, b, c };
        match config.variant {
            BetaVariant::Abm => {
                let all = weights(&[left, right, one])?;
                let fitted = match (all[0] < 0.0, all[1] < 0.0) {
                    (true, _) => weights(&[right, one]).map(|w| free(0.0, w[0], w[1]))?,
                    (false, true) => weights(&[left, one]).map(|w| free(w[0], 0.0, w[1]))?,
                    (false, false) => free(all[0], all[1], all[2]),
                };
                if fitted.a < 0.0 || fitted.b < 0.0 { constant() } else { Ok(fitted) }
            }
            BetaVariant::Ab => {
                // logit q = a ln 2p − b ln 2(1 − p).
                let left: fn(&Odds) -> f64 = |odds| odds.ln_p + LN_2;
                let right: fn(&Odds) -> f64 = |odds| -odds.ln_rest - LN_2;
                let both = weights(&[left, right])?;
                let (a, b) = match (both[0] < 0.0, both[1] < 0.0) {
                    (true, _) => (0.0, weights(&[right])?[0].max(0.0)),
                    (false, true) => (weights(&[left])?[0].max(0.0), 0.0),
                    (false, false) => (both[0], both[1]),
                };
                Ok(free(a, b, (a - b) * LN_2))
            }
            BetaVariant::Am => {
                let w = weights(&[Odds::log_odds, one])?;
                if w[0] < 0.0 { constant() } else { Ok(free(w[0], w[0], w[1])) }
            }
        }
    }

    fn map(&self, odds: &Odds) -> f64 {
        sigmoid(self.a * odds.ln_p - self.b * odds.ln_rest + self.c)
    }
}
