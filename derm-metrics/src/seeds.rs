use serde::{Deserialize, Serialize};

use crate::error::{check_alpha, check_finite, check_not_empty};
use crate::{Error, Interval, IntervalMethod, student};

/// A number over several training runs that differ in their seed alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedSummary {
    /// Number of runs n.
    pub runs: usize,
    /// Mean over the runs.
    pub mean: f64,
    /// Standard deviation with n − 1 in the denominator; `None` for one run.
    pub std: Option<f64>,
    /// Student's interval of the mean, `mean ± t_{n−1} std / √n`; `None` for one run. It says how well the runs
    /// tell the mean over seeds on this test set, and nothing about other test sets.
    pub interval: Option<Interval>,
}

impl SeedSummary {
    /// Summarises `values`, one a run.
    ///
    /// # Errors
    /// [`Error::Value`] for no run, [`Error::Entry`] for a value that is not finite, [`Error::Range`] unless
    /// `alpha` is in (0, 1).
    ///
    /// # Source
    /// Student 1908; scipy `stats.t.interval`.
    ///
    /// ```
    /// use derm_metrics::SeedSummary;
    /// let runs = SeedSummary::new(&[0.81, 0.83, 0.82], 0.05)?;
    /// assert!((runs.mean - 0.82).abs() < 1e-15);
    /// assert!(runs.interval.is_some_and(|interval| (interval.low - 0.79516).abs() < 1e-5));
    /// assert_eq!(SeedSummary::new(&[0.81], 0.05)?.interval, None);
    /// # Ok::<(), derm_metrics::Error>(())
    /// ```
    pub fn new(values: &[f64], alpha: f64) -> Result<Self, Error> {
        check_alpha(alpha)?;
        check_not_empty("values", values.len())?;
        check_finite("values", values)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        let interval = std.map(|std| {
            let half = student::two_sided_quantile(alpha, n - 1.0) * std / n.sqrt();
            Interval { low: mean - half, high: mean + half, alpha, method: IntervalMethod::StudentT }
        });
        Ok(Self { runs: values.len(), mean, std, interval })
    }
}
