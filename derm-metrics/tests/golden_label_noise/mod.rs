//! The ops of `label_noise.json`.

use derm_core::Probabilities;
use derm_golden::{Case, Got};
use derm_metrics::{ConfidentJoint, LabelIssueFilter, LabelQualityScore, confident_thresholds, label_issues};
use ndarray::Array2;

fn score(case: &Case, name: &str) -> LabelQualityScore {
    match name {
        "self_confidence" => LabelQualityScore::SelfConfidence,
        "normalized_margin" => LabelQualityScore::NormalizedMargin,
        "confidence_weighted_entropy" => LabelQualityScore::ConfidenceWeightedEntropy,
        unknown => case.unknown(unknown),
    }
}

fn filter(case: &Case) -> LabelIssueFilter {
    match case.text("filter_by") {
        "prune_by_noise_rate" => LabelIssueFilter::PruneByNoiseRate,
        "prune_by_class" => LabelIssueFilter::PruneByClass,
        "both" => LabelIssueFilter::Both,
        "confident_learning" => LabelIssueFilter::ConfidentLearning,
        "predicted_neq_given" => LabelIssueFilter::PredictedNeqGiven,
        "low_self_confidence" => LabelIssueFilter::LowSelfConfidence,
        "low_normalized_margin" => LabelIssueFilter::LowNormalizedMargin,
        unknown => case.unknown(unknown),
    }
}

fn counts(matrix: &Array2<u64>) -> Got {
    matrix.iter().copied().collect::<Vec<u64>>().into()
}

pub(crate) fn check(case: &Case) -> bool {
    let p = Probabilities::new(case.input("probs").matrix()).unwrap();
    let y = case.input("targets").indices();
    match case.op.as_str() {
        "confident_thresholds" => {
            case.check([("thresholds", confident_thresholds(&p, &y).unwrap().into())]);
        }
        "confident_joint" => {
            let joint = ConfidentJoint::new(&p, &y).unwrap();
            if case.flag("calibrate") {
                case.check([("matrix", counts(&joint.calibrated()))]);
            } else {
                let indices = joint.off_diagonal_rows().to_vec().into();
                case.check([("matrix", counts(joint.counts())), ("off_diagonal_indices", indices)]);
            }
        }
        "estimated_joint" => {
            case.check([("matrix", ConfidentJoint::new(&p, &y).unwrap().estimated_joint().into())]);
        }
        "label_quality" => {
            let scores = score(case, case.text("method")).scores(&p, &y).unwrap();
            case.check([("scores", scores.into())]);
        }
        "label_issues" => {
            let issues = label_issues(&p, &y, filter(case), score(case, case.text("rank_by"))).unwrap();
            case.check([("indices", issues.iter().map(|issue| issue.row).collect::<Vec<_>>().into())]);
        }
        _ => return false,
    }
    true
}
