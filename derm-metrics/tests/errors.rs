//! One test per error and per boundary of a documented range, NaN included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Probabilities, Role, ScoreKind, Scores,
    Test, Validation, ValueError, View,
};
use derm_metrics::{
    Acceptance, AgeBands, BinaryCounts, Binning, ClassGroups, ConfusionMatrix, Error, Evaluation,
    EvaluationConfig, Metric, OperatingPoint, OperatingTarget, OtherScore, PrCurve, ReliabilityTable,
    Resamples, RocCurve, RunPairing, SeedSummary, SubgroupConfig, SubgroupTable, TwoLevelBootstrap, Units,
    accuracy, auroc, average_precision, bca, bootstrap, clopper_pearson, clopper_pearson_upper, corp, delong,
    delong_interval, ece, holm, mcnemar, murphy, nll, paired_bootstrap, top_k_accuracy, wilson,
    wilson_effective,
};
use ndarray::array;

fn probabilities() -> Probabilities {
    Probabilities::new(array![[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]]).unwrap()
}

const TARGETS: [usize; 3] = [0, 1, 0];

#[test]
fn targets_that_do_not_fit() {
    let p = probabilities();
    let wrong = accuracy(&p, &[0, 1]).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::Length { argument: "targets", got: 2, expected: 3 }));
    let wrong = accuracy(&p, &[0, 1, 2]).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::ClassOutOfRange { row: 2, target: 2, num_classes: 2 }));
    for metric in Metric::STANDARD {
        assert!(metric.value(&p, &[0, 1, 2]).is_err(), "{metric}");
    }
}

#[test]
fn top_k_outside_one_to_c() {
    let p = probabilities();
    for k in [0, 3] {
        let wrong = top_k_accuracy(&p, &TARGETS, k).unwrap_err();
        assert_eq!(wrong, Error::Count { argument: "k", value: k, minimum: 1, maximum: 2 });
    }
    assert_eq!(top_k_accuracy(&p, &TARGETS, 2), Ok(1.0));
}

#[test]
fn clip_outside_zero_to_one() {
    let p = probabilities();
    for clip in [-1e-9, 1.1, f64::NAN, f64::INFINITY] {
        let wrong = nll(&p, &TARGETS, clip).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "clip", .. }), "{wrong}");
    }
    assert!(nll(&p, &TARGETS, 0.0).is_ok() && nll(&p, &TARGETS, 1.0) == Ok(0.0));
}

#[test]
fn no_bins() {
    let wrong = ece(&probabilities(), &TARGETS, 0, derm_metrics::CalibrationNorm::L1).unwrap_err();
    assert_eq!(wrong, Error::Count { argument: "n_bins", value: 0, minimum: 1, maximum: usize::MAX });
    assert!(ReliabilityTable::new(&[0.5], &[true], Binning::EqualMass { n_bins: 0 }).is_err());
}

#[test]
fn confidences_that_cannot_be() {
    let binning = Binning::Uniform { n_bins: 4 };
    for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let wrong = ReliabilityTable::new(&[0.5, value], &[true, true], binning).unwrap_err();
        assert!(matches!(wrong, Error::Entry { argument: "confidence", position: 1, .. }), "{wrong}");
    }
    let wrong = ReliabilityTable::new(&[0.5], &[true, false], binning).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::Length { argument: "correct", got: 2, expected: 1 }));
    let wrong = ReliabilityTable::new(&[], &[], binning).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::Empty { argument: "confidence" }));
    assert!(ReliabilityTable::new(&[0.0, 1.0], &[true, true], binning).is_ok());
}

#[test]
fn proportions_that_cannot_be() {
    for alpha in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(matches!(wilson(1, 2, alpha).unwrap_err(), Error::Range { argument: "alpha", .. }));
        assert!(matches!(clopper_pearson(1, 2, alpha).unwrap_err(), Error::Range { argument: "alpha", .. }));
        assert!(matches!(
            clopper_pearson_upper(1, 2, alpha).unwrap_err(),
            Error::Range { argument: "alpha", .. }
        ));
    }
    let wrong = clopper_pearson(3, 2, 0.05).unwrap_err();
    assert_eq!(wrong, Error::Count { argument: "successes", value: 3, minimum: 0, maximum: 2 });
    assert!(matches!(wilson(0, 0, 0.05).unwrap_err(), Error::Count { argument: "trials", .. }));
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(
            wilson_effective(share, 5, 0.05).unwrap_err(),
            Error::Range { argument: "share", .. }
        ));
    }
    assert!(wilson_effective(0.5, 0, 0.05).is_err());
}

#[test]
fn resamples_that_cannot_be() {
    assert!(matches!(Resamples::rows(0, 10, 1).unwrap_err(), Error::Count { argument: "num_samples", .. }));
    assert!(matches!(Resamples::rows(5, 0, 1).unwrap_err(), Error::Count { argument: "replicates", .. }));
    let none: [&str; 0] = [];
    assert!(matches!(Resamples::groups(&none, 5, 1).unwrap_err(), Error::Value(ValueError::Empty { .. })));
    assert!(matches!(Resamples::given(3, vec![]).unwrap_err(), Error::Value(ValueError::Empty { .. })));
    assert!(matches!(Resamples::given(3, vec![vec![]]).unwrap_err(), Error::Value(ValueError::Empty { .. })));
    let wrong = Resamples::given(3, vec![vec![0], vec![1, 3]]).unwrap_err();
    assert_eq!(wrong, Error::ResampleRow { resample: 1, position: 1, row: 3, num_samples: 3 });
    assert_eq!(wrong.to_string(), "resample 1 draws row 3 at position 1: expected 0 to 2");
}

#[test]
fn bootstraps_that_cannot_be() {
    let p = probabilities();
    let other = Resamples::rows(4, 10, 1).unwrap();
    let wrong = bootstrap(&p, &TARGETS, &Metric::STANDARD, &other, 0.05).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::Length { argument: "resamples", got: 4, expected: 3 }));
    let resamples = Resamples::rows(3, 10, 1).unwrap();
    for alpha in [0.0, 1.0, f64::NAN] {
        let wrong = bootstrap(&p, &TARGETS, &Metric::STANDARD, &resamples, alpha).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "alpha", .. }), "{wrong}");
    }
    assert!(bootstrap(&p, &TARGETS, &[Metric::TopKAccuracy { k: 9 }], &resamples, 0.05).is_err());
}

#[test]
fn an_undefined_metric_has_no_interval() {
    let p = probabilities();
    let resamples = Resamples::rows(3, 100, 1).unwrap();
    let auroc = Metric::Auroc { average: derm_metrics::ClassAverage::Macro };
    let estimate = &bootstrap(&p, &[1, 1, 1], &[auroc], &resamples, 0.05).unwrap()[0];
    assert_eq!((estimate.estimate, estimate.interval, estimate.mean), (None, None, None));
}

fn predictions() -> Predictions<Test> {
    predictions_of()
}

fn predictions_of<R: Role>() -> Predictions<R> {
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new(["mel", "nv", "bcc"]).unwrap(),
        split_hash: "0f3a".into(),
    };
    let columns = PredictionColumns {
        ids: ["1", "2", "3"].map(String::from).to_vec(),
        groups: ["a", "a", "b"].map(String::from).to_vec(),
        cases: ["1", "2", "3"].map(String::from).to_vec(),
        targets: vec![0, 0, 1],
        ..PredictionColumns::default()
    };
    let values = array![[1.0, 0.0, -1.0], [2.0, 0.0, 0.0], [1.0, 3.0, 0.0]];
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

#[test]
fn an_evaluation_of_other_rows_or_classes() {
    let predictions = predictions();
    let config = EvaluationConfig { replicates: 20, ..EvaluationConfig::default() };
    let wrong = Evaluation::new(&predictions, &probabilities(), &config).unwrap_err();
    assert_eq!(wrong, Error::Classes { got: 2, expected: 3 });
    let fewer = predictions.probabilities().select(&[0, 1]).unwrap();
    let wrong = Evaluation::new(&predictions, &fewer, &config).unwrap_err();
    assert!(matches!(wrong, Error::Value(ValueError::Length { .. })), "{wrong}");
    let no_bins = EvaluationConfig { n_bins: 0, ..config.clone() };
    assert!(Evaluation::new(&predictions, &predictions.probabilities(), &no_bins).is_err());
    let no_replicates = EvaluationConfig { replicates: 0, ..config };
    assert!(Evaluation::new(&predictions, &predictions.probabilities(), &no_replicates).is_err());
}

#[test]
fn an_evaluation_says_what_is_undefined_and_survives_a_file() {
    let predictions = predictions();
    let config = EvaluationConfig { replicates: 20, ..EvaluationConfig::default() };
    let evaluation = Evaluation::new(&predictions, &predictions.probabilities(), &config).unwrap();
    let absent = &evaluation.classes[2];
    assert_eq!((absent.support, absent.groups, absent.recall, absent.recall_interval), (0, 0, None, None));
    assert_eq!((absent.precision, absent.f1, absent.auroc, absent.over_prediction), (None, None, None, None));
    // Both photographs of the one lesion are right, and the interval still counts one lesion.
    let present = &evaluation.classes[0];
    assert_eq!((present.support, present.groups, present.recall), (2, 1, Some(1.0)));
    assert!(present.recall_interval.unwrap().low < 0.3);
    let text = serde_json::to_string(&evaluation).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);

    let metrics = vec![Metric::Sensitivity { class: 2 }, Metric::Accuracy];
    let config = EvaluationConfig { metrics, ..config };
    let evaluation = Evaluation::new(&predictions, &predictions.probabilities(), &config).unwrap();
    let reasons = evaluation.metrics.iter().map(|metric| metric.undefined_because.as_deref());
    assert_eq!(reasons.collect::<Vec<_>>(), [Some("no row is of class 2"), None]);
    let text = serde_json::to_string(&evaluation).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
}

#[test]
fn a_configuration_with_an_unknown_key() {
    assert!(serde_json::from_str::<EvaluationConfig>(r#"{"replicate": 10}"#).is_err());
    let config: EvaluationConfig = serde_json::from_str(r#"{"replicates": 10}"#).unwrap();
    assert_eq!(config, EvaluationConfig { replicates: 10, ..EvaluationConfig::default() });
}

#[test]
fn a_confusion_matrix_that_is_not_square() {
    let refused = |text: &str| serde_json::from_str::<ConfusionMatrix>(text).unwrap_err().to_string();
    assert!(refused("[[1, 2], [3]]").contains("columns of the confusion matrix"));
    for empty in ["[]", "[[0, 0], [0, 0]]"] {
        assert!(refused(empty).contains("`confusion matrix` is empty"), "{empty}");
    }
    assert_eq!(serde_json::from_str::<ConfusionMatrix>("[[1, 2], [3, 4]]").unwrap().total(), 10);
}

#[test]
fn a_reliability_table_that_cannot_be() {
    let table = ReliabilityTable::new(&[0.9, 0.6, 0.2], &[true, false, true], Binning::Uniform { n_bins: 2 })
        .unwrap();
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<ReliabilityTable>(&text).unwrap(), table);
    for (from, to) in [
        (r#""n_bins":2"#, r#""n_bins":3"#),
        (r#""count":2"#, r#""count":0"#),
        (r#""accuracy":0.5"#, r#""accuracy":null"#),
        (r#""accuracy":0.5"#, r#""accuracy":1.5"#),
        (r#""bins""#, r#""bin""#),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        assert!(serde_json::from_str::<ReliabilityTable>(&text.replace(from, to)).is_err(), "{to}");
    }
    let empty = r#"{"binning":{"uniform":{"n_bins":1}},"bins":[{"lower":0,"upper":1,"count":0,"mean_confidence":null,"accuracy":null}]}"#;
    assert!(serde_json::from_str::<ReliabilityTable>(empty).is_err());
}

#[test]
fn a_confidence_on_an_edge_falls_below_it() {
    for n_bins in 1..=60_usize {
        let edges: Vec<f64> = (0..=n_bins).map(|edge| edge as f64 / n_bins as f64).collect();
        let right = vec![true; edges.len()];
        let table = ReliabilityTable::new(&edges, &right, Binning::Uniform { n_bins }).unwrap();
        // 0 and the first edge lie in the first bin, and each later edge in the bin that it closes.
        let counts: Vec<u64> = table.bins().iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [vec![2], vec![1; n_bins - 1]].concat(), "{n_bins} bins");
        let above: Vec<f64> = edges[..n_bins].iter().map(|edge| edge.next_up()).collect();
        let table = ReliabilityTable::new(&above, &right[1..], Binning::Uniform { n_bins }).unwrap();
        assert!(table.bins().iter().all(|bin| bin.count == 1), "{n_bins} bins");
    }
}

#[test]
fn scores_that_cannot_be_ranked() {
    type Ranking = fn(&[f64], &[bool]) -> Result<(), Error>;
    let rankings: [(&str, Ranking); 9] = [
        ("auroc", |s, y| auroc(s, y).map(drop)),
        ("average_precision", |s, y| average_precision(s, y).map(drop)),
        ("roc", |s, y| RocCurve::new(s, y).map(drop)),
        ("pr", |s, y| PrCurve::new(s, y).map(drop)),
        ("delong", |s, y| delong(s, s, y, 0.05).map(drop)),
        ("delong_interval", |s, y| delong_interval(s, y, 0.05).map(drop)),
        ("counts", |s, y| BinaryCounts::at_threshold(s, y, 0.5).map(drop)),
        ("acceptance", |s, y| Acceptance::at_threshold(s, y, 0.5).map(drop)),
        ("known rate", |s, y| Acceptance::at_known_rate(s, y, 0.95).map(drop)),
    ];
    for (name, ranking) in rankings {
        let empty = ranking(&[], &[]).unwrap_err();
        assert_eq!(empty, Error::Value(ValueError::Empty { argument: "scores" }), "{name}");
        let wrong = ranking(&[0.1, 0.2], &[true]).unwrap_err();
        assert_eq!(
            wrong,
            Error::Value(ValueError::Length { argument: "labels", got: 1, expected: 2 }),
            "{name}"
        );
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let wrong = ranking(&[0.1, bad], &[true, false]).unwrap_err();
            assert!(matches!(wrong, Error::Entry { argument: "scores", position: 1, .. }), "{name} {wrong}");
        }
    }
}

#[test]
fn one_label_has_no_curve_and_no_area() {
    let (scores, both) = ([0.1, 0.2, 0.3], [true, true, false]);
    for labels in [[true; 3], [false; 3]] {
        assert_eq!(auroc(&scores, &labels).unwrap(), None);
        assert_eq!(RocCurve::new(&scores, &labels).unwrap(), None);
        assert_eq!(delong(&scores, &scores, &labels, 0.05).unwrap(), None);
    }
    // One negative has no variance.
    assert_eq!(delong_interval(&scores, &both, 0.05).unwrap(), None);
    assert_eq!(PrCurve::new(&scores, &[false; 3]).unwrap(), None);
    assert_eq!(average_precision(&scores, &[true; 3]).unwrap(), Some(1.0));
    assert_eq!(Acceptance::at_known_rate(&scores, &[true; 3], 0.95).unwrap(), None);
    assert_eq!(Acceptance::at_threshold(&scores, &[false; 3], 0.2).unwrap().false_accept_rate(), None);
}

#[test]
fn rates_outside_zero_to_one() {
    let curve = RocCurve::new(&[0.1, 0.2], &[false, true]).unwrap().unwrap();
    for bad in [-0.1, 1.1, f64::NAN] {
        let wrong = curve.sensitivity_at_specificity(bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "min_specificity", .. }));
        let wrong = curve.specificity_at_sensitivity(bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "min_sensitivity", .. }));
        let wrong = Acceptance::at_known_rate(&[0.1], &[false], bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "min_rate", .. }));
    }
    for bad in [-0.1, 1.0, f64::NAN] {
        assert!(matches!(curve.partial_area(bad).unwrap_err(), Error::Range { argument: "min_tpr", .. }));
        let metric = Metric::PartialAuroc { class: 0, min_tpr: bad };
        let wrong = metric.value(&probabilities(), &TARGETS).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "min_tpr", .. }));
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let wrong = BinaryCounts::at_threshold(&[0.1], &[true], bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "threshold", .. }));
        let wrong = Acceptance::at_threshold(&[0.1], &[true], bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "threshold", .. }));
    }
    assert_eq!(curve.specificity_at_sensitivity(0.0).unwrap().threshold, None);
}

#[test]
fn classes_that_are_none() {
    let p = probabilities();
    for metric in [
        Metric::Sensitivity { class: 2 },
        Metric::Specificity { class: 2 },
        Metric::PredictedShare { class: 2 },
        Metric::ClassAuroc { class: 2 },
        Metric::ClassAveragePrecision { class: 2 },
        Metric::PartialAuroc { class: 2, min_tpr: 0.8 },
    ] {
        let wrong = metric.value(&p, &TARGETS).unwrap_err();
        assert_eq!(wrong, Error::Count { argument: "class", value: 2, minimum: 0, maximum: 1 }, "{metric}");
    }
    assert!(RocCurve::of_class(&p, &TARGETS, 2).is_err());
    assert!(PrCurve::of_class(&p, &TARGETS, 2).is_err());
    assert!(OtherScore::Probability { class: 2 }.scores(&p).is_err());
}

#[test]
fn forecasts_that_cannot_be() {
    for bad in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(corp(&[0.5, bad], &[true, false]).unwrap_err(), Error::Entry { position: 1, .. }));
        let wrong = murphy(&[0.5, bad], &[true, false], Binning::Uniform { n_bins: 3 }).unwrap_err();
        assert!(matches!(wrong, Error::Entry { position: 1, .. }));
    }
    assert!(corp(&[], &[]).is_err());
    assert!(corp(&[0.5], &[true, false]).is_err());
    assert!(murphy(&[0.5], &[true], Binning::EqualMass { n_bins: 0 }).is_err());
}

#[test]
fn tests_that_cannot_be() {
    assert!(mcnemar(&[], &[]).is_err());
    assert!(mcnemar(&[true], &[true, false]).is_err());
    assert!(holm(&[], 0.05).is_err());
    for bad in [-0.1, 1.1, f64::NAN] {
        let wrong = holm(&[0.5, bad], 0.05).unwrap_err();
        assert!(matches!(wrong, Error::Entry { argument: "p_values", position: 1, .. }));
        let wrong = SeedSummary::new(&[0.5], bad).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "alpha", .. }));
    }
    let resamples = Resamples::rows(3, 10, 1).unwrap();
    for alpha in [0.0, 1.0, f64::NAN] {
        assert!(holm(&[0.5], alpha).is_err());
        assert!(delong(&[0.1; 4], &[0.1; 4], &[true, true, false, false], alpha).is_err());
        assert!(delong_interval(&[0.1; 4], &[true, true, false, false], alpha).is_err());
        assert!(bca(&probabilities(), &TARGETS, &[Metric::Accuracy], &resamples, alpha).is_err());
    }
    let other = Resamples::rows(4, 10, 1).unwrap();
    assert!(bca(&probabilities(), &TARGETS, &[Metric::Accuracy], &other, 0.05).is_err());
    assert!(SeedSummary::new(&[], 0.05).is_err());
    assert!(matches!(
        SeedSummary::new(&[0.1, f64::NAN], 0.05).unwrap_err(),
        Error::Entry { position: 1, .. }
    ));
}

#[test]
fn recipes_that_cannot_be_compared() {
    let (p, resamples) = (probabilities(), Resamples::rows(3, 10, 1).unwrap());
    let two = [p.clone(), p.clone()];
    let bootstrap = |pairing, alpha| TwoLevelBootstrap { resamples: &resamples, pairing, seed: 1, alpha };
    let paired = bootstrap(RunPairing::BySeed, 0.05);
    let wrong = paired.compare(&two[..1], &two, &TARGETS, &[Metric::Accuracy]).unwrap_err();
    assert_eq!(wrong, Error::Count { argument: "first", value: 1, minimum: 2, maximum: usize::MAX });
    assert_eq!(wrong.to_string(), "`first` is 1: expected 2 or more");
    assert!(paired.compare(&two, &two[..1], &TARGETS, &[Metric::Accuracy]).is_err());
    let three = [p.clone(), p.clone(), p.clone()];
    let wrong = paired.compare(&three, &two, &TARGETS, &[Metric::Accuracy]).unwrap_err();
    assert_eq!(wrong, Error::Count { argument: "second", value: 2, minimum: 3, maximum: 3 });
    assert_eq!(wrong.to_string(), "`second` is 2: expected 3");
    let wide = Probabilities::new(array![[0.7, 0.3, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0]]).unwrap();
    let wrong = paired.compare(&two, &[p.clone(), wide.clone()], &TARGETS, &[Metric::Accuracy]).unwrap_err();
    assert_eq!(wrong, Error::Classes { got: 3, expected: 2 });
    let wrong = paired_bootstrap(&p, &wide, &TARGETS, &[Metric::Accuracy], &resamples, 0.05).unwrap_err();
    assert_eq!(wrong, Error::Classes { got: 3, expected: 2 });
    let alone = bootstrap(RunPairing::Independent, 0.05);
    assert!(alone.compare(&three, &two, &TARGETS, &[Metric::Accuracy]).is_ok());
    let fewer = [p.clone(), p.select(&[0, 1]).unwrap()];
    assert!(alone.compare(&two, &fewer, &TARGETS, &[Metric::Accuracy]).is_err());
    assert!(
        bootstrap(RunPairing::BySeed, f64::NAN).compare(&two, &two, &TARGETS, &[Metric::Accuracy]).is_err()
    );
}

#[test]
fn strata_that_cannot_be() {
    assert!(Resamples::stratified(&[], 10, 1).is_err());
    assert!(Resamples::stratified(&[0], 0, 1).is_err());
    let wrong = Resamples::stratified_groups(&[0, 1], &["patient", "patient"], 10, 1).unwrap_err();
    assert_eq!(wrong, Error::MixedUnit { unit: "patient".into(), first: 0, second: 1 });
    assert_eq!(wrong.to_string(), "unit \"patient\" has rows of class 0 and of class 1: expected one class");
    assert!(Resamples::stratified_groups(&[0], &["a", "b"], 10, 1).is_err());
}

#[test]
fn units_of_other_lengths() {
    let none: [&str; 0] = [];
    assert!(matches!(Units::new(&none).unwrap_err(), Error::Value(ValueError::Empty { argument: "groups" })));
    let units = Units::new(&["a", "a"]).unwrap();
    assert!(units.mean(&probabilities()).is_err());
    assert!(units.majority_vote(&probabilities()).is_err());
    assert!(units.max(&[0.1]).is_err());
    assert!(matches!(units.max(&[0.1, f64::NAN]).unwrap_err(), Error::Entry { position: 1, .. }));
    assert!(units.any(&[true]).is_err());
    assert!(units.targets(&[0]).is_err());
    assert!(matches!(units.targets(&[0, 1]).unwrap_err(), Error::MixedUnit { .. }));
}

#[test]
fn groups_of_classes_that_cannot_be() {
    let labels = LabelMap::new(["mel", "nv", "bcc"]).unwrap();
    let from = |groups: &[(&str, &[&str])]| ClassGroups::from_labels(&labels, groups).unwrap_err();
    let wrong = from(&[("a", &["mel", "nv"]), ("b", &["scc"])]);
    let known = labels.names().to_vec();
    assert_eq!(wrong, Error::UnknownName { argument: "classes", name: "scc".into(), known });
    let wrong = from(&[("a", &["mel", "nv"]), ("b", &["mel", "bcc"])]);
    assert_eq!(wrong, Error::DuplicateName { argument: "groups", name: "mel".into() });
    assert_eq!(from(&[("a", &["mel"]), ("b", &["bcc"])]), Error::UngroupedClass { name: "nv".into() });
    assert_eq!(from(&[("a", &["mel", "nv", "bcc"]), ("b", &[])]), Error::EmptyGroup { group: "b".into() });
    let wrong = from(&[("a", &["mel"]), ("a", &["nv", "bcc"])]);
    assert_eq!(wrong, Error::DuplicateName { argument: "names", name: "a".into() });
    let none: [&str; 0] = [];
    assert!(ClassGroups::new(none, vec![0]).is_err());
    assert!(ClassGroups::new(["a"], vec![]).is_err());
    let wrong = ClassGroups::new(["a"], vec![0, 1]).unwrap_err();
    assert_eq!(wrong, Error::Count { argument: "class_to_group", value: 1, minimum: 0, maximum: 0 });
    let three = ClassGroups::new(["a"], vec![0, 0, 0]).unwrap();
    assert_eq!(three.summed(&probabilities()).unwrap_err(), Error::Classes { got: 2, expected: 3 });
    let wrong = three.targets(&[0, 3]).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::ClassOutOfRange { row: 1, target: 3, num_classes: 3 }));
    let text = r#"{"names": ["a", "b"], "class_to_group": [0, 0]}"#;
    assert!(serde_json::from_str::<ClassGroups>(text).is_err());
}

#[test]
fn subgroups_that_cannot_be() {
    let (p, lesions) = (probabilities(), ["a", "b", "c"]);
    let table = |values: &[&str], config: &SubgroupConfig| {
        SubgroupTable::new(values, &lesions, &p, &TARGETS, config).map(drop)
    };
    let config = SubgroupConfig { replicates: 5, ..SubgroupConfig::default() };
    assert!(table(&["I", "II"], &config).is_err());
    assert!(table(&["I", "II", "I"], &SubgroupConfig { min_groups: 0, ..config.clone() }).is_err());
    assert!(table(&["I", "II", "I"], &SubgroupConfig { replicates: 0, ..config.clone() }).is_err());
    for alpha in [0.0, 1.0, f64::NAN] {
        assert!(table(&["I", "II", "I"], &SubgroupConfig { alpha, ..config.clone() }).is_err());
    }
    assert!(serde_json::from_str::<SubgroupConfig>(r#"{"min_group": 5}"#).is_err());
    let predictions = predictions();
    let wrong =
        SubgroupTable::of_column(&predictions, &predictions.probabilities(), "skin", &config).unwrap_err();
    assert_eq!(wrong, Error::UnknownName { argument: "column", name: "skin".into(), known: vec![] });
}

#[test]
fn ages_that_cannot_be() {
    assert!(AgeBands::new(&[]).is_err());
    for edges in [[0.0, 30.0], [30.0, 30.0], [30.0, f64::NAN], [30.0, f64::INFINITY]] {
        assert!(matches!(AgeBands::new(&edges).unwrap_err(), Error::Entry { argument: "edges", .. }));
    }
    let bands = AgeBands::new(&[30.0]).unwrap();
    let wrong = bands.column(&["30", "adult"]).unwrap_err();
    assert_eq!(wrong, Error::NotANumber { argument: "ages", position: 1, text: "adult".into() });
    for bad in ["-1", "nan", "inf"] {
        assert!(matches!(bands.column(&[bad]).unwrap_err(), Error::Entry { argument: "ages", .. }), "{bad}");
    }
}

#[test]
fn operating_points_that_cannot_be() {
    let rows = predictions_of::<Validation>();
    let p = rows.probabilities();
    let choose = |positive: &[&str], target| OperatingPoint::choose(&rows, &p, positive, target).unwrap_err();
    for at_least in [0.0, 1.1, f64::NAN] {
        for target in [
            OperatingTarget::Sensitivity { at_least },
            OperatingTarget::Specificity { at_least },
            OperatingTarget::Ppv { at_least },
        ] {
            assert!(matches!(choose(&["mel"], target), Error::Range { argument: "at_least", .. }));
        }
    }
    let target = OperatingTarget::Youden;
    assert!(matches!(choose(&[], target), Error::Value(ValueError::Empty { argument: "positive" })));
    assert!(matches!(choose(&["scc"], target), Error::UnknownName { .. }));
    assert!(matches!(choose(&["mel", "mel"], target), Error::DuplicateName { argument: "positive", .. }));
    let wrong = OperatingPoint::choose(&rows, &probabilities(), &["mel"], target).unwrap_err();
    assert_eq!(wrong, Error::Classes { got: 2, expected: 3 });
    let choice = OperatingPoint::choose(&rows, &p, &["mel"], target).unwrap();
    let test = predictions();
    let wrong = choice.reached().unwrap().apply(&test, &test.probabilities(), f64::NAN).unwrap_err();
    assert!(matches!(wrong, Error::Range { argument: "alpha", .. }));
}
