use derm_metrics::IsotonicRegression;
use serde::{Deserialize, Serialize};

use crate::one_vs_rest::check_rows;
use crate::{BinaryMap, Error, Odds, OneVsRest};

/// How [`IsotonicCalibration`] is fitted: there is nothing to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsotonicConfig {}

/// Isotonic regression of every class against the rest, renormalised: rows of equal probability are averaged,
/// adjacent violators pooled, and between the steps the map is linear; past its ends it is constant.
///
/// It can give 0 for a class that then is the true one, so a negative log-likelihood must clip
/// ([`NLL_CLIP`](derm_metrics::NLL_CLIP)). Each map keeps the order of its class's probabilities, up to ties.
///
/// # Source
/// Zadrozny and Elkan 2002; scikit-learn `IsotonicRegression(out_of_bounds="clip")` a class.
pub type IsotonicCalibration = OneVsRest<IsotonicRegression>;

impl BinaryMap for IsotonicRegression {
    type Config = IsotonicConfig;

    const NAME: &'static str = "isotonic";

    fn fit(odds: &[Odds], positive: &[bool], _config: &IsotonicConfig) -> Result<Self, Error> {
        check_rows(positive, odds.len())?;
        let x: Vec<f64> = odds.iter().map(|odds| odds.p).collect();
        let y: Vec<f64> = positive.iter().map(|&positive| f64::from(u8::from(positive))).collect();
        Ok(Self::fit(&x, &y, None)?)
    }

    fn map(&self, odds: &Odds) -> f64 {
        self.predict(odds.p)
    }
}
