//! What the replicates of a bootstrap say about a number.

use crate::{Interval, IntervalMethod};

/// Mean, spread and percentile interval of the replicates that have a value.
pub(crate) struct Spread {
    pub(crate) interval: Option<Interval>,
    pub(crate) mean: Option<f64>,
    pub(crate) std: Option<f64>,
}

impl Spread {
    pub(crate) fn new(replicates: &[Option<f64>], alpha: f64) -> Self {
        let defined = sorted(replicates);
        let count = defined.len() as f64;
        let mean = (!defined.is_empty()).then(|| replicates.iter().flatten().sum::<f64>() / count);
        let std = mean.filter(|_| defined.len() > 1).map(|mean| {
            let squares = replicates.iter().flatten().map(|value| (value - mean).powi(2));
            (squares.sum::<f64>() / (count - 1.0)).sqrt()
        });
        let interval = are_enough(defined.len(), replicates.len()).then(|| Interval {
            low: quantile(&defined, alpha / 2.0),
            high: quantile(&defined, 1.0 - alpha / 2.0),
            alpha,
            method: IntervalMethod::PercentileBootstrap,
        });
        // An infinite value (a likelihood that is not clipped) has no spread and no interval that a file could hold.
        let interval = interval.filter(|interval| interval.low.is_finite() && interval.high.is_finite());
        Self { interval, mean, std: std.filter(|std| std.is_finite()) }
    }

    /// The interval moved down by the replicates' bias and cut at zero, for a number that is never negative.
    pub(crate) fn shifted(&self, estimate: Option<f64>) -> Option<Interval> {
        shifted(self.interval?, self.mean? - estimate?)
    }
}

/// See [`BootstrapEstimate::shifted_interval`](crate::BootstrapEstimate::shifted_interval).
pub(crate) fn shifted(interval: Interval, bias: f64) -> Option<Interval> {
    let end = |end: f64| (end - bias).max(0.0);
    let (low, high) = (end(interval.low), end(interval.high));
    let method = IntervalMethod::ShiftedPercentileBootstrap;
    bias.is_finite().then_some(Interval { low, high, method, ..interval })
}

/// `a − b`; `None` where one is undefined or both are the same infinity.
pub(crate) fn minus(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? - b?).filter(|difference| !difference.is_nan())
}

/// Whether an interval may rest on the replicates that have a value: at least half do.
pub(crate) fn are_enough(defined: usize, replicates: usize) -> bool {
    defined > 0 && 2 * defined >= replicates
}

/// The values that are there, rising.
pub(crate) fn sorted(replicates: &[Option<f64>]) -> Vec<f64> {
    let mut defined: Vec<f64> = replicates.iter().copied().flatten().collect();
    defined.sort_unstable_by(f64::total_cmp);
    defined
}

/// `min(1, 2 min((1 + #{d ≤ 0}) / (B + 1), (1 + #{d ≥ 0}) / (B + 1)))` over the B differences that have a value.
pub(crate) fn two_sided_p(differences: &[Option<f64>]) -> f64 {
    let tail = |side: fn(f64) -> bool| {
        let defined = differences.iter().flatten();
        (1 + defined.clone().filter(|&&d| side(d)).count()) as f64 / (1 + defined.count()) as f64
    };
    (2.0 * tail(|d| d <= 0.0).min(tail(|d| d >= 0.0))).min(1.0)
}

/// The quantile of sorted values by linear interpolation at `(B − 1) q`; there is at least one value.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = (sorted.len() - 1) as f64 * q;
    let low = position.floor();
    let (below, above) = (sorted[low as usize], sorted[(position.ceil() as usize).min(sorted.len() - 1)]);
    // Equal neighbours stay exactly themselves, infinite ones too.
    if below == above { below } else { below + (above - below) * (position - low) }
}
