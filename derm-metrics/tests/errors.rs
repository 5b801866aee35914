//! One test per error and per boundary of a documented range, NaN included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Probabilities, ScoreKind, Scores, Test,
    ValueError, View,
};
use derm_metrics::{
    Binning, ConfusionMatrix, Error, Evaluation, EvaluationConfig, Metric, ReliabilityTable, Resamples,
    accuracy, bootstrap, clopper_pearson, clopper_pearson_upper, ece, nll, top_k_accuracy, wilson,
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
}

#[test]
fn a_configuration_with_an_unknown_key() {
    assert!(serde_json::from_str::<EvaluationConfig>(r#"{"replicate": 10}"#).is_err());
    let config: EvaluationConfig = serde_json::from_str(r#"{"replicates": 10}"#).unwrap();
    assert_eq!(config, EvaluationConfig { replicates: 10, ..EvaluationConfig::default() });
}

#[test]
fn a_confusion_matrix_that_is_not_square() {
    assert!(serde_json::from_str::<ConfusionMatrix>("[[1, 2], [3]]").is_err());
    assert_eq!(serde_json::from_str::<ConfusionMatrix>("[[1, 2], [3, 4]]").unwrap().total(), 10);
}
