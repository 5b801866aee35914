//! Groups of classes, groups of rows, subgroups, and operating points between splits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Probabilities, Role, ScoreKind, Scores,
    Test, Validation, View,
};
use derm_metrics::{
    AgeBands, ClassGroups, ConfusionMatrix, GroupDecision, IntervalMethod, Metric, OperatingChoice,
    OperatingPoint, OperatingTarget, SubgroupConfig, SubgroupTable, Units, error_sinks,
};
use ndarray::{Array2, array};
use proptest::prelude::*;

/// Sums of a few dozen terms in another order.
const ROUNDING: f64 = 1e-12;

fn predictions() -> impl Strategy<Value = (Probabilities, Vec<usize>)> {
    prop::collection::vec((prop::collection::vec(1_u8..9, 4), 0_usize..4), 1..40).prop_map(|rows| {
        let sum = |row: usize| rows[row].0.iter().map(|&x| f64::from(x)).sum::<f64>();
        let values =
            Array2::from_shape_fn((rows.len(), 4), |(row, class)| f64::from(rows[row].0[class]) / sum(row));
        (Probabilities::new(values).unwrap(), rows.iter().map(|row| row.1).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_group_for_each_class_changes_nothing((p, y) in predictions()) {
        let groups = ClassGroups::new(["a", "b", "c", "d"], vec![0, 1, 2, 3]).unwrap();
        let plain = ConfusionMatrix::new(&p, &y).unwrap();
        prop_assert_eq!(groups.summed(&p).unwrap(), p.clone());
        for how in [GroupDecision::OfTopClass, GroupDecision::LargestSum] {
            prop_assert_eq!(groups.confusion(&p, &y, how).unwrap(), plain.clone());
        }
        // The counts of merged classes are the merged counts.
        let coarse = ClassGroups::new(["x", "y"], vec![0, 1, 0, 1]).unwrap();
        let merged = coarse.confusion(&p, &y, GroupDecision::OfTopClass).unwrap();
        for (group, others) in [(0, [0, 2]), (1, [1, 3])] {
            let sum: u64 = others.iter().flat_map(|&i| others.map(|j| plain.counts()[[i, j]])).sum();
            prop_assert_eq!(merged.counts()[[group, group]], sum);
        }
    }

    #[test]
    fn every_error_lands_in_one_sink((p, y) in predictions()) {
        let sinks = error_sinks(&p, &y).unwrap();
        let matrix = ConfusionMatrix::new(&p, &y).unwrap();
        prop_assert_eq!(sinks.classes.iter().map(|class| class.collected).sum::<u64>(), sinks.errors);
        for (class, sink) in sinks.classes.iter().enumerate() {
            let counts = matrix.counts();
            let of_others: u64 = (0..4).flat_map(|i| (0..4).map(move |j| (i, j))).filter(|&(i, j)| i != class && i != j).map(|at| counts[at]).sum();
            let collected: u64 = (0..4).filter(|&i| i != class).map(|i| counts[[i, class]]).sum();
            prop_assert_eq!((sink.collected, sink.errors_of_others), (collected, of_others));
            if let Some(index) = sink.index {
                prop_assert!((0.0..=3.0).contains(&index));
                prop_assert!(sinks.classes[sinks.largest().unwrap()].index.unwrap() >= index);
            }
        }
        match sinks.concentration {
            None => prop_assert_eq!((sinks.errors, sinks.largest()), (0, None)),
            Some(value) => prop_assert!((-ROUNDING..=1.0 + ROUNDING).contains(&value)),
        }
    }

    #[test]
    fn units_of_one_row_change_nothing((p, y) in predictions(), scores in prop::collection::vec(-1.0..1.0_f64, 40)) {
        let names: Vec<String> = (0..y.len()).map(|row| format!("{row:03}")).collect();
        let units = Units::new(&names).unwrap();
        let scores = &scores[..y.len()];
        prop_assert_eq!(units.mean(&p).unwrap(), p.clone());
        prop_assert_eq!(units.majority_vote(&p).unwrap(), p.predicted());
        prop_assert_eq!(units.max(scores).unwrap(), scores);
        prop_assert_eq!(units.targets(&y).unwrap(), y);
    }
}

#[test]
fn a_vote_that_is_tied_goes_to_the_larger_mean_and_then_to_the_lower_class() {
    let p = Probabilities::new(array![
        [0.6, 0.4, 0.0],
        [0.1, 0.9, 0.0],
        [0.6, 0.4, 0.0],
        [0.4, 0.6, 0.0],
        [0.5, 0.1, 0.4],
        [0.0, 0.1, 0.9],
        [0.5, 0.1, 0.4],
    ])
    .unwrap();
    let units = Units::new(&["a", "a", "b", "b", "c", "c", "c"]).unwrap();
    assert_eq!(units.majority_vote(&p).unwrap(), [1, 0, 0]);
    // The mean rule says otherwise of the third: one row is very sure.
    assert_eq!(units.mean(&p).unwrap().predicted(), [1, 0, 2]);
    assert_eq!(units.any(&[true, false, false, false, false, false, true]).unwrap(), [true, false, true]);
}

fn table<R: Role>(targets: &[usize], melanoma: &[f32], groups: &[&str]) -> Predictions<R> {
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new(["nv", "mel"]).unwrap(),
        split_hash: "0f3a".into(),
    };
    let ids: Vec<String> = (0..targets.len()).map(|row| row.to_string()).collect();
    let sex = (0..targets.len()).map(|row| ["female", "male"][row % 2].to_owned()).collect();
    let columns = PredictionColumns {
        cases: ids.clone(),
        ids,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        targets: targets.to_vec(),
        subgroups: [("sex".to_owned(), sex)].into(),
        ..PredictionColumns::default()
    };
    let values = Array2::from_shape_fn((targets.len(), 2), |(row, class)| {
        if class == 1 { melanoma[row].ln() } else { (1.0 - melanoma[row]).ln() }
    });
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::LogProbabilities, values }).unwrap()
}

fn choose(rows: &Predictions<Validation>, target: OperatingTarget) -> OperatingChoice {
    OperatingPoint::choose(rows, &rows.probabilities(), &["mel"], target).unwrap()
}

#[test]
fn a_threshold_is_chosen_on_validation_and_holds_on_test() {
    let groups = ["a", "b", "c", "d", "e", "f"];
    let rows: Predictions<Validation> = table(&[1, 1, 1, 0, 0, 0], &[0.9, 0.7, 0.3, 0.8, 0.2, 0.1], &groups);
    let at = |target| choose(&rows, target).reached().unwrap().clone();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(near(at(OperatingTarget::Sensitivity { at_least: 1.0 }).threshold, 0.3));
    assert!(near(at(OperatingTarget::Sensitivity { at_least: 0.6 }).threshold, 0.7));
    assert!(near(at(OperatingTarget::Specificity { at_least: 1.0 }).threshold, 0.9));
    assert!(near(at(OperatingTarget::Specificity { at_least: 0.6 }).threshold, 0.3));
    assert!(near(at(OperatingTarget::Ppv { at_least: 0.75 }).threshold, 0.3));
    assert!(near(at(OperatingTarget::Ppv { at_least: 0.9 }).threshold, 0.9));
    let youden = at(OperatingTarget::Youden);
    assert!(near(youden.threshold, 0.3));
    assert_eq!(youden.chosen_rates().specificity, Some(2.0 / 3.0));
    let text = serde_json::to_string(&youden).unwrap();
    assert_eq!(serde_json::from_str::<OperatingPoint>(&text).unwrap(), youden);

    // Two photographs of one lesion among the positives: their interval counts lesions.
    let test: Predictions<Test> =
        table(&[1, 1, 0, 0, 0], &[0.8, 0.6, 0.5, 0.2, 0.1], &["a", "a", "b", "c", "d"]);
    let got = youden.apply(&test, &test.probabilities(), 0.05).unwrap();
    assert_eq!((got.sensitivity.value, got.sensitivity.rows, got.sensitivity.groups), (Some(1.0), 2, 1));
    assert_eq!(got.sensitivity.interval.unwrap().method, IntervalMethod::Wilson);
    assert_eq!(got.specificity.interval.unwrap().method, IntervalMethod::ClopperPearson);
    assert_eq!(
        (got.specificity.value, got.ppv.value, got.npv.value),
        (Some(2.0 / 3.0), Some(2.0 / 3.0), Some(1.0))
    );
    assert_eq!(got.counts.rates().ppv, got.ppv.value);
}

#[test]
fn a_target_out_of_reach_says_so() {
    let groups = ["a", "b", "c", "d"];
    let rows: Predictions<Validation> = table(&[0, 1, 0, 1], &[0.9, 0.8, 0.2, 0.1], &groups);
    let target = OperatingTarget::Specificity { at_least: 0.9 };
    assert_eq!(choose(&rows, target), OperatingChoice::OutOfReach { target, best: 0.5 });
    let target = OperatingTarget::Ppv { at_least: 0.9 };
    assert_eq!(choose(&rows, target), OperatingChoice::OutOfReach { target, best: 0.5 });
    let one_label: Predictions<Validation> = table(&[1, 1], &[0.9, 0.8], &["a", "b"]);
    let target = OperatingTarget::Youden;
    assert_eq!(choose(&one_label, target), OperatingChoice::OneLabel { target });
    let each = OperatingPoint::choose_each_class(&rows, &rows.probabilities(), target).unwrap();
    assert_eq!(each.len(), 2);
    assert_eq!(each[1], choose(&rows, target));
    assert_eq!(each[0].reached().unwrap().positive, ["nv"]);
}

#[test]
fn subgroups_are_measured_on_their_own_rows() {
    let rows = 60;
    let targets: Vec<usize> = (0..rows).map(|row| row / 2 % 2).collect();
    let melanoma: Vec<f32> = (0..rows).map(|row| 0.05 + 0.9 * ((row * 37) % 60) as f32 / 60.0).collect();
    let names: Vec<String> = (0..rows).map(|row| format!("{:02}", row / 4)).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let test: Predictions<Test> = table(&targets, &melanoma, &groups);
    let p = test.probabilities();
    let config = SubgroupConfig { min_groups: 5, replicates: 200, ..SubgroupConfig::default() };
    let table = SubgroupTable::of_column(&test, &p, "sex", &config).unwrap();
    assert_eq!(
        table.rows.iter().map(|row| (row.samples, row.groups)).collect::<Vec<_>>(),
        [(30, 15), (30, 15)]
    );
    for (of, first) in table.rows.iter().zip([0, 1]) {
        let own: Vec<usize> = (first..rows).step_by(2).collect();
        let targets: Vec<usize> = own.iter().map(|&row| targets[row]).collect();
        for (metric, got) in config.metrics.iter().zip(of.metrics.as_ref().unwrap()) {
            assert_eq!(got.value, metric.value(&p.select(&own).unwrap(), &targets).unwrap(), "{metric}");
            let interval = got.interval.unwrap();
            assert!(interval.low < interval.high, "{metric}");
        }
    }
    for (metric, gap) in config.metrics.iter().zip(&table.gaps) {
        let values = [0, 1].map(|row: usize| table.rows[row].metric(&metric.to_string()).unwrap());
        assert_eq!(gap.gap, Some((values[0] - values[1]).abs()));
        assert_eq!(gap.overall, metric.value(&p, &targets).unwrap());
        let first_is_worse = (values[0] <= values[1]) == metric.higher_is_better() || values[0] == values[1];
        assert_eq!(gap.worst.as_deref(), Some(if first_is_worse { "female" } else { "male" }), "{metric}");
        assert!(gap.interval.unwrap().low >= 0.0);
    }
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<SubgroupTable>(&text).unwrap(), table);
}

#[test]
fn numbers_in_subgroups_go_by_size() {
    let bands = AgeBands::new(&[5.0, 10.0, 40.0, 40.5, 100.0]).unwrap();
    let ages = ["", "3", "7", "12", "40.2", "100", "70"];
    let table = |values: &[String]| -> Vec<String> {
        let rows: Vec<String> = (0..values.len()).map(|row| row.to_string()).collect();
        let p = Probabilities::new(Array2::from_elem((values.len(), 2), 0.5)).unwrap();
        let config = SubgroupConfig { replicates: 2, ..SubgroupConfig::default() };
        let targets = vec![0; values.len()];
        let table = SubgroupTable::new(values, &rows, &p, &targets, &config).unwrap();
        table.rows.into_iter().map(|row| row.value).collect()
    };
    assert_eq!(
        table(&bands.column(&ages).unwrap()),
        ["", "[0, 5)", "[5, 10)", "[10, 40)", "[40, 40.5)", "[40.5, 100)", "[100, ∞)"]
    );
    let sites = ["site 10", "site 2", "01", "1", "back", "VI", "IV", "site 2 left", "0.25", "0.5", "é"];
    assert_eq!(
        table(&sites.map(String::from)),
        ["0.25", "0.5", "01", "1", "IV", "VI", "back", "site 2", "site 2 left", "site 10", "é"]
    );
}

#[test]
fn small_and_unknown_subgroups_are_listed_and_not_compared() {
    let p = Probabilities::new(Array2::from_shape_fn((9, 2), |(row, class)| {
        if (row % 3 == 0) == (class == 0) { 0.9 } else { 0.1 }
    }))
    .unwrap();
    let values = ["I", "I", "I", "II", "II", "II", "VI", "", ""];
    let lesions = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let config = SubgroupConfig {
        metrics: vec![Metric::Accuracy, Metric::PredictedShare { class: 0 }],
        min_groups: 2,
        replicates: 20,
        ..SubgroupConfig::default()
    };
    let table = SubgroupTable::new(&values, &lesions, &p, &[0; 9], &config).unwrap();
    assert_eq!(table.rows.iter().map(|row| row.value.as_str()).collect::<Vec<_>>(), ["", "I", "II", "VI"]);
    assert!(table.rows[0].is_unknown() && table.rows[0].metric("accuracy") == Some(0.0));
    assert_eq!(table.rows[3].metrics, None);
    // The unknown rows are all wrong, and are no subgroup to be worst.
    assert_eq!((table.gaps[0].gap, table.gaps[0].worst.as_deref()), (Some(0.0), Some("I")));
    assert_eq!((table.gaps[1].worst.as_deref(), table.gaps[1].worst_value), (None, None));
    let all_small = SubgroupConfig { min_groups: 4, ..config };
    let table = SubgroupTable::new(&values, &lesions, &p, &[0; 9], &all_small).unwrap();
    assert_eq!((table.gaps[0].gap, table.gaps[0].interval, table.gaps[0].worst.clone()), (None, None, None));
    assert!(table.gaps[0].overall.is_some());
}
