//! One test per error and per boundary of a documented range, NaN included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_calibration::{
    AbstainConfig, AbstainPolicy, AnswerCandidate, CalibrationRecord, Calibrator, CalibratorConfig, Error,
    GridPoint, RiskCoverage, SuggestScore, TemperatureConfig, TemperatureScaling, ThresholdGrid, Tier,
    TierTable, TierThresholds,
};
use derm_core::{
    Calibration, LabelMap, MeanOver, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind,
    Scores, Test, Validation, ValueError, View,
};
use ndarray::Array2;

fn predictions<R: Role>(view: View, split_hash: &str) -> Predictions<R> {
    let ids: Vec<String> = (0..60).map(|row| row.to_string()).collect();
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view,
        labels: LabelMap::new(["mel", "nv", "bcc", "bkl"]).unwrap(),
        split_hash: split_hash.into(),
    };
    let columns = PredictionColumns {
        groups: ids.clone(),
        cases: ids.clone(),
        ids,
        targets: (0..60).map(|row| row % 4).collect(),
        ..PredictionColumns::default()
    };
    let values =
        Array2::from_shape_fn((60, 4), |(row, class)| if row % 4 == class { (row % 9) as f32 } else { 0.3 });
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

fn validation() -> Predictions<Validation> {
    predictions(View::Identity, "0f3a")
}

fn grid() -> ThresholdGrid {
    ThresholdGrid::from_validation(&validation(), &Calibrator::Identity, 5, 5).unwrap()
}

fn scaling() -> Calibrator {
    Calibrator::Temperature(TemperatureScaling::fit(&validation(), &TemperatureConfig::default()).unwrap())
}

#[test]
fn bounds_of_the_temperature() {
    let fit = |config: TemperatureConfig| TemperatureScaling::fit(&validation(), &config).unwrap_err();
    for min_temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let wrong = fit(TemperatureConfig { min_temperature, ..TemperatureConfig::default() });
        assert!(matches!(wrong, Error::Range { argument: "min_temperature", .. }), "{wrong}");
    }
    for max_temperature in [0.05, 0.01, f64::NAN, f64::INFINITY] {
        let wrong = fit(TemperatureConfig { max_temperature, ..TemperatureConfig::default() });
        assert!(matches!(wrong, Error::Range { argument: "max_temperature", .. }), "{wrong}");
    }
    let wrong = fit(TemperatureConfig { n_bins: 0, ..TemperatureConfig::default() });
    assert!(matches!(wrong, Error::Count { argument: "n_bins", .. }), "{wrong}");
    // More bins than rows.
    let wrong = fit(TemperatureConfig { n_bins: 61, ..TemperatureConfig::default() });
    assert!(
        matches!(wrong, Error::TooMany { argument: "n_bins", value: 61, minimum: 1, maximum: 60, .. }),
        "{wrong}"
    );
    let most = TemperatureConfig { n_bins: 60, ..TemperatureConfig::default() };
    assert!(TemperatureScaling::fit(&validation(), &most).is_ok());
    assert!(serde_json::from_str::<TemperatureConfig>(r#"{"min_temp": 0.1}"#).is_err());
    assert!(serde_json::from_str::<Calibrator>(r#"{"method": "identity"}"#).is_ok());
    assert!(serde_json::from_str::<Calibrator>(r#"{"method": "identity", "temperature": 2}"#).is_err());
    assert!(serde_json::from_str::<CalibratorConfig>(r#"{"method": "identity"}"#).is_ok());
    assert!(serde_json::from_str::<CalibratorConfig>(r#"{"method": "identity", "n_bins": 2}"#).is_err());
}

#[test]
fn a_temperature_that_was_changed_to_nonsense() {
    let logits = validation().logits().unwrap();
    let mut scaling = TemperatureScaling::fit(&validation(), &TemperatureConfig::default()).unwrap();
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        scaling.temperature = temperature;
        let wrong = scaling.apply(&logits).unwrap_err();
        assert!(matches!(wrong, Error::Value(ValueError::Temperature { .. })), "{wrong}");
    }
}

#[test]
fn averages_have_no_temperature() {
    let mean = validation().mean_over(MeanOver::Group).unwrap();
    let wrong = TemperatureScaling::fit(&mean, &TemperatureConfig::default()).unwrap_err();
    assert!(matches!(wrong, Error::NoLogits { view: View::Mean }), "{wrong}");
    assert!(Calibrator::Identity.calibrate(&mean).is_ok());
}

#[test]
fn log_probabilities_of_the_same_view_have_none_either() {
    let rows = validation();
    let columns = PredictionColumns {
        ids: rows.ids().to_vec(),
        groups: rows.groups().to_vec(),
        cases: rows.cases().to_vec(),
        targets: rows.targets().to_vec(),
        ..PredictionColumns::default()
    };
    let values = rows.log_probabilities().mapv(|value| value as f32);
    let scores = Scores { kind: ScoreKind::LogProbabilities, values };
    let rows = Predictions::<Validation>::new(rows.metadata().clone(), columns, scores).unwrap();
    assert!(matches!(scaling().calibrate(&rows).unwrap_err(), Error::NoLogits { view: View::Identity }));
}

#[test]
fn predictions_of_another_view() {
    let flipped = predictions::<Test>(View::HorizontalFlip, "0f3a");
    let wrong = scaling().calibrate(&flipped).unwrap_err();
    assert!(matches!(wrong, Error::View { got: View::HorizontalFlip, expected: View::Identity }), "{wrong}");
    assert!(scaling().calibrate(&predictions::<Test>(View::Identity, "0f3a")).is_ok());
}

#[test]
fn a_calibrator_of_another_split() {
    let calibration = predictions::<Calibration>(View::Identity, "beef");
    let wrong = AbstainPolicy::fit(&calibration, &scaling(), &grid(), &AbstainConfig::default()).unwrap_err();
    assert!(matches!(wrong, Error::Split { .. }), "{wrong}");
    assert_eq!(wrong.to_string(), "calibration predictions of split beef: expected split 0f3a");
    // A grid of another split's validation rows may come from these very rows, even without a calibrator.
    let config = AbstainConfig::default();
    let wrong = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid(), &config).unwrap_err();
    assert!(matches!(wrong, Error::Split { what: "threshold grid", .. }), "{wrong}");
    let elsewhere = predictions::<Validation>(View::Identity, "beef");
    let wrong = ThresholdGrid::from_validation(&elsewhere, &scaling(), 5, 5).unwrap_err();
    assert!(matches!(wrong, Error::Split { what: "validation predictions", .. }), "{wrong}");
}

#[test]
fn a_policy_on_another_view() {
    let calibration = predictions::<Calibration>(View::Identity, "0f3a");
    let config = AbstainConfig::default();
    let policy = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid(), &config).unwrap();
    let flipped = predictions::<Test>(View::HorizontalFlip, "0f3a");
    let wrong = policy.evaluate(&Calibrator::Identity, &flipped, 0.05).unwrap_err();
    assert!(matches!(wrong, Error::View { got: View::HorizontalFlip, expected: View::Identity }), "{wrong}");
    // Another clinic's rows are of another split, and may be looked at.
    let elsewhere = predictions::<Test>(View::Identity, "beef");
    assert!(policy.evaluate(&Calibrator::Identity, &elsewhere, 0.05).is_ok());
}

#[test]
fn ranges_of_the_policy() {
    let calibration = predictions::<Calibration>(View::Identity, "0f3a");
    let fit = |config: AbstainConfig| {
        AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid(), &config).unwrap_err()
    };
    for value in [0.0, 1.0, -0.1, f64::NAN] {
        let wrong = fit(AbstainConfig { answer_risk: value, ..AbstainConfig::default() });
        assert!(matches!(wrong, Error::Range { argument: "answer_risk", .. }), "{wrong}");
        let wrong = fit(AbstainConfig { suggest_risk: value, ..AbstainConfig::default() });
        assert!(matches!(wrong, Error::Range { argument: "suggest_risk", .. }), "{wrong}");
        let wrong = fit(AbstainConfig { delta: value, ..AbstainConfig::default() });
        assert!(matches!(wrong, Error::Range { argument: "delta", .. }), "{wrong}");
    }
    let wrong = fit(AbstainConfig { answer_steps: 0, ..AbstainConfig::default() });
    assert!(matches!(wrong, Error::Count { argument: "answer_steps", .. }), "{wrong}");
    let wrong = fit(AbstainConfig { suggest_steps: 0, ..AbstainConfig::default() });
    assert!(matches!(wrong, Error::Count { argument: "suggest_steps", .. }), "{wrong}");
    assert!(serde_json::from_str::<AbstainConfig>(r#"{"risk": 0.1}"#).is_err());
}

#[test]
fn grids_that_cannot_be() {
    let reference = validation().probabilities();
    assert!(matches!(ThresholdGrid::from_probabilities(&reference, 0, 5), Err(Error::Count { .. })));
    assert!(matches!(ThresholdGrid::from_probabilities(&reference, 5, 0), Err(Error::Count { .. })));
    let point = |threshold, expected_share| GridPoint { threshold, expected_share };
    let candidate = |threshold| AnswerCandidate { answer: point(threshold, 0.5), suggest: vec![] };
    for points in [vec![0.5, 0.5], vec![0.5, 0.9], vec![f64::NAN], vec![-0.1]] {
        let wrong = ThresholdGrid::new(points.iter().map(|&t| candidate(t)).collect(), vec![]).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "threshold", .. }), "{wrong}");
        let wrong = ThresholdGrid::new(vec![], points.iter().map(|&t| point(t, 0.1)).collect()).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "threshold", .. }), "{wrong}");
    }
    for share in [-0.1, 1.1, f64::NAN] {
        let wrong = ThresholdGrid::new(vec![], vec![point(0.5, share)]).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "expected_share", .. }), "{wrong}");
    }
    assert!(ThresholdGrid::new(vec![candidate(0.9), candidate(0.5)], vec![point(0.9, 0.1)]).is_ok());
}

#[test]
fn thresholds_that_cannot_be() {
    for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(TierThresholds::new(Some(value), SuggestScore::Top3Mass, None).is_err());
        assert!(TierThresholds::new(None, SuggestScore::Confidence, Some(value)).is_err());
    }
    let wrong = r#"{"answer": 1.5, "suggest_score": "top3_mass", "suggest": null}"#;
    assert!(serde_json::from_str::<TierThresholds>(wrong).is_err());
    let unknown = r#"{"answer": 0.5, "suggest_score": "top3_mass", "suggest": null, "refer": 0.1}"#;
    assert!(serde_json::from_str::<TierThresholds>(unknown).is_err());
    let thresholds = TierThresholds::new(Some(0.0), SuggestScore::Confidence, Some(1.0)).unwrap();
    assert_eq!(thresholds.tier(&[f64::NAN, 1.0]), Tier::Refer);
    assert_eq!(thresholds.tier(&[]), Tier::Refer);
}

#[test]
fn tables_that_do_not_fit() {
    let thresholds = TierThresholds::new(Some(0.9), SuggestScore::Top3Mass, None).unwrap();
    let (rows, labels) = (validation(), LabelMap::new(["mel", "nv"]).unwrap());
    let p = rows.probabilities();
    assert!(matches!(TierTable::new(&thresholds, &p, rows.targets(), &labels, 0.05), Err(Error::Metric(_))));
    assert!(matches!(TierTable::new(&thresholds, &p, &[0], rows.labels(), 0.05), Err(Error::Metric(_))));
    for alpha in [0.0, 1.0, f64::NAN] {
        assert!(TierTable::new(&thresholds, &p, rows.targets(), rows.labels(), alpha).is_err());
    }
}

#[test]
fn curves_that_cannot_be() {
    let wrong = RiskCoverage::new(&[], &[]).unwrap_err();
    assert!(matches!(wrong, Error::Value(ValueError::Empty { argument: "confidence" })), "{wrong}");
    let wrong = RiskCoverage::new(&[0.1], &[true, false]).unwrap_err();
    assert!(matches!(wrong, Error::Value(ValueError::Length { argument: "correct", .. })), "{wrong}");
    for value in [f64::NAN, f64::INFINITY] {
        let wrong = RiskCoverage::new(&[value], &[true]).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "confidence", .. }), "{wrong}");
    }
    let curve = RiskCoverage::new(&[0.5, 0.9], &[true, false]).unwrap();
    for value in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(curve.coverage_at_risk(value), Err(Error::Range { argument: "max_risk", .. })));
        assert!(matches!(curve.risk_at_coverage(value), Err(Error::Range { argument: "coverage", .. })));
    }
    // One row is the least that a risk can be taken over.
    assert_eq!(curve.risk_at_coverage(0.0).unwrap(), 1.0);
}

#[test]
fn a_record_with_a_key_that_is_unknown() {
    let calibration = predictions::<Calibration>(View::Identity, "0f3a");
    let record = CalibrationRecord::fit(
        &validation(),
        &calibration,
        &TemperatureConfig::default(),
        &AbstainConfig::default(),
    )
    .unwrap();
    let mut value = serde_json::to_value(&record).unwrap();
    assert!(serde_json::from_value::<CalibrationRecord>(value.clone()).is_ok());
    value["isotonic"] = serde_json::Value::Null;
    assert!(serde_json::from_value::<CalibrationRecord>(value).is_err());
}
