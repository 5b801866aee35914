//! What a policy says of itself: thresholds by class, coverage by class and subgroup, files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod tables;

use derm_calibration::{
    AbstainConfig, AbstainPolicy, CalibrationRecord, Calibrator, CalibratorConfig, ConformalConfig, Error,
    FitCalibrator, ReferralReason, ReferredRows, RejectThreshold, RejectThresholdConfig, SelectionMethod,
    SuggestScore, TemperatureConfig, ThresholdGrid, ThresholdScope, Tier, TierThresholds,
};
use derm_core::{Calibration, Predictions, Test, Validation};
use ndarray::Array2;
use tables::{table, usual};

fn fit(rows: usize, config: &AbstainConfig) -> (AbstainPolicy, Predictions<Calibration>) {
    let (validation, calibration) = (usual::<Validation>(600, 1), usual::<Calibration>(rows, 2));
    let grid = ThresholdGrid::from_validation(&validation, &Calibrator::Identity, 10, 10).unwrap();
    (AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, config).unwrap(), calibration)
}

#[test]
fn each_class_goes_by_its_own_thresholds() {
    let config = AbstainConfig { scope: ThresholdScope::PredictedClass, ..AbstainConfig::default() };
    let (policy, calibration) = fit(1500, &config);
    let by_class = policy.by_class.as_ref().unwrap();
    assert_eq!(by_class.len(), 5);
    assert_eq!(by_class.iter().map(|class| class.samples).sum::<usize>(), 1500);
    let probabilities = calibration.probabilities();
    let tiers = policy.assign(&probabilities).unwrap();
    for (row, (&class, &tier)) in probabilities.predicted().iter().zip(&tiers).enumerate() {
        let of_row = probabilities.row(row).to_vec();
        assert_eq!(tier, by_class[class].thresholds.tier(&of_row));
        // The reasons name the thresholds of the predicted class, one for each tier that was missed.
        assert_eq!(policy.reasons(&of_row), by_class[class].thresholds.reasons(&of_row));
        assert_eq!(policy.reasons(&of_row).len(), tier.index());
        assert_eq!(tier, policy.decide(&of_row));
    }
    for class in by_class {
        // δ is divided over the classes, and for the second tier over the choices of the first as well.
        assert!((class.answer.delta - 0.1 / 5.0).abs() < 1e-15);
        assert!(class.suggest.level < class.answer.level);
        let in_tier = |tier| {
            let rows = probabilities.predicted().into_iter().zip(&tiers);
            let label = |index: usize| format!("class {index}");
            rows.filter(|&(predicted, &of_row)| of_row == tier && label(predicted) == class.label).count()
        };
        assert_eq!(in_tier(Tier::Answer), class.answer.count);
        assert_eq!(in_tier(Tier::SuggestTop3), class.suggest.count);
    }
    let counts: usize = by_class.iter().map(|class| class.answer.count).sum();
    assert_eq!(policy.expected.tier(Tier::Answer).count, counts);
    // The shared thresholds stand beside them, as they would be without.
    let (shared, _) = fit(1500, &AbstainConfig::default());
    assert_eq!((policy.thresholds, &policy.answer), (shared.thresholds, &shared.answer));
    assert!(shared.by_class.is_none());
    // A file keeps it.
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<AbstainPolicy>(&text).unwrap(), policy);
}

#[test]
fn a_reason_is_the_threshold_that_was_missed() {
    let reasons = |answer, score, suggest, row: &[f64]| {
        TierThresholds::new(answer, score, suggest).unwrap().reasons(row)
    };
    let (mass, confidence) = (SuggestScore::Top3Mass, SuggestScore::Confidence);
    let row = [0.4, 0.2, 0.125, 0.125, 0.15];
    let low = ReferralReason::LowConfidence { confidence: 0.4, threshold: 0.5 };
    let value = row[0] + row[1] + row[4];
    // At a threshold nothing is missed, just above it is.
    assert_eq!(reasons(Some(0.4), mass, Some(0.9), &row), []);
    assert_eq!(reasons(Some(0.5), mass, Some(value), &row), [low]);
    let threshold = value + 1e-9;
    let referred = ReferralReason::LowSuggestScore { score: mass, value, threshold };
    assert_eq!(reasons(Some(0.5), mass, Some(threshold), &row), [low, referred]);
    let referred = ReferralReason::LowSuggestScore { score: confidence, value: 0.4, threshold: 0.45 };
    assert_eq!(reasons(None, confidence, Some(0.45), &row), [ReferralReason::NeverAnswers, referred]);
    assert_eq!(reasons(Some(0.5), mass, None, &row), [low, ReferralReason::NeverSuggests]);
    for row in [&[][..], &[0.5, f64::NAN]] {
        assert_eq!(reasons(Some(0.0), mass, Some(0.0), row), [ReferralReason::Undefined]);
    }
    // A file keeps them.
    let text = serde_json::to_string(&[low, referred, ReferralReason::NeverSuggests]).unwrap();
    let again: Vec<ReferralReason> = serde_json::from_str(&text).unwrap();
    assert_eq!(again, [low, referred, ReferralReason::NeverSuggests]);
    assert!(text.starts_with(r#"[{"reason":"low_confidence","confidence":0.4"#), "{text}");
}

#[test]
fn few_rows_a_class_certify_nothing_and_say_so() {
    let config = AbstainConfig { scope: ThresholdScope::PredictedClass, ..AbstainConfig::default() };
    let (policy, calibration) = fit(60, &config);
    for class in policy.by_class.as_ref().unwrap() {
        assert_eq!(class.thresholds.answer(), None);
        assert!(class.answer.smallest_certifiable_risk.is_some_and(|risk| risk > 0.1), "{class:?}");
    }
    assert!(policy.assign(&calibration.probabilities()).unwrap().iter().all(|&tier| tier == Tier::Refer));
}

#[test]
fn the_second_tier_shares_its_level_among_the_choices_of_the_first() {
    // Ten thresholds for the first tier, and none of them: eleven chains, one of which is looked at.
    for method in [SelectionMethod::FixedSequence, SelectionMethod::BonferroniClopperPearson] {
        for answer_risk in [0.1, 0.0001] {
            let (policy, _) = fit(900, &AbstainConfig { method, answer_risk, ..AbstainConfig::default() });
            assert_eq!(policy.thresholds.answer().is_some(), answer_risk > 0.01);
            assert!((policy.suggest.level - 0.1 / 11.0).abs() < 1e-15, "{:?}", policy.suggest);
            let per_test = match method {
                SelectionMethod::BonferroniClopperPearson => policy.suggest.tested.len() as f64,
                _ => 1.0,
            };
            assert!(!policy.suggest.tested.is_empty());
            for test in policy.suggest.tested.iter().filter(|test| test.count > 0) {
                let level = policy.suggest.level / per_test;
                let bound = derm_metrics::clopper_pearson_upper(test.errors, test.count, level).unwrap();
                assert!((test.risk_upper_bound - bound).abs() < 1e-12, "{test:?}");
            }
        }
    }
}

#[test]
fn a_fixed_sequence_ends_with_the_first_threshold_that_fails() {
    for rows in [60, 300, 1500] {
        for risk in [0.02, 0.05, 0.1, 0.2] {
            let (answer_risk, suggest_risk) = (risk, risk / 4.0);
            let (policy, _) =
                fit(rows, &AbstainConfig { answer_risk, suggest_risk, ..AbstainConfig::default() });
            for tier in [&policy.answer, &policy.suggest] {
                if let Some((_, before)) = tier.tested.split_last() {
                    assert!(before.iter().all(|test| test.certified), "{tier:?}");
                }
                let last = tier.tested.iter().rfind(|test| test.certified).map(|test| test.threshold);
                assert_eq!(tier.threshold, last);
            }
        }
    }
}

#[test]
fn bonferroni_takes_the_largest_certified_coverage() {
    let config =
        AbstainConfig { method: SelectionMethod::BonferroniClopperPearson, ..AbstainConfig::default() };
    let (policy, _) = fit(1500, &config);
    assert_eq!(policy.method, SelectionMethod::BonferroniClopperPearson);
    let certified: Vec<_> = policy.answer.tested.iter().filter(|test| test.certified).collect();
    assert_eq!(policy.answer.tested.len(), 10);
    let lowest = certified.iter().map(|test| test.threshold).fold(f64::INFINITY, f64::min);
    assert_eq!(policy.answer.threshold, Some(lowest));
    // The bounds are those of Clopper and Pearson at δ over the candidates.
    for test in &policy.answer.tested {
        let bound = derm_metrics::clopper_pearson_upper(test.errors, test.count, 0.1 / 10.0).unwrap();
        assert_eq!(test.risk_upper_bound, bound);
    }
    let (hopeless, _) = fit(60, &AbstainConfig { answer_risk: 0.001, ..config });
    let smallest = hopeless.answer.tested.iter().map(|test| test.risk_upper_bound).fold(1.0, f64::min);
    assert_eq!(hopeless.answer.smallest_certifiable_risk, Some(smallest));
    assert_eq!(hopeless.thresholds.answer(), None);
}

#[test]
fn coverage_by_subgroup_adds_up() {
    let (policy, calibration) = fit(900, &AbstainConfig::default());
    let subgroups = &policy.expected.subgroups;
    let values: Vec<&str> = subgroups.iter().map(|subgroup| subgroup.value.as_str()).collect();
    assert_eq!(values, ["", "arm", "face"]);
    assert!(subgroups.iter().all(|subgroup| subgroup.column == "site" && subgroup.count == 300));
    for (index, tier) in policy.expected.tiers.iter().enumerate() {
        assert_eq!(subgroups.iter().map(|subgroup| subgroup.in_tier[index]).sum::<usize>(), tier.count);
        assert_eq!(
            policy.expected.classes.iter().map(|class| class.in_tier[index]).sum::<usize>(),
            tier.count
        );
    }
    let wrong: usize = subgroups.iter().map(|subgroup| subgroup.wrong_answers).sum();
    let answered = policy.expected.tier(Tier::Answer);
    assert_eq!(wrong, answered.count - answered.correct);
    let missing: usize = subgroups.iter().map(|subgroup| subgroup.missing_suggestions).sum();
    let offered = policy.expected.tier(Tier::SuggestTop3);
    assert_eq!(missing, offered.count - offered.top3_correct);
    assert_eq!(calibration.len(), 900);
    // The test table has them too.
    let table = policy.evaluate(&Calibrator::Identity, &usual::<Test>(300, 9), 0.05).unwrap();
    assert_eq!(table.subgroups.len(), 3);
}

#[test]
fn what_a_policy_refuses() {
    let (policy, calibration) = fit(300, &AbstainConfig::default());
    let grid = ThresholdGrid::new(vec![], vec![]).unwrap();
    let config = AbstainConfig { scope: ThresholdScope::PredictedClass, ..AbstainConfig::default() };
    let wrong = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, &config).unwrap_err();
    assert!(matches!(wrong, Error::ClassGrids { got: 0, expected: 5 }), "{wrong}");
    // No candidate at all: everything refers, and there is no risk to name.
    let grids = grid.clone().with_classes(vec![grid.clone(); 5]);
    let empty = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grids, &config).unwrap();
    assert_eq!(empty.expected.tier(Tier::Refer).count, 300);
    assert_eq!(empty.answer.smallest_certifiable_risk, None);
    let narrow = table::<Test>(Array2::zeros((4, 3)), vec![0; 4], "0f3a");
    let wrong = policy.assign(&narrow.probabilities()).unwrap_err();
    assert!(matches!(wrong, Error::Classes { got: 3, expected: 5, .. }), "{wrong}");
    // Every calibrator of another split is refused, not only a temperature.
    let beef = table::<Validation>(
        Array2::from_shape_fn((50, 5), |(row, class)| ((row * 7 + class * 3) % 11) as f32 / 4.0),
        (0..50).map(|row| row % 5).collect(),
        "beef",
    );
    for config in CalibratorConfig::all().into_iter().skip(1) {
        let calibrator = config.fit(&beef).unwrap();
        let wrong =
            AbstainPolicy::fit(&calibration, &calibrator, &grid, &AbstainConfig::default()).unwrap_err();
        assert!(matches!(wrong, Error::Split { .. }), "{wrong}");
    }
}

#[test]
fn a_file_of_before_is_still_read() {
    let (validation, calibration) = (usual::<Validation>(300, 1), usual::<Calibration>(300, 2));
    let config = AbstainConfig::default();
    let record =
        CalibrationRecord::fit(&validation, &calibration, &TemperatureConfig::default(), &config).unwrap();
    let mut value = serde_json::to_value(&record).unwrap();
    // What the first format did not have.
    let abstain = value["abstain"].as_object_mut().unwrap();
    assert!(!abstain.contains_key("by_class"));
    abstain["config"].as_object_mut().unwrap().retain(|key, _| key != "method" && key != "scope");
    abstain["expected"].as_object_mut().unwrap().remove("subgroups");
    let mut read: CalibrationRecord = serde_json::from_value(value).unwrap();
    read.abstain.expected.subgroups.clone_from(&record.abstain.expected.subgroups);
    assert_eq!(read, record);
}

#[test]
fn a_record_holds_the_sets_of_its_own_calibrator() {
    let (validation, calibration) = (usual::<Validation>(300, 1), usual::<Calibration>(300, 2));
    let plain = CalibrationRecord::fit(
        &validation,
        &calibration,
        &TemperatureConfig::default(),
        &AbstainConfig::default(),
    )
    .unwrap();
    let without = serde_json::to_value(&plain).unwrap();
    assert!(plain.conformal().is_none() && without.get("conformal").is_none());
    let config = ConformalConfig::default();
    let record = plain.clone().with_conformal(&calibration, &config).unwrap();
    let sets = record.conformal().unwrap();
    assert_eq!((sets.calibrator(), sets.config()), (&record.calibrator, &config));
    assert_eq!((&record.abstain, &record.calibrator), (&plain.abstain, &plain.calibrator));
    let value = serde_json::to_value(&record).unwrap();
    let read: CalibrationRecord = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(read, record);
    let test = usual::<Test>(100, 3);
    assert_eq!(read.conformal().unwrap().predict_sets(&test).unwrap(), sets.predict_sets(&test).unwrap());

    // Rows of another split or another calibrator do not come in, neither fitted nor from a file.
    let elsewhere = table::<Calibration>(Array2::zeros((40, 5)), vec![0; 40], "beef");
    let wrong = plain.clone().with_conformal(&elsewhere, &config).unwrap_err();
    assert!(matches!(wrong, Error::Split { .. }), "{wrong}");
    let identity = CalibrationRecord::fit_with(
        Calibrator::Identity,
        &validation,
        &calibration,
        &AbstainConfig::default(),
    );
    let identity = identity.unwrap().with_conformal(&calibration, &config).unwrap();
    let mut mixed = value.clone();
    mixed["conformal"] = serde_json::to_value(identity.conformal()).unwrap();
    let wrong = serde_json::from_value::<CalibrationRecord>(mixed).unwrap_err();
    assert!(wrong.to_string().contains("the calibrator of the record"), "{wrong}");
    for (key, changed) in [("split_hash", "beef"), ("view", "horizontal_flip")] {
        let mut mixed = value.clone();
        mixed["conformal"]["fitted_on"][key] = changed.into();
        let wrong = serde_json::from_value::<CalibrationRecord>(mixed).unwrap_err().to_string();
        assert!(wrong.contains(changed), "{key}: {wrong}");
        let mut mixed = without.clone();
        mixed["calibrator"]["fitted_on"][key] = changed.into();
        let wrong = serde_json::from_value::<CalibrationRecord>(mixed).unwrap_err().to_string();
        assert!(wrong.contains(changed), "{key}: {wrong}");
    }
    let apart = table::<Validation>(Array2::zeros((40, 5)), vec![0; 40], "beef");
    let config = AbstainConfig::default();
    let wrong = CalibrationRecord::fit_with(Calibrator::Identity, &apart, &calibration, &config).unwrap_err();
    assert!(matches!(wrong, Error::Split { .. }), "{wrong}");
}

#[test]
fn a_record_around_any_calibrator() {
    let (validation, calibration) = (usual::<Validation>(600, 1), usual::<Calibration>(600, 2));
    for config in CalibratorConfig::all() {
        let calibrator = config.fit(&validation).unwrap();
        let abstain = AbstainConfig { scope: ThresholdScope::PredictedClass, ..AbstainConfig::default() };
        let record = CalibrationRecord::fit_with(calibrator, &validation, &calibration, &abstain).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        let read: CalibrationRecord = serde_json::from_str(&text).unwrap();
        let test = usual::<Test>(100, 5);
        let logits = test.logits().unwrap();
        assert_eq!(read.decide(&logits).unwrap(), record.decide(&logits).unwrap(), "{config:?}");
        assert_eq!(read.evaluate(&test, 0.05).unwrap(), record.evaluate(&test, 0.05).unwrap());
    }
}

/// Macro F1 of `rows` answered where the confidence is at least τ, by its definition.
fn macro_f1(rows: &Predictions<Validation>, threshold: f64, referred: ReferredRows) -> f64 {
    let probabilities = rows.probabilities();
    let answered: Vec<bool> = probabilities.confidence().iter().map(|&p| p >= threshold).collect();
    let predicted = probabilities.predicted();
    let f1 = |class: usize| {
        let count = |keep: &dyn Fn(usize) -> bool| (0..rows.len()).filter(|&row| keep(row)).count() as f64;
        let is = |row: usize| rows.targets()[row] == class;
        let tp = count(&|row| answered[row] && is(row) && predicted[row] == class);
        let fp = count(&|row| answered[row] && !is(row) && predicted[row] == class);
        let missed = count(&|row| is(row) && !(answered[row] && predicted[row] == class));
        let left_out = count(&|row| is(row) && answered[row] && predicted[row] != class);
        let fn_ = if referred == ReferredRows::Missed { missed } else { left_out };
        if tp + fp + fn_ > 0.0 { 2.0 * tp / (2.0 * tp + fp + fn_) } else { 0.0 }
    };
    let classes: Vec<usize> =
        (0..rows.num_classes()).filter(|class| rows.targets().contains(class)).collect();
    classes.iter().map(|&class| f1(class)).sum::<f64>() / classes.len() as f64
}

#[test]
fn a_reject_threshold_is_the_maximum() {
    for (seed, referred, min_coverage) in [
        (3, ReferredRows::Missed, 0.0),
        (4, ReferredRows::LeftOut, 0.6),
        (5, ReferredRows::LeftOut, 1.0),
        (6, ReferredRows::Missed, 0.9),
    ] {
        let rows = usual::<Validation>(120, seed);
        let config = RejectThresholdConfig { referred, min_coverage };
        let point = RejectThreshold::fit(&rows, &Calibrator::Identity, &config).unwrap();
        let mut thresholds = rows.probabilities().confidence();
        thresholds.push(0.0);
        let coverage = |threshold: f64| {
            rows.probabilities().confidence().iter().filter(|&&p| p >= threshold).count() as f64 / 120.0
        };
        let best = thresholds
            .iter()
            .filter(|&&threshold| coverage(threshold) >= min_coverage)
            .map(|&threshold| macro_f1(&rows, threshold, referred))
            .fold(0.0, f64::max);
        assert!((point.validation.macro_f1 - best).abs() < 1e-12, "{point:?} {best}");
        assert!((macro_f1(&rows, point.threshold, referred) - best).abs() < 1e-12);
        assert!(point.validation.coverage >= min_coverage);
        // Of equal maxima the lowest.
        for &lower in thresholds.iter().filter(|&&threshold| threshold < point.threshold) {
            assert!(
                coverage(lower) == coverage(point.threshold)
                    || macro_f1(&rows, lower, referred) < best - 1e-12
            );
        }
        assert_eq!(point.validation_without.answered, 120);
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(serde_json::from_str::<RejectThreshold>(&text).unwrap(), point);
        let test = usual::<Test>(200, 7);
        let outcome = point.evaluate(&Calibrator::Identity, &test).unwrap();
        assert_eq!(outcome.samples, 200);
        assert!(outcome.accuracy.unwrap() >= outcome.correct as f64 / 200.0);
    }
}

#[test]
fn referring_what_is_wrong_gains() {
    // Wrong rows are the uncertain ones, so a threshold above 0 must be better than none, by either count.
    let rows = usual::<Validation>(500, 8);
    for referred in [ReferredRows::Missed, ReferredRows::LeftOut] {
        let config = RejectThresholdConfig { referred, min_coverage: 0.5 };
        let point = RejectThreshold::fit(&rows, &Calibrator::Identity, &config).unwrap();
        assert!(point.threshold > 0.0 && point.validation.macro_f1 > point.validation_without.macro_f1);
    }
}

#[test]
fn what_a_reject_threshold_refuses() {
    let rows = usual::<Validation>(60, 1);
    for min_coverage in [-0.1, 1.1, f64::NAN] {
        let config = RejectThresholdConfig { min_coverage, ..RejectThresholdConfig::default() };
        let wrong = RejectThreshold::fit(&rows, &Calibrator::Identity, &config).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "min_coverage", .. }), "{wrong}");
    }
    let point =
        RejectThreshold::fit(&rows, &Calibrator::Identity, &RejectThresholdConfig::default()).unwrap();
    let other = table::<Test>(Array2::zeros((4, 5)), vec![0; 4], "beef");
    assert!(matches!(point.evaluate(&Calibrator::Identity, &other), Err(Error::Split { .. })));
    let other = table::<Test>(Array2::zeros((4, 3)), vec![0; 4], "0f3a");
    assert!(matches!(point.evaluate(&Calibrator::Identity, &other), Err(Error::Classes { .. })));
}
