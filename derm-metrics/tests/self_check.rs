//! Numbers that betray a mistake are named; honest ones are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Probabilities, Role, ScoreKind, Scores,
    SplitRole, Test, Train, View,
};
use derm_metrics::{
    CalibrationNorm, Error, Evaluation, EvaluationConfig, NLL_CLIP, ReportedNumbers, Suspicion, accuracy,
    brier, check_corruption, check_disjoint, check_probabilities, check_splits, ece, nll,
};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn one_hot(predicted: &[usize]) -> Probabilities {
    Probabilities::new(Array2::from_shape_fn((predicted.len(), 3), |(row, class)| {
        f64::from(u8::from(predicted[row] == class))
    }))
    .unwrap()
}

fn numbers(p: &Probabilities, y: &[usize]) -> ReportedNumbers {
    ReportedNumbers {
        rows: Some(y.len()),
        accuracy: Some(accuracy(p, y).unwrap()),
        brier: Some(brier(p, y).unwrap()),
        ece: Some(ece(p, y, 15, CalibrationNorm::L1).unwrap()),
        nll: Some(nll(p, y, NLL_CLIP).unwrap()),
    }
}

#[test]
fn one_hot_probabilities_betray_themselves_in_three_ways() {
    let (p, y) = (one_hot(&[0, 1, 2, 0]), [0, 1, 1, 0]);
    let numbers = numbers(&p, &y);
    let found = numbers.check().unwrap();
    assert_eq!(
        found,
        [
            Suspicion::BrierOfOneHot { brier: 0.5, accuracy: 0.75 },
            Suspicion::EceOfOneHot { ece: 0.25, accuracy: 0.75 },
        ]
    );
    assert_eq!(check_probabilities(&p), Some(Suspicion::OneHotProbabilities { rows: 4 }));
    // as a table prints them
    let rounded =
        ReportedNumbers { accuracy: Some(0.8123), brier: Some(0.3754), ece: Some(0.1877), ..numbers };
    assert_eq!(rounded.check().unwrap().len(), 2);
    // Whatever the accuracy, four digits of each still fit.
    for hits in 0..7919 {
        let accuracy = f64::from(hits) / 7919.0;
        let digits = |x: f64| Some(format!("{x:.4}").parse::<f64>().unwrap());
        let rounded = ReportedNumbers {
            accuracy: digits(accuracy),
            brier: digits(2.0 * (1.0 - accuracy)),
            ece: digits(1.0 - accuracy),
            ..Default::default()
        };
        let expected = if rounded.accuracy == Some(1.0) { 0 } else { 2 };
        assert_eq!(rounded.check().unwrap().len(), expected, "{accuracy}");
    }
}

#[test]
fn a_perfect_model_is_not_accused_by_its_numbers() {
    let (p, y) = (one_hot(&[0, 1]), [0, 1]);
    assert_eq!(numbers(&p, &y).check().unwrap(), []);
}

#[test]
fn a_sum_in_the_place_of_a_mean() {
    let report = |nll, rows| ReportedNumbers { nll: Some(nll), rows: Some(rows), ..Default::default() };
    assert_eq!(report(712.4, 1000).check().unwrap(), [Suspicion::NllIsASum { reported: 712.4, rows: 1000 }]);
    assert_eq!(report(0.7124, 1000).check().unwrap(), []);
    // one row: sum and mean are the same
    assert_eq!(report(50.0, 1).check().unwrap(), []);
    // larger than any mean, and larger than any sum: whatever it is, it is no sum
    assert_eq!(report(1e9, 1000).check().unwrap(), []);
    // without the number of rows nothing can be said
    assert_eq!(ReportedNumbers { nll: Some(712.4), ..Default::default() }.check().unwrap(), []);
}

#[test]
fn numbers_outside_their_range_are_refused() {
    let base = ReportedNumbers::default();
    for (argument, numbers) in [
        ("accuracy", ReportedNumbers { accuracy: Some(81.0), ..base }),
        ("accuracy", ReportedNumbers { accuracy: Some(f64::NAN), ..base }),
        ("brier", ReportedNumbers { brier: Some(2.1), ..base }),
        ("ece", ReportedNumbers { ece: Some(-0.1), ..base }),
        ("nll", ReportedNumbers { nll: Some(f64::INFINITY), ..base }),
    ] {
        let error = numbers.check().unwrap_err();
        assert!(matches!(error, Error::Range { argument: got, .. } if got == argument), "{error}");
    }
}

#[test]
fn a_corruption_that_was_not_applied() {
    let clean = Probabilities::new(array![[0.5, 0.5], [0.9, 0.1]]).unwrap();
    let found = check_corruption("jpeg_10", &clean, &clean.clone()).unwrap().unwrap();
    assert_eq!(found.to_string(), "`jpeg_10` changed no probability of 2 rows: was it applied?");
    let changed = Probabilities::new(array![[0.5, 0.5], [0.9 + 1e-12, 0.1 - 1e-12]]).unwrap();
    assert_eq!(check_corruption("jpeg_10", &clean, &changed).unwrap(), None);
    assert!(check_corruption("jpeg_10", &clean, &one_hot(&[0, 1])).is_err());
    assert!(check_corruption("jpeg_10", &clean, &Probabilities::new(array![[0.5, 0.5]]).unwrap()).is_err());
}

fn predictions<R: Role>(groups: &[&str], values: Array2<f32>) -> Predictions<R> {
    let names: Vec<String> = (0..groups.len()).map(|row| format!("image_{row}")).collect();
    let columns = PredictionColumns {
        ids: names.clone(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        cases: names,
        targets: vec![0; groups.len()],
        ..PredictionColumns::default()
    };
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new(["mel", "nv"]).unwrap(),
        split_hash: "0f3a".into(),
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

#[test]
fn a_lesion_in_two_splits() {
    let train = predictions::<Train>(&["a", "b", "b"], Array2::zeros((3, 2)));
    let test = predictions::<Test>(&["c", "b"], Array2::zeros((2, 2)));
    let expected =
        Suspicion::GroupInTwoSplits { group: "b".into(), first: SplitRole::Train, second: SplitRole::Test };
    assert_eq!(check_disjoint(&train, &test), [expected]);
    assert_eq!(check_disjoint(&train, &predictions::<Test>(&["c"], Array2::zeros((1, 2)))), []);
    // pieces of one split may share a lesion
    let groups = ["a".to_owned()];
    assert_eq!(check_splits([(SplitRole::Test, &groups[..]), (SplitRole::Test, &groups[..])]), []);
}

#[test]
fn an_evaluation_carries_its_suspicions() {
    let config = EvaluationConfig { replicates: 10, ..Default::default() };
    // f32 logits this far apart saturate in f64
    let saturated = predictions::<Test>(&["a", "b"], array![[2000.0, 0.0], [0.0, 2000.0]]);
    let evaluation = Evaluation::new(&saturated, &saturated.probabilities(), &config).unwrap();
    assert_eq!(evaluation.suspicions, [Suspicion::OneHotProbabilities { rows: 2 }]);
    // Rounding alone keeps these from 1.
    let nearly = predictions::<Test>(&["a", "b"], array![[20.0, 0.0], [0.0, 20.0]]);
    let evaluation = Evaluation::new(&nearly, &nearly.probabilities(), &config).unwrap();
    assert!(
        matches!(evaluation.suspicions[..], [Suspicion::BrierOfOneHot { accuracy: 0.5, .. }]),
        "{:?}",
        evaluation.suspicions
    );
    let usual = predictions::<Test>(&["a", "b"], array![[2.0, 0.0], [0.0, 2.0]]);
    let evaluation = Evaluation::new(&usual, &usual.probabilities(), &config).unwrap();
    assert_eq!(evaluation.suspicions, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_hot_rows_are_always_caught_by_their_numbers(rows in prop::collection::vec((0usize..3, 0usize..3), 2..40)) {
        let (predicted, y): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
        let p = one_hot(&predicted);
        let numbers = numbers(&p, &y);
        let expected = if numbers.accuracy == Some(1.0) { 0 } else { 2 };
        prop_assert_eq!(numbers.check().unwrap().len(), expected);
    }
}
