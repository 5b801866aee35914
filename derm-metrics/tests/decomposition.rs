//! Isotonic regression against its min-max formula, and the decompositions that rest on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::Probabilities;
use derm_core::ValueError;
use derm_metrics::{
    Binning, CalibrationNorm, Error, IsotonicRegression, ReliabilityTable, brier, corp, corp_per_class,
    corp_top_label, murphy,
};
use ndarray::Array2;
use proptest::prelude::*;

/// Weighted means of a few dozen terms in another order.
const ROUNDING: f64 = 1e-12;

fn rows() -> impl Strategy<Value = Vec<(f64, f64, f64)>> {
    // Few distinct inputs, so that there are ties; weight 0 leaves a row out.
    let row = (0_u8..12, 0_u8..5, 0_u8..4)
        .prop_map(|(x, y, w)| (f64::from(x) / 12.0, f64::from(y) / 4.0, f64::from(w)));
    prop::collection::vec(row, 1..40).prop_filter("some weight", |rows| rows.iter().any(|row| row.2 > 0.0))
}

/// `max over a ≤ x of min over b ≥ x of the weighted mean of the responses whose input lies in [a, b]`.
fn min_max(rows: &[(f64, f64, f64)], x: f64) -> f64 {
    let inputs: Vec<f64> = rows.iter().filter(|row| row.2 > 0.0).map(|row| row.0).collect();
    let mean = |a: f64, b: f64| {
        let inside = rows.iter().filter(|row| (a..=b).contains(&row.0));
        let (sum, weight) =
            inside.fold((0.0, 0.0), |(sum, weight), row| (sum + row.2 * row.1, weight + row.2));
        sum / weight
    };
    let smallest =
        |a: f64| inputs.iter().filter(|&&b| b >= x).map(|&b| mean(a, b)).fold(f64::INFINITY, f64::min);
    inputs.iter().filter(|&&a| a <= x).map(|&a| smallest(a)).fold(f64::NEG_INFINITY, f64::max)
}

fn split(rows: &[(f64, f64, f64)]) -> [Vec<f64>; 3] {
    [
        rows.iter().map(|row| row.0).collect(),
        rows.iter().map(|row| row.1).collect(),
        rows.iter().map(|row| row.2).collect(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fit_is_the_min_max_of_means(rows in rows()) {
        let [x, y, weights] = split(&rows);
        let fit = IsotonicRegression::fit(&x, &y, Some(&weights)).unwrap();
        for row in rows.iter().filter(|row| row.2 > 0.0) {
            prop_assert!((fit.predict(row.0) - min_max(&rows, row.0)).abs() < ROUNDING, "{fit:?} at {}", row.0);
        }
        prop_assert!(fit.thresholds().is_sorted() && fit.values().is_sorted());
        let text = serde_json::to_string(&fit).unwrap();
        prop_assert_eq!(serde_json::from_str::<IsotonicRegression>(&text).unwrap(), fit);
    }

    #[test]
    fn a_weight_is_a_number_of_rows(rows in rows(), seed in any::<u64>()) {
        let [x, y, weights] = split(&rows);
        let mut repeated: Vec<_> = rows.iter().flat_map(|row| vec![*row; row.2 as usize]).collect();
        let turn = seed as usize % repeated.len();
        repeated.rotate_left(turn);
        let [x2, y2, _] = split(&repeated);
        let (weighted, plain) = (IsotonicRegression::fit(&x, &y, Some(&weights)).unwrap(), IsotonicRegression::fit(&x2, &y2, None).unwrap());
        for step in -2..15 {
            let x = f64::from(step) / 13.0;
            prop_assert!((weighted.predict(x) - plain.predict(x)).abs() < ROUNDING);
        }
    }

    #[test]
    fn the_parts_of_the_brier_score_sum_up(rows in prop::collection::vec((0_u8..=16, any::<bool>()), 1..60), n_bins in 1_usize..9) {
        let (p, y): (Vec<f64>, Vec<bool>) = rows.into_iter().map(|(p, y)| (f64::from(p) / 16.0, y)).unzip();
        let parts = corp(&p, &y).unwrap();
        prop_assert!((parts.brier - (parts.miscalibration - parts.discrimination + parts.uncertainty)).abs() < ROUNDING);
        prop_assert!(parts.discrimination <= parts.uncertainty + ROUNDING);
        // What the fit recalibrates is calibrated, and a rising map changes no rank.
        let outcomes: Vec<f64> = y.iter().map(|&y| f64::from(u8::from(y))).collect();
        let fit = IsotonicRegression::fit(&p, &outcomes, None).unwrap();
        let recalibrated: Vec<f64> = p.iter().map(|&p| fit.predict(p)).collect();
        let again = corp(&recalibrated, &y).unwrap();
        prop_assert!(again.miscalibration < ROUNDING && (again.discrimination - parts.discrimination).abs() < ROUNDING);
        let squeezed: Vec<f64> = p.iter().map(|p| 0.1 + 0.5 * p * p).collect();
        prop_assert!((corp(&squeezed, &y).unwrap().discrimination - parts.discrimination).abs() < ROUNDING);

        for binning in [Binning::Uniform { n_bins }, Binning::EqualMass { n_bins }] {
            let binned = murphy(&p, &y, binning).unwrap();
            let sum = binned.reliability - binned.resolution + binned.uncertainty + binned.within_bin;
            prop_assert!((binned.brier - sum).abs() < ROUNDING && (binned.brier - parts.brier).abs() < ROUNDING);
            let l2 = ReliabilityTable::new(&p, &y, binning).unwrap().error(CalibrationNorm::L2);
            prop_assert!((binned.reliability - l2 * l2).abs() < ROUNDING);
        }
        // Bins that hold one forecast each hide nothing; the first also holds 0.
        let hidden = murphy(&p, &y, Binning::Uniform { n_bins: 16 }).unwrap().within_bin.abs();
        prop_assert!(hidden < ROUNDING || p.contains(&0.0), "{hidden}");
    }

    #[test]
    fn the_classes_sum_to_the_whole_score(rows in prop::collection::vec((prop::collection::vec(1_u8..9, 3), 0_usize..3), 1..40)) {
        let sum = |row: usize| rows[row].0.iter().map(|&x| f64::from(x)).sum::<f64>();
        let values = Array2::from_shape_fn((rows.len(), 3), |(row, class)| f64::from(rows[row].0[class]) / sum(row));
        let p = Probabilities::new(values).unwrap();
        let y: Vec<usize> = rows.iter().map(|row| row.1).collect();
        let classes = corp_per_class(&p, &y).unwrap();
        let total: f64 = classes.iter().map(|class| class.miscalibration - class.discrimination + class.uncertainty).sum();
        prop_assert!((total - brier(&p, &y).unwrap()).abs() < ROUNDING);
        let correct: Vec<bool> = p.predicted().iter().zip(&y).map(|(a, b)| a == b).collect();
        prop_assert_eq!(corp_top_label(&p, &y).unwrap(), corp(&p.confidence(), &correct).unwrap());
    }
}

#[test]
fn scikit_learn_says_the_same() {
    // IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=w).predict(q), scikit-learn 1.9.1.
    let x = [0.9, 0.1, 0.5, 0.5, 0.3, 0.7, 0.2];
    let y = [0.8, 0.4, 0.1, 0.9, 0.2, 0.6, 0.3];
    let w = [1.0, 2.0, 1.0, 3.0, 1.0, 0.5, 2.0];
    let fit = IsotonicRegression::fit(&x, &y, Some(&w)).unwrap();
    for (q, want) in QUERIES {
        assert!((fit.predict(q) - want).abs() < ROUNDING, "{q}: {} and {want}", fit.predict(q));
    }
}

const QUERIES: [(f64, f64); 5] = [
    (0.0, 0.31999999999999995),
    (0.25, 0.31999999999999995),
    (0.4, 0.5044444444444445),
    (0.6, 0.6888888888888889),
    (0.85, 0.7722222222222223),
];

#[test]
fn fits_that_cannot_be() {
    let fit = IsotonicRegression::fit;
    assert_eq!(fit(&[], &[], None).unwrap_err(), Error::Value(ValueError::Empty { argument: "x" }));
    let wrong = fit(&[0.1], &[0.1, 0.2], None).unwrap_err();
    assert_eq!(wrong, Error::Value(ValueError::Length { argument: "y", got: 2, expected: 1 }));
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(
            fit(&[0.1, bad], &[0.0, 1.0], None).unwrap_err(),
            Error::Entry { argument: "x", position: 1, .. }
        ));
        assert!(matches!(
            fit(&[0.1, 0.2], &[0.0, bad], None).unwrap_err(),
            Error::Entry { argument: "y", position: 1, .. }
        ));
        assert!(matches!(
            fit(&[0.1, 0.2], &[0.0, 1.0], Some(&[bad, 1.0])).unwrap_err(),
            Error::Entry { argument: "weights", position: 0, .. }
        ));
    }
    assert!(matches!(
        fit(&[0.1], &[0.0], Some(&[-1.0])).unwrap_err(),
        Error::Entry { argument: "weights", .. }
    ));
    assert!(matches!(
        fit(&[0.1], &[0.0], Some(&[0.0])).unwrap_err(),
        Error::Range { argument: "weights", .. }
    ));
    assert!(matches!(
        fit(&[0.1; 2], &[0.0; 2], Some(&[f64::MAX; 2])).unwrap_err(),
        Error::Range { argument: "weights", .. }
    ));
    assert!(matches!(
        fit(&[0.1], &[0.0], Some(&[1.0; 2])).unwrap_err(),
        Error::Value(ValueError::Length { argument: "weights", .. })
    ));
    assert!(fit(&[0.1], &[0.0], None).unwrap().predict(f64::NAN).is_nan());
}

#[test]
fn files_that_are_no_fit() {
    let read = |text| serde_json::from_str::<IsotonicRegression>(text);
    assert!(read(r#"{"thresholds": [0.1, 0.2], "values": [0.5, 0.5]}"#).is_ok());
    for wrong in [
        r#"{"thresholds": [], "values": []}"#,
        r#"{"thresholds": [0.1, 0.2], "values": [0.5]}"#,
        r#"{"thresholds": [0.1, 0.1], "values": [0.5, 0.6]}"#,
        r#"{"thresholds": [0.1, 0.2], "values": [0.5, 0.4]}"#,
        r#"{"thresholds": [0.1], "values": [0.5], "increasing": false}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
