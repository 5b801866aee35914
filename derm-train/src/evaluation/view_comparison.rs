use derm_core::{Predictions, Test};
use derm_metrics::{Interval, Metric, Resamples, bootstrap, paired_bootstrap};
use serde::Serialize;

use crate::Error;
use crate::evaluation::teacher_comparison::aligned_rows;

/// What looking at a picture in several ways is worth: each view's uncalibrated probabilities beside those of the
/// picture as it is, paired over the same lesions or patients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewComparison {
    /// One entry a view and metric.
    pub results: Vec<ViewResult>,
}

/// A metric of one view.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewResult {
    /// The view.
    pub view: String,
    /// The metric.
    pub metric: String,
    /// Its value; `None` where it is undefined.
    pub value: Option<f64>,
    /// Bootstrap interval over lesions or patients.
    pub interval: Option<Interval>,
    /// The view minus the picture as it is.
    pub difference: Option<f64>,
    /// Interval of the difference, paired.
    pub difference_interval: Option<Interval>,
}

impl ViewComparison {
    /// Compares `others` with `plain`, each by its name.
    ///
    /// # Errors
    /// [`Error::TeacherRows`] where the tables are not of the same rows; [`Error::Metrics`] for impossible settings.
    pub fn new(
        plain: &Predictions<Test>,
        others: &[(&str, &Predictions<Test>)],
        replicates: usize,
        alpha: f64,
        seed: u64,
    ) -> Result<Self, Error> {
        let resamples = Resamples::groups(plain.groups(), replicates, seed)?;
        let (metrics, targets) = (Metric::STANDARD, plain.targets());
        let identity = plain.probabilities();
        let name = plain.metadata().view.to_string();
        let mut results = Vec::new();
        for (view, table) in std::iter::once((name.as_str(), plain)).chain(others.iter().copied()) {
            let probabilities = table.probabilities().select(&aligned_rows(plain, table)?)?;
            let own = bootstrap(&probabilities, targets, &metrics, &resamples, alpha)?;
            let pairs = paired_bootstrap(&probabilities, &identity, targets, &metrics, &resamples, alpha)?;
            for (own, pair) in own.into_iter().zip(pairs) {
                results.push(ViewResult {
                    view: view.to_owned(),
                    metric: own.metric.to_string(),
                    value: own.estimate,
                    interval: match own.metric {
                        Metric::Ece { .. } => own.shifted_interval(),
                        _ => own.interval,
                    },
                    difference: pair.estimate,
                    difference_interval: pair.interval,
                });
            }
        }
        Ok(Self { results })
    }
}
