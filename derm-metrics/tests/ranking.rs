//! Curves, areas and thresholds against their definitions, by brute force.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::Probabilities;
use derm_metrics::{
    Acceptance, BinaryCounts, OtherScore, PrCurve, RocCurve, auroc, auroc_ovo, average_precision, delong,
    delong_interval,
};
use ndarray::{Array2, array};
use proptest::prelude::*;

/// Sums of a few dozen terms in another order.
const ROUNDING: f64 = 1e-12;

/// Scores with ties, negative ones too, and labels.
fn scored() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
    prop::collection::vec((-8_i8..8, any::<bool>()), 1..40)
        .prop_map(|rows| rows.into_iter().map(|(score, label)| (f64::from(score) / 4.0, label)).unzip())
}

fn share(hits: usize, of: usize) -> f64 {
    hits as f64 / of as f64
}

/// Share of the rows of this label whose score is at least the threshold.
fn rate(scores: &[f64], labels: &[bool], label: bool, threshold: f64) -> f64 {
    let of: Vec<f64> = scores.iter().zip(labels).filter(|row| *row.1 == label).map(|row| *row.0).collect();
    share(of.iter().filter(|&&score| score >= threshold).count(), of.len())
}

/// Area by counting pairs.
fn area(positives: &[f64], negatives: &[f64]) -> f64 {
    let mut sum = 0.0;
    for a in positives {
        for b in negatives {
            sum += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    sum / (positives.len() * negatives.len()) as f64
}

fn of_label(scores: &[f64], labels: &[bool], label: bool) -> Vec<f64> {
    scores.iter().zip(labels).filter(|row| *row.1 == label).map(|row| *row.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_area_is_the_share_of_ordered_pairs((scores, labels) in scored()) {
        let (positives, negatives) = (of_label(&scores, &labels, true), of_label(&scores, &labels, false));
        let curve = RocCurve::new(&scores, &labels).unwrap();
        match auroc(&scores, &labels).unwrap() {
            None => prop_assert!((positives.is_empty() || negatives.is_empty()) && curve.is_none()),
            Some(value) => {
                let expected = area(&positives, &negatives);
                prop_assert!((value - expected).abs() < ROUNDING);
                let curve = curve.unwrap();
                prop_assert!((curve.area() - expected).abs() < ROUNDING);
                prop_assert!((curve.partial_area(0.0).unwrap() - expected).abs() < ROUNDING);
                // Above a line no area can exceed the strip, nor that above a lower line.
                let strips = [0.2, 0.5, 0.9].map(|min| (1.0 - min, curve.partial_area(min).unwrap()));
                prop_assert!(strips.iter().all(|(width, area)| (0.0..=width + ROUNDING).contains(area)));
                prop_assert!(strips[0].1 >= strips[1].1 && strips[1].1 >= strips[2].1);
            }
        }
    }

    #[test]
    fn average_precision_is_the_mean_precision_at_the_positives((scores, labels) in scored()) {
        let positives = of_label(&scores, &labels, true);
        let precision = |&threshold: &f64| {
            let called = |of: &[f64]| of.iter().filter(|&&score| score >= threshold).count();
            share(called(&positives), called(&scores))
        };
        let expected = positives.iter().map(precision).sum::<f64>() / positives.len() as f64;
        match average_precision(&scores, &labels).unwrap() {
            None => prop_assert!(positives.is_empty()),
            Some(value) => prop_assert!((value - expected).abs() < ROUNDING, "{value} {expected}"),
        }
    }

    #[test]
    fn curves_hold_the_rates_of_every_threshold((scores, labels) in scored()) {
        if let Some(curve) = PrCurve::new(&scores, &labels).unwrap() {
            for point in curve.points() {
                let rates = BinaryCounts::at_threshold(&scores, &labels, point.threshold).unwrap().rates();
                prop_assert_eq!((rates.ppv, rates.sensitivity), (Some(point.precision), Some(point.recall)));
            }
        }
        let Some(curve) = RocCurve::new(&scores, &labels).unwrap() else { return Ok(()) };
        let thresholds: Vec<f64> = curve.points().iter().map(|point| point.threshold).collect();
        let mut distinct = scores.clone();
        distinct.sort_by(|a, b| b.total_cmp(a));
        distinct.dedup();
        prop_assert_eq!(&thresholds, &distinct);
        for point in curve.points() {
            prop_assert_eq!(point.tpr, rate(&scores, &labels, true, point.threshold));
            prop_assert_eq!(point.fpr, rate(&scores, &labels, false, point.threshold));
        }
    }

    #[test]
    fn no_threshold_is_better_than_the_chosen_one((scores, labels) in scored(), percent in 1_u8..=100) {
        let Some(curve) = RocCurve::new(&scores, &labels).unwrap() else { return Ok(()) };
        let bound = f64::from(percent) / 100.0;
        // "Never positive" is a threshold too.
        let all: Vec<(f64, f64)> = curve.points().iter().map(|point| (point.tpr, 1.0 - point.fpr)).chain([(0.0, 1.0)]).collect();
        let largest = |of: &dyn Fn(&(f64, f64)) -> Option<f64>| all.iter().filter_map(of).fold(f64::NEG_INFINITY, f64::max);
        let met = |rate: f64| rate >= bound - ROUNDING;
        let at = curve.sensitivity_at_specificity(bound).unwrap();
        prop_assert!(met(at.specificity));
        prop_assert_eq!(at.sensitivity, largest(&|&(tpr, tnr)| met(tnr).then_some(tpr)));
        let at = curve.specificity_at_sensitivity(bound).unwrap();
        prop_assert!(met(at.sensitivity));
        prop_assert_eq!(at.specificity, largest(&|&(tpr, tnr)| met(tpr).then_some(tnr)));
        let j = largest(&|&(tpr, tnr)| (tpr + tnr > 1.0).then_some(tpr + tnr - 1.0)).max(0.0);
        prop_assert!((curve.youden().youden() - j).abs() < ROUNDING);
    }

    #[test]
    fn one_vs_one_is_the_mean_over_pairs_of_classes(rows in prop::collection::vec((0_usize..4, prop::collection::vec(1_u8..9, 4)), 1..30)) {
        let values = Array2::from_shape_fn((rows.len(), 4), |(row, class)| f64::from(rows[row].1[class]) / rows[row].1.iter().map(|&x| f64::from(x)).sum::<f64>());
        let targets: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let p = Probabilities::new(values.clone()).unwrap();
        let scores = |of: usize, by: usize| -> Vec<f64> {
            targets.iter().enumerate().filter(|row| *row.1 == of).map(|row| values[[row.0, by]]).collect()
        };
        let mut areas = Vec::new();
        for i in 0..4 {
            for j in 0..4 {
                if i != j && targets.contains(&i) && targets.contains(&j) {
                    areas.push(area(&scores(i, i), &scores(j, i)));
                }
            }
        }
        let expected = (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64);
        match (auroc_ovo(&p, &targets).unwrap(), expected) {
            (Some(a), Some(b)) => prop_assert!((a - b).abs() < ROUNDING),
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn comparing_the_other_way_round_turns_the_sign((first, labels) in scored(), shift in 1_usize..7) {
        let second: Vec<f64> = (0..first.len()).map(|row| first[(row * shift + 1) % first.len()]).collect();
        let Some(there) = delong(&first, &second, &labels, 0.1).unwrap() else {
            prop_assert!(labels.iter().filter(|&&label| label).count() < 2 || labels.iter().filter(|&&label| !label).count() < 2);
            return Ok(());
        };
        let back = delong(&second, &first, &labels, 0.1).unwrap().unwrap();
        prop_assert_eq!(there.difference, -back.difference);
        prop_assert_eq!(there.p_value, back.p_value);
        prop_assert_eq!(there.z, back.z.map(|z| -z));
        prop_assert!((there.auroc[0] - auroc(&first, &labels).unwrap().unwrap()).abs() < ROUNDING);
        prop_assert_eq!(delong_interval(&second, &labels, 0.1).unwrap(), Some(there.intervals[1]));
        prop_assert!(there.difference_interval.contains(there.difference));
    }

    #[test]
    fn the_accepted_share_of_known_rows_is_just_reached((scores, is_other) in scored(), percent in 1_u8..=100) {
        let rate = f64::from(percent) / 100.0;
        let Some(at) = Acceptance::at_known_rate(&scores, &is_other, rate).unwrap() else {
            prop_assert!(is_other.iter().all(|&other| other));
            return Ok(());
        };
        let accepted = |threshold: f64, other: bool| {
            scores.iter().zip(&is_other).filter(|row| *row.1 == other && *row.0 <= threshold).count() as u64
        };
        prop_assert!(at.known_rate().unwrap() >= rate - 1e-9);
        prop_assert_eq!((at.known_accepted, at.other_accepted), (accepted(at.threshold, false), accepted(at.threshold, true)));
        let lower = of_label(&scores, &is_other, false).into_iter().filter(|&score| score < at.threshold);
        for threshold in lower {
            prop_assert!((accepted(threshold, false) as f64) < rate * at.known as f64);
        }
    }
}

#[test]
fn scores_that_rank_alike_do_not_differ() {
    let labels = [true, true, false, false, true];
    let first = [0.9, 0.4, 0.5, 0.1, 0.7];
    let second = first.map(|score: f64| score.powi(3));
    let test = delong(&first, &second, &labels, 0.05).unwrap().unwrap();
    assert_eq!((test.difference, test.z, test.p_value), (0.0, None, None));
    assert_eq!((test.difference_interval.low, test.difference_interval.high), (0.0, 0.0));
}

#[test]
fn minus_zero_ties_with_zero() {
    assert_eq!(auroc(&[0.0, -0.0], &[true, false]).unwrap(), Some(0.5));
    assert_eq!(RocCurve::new(&[-0.0, 0.0], &[true, false]).unwrap().unwrap().points().len(), 1);
}

#[test]
fn scores_of_strangeness() {
    let p = Probabilities::new(array![[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]).unwrap();
    assert_eq!(OtherScore::Doubt.scores(&p).unwrap(), [0.5, 0.0]);
    assert_eq!(OtherScore::Probability { class: 2 }.scores(&p).unwrap(), [0.25, 0.0]);
    let entropy = OtherScore::Entropy.scores(&p).unwrap();
    assert!((entropy[0] - 1.5 * std::f64::consts::LN_2).abs() < ROUNDING && entropy[1] == 0.0);
}
