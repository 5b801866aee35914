use std::collections::BTreeSet;

use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use super::{ConfidentJoint, LabelQualityScore};
use crate::Error;
use crate::error::check_at_least_two_classes;

/// A given class this close to the largest probability counts as the prediction, and its row is not flagged.
const NEARLY_PREDICTED: f64 = 1e-6;

/// Which rows are flagged. J is the calibrated [`ConfidentJoint`], `n_k` the number of rows given class k.
///
/// All but the last two drop rows whose given class is the most probable one.
///
/// # Source
/// Northcutt, Jiang and Chuang 2021, section 3.2; cleanlab `find_label_issues`. As there, a class keeps at least one
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelIssueFilter {
    /// For every given class k and other class j the `J_kj` rows of largest `p_j − p_k`.
    PruneByNoiseRate,
    /// For every given class k the `n_k − J_kk` rows of smallest `p_k`.
    PruneByClass,
    /// The rows that both of the above flag.
    Both,
    /// The rows that the confident joint counts off its diagonal.
    ConfidentLearning,
    /// The rows whose most probable class is not the given one.
    PredictedNeqGiven,
    /// The rows of lowest [`LabelQualityScore::SelfConfidence`], as many as
    /// [`LabelIssueFilter::ConfidentLearning`] flags.
    LowSelfConfidence,
    /// The rows of lowest [`LabelQualityScore::NormalizedMargin`], as many.
    LowNormalizedMargin,
}

/// A row whose label is likely wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelIssue {
    /// The row, from 0.
    pub row: usize,
    /// The class that it is given.
    pub given: usize,
    /// The most probable class.
    pub suggested: usize,
    /// Its quality by the score that the issues are ranked by.
    pub quality: f64,
}

/// The rows whose labels are likely wrong, worst first (ties by row): what a clinician should look at again.
///
/// The probabilities must be out-of-sample, from cross-validation for one.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{LabelIssueFilter, LabelQualityScore, label_issues};
/// let probabilities =
///     Probabilities::new(ndarray::array![[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])?;
/// let (filter, score) = (LabelIssueFilter::ConfidentLearning, LabelQualityScore::SelfConfidence);
/// let issues = label_issues(&probabilities, &[0, 0, 0, 1, 1], filter, score)?;
/// assert_eq!((issues.len(), issues[0].row, issues[0].given, issues[0].suggested), (1, 2, 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Value`] where the targets do not fit the probabilities, [`Error::Count`] for one class.
pub fn label_issues(
    probabilities: &Probabilities,
    given: &[usize],
    filter: LabelIssueFilter,
    rank_by: LabelQualityScore,
) -> Result<Vec<LabelIssue>, Error> {
    check_at_least_two_classes(probabilities.num_classes())?;
    let predicted = probabilities.predicted();
    let joint = ConfidentJoint::new(probabilities, given)?;
    let lowest = |score: LabelQualityScore| {
        let confident = flagged(probabilities, given, &joint, LabelIssueFilter::ConfidentLearning);
        let count = without_predicted(probabilities, given, confident).len();
        let scores = score.scores(probabilities, given)?;
        let mut order: Vec<usize> = (0..given.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        Ok::<_, Error>(order.into_iter().take(count).collect::<BTreeSet<_>>())
    };
    let rows = match filter {
        LabelIssueFilter::LowSelfConfidence => lowest(LabelQualityScore::SelfConfidence)?,
        LabelIssueFilter::LowNormalizedMargin => lowest(LabelQualityScore::NormalizedMargin)?,
        _ => without_predicted(probabilities, given, flagged(probabilities, given, &joint, filter)),
    };
    let quality = rank_by.scores(probabilities, given)?;
    let issue = |row| LabelIssue { row, given: given[row], suggested: predicted[row], quality: quality[row] };
    let mut issues: Vec<LabelIssue> = rows.into_iter().map(issue).collect();
    issues.sort_by(|a, b| a.quality.total_cmp(&b.quality));
    Ok(issues)
}

/// The rows that the counts flag, before those whose given class is predicted drop out.
fn flagged(
    probabilities: &Probabilities,
    given: &[usize],
    joint: &ConfidentJoint,
    filter: LabelIssueFilter,
) -> BTreeSet<usize> {
    match filter {
        LabelIssueFilter::PruneByNoiseRate => by_noise_rate(probabilities, given, joint),
        LabelIssueFilter::PruneByClass => by_class(probabilities, given, joint),
        LabelIssueFilter::Both => {
            &by_noise_rate(probabilities, given, joint) & &by_class(probabilities, given, joint)
        }
        LabelIssueFilter::ConfidentLearning => joint.off_diagonal_rows().iter().copied().collect(),
        // Rows whose given class is predicted drop out of all rows.
        _ => (0..given.len()).collect(),
    }
}

fn by_noise_rate(probabilities: &Probabilities, given: &[usize], joint: &ConfidentJoint) -> BTreeSet<usize> {
    let p = probabilities.view();
    let calibrated = joint.calibrated();
    let mut flagged = BTreeSet::new();
    for (k, rows) in rows_of_classes(given, probabilities.num_classes()) {
        for j in (0..probabilities.num_classes()).filter(|&j| j != k) {
            let margin = |row: usize| p[[row, k]] - p[[row, j]];
            flagged.extend(smallest(&rows, margin, calibrated[[k, j]] as usize));
        }
    }
    flagged
}

fn by_class(probabilities: &Probabilities, given: &[usize], joint: &ConfidentJoint) -> BTreeSet<usize> {
    let p = probabilities.view();
    let calibrated = joint.calibrated();
    let mut flagged = BTreeSet::new();
    for (k, rows) in rows_of_classes(given, probabilities.num_classes()) {
        let kept = (calibrated[[k, k]] as usize).max(1);
        flagged.extend(smallest(&rows, |row| p[[row, k]], rows.len().saturating_sub(kept)));
    }
    flagged
}

/// The rows of each given class that has more than one.
fn rows_of_classes(given: &[usize], num_classes: usize) -> impl Iterator<Item = (usize, Vec<usize>)> {
    let rows = move |class| (0..given.len()).filter(|&row| given[row] == class).collect::<Vec<_>>();
    (0..num_classes).map(move |class| (class, rows(class))).filter(|(_, rows)| rows.len() > 1)
}

/// The `count` rows with the smallest value, ties by row.
fn smallest(rows: &[usize], value: impl Fn(usize) -> f64, count: usize) -> Vec<usize> {
    let mut order = rows.to_vec();
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    order.truncate(count);
    order
}

fn without_predicted(
    probabilities: &Probabilities,
    given: &[usize],
    rows: BTreeSet<usize>,
) -> BTreeSet<usize> {
    let differs = |&row: &usize| {
        let p = probabilities.row(row);
        let own = p[given[row]] + NEARLY_PREDICTED;
        p.iter().enumerate().any(|(class, &p)| class != given[row] && p > own)
    };
    rows.into_iter().filter(differs).collect()
}
