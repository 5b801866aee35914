//! Confident learning finds what was planted, and refuses what it cannot use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use derm_core::{Logits, Probabilities};
use derm_metrics::{
    ConfidentJoint, Error, LabelIssueFilter, LabelQualityScore, confident_thresholds, label_issues,
};
use ndarray::{Array2, array};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FILTERS: [LabelIssueFilter; 7] = [
    LabelIssueFilter::PruneByNoiseRate,
    LabelIssueFilter::PruneByClass,
    LabelIssueFilter::Both,
    LabelIssueFilter::ConfidentLearning,
    LabelIssueFilter::PredictedNeqGiven,
    LabelIssueFilter::LowSelfConfidence,
    LabelIssueFilter::LowNormalizedMargin,
];
const SCORES: [LabelQualityScore; 3] = [
    LabelQualityScore::SelfConfidence,
    LabelQualityScore::NormalizedMargin,
    LabelQualityScore::ConfidenceWeightedEntropy,
];

/// Rows of a good network, and the rows whose label was then changed.
fn planted(
    seed: u64,
    rows: usize,
    num_classes: usize,
    noise: f64,
) -> (Probabilities, Vec<usize>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut given = Vec::new();
    let mut wrong = Vec::new();
    let mut logits = Array2::zeros((rows, num_classes));
    for row in 0..rows {
        let class = rng.random_range(0..num_classes);
        for k in 0..num_classes {
            logits[[row, k]] = 2.0 * rng.random::<f64>() + if k == class { 4.0 } else { 0.0 };
        }
        if rng.random::<f64>() < noise {
            given.push((class + 1 + rng.random_range(0..num_classes - 1)) % num_classes);
            wrong.push(row);
        } else {
            given.push(class);
        }
    }
    (Logits::new(logits).unwrap().softmax(), given, wrong)
}

#[test]
fn planted_errors_are_found() {
    let (p, given, wrong) = planted(3, 600, 5, 0.1);
    for filter in FILTERS {
        let issues = label_issues(&p, &given, filter, LabelQualityScore::SelfConfidence).unwrap();
        let rows: Vec<usize> = issues.iter().map(|issue| issue.row).collect();
        let found = wrong.iter().filter(|row| rows.contains(row)).count();
        let recall = found as f64 / wrong.len() as f64;
        let precision = found as f64 / rows.len() as f64;
        assert!(recall > 0.8 && precision > 0.8, "{filter:?}: recall {recall}, precision {precision}");
        assert!(issues.iter().all(|issue| issue.suggested != issue.given));
        assert!(issues.windows(2).all(|pair| pair[0].quality <= pair[1].quality));
    }
    let joint = ConfidentJoint::new(&p, &given).unwrap().estimated_joint();
    let noise = 1.0 - joint.diag().sum();
    // 60 of 600 expected, standard deviation 7
    assert!((noise - wrong.len() as f64 / 600.0).abs() < 0.02, "{noise} and {}", wrong.len());
}

#[test]
fn right_labels_are_left_alone() {
    let (p, given, _) = planted(4, 300, 4, 0.0);
    for filter in FILTERS {
        assert!(label_issues(&p, &given, filter, LabelQualityScore::SelfConfidence).unwrap().is_empty());
    }
}

#[test]
fn a_class_without_rows_has_no_threshold_and_no_rows() {
    let p = Probabilities::new(array![[0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.1, 0.8, 0.1]]).unwrap();
    let given = [0, 0, 1];
    assert_eq!(confident_thresholds(&p, &given).unwrap()[2], None);
    let joint = ConfidentJoint::new(&p, &given).unwrap();
    assert_eq!(joint.calibrated().row(2).sum(), 0);
    assert_eq!(joint.counts().column(2).sum(), 1, "only the diagonal's minimum");
}

#[test]
fn equal_remainders_are_rounded_from_the_lower_class() {
    let p = Probabilities::new(array![
        [0.9, 0.05, 0.05],
        [0.9, 0.05, 0.05],
        [0.1, 0.9, 0.0],
        [0.1, 0.0, 0.9],
        [0.4, 0.3, 0.3],
        [0.4, 0.3, 0.3],
        [0.0, 0.8, 0.2],
        [0.0, 0.2, 0.8],
    ])
    .unwrap();
    let joint = ConfidentJoint::new(&p, &[0, 0, 0, 0, 0, 0, 1, 2]).unwrap();
    assert_eq!(joint.counts(), array![[2, 1, 1], [0, 1, 0], [0, 0, 1]]);
    // Of 6 rows: 3, 1.5 and 1.5, rounded 3, 2 and 2, of which one is too many.
    assert_eq!(joint.calibrated().row(0), array![3, 1, 2]);
}

#[test]
fn a_class_with_one_row_is_never_flagged_by_counts() {
    let p = Probabilities::new(array![[0.9, 0.1], [0.8, 0.2], [0.95, 0.05]]).unwrap();
    for filter in [LabelIssueFilter::PruneByClass, LabelIssueFilter::PruneByNoiseRate] {
        let issues = label_issues(&p, &[0, 0, 1], filter, LabelQualityScore::SelfConfidence).unwrap();
        assert!(issues.is_empty(), "{issues:?}");
    }
}

#[test]
fn certain_rows_by_hand() {
    let p = Probabilities::new(array![[1.0, 0.0], [1.0, 0.0]]).unwrap();
    let scores = |score: LabelQualityScore| score.scores(&p, &[0, 1]).unwrap();
    assert_eq!(scores(LabelQualityScore::SelfConfidence), [1.0, 0.0]);
    assert_eq!(scores(LabelQualityScore::NormalizedMargin), [1.0, 0.0]);
    assert_eq!(scores(LabelQualityScore::ConfidenceWeightedEntropy), [1.0, 0.0]);
}

#[test]
fn bad_arguments_are_refused() {
    let p = Probabilities::new(array![[0.5, 0.5], [0.9, 0.1]]).unwrap();
    let one = Probabilities::new(array![[1.0], [1.0]]).unwrap();
    for filter in FILTERS {
        for score in SCORES {
            assert!(matches!(label_issues(&p, &[0, 2], filter, score), Err(Error::Value(_))));
            assert!(matches!(label_issues(&p, &[0], filter, score), Err(Error::Value(_))));
            let error = label_issues(&one, &[0, 0], filter, score).unwrap_err();
            assert!(matches!(error, Error::Count { argument: "num_classes", value: 1, .. }), "{error}");
        }
    }
    assert!(ConfidentJoint::new(&p, &[2, 0]).is_err());
    assert!(confident_thresholds(&p, &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_does_not_matter(seed in 0u64..500, shift in 1usize..60, which in 0usize..7) {
        let (p, given, _) = planted(seed, 60, 3, 0.2);
        let order: Vec<usize> = (0..60).map(|row| (row + shift) % 60).collect();
        let moved = p.select(&order).unwrap();
        let moved_given: Vec<usize> = order.iter().map(|&row| given[row]).collect();
        let score = LabelQualityScore::NormalizedMargin;
        let rows = |p: &Probabilities, given: &[usize], back: &dyn Fn(usize) -> usize| {
            let issues = label_issues(p, given, FILTERS[which], score).unwrap();
            let mut rows: Vec<usize> = issues.iter().map(|issue| back(issue.row)).collect();
            rows.sort_unstable();
            rows
        };
        prop_assert_eq!(rows(&p, &given, &|row| row), rows(&moved, &moved_given, &|row| order[row]));
    }

    #[test]
    fn calibrated_counts_keep_the_class_sizes(seed in 0u64..500, noise in 0.0..0.6f64) {
        let (p, given, _) = planted(seed, 80, 4, noise);
        let joint = ConfidentJoint::new(&p, &given).unwrap();
        let calibrated = joint.calibrated();
        for class in 0..4 {
            let size = given.iter().filter(|&&given| given == class).count() as u64;
            prop_assert_eq!(calibrated.row(class).sum(), size);
        }
        prop_assert!((joint.estimated_joint().sum() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn scores_lie_between_0_and_1(seed in 0u64..500) {
        let (p, given, _) = planted(seed, 40, 4, 0.5);
        for score in SCORES {
            prop_assert!(score.scores(&p, &given).unwrap().iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }
}
