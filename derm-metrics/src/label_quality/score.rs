use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_at_least_two_classes;

/// How well a row's given label fits the network's probabilities, in [0, 1]; low is suspect.
///
/// # Source
/// Northcutt, Jiang and Chuang 2021; Kuan and Mueller 2022; cleanlab `get_label_quality_scores`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelQualityScore {
    /// `p_y`.
    SelfConfidence,
    /// `(p_y − max_{c≠y} p_c + 1) / 2`.
    NormalizedMargin,
    /// `ln(h + 1) / h` with `h = H(p) / (ln C · p_y)`, H the entropy: low where the network is certain of another
    /// class, less so where it is certain of nothing. 1, the limit, where h is 0 (cleanlab gives 0 there, the worst
    /// score, to a row that is certain and right), and 0 where `p_y` is.
    ConfidenceWeightedEntropy,
}

impl LabelQualityScore {
    /// The score of every row, shape `[N]`.
    ///
    /// ```
    /// use derm_core::Probabilities;
    /// use derm_metrics::LabelQualityScore;
    /// let probabilities = Probabilities::new(ndarray::array![[0.75, 0.25], [0.75, 0.25]])?;
    /// let scores = LabelQualityScore::NormalizedMargin.scores(&probabilities, &[0, 1])?;
    /// assert_eq!(scores, [0.75, 0.25]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] where the targets do not fit the probabilities, [`Error::Count`] for one class.
    pub fn scores(self, probabilities: &Probabilities, given: &[usize]) -> Result<Vec<f64>, Error> {
        probabilities.check_targets(given)?;
        let num_classes = probabilities.num_classes();
        check_at_least_two_classes(num_classes)?;
        let score = |(row, &given): (usize, &usize)| {
            let p = probabilities.row(row);
            let own = p[given];
            match self {
                Self::SelfConfidence => own,
                Self::NormalizedMargin => {
                    let others = p.iter().enumerate().filter(|&(class, _)| class != given);
                    let largest = others.map(|(_, &p)| p).fold(f64::NEG_INFINITY, f64::max);
                    f64::midpoint(own - largest, 1.0)
                }
                Self::ConfidenceWeightedEntropy if own <= 0.0 => 0.0,
                Self::ConfidenceWeightedEntropy => {
                    let entropy: f64 = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
                    let h = entropy.max(0.0) / (num_classes as f64).ln() / own;
                    if h > 0.0 { h.ln_1p() / h } else { 1.0 }
                }
            }
        };
        Ok(given.iter().enumerate().map(score).collect())
    }
}
