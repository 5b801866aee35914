//! What must hold for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod tables;

use derm_calibration::{
    AbstainConfig, AbstainPolicy, CalibrationRecord, Calibrator, RiskCoverage, SuggestScore,
    TemperatureBound, TemperatureConfig, TemperatureScaling, ThresholdGrid, Tier, TierTable, TierThresholds,
    top3_mass,
};
use derm_core::{Calibration, Logits, Predictions, Role, Test, Validation};
use ndarray::Array2;
use proptest::prelude::*;
use tables::{table, usual};

/// Sums of a few dozen terms in another order, and softmaxes that undo each other.
const ROUNDING: f64 = 1e-9;

fn predictions<R: Role>(logits: Array2<f32>, targets: Vec<usize>) -> Predictions<R> {
    table(logits, targets, "0f3a")
}

/// No more bins than the three rows that [`rows`] has at least.
fn few_bins() -> TemperatureConfig {
    TemperatureConfig { n_bins: 3, ..TemperatureConfig::default() }
}

fn rows() -> impl Strategy<Value = (Array2<f32>, Vec<usize>)> {
    (2_usize..7, 3_usize..50).prop_flat_map(|(classes, rows)| {
        let logits = prop::collection::vec(-9.0_f32..9.0, classes * rows);
        (logits, prop::collection::vec(0..classes, rows)).prop_map(move |(values, targets)| {
            (Array2::from_shape_vec((targets.len(), classes), values).unwrap(), targets)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_temperature_is_a_minimum((logits, targets) in rows()) {
        let validation = predictions::<Validation>(logits, targets.clone());
        let scaling = TemperatureScaling::fit(&validation, &few_bins()).unwrap();
        let logits = validation.logits().unwrap();
        let nll = |t: f64| derm_metrics::nll(&logits.softmax_at(t).unwrap(), &targets, 0.0).unwrap();
        prop_assert!(scaling.nll_after <= scaling.nll_before + ROUNDING);
        for factor in [0.9, 0.999, 1.001, 1.1] {
            let t = (scaling.temperature * factor).clamp(0.05, 10.0);
            prop_assert!(nll(t) >= scaling.nll_after - ROUNDING, "{t} is better than {scaling:?}");
        }
        match scaling.at_bound {
            None => prop_assert!(scaling.temperature > 0.05 && scaling.temperature < 10.0),
            Some(TemperatureBound::Lower) => prop_assert_eq!(scaling.temperature, 0.05),
            Some(TemperatureBound::Upper) => prop_assert_eq!(scaling.temperature, 10.0),
        }
    }

    #[test]
    fn a_temperature_changes_no_ranking((logits, targets) in rows(), temperature in 0.3..10.0_f64) {
        let validation = predictions::<Validation>(logits, targets);
        let logits = validation.logits().unwrap();
        let mut scaling = TemperatureScaling::fit(&validation, &few_bins()).unwrap();
        scaling.temperature = temperature;
        let after = scaling.apply(&logits).unwrap();
        for row in 0..logits.num_samples() {
            prop_assert_eq!(after.ranking(row), logits.softmax().ranking(row));
        }
    }

    #[test]
    fn a_temperature_keeps_the_arg_max_at_its_bounds_and_near_ties(
        (logits, targets) in rows(),
        near in 1e-7_f32..1e-3,
        scale in 1.0_f32..60.0,
    ) {
        // The runner-up comes within single precision of the first, before or behind it.
        let mut logits = logits * scale;
        for mut row in logits.rows_mut() {
            let top = (0..row.len()).fold(0, |top, class| if row[class] > row[top] { class } else { top });
            let other = (top + 1) % row.len();
            row[other] = row[top] - near * row[top].abs().max(1.0);
        }
        let validation = predictions::<Validation>(logits, targets);
        let logits = validation.logits().unwrap();
        let mut scaling = TemperatureScaling::fit(&validation, &few_bins()).unwrap();
        prop_assert!(derm_calibration::Calibrate::keeps_argmax(&scaling));
        for temperature in [0.05, scaling.temperature, 10.0] {
            scaling.temperature = temperature;
            prop_assert_eq!(scaling.apply(&logits).unwrap().predicted(), logits.softmax().predicted());
        }
    }

    #[test]
    fn scaling_the_logits_scales_the_temperature((logits, targets) in rows()) {
        let fit = |factor: f32| {
            let rows = predictions::<Validation>(&logits * factor, targets.clone());
            TemperatureScaling::fit(&rows, &few_bins()).unwrap()
        };
        let (once, twice) = (fit(1.0), fit(2.0));
        if once.at_bound.is_none() && twice.at_bound.is_none() {
            prop_assert!((twice.temperature / once.temperature - 2.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_risk_coverage_curve_holds_together(rows in prop::collection::vec((0_u8..20, any::<bool>()), 1..80)) {
        let (confidence, correct): (Vec<f64>, Vec<bool>) = rows.iter().map(|&(c, right)| (f64::from(c) / 20.0, right)).unzip();
        let curve = RiskCoverage::new(&confidence, &correct).unwrap();
        let errors = correct.iter().filter(|right| !**right).count() as f64 / correct.len() as f64;
        prop_assert!((curve.risk_at_coverage(1.0).unwrap() - errors).abs() < ROUNDING);
        prop_assert_eq!(curve.coverage_at_risk(1.0).unwrap(), 1.0);
        let aurc = curve.aurc();
        prop_assert!(aurc.e_aurc >= -ROUNDING && aurc.aurc <= 1.0 && aurc.augrc <= aurc.aurc + ROUNDING);
        let coverage = curve.coverage_at_risk(0.3).unwrap();
        if coverage > 0.0 {
            prop_assert!(curve.risk_at_coverage(coverage).unwrap() <= 0.3 + ROUNDING);
        }
    }

    #[test]
    fn tiers_split_the_rows((logits, targets) in rows(), answer in 0.0..1.0_f64, suggest in 0.0..1.0_f64) {
        let table = predictions::<Test>(logits, targets);
        let probabilities = table.probabilities();
        let thresholds = TierThresholds::new(Some(answer), SuggestScore::Top3Mass, Some(suggest)).unwrap();
        let tiers = TierTable::new(&thresholds, &probabilities, table.targets(), table.labels(), 0.1).unwrap();
        prop_assert_eq!(tiers.tiers.iter().map(|tier| tier.count).sum::<usize>(), table.len());
        prop_assert!((tiers.tiers.iter().map(|tier| tier.coverage).sum::<f64>() - 1.0).abs() < ROUNDING);
        for (index, tier) in tiers.tiers.iter().enumerate() {
            prop_assert_eq!(tier.count, tiers.classes.iter().map(|class| class.in_tier[index]).sum::<usize>());
            if let (Some(risk), Some(interval)) = (tier.risk, tier.risk_interval) {
                prop_assert!(interval.contains(risk));
            }
        }
        for (row, tier) in thresholds.assign(&probabilities).into_iter().enumerate() {
            let row = probabilities.row(row).to_vec();
            let confidence = row.iter().copied().fold(0.0, f64::max);
            let mut sorted = row.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(top3_mass(&row), sorted.iter().take(3).sum::<f64>());
            let expected = if confidence >= answer { Tier::Answer } else if top3_mass(&row) >= suggest { Tier::SuggestTop3 } else { Tier::Refer };
            prop_assert_eq!(tier, expected);
        }
    }

    #[test]
    fn a_grid_falls_and_ends_with_everything((logits, targets) in rows(), steps in 1_usize..12) {
        let reference = predictions::<Validation>(logits, targets).probabilities();
        let grid = ThresholdGrid::from_probabilities(&reference, steps, steps).unwrap();
        let answer: Vec<_> = grid.answer().iter().map(|candidate| candidate.answer).collect();
        let chains = grid.answer().iter().map(|candidate| &candidate.suggest[..]);
        for chain in chains.filter(|chain| !chain.is_empty()).chain([&answer[..], grid.suggest_alone()]) {
            prop_assert!(chain.len() <= steps);
            prop_assert!(chain.windows(2).all(|pair| pair[0].threshold > pair[1].threshold));
            prop_assert!(chain.windows(2).all(|pair| pair[0].expected_share <= pair[1].expected_share));
            prop_assert_eq!(chain[chain.len() - 1].threshold, 0.0);
        }
        prop_assert_eq!(answer[answer.len() - 1].expected_share, 1.0);
    }
}

#[test]
fn a_policy_does_not_depend_on_the_order_of_rows() {
    let (validation, calibration) = (usual::<Validation>(300, 5), usual::<Calibration>(400, 11));
    let record = |calibration: &Predictions<Calibration>| {
        CalibrationRecord::fit(
            &validation,
            calibration,
            &TemperatureConfig::default(),
            &AbstainConfig::default(),
        )
        .unwrap()
    };
    let backwards: Vec<usize> = (0..400).rev().collect();
    assert_eq!(record(&calibration), record(&calibration.select(&backwards).unwrap()));
}

#[test]
fn a_record_survives_a_file_and_decides_the_same() {
    let (validation, calibration) = (usual::<Validation>(300, 5), usual::<Calibration>(400, 11));
    let record = CalibrationRecord::fit(
        &validation,
        &calibration,
        &TemperatureConfig::default(),
        &AbstainConfig::default(),
    )
    .unwrap();
    assert!(record.abstain.thresholds.answer().is_some());
    let text = serde_json::to_string_pretty(&record).unwrap();
    let read: CalibrationRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, record);
    let test = usual::<Test>(200, 3);
    let logits = test.logits().unwrap();
    let (probabilities, tiers) = read.decide(&logits).unwrap();
    assert_eq!(
        (&probabilities, &tiers),
        (&record.decide(&logits).unwrap().0, &record.decide(&logits).unwrap().1)
    );
    assert_eq!(record.abstain.decide(&probabilities.row(7).to_vec()), tiers[7]);
    assert_eq!(record.evaluate(&test, 0.05).unwrap().count, 200);
}

#[test]
fn what_cannot_be_certified_refers_and_says_how_far_off_it_is() {
    // Twenty rows, all right: too few for a risk of 0.1 at level 0.1, which takes 22.
    let values = Array2::from_shape_fn((20, 5), |(_, class)| if class == 0 { 5.0 } else { 0.0 });
    let calibration = predictions::<Calibration>(values.clone(), vec![0; 20]);
    let grid =
        ThresholdGrid::from_validation(&predictions(values, vec![0; 20]), &Calibrator::Identity, 10, 10)
            .unwrap();
    let policy =
        AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, &AbstainConfig::default()).unwrap();
    assert_eq!((policy.thresholds.answer(), policy.thresholds.suggest()), (None, None));
    assert_eq!(policy.decide(&[1.0, 0.0, 0.0, 0.0, 0.0]), Tier::Refer);
    assert_eq!(policy.expected.tier(Tier::Refer).coverage, 1.0);
    // 1 − 0.1^(1/20): the risk at which no error in twenty rows has probability 0.1.
    let certifiable = policy.answer.smallest_certifiable_risk.unwrap();
    assert!((certifiable - (1.0 - 0.1_f64.powf(1.0 / 20.0))).abs() < 1e-12);
    let looser = AbstainConfig { answer_risk: certifiable + 1e-6, ..AbstainConfig::default() };
    let policy = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, &looser).unwrap();
    assert_eq!((policy.answer.count, policy.answer.errors), (20, 0));
}

#[test]
fn equal_logits_of_both_kinds_stay_themselves() {
    let logits = Logits::new(ndarray::array![[3.0, 1.0, -2.0]]).unwrap();
    assert_eq!(Calibrator::Identity.apply(&logits).unwrap(), logits.softmax());
    assert_eq!(Calibrator::Identity.name(), "identity");
}
