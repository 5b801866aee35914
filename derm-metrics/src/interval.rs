use serde::{Deserialize, Serialize};

/// How an interval was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IntervalMethod {
    /// Wilson's score interval of a proportion.
    Wilson,
    /// The exact interval of a proportion.
    ClopperPearson,
    /// Percentiles of bootstrap replicates.
    PercentileBootstrap,
    /// Percentiles of bootstrap replicates, moved by the replicates' bias (their mean − the estimate) and cut
    /// at 0.
    ShiftedPercentileBootstrap,
    /// Bias-corrected and accelerated percentiles of bootstrap replicates.
    BcaBootstrap,
    /// `DeLong`'s normal interval of an area under the ROC curve.
    DeLong,
    /// Student's interval of a mean, or of a difference of means.
    StudentT,
}

/// A two-sided interval that misses with probability `alpha`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Nominal miscoverage: 0.05 for a 95 % interval.
    pub alpha: f64,
    /// How it was made.
    pub method: IntervalMethod,
}

impl Interval {
    /// Whether `value` lies in the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
