use derm_metrics::{Binning, ReliabilityTable};
use serde::{Deserialize, Serialize};

use crate::calibration_error::check_bins;
use crate::one_vs_rest::check_rows;
use crate::{BinaryMap, Error, Odds, OneVsRest};

/// How [`HistogramBinning`] is fitted.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `n_bins` | 15 | bins of equal width, 1 to the number of rows |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistogramConfig {
    /// Bins of equal width.
    pub n_bins: usize,
}

impl Default for HistogramConfig {
    fn default() -> Self {
        Self { n_bins: 15 }
    }
}

/// The rate of positive rows in each of equal-width bins (lo, hi] of [0, 1], the first holding 0 too; a bin
/// without rows keeps its midpoint.
///
/// # Source
/// Zadrozny and Elkan 2001; netcal `HistogramBinning`, whose bins are closed on the left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct HistogramMap {
    values: Vec<f64>,
}

/// Histogram binning of every class against the rest, renormalised. It can give 0 for a class that then is
/// the true one, so a negative log-likelihood must clip. See [`HistogramMap`].
pub type HistogramBinning = OneVsRest<HistogramMap>;

impl HistogramMap {
    /// The map with these values in its bins, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Value`] for no bin, [`Error::Entry`] for a value outside [0, 1].
    pub fn new(values: Vec<f64>) -> Result<Self, Error> {
        if values.is_empty() {
            return Err(derm_core::ValueError::Empty { argument: "values" }.into());
        }
        match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            None => Ok(Self { values }),
            Some(position) => {
                let (value, expected) = (values[position], "a number from 0 to 1");
                Err(Error::Entry { argument: "values", position, value, expected })
            }
        }
    }

    /// The value of each bin.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The value of the bin that holds `p`.
    pub fn value(&self, p: f64) -> f64 {
        let n_bins = self.values.len();
        // Zero would come out as bin −1: the subtraction saturates on that side, the minimum on the other.
        self.values[((p * n_bins as f64).ceil() as usize).saturating_sub(1).min(n_bins - 1)]
    }
}

impl TryFrom<Vec<f64>> for HistogramMap {
    type Error = Error;

    fn try_from(values: Vec<f64>) -> Result<Self, Error> {
        Self::new(values)
    }
}

impl From<HistogramMap> for Vec<f64> {
    fn from(map: HistogramMap) -> Self {
        map.values
    }
}

impl BinaryMap for HistogramMap {
    type Config = HistogramConfig;

    const NAME: &'static str = "histogram_binning";

    fn fit(odds: &[Odds], positive: &[bool], config: &HistogramConfig) -> Result<Self, Error> {
        check_rows(positive, odds.len())?;
        let n_bins = config.n_bins;
        let binning = Binning::Uniform { n_bins };
        check_bins(binning, odds.len())?;
        let p: Vec<f64> = odds.iter().map(|odds| odds.p).collect();
        let table = ReliabilityTable::new(&p, positive, binning)?;
        let midpoint = |bin: usize| (bin as f64 + 0.5) / n_bins as f64;
        let value = |(bin, of_bin): (usize, &derm_metrics::ReliabilityBin)| {
            of_bin.accuracy.unwrap_or_else(|| midpoint(bin))
        };
        Self::new(table.bins().iter().enumerate().map(value).collect())
    }

    fn map(&self, odds: &Odds) -> f64 {
        self.value(odds.p)
    }
}
