//! Calibration errors against the numbers of derm-metrics, against direct sums, and against what theory says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::f64::consts::PI;

use derm_calibration::{
    Bandwidth, CalibrationError, CalibrationNotion, Error, ErrorNorm, calibration_errors, kde_ece,
    reliability, smooth_ece, smooth_reliability,
};
use derm_core::Probabilities;
use derm_metrics::{Binning, CalibrationNorm, Resamples, adaptive_ece, classwise_ece, ece};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rounding of sums of a few hundred terms.
const ROUNDING: f64 = 1e-12;
/// Draws of the statistical tests.
const DRAWS: usize = 200;
/// Points of the direct integrals.
const POINTS: usize = 200_000;

struct Draw(ChaCha8Rng);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Confidences from 0.3 to 1 and outcomes whose rate is the confidence moved by `shift`.
    fn binary(&mut self, rows: usize, shift: f64) -> (Vec<f64>, Vec<bool>) {
        (0..rows)
            .map(|_| {
                let confidence = 0.3 + 0.7 * self.uniform();
                (confidence, self.uniform() < confidence + shift)
            })
            .unzip()
    }

    fn table(&mut self, rows: usize, classes: usize) -> (Probabilities, Vec<usize>) {
        let mut values = Array2::from_shape_fn((rows, classes), |_| (3.0 * self.uniform()).exp());
        for mut row in values.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        let targets = (0..rows).map(|_| (self.uniform() * classes as f64) as usize).collect();
        (Probabilities::new(values).unwrap(), targets)
    }
}

fn binned(notion: CalibrationNotion, binning: Binning, norm: ErrorNorm) -> CalibrationError {
    CalibrationError::Binned { notion, binning, norm }
}

#[test]
fn the_notions_of_derm_metrics_come_out_the_same() {
    let (probabilities, targets) = Draw::new(1).table(400, 5);
    let uniform = Binning::Uniform { n_bins: 15 };
    for (norm, same) in [
        (ErrorNorm::L1, CalibrationNorm::L1),
        (ErrorNorm::L2, CalibrationNorm::L2),
        (ErrorNorm::Max, CalibrationNorm::Max),
    ] {
        let got =
            binned(CalibrationNotion::Confidence, uniform, norm).value(&probabilities, &targets).unwrap();
        assert!((got - ece(&probabilities, &targets, 15, same).unwrap()).abs() < ROUNDING);
    }
    let equal = binned(CalibrationNotion::Confidence, Binning::EqualMass { n_bins: 15 }, ErrorNorm::L1);
    let got = equal.value(&probabilities, &targets).unwrap();
    assert!((got - adaptive_ece(&probabilities, &targets, 15).unwrap()).abs() < ROUNDING);
    let marginal = binned(CalibrationNotion::Marginal, uniform, ErrorNorm::L1);
    let got = marginal.value(&probabilities, &targets).unwrap();
    assert!((got - classwise_ece(&probabilities, &targets, 15).unwrap().mean).abs() < ROUNDING);
}

#[test]
fn top_label_is_never_below_confidence() {
    // Gaps of classes may cancel in one table and cannot in several: the triangle inequality, bin by bin.
    for seed in 0..20 {
        let (probabilities, targets) = Draw::new(seed).table(200, 4);
        for norm in [ErrorNorm::L1, ErrorNorm::L2, ErrorNorm::Max] {
            let value = |notion| {
                binned(notion, Binning::Uniform { n_bins: 10 }, norm).value(&probabilities, &targets).unwrap()
            };
            let (by_class, together) =
                (value(CalibrationNotion::TopLabel), value(CalibrationNotion::Confidence));
            assert!(by_class >= together - ROUNDING, "{norm:?}: {by_class} {together}");
        }
    }
}

#[test]
fn tables_are_those_of_the_error() {
    let (probabilities, targets) = Draw::new(3).table(300, 4);
    for notion in [CalibrationNotion::Confidence, CalibrationNotion::TopLabel, CalibrationNotion::Marginal] {
        let binning = Binning::Uniform { n_bins: 8 };
        let tables = reliability(&probabilities, &targets, notion, binning).unwrap();
        assert!((tables.iter().map(|class| class.weight).sum::<f64>() - 1.0).abs() < ROUNDING);
        let sum: f64 = tables
            .iter()
            .filter_map(|class| Some(class.weight * class.table.as_ref()?.error(CalibrationNorm::L1)))
            .sum();
        let value = binned(notion, binning, ErrorNorm::L1).value(&probabilities, &targets).unwrap();
        assert!((sum - value).abs() < ROUNDING);
    }
    // A class that is never predicted has no table.
    let never = Probabilities::new(ndarray::array![[0.6, 0.4], [0.7, 0.3]]).unwrap();
    let tables =
        reliability(&never, &[0, 1], CalibrationNotion::TopLabel, Binning::Uniform { n_bins: 2 }).unwrap();
    assert!(tables[0].table.is_some() && tables[1].table.is_none() && tables[1].weight == 0.0);
}

/// The means over many draws of calibrated rows: plain errors are above 0 by chance alone, debiased ones by far
/// less.
#[test]
fn debiased_errors_take_off_what_chance_adds() {
    let mut draw = Draw::new(4);
    let (mut plain, mut debiased, mut plain_l1, mut debiased_l1) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..DRAWS {
        let (confidence, correct) = draw.binary(300, 0.0);
        let values =
            Array2::from_shape_fn(
                (300, 2),
                |(row, class)| if class == 0 { confidence[row] } else { 1.0 - confidence[row] },
            );
        let probabilities = Probabilities::new(values).unwrap();
        let targets: Vec<usize> = correct.iter().map(|&correct| usize::from(!correct)).collect();
        let value = |norm| {
            let error = binned(CalibrationNotion::Marginal, Binning::EqualMass { n_bins: 15 }, norm);
            error.value(&probabilities, &targets).unwrap()
        };
        plain += value(ErrorNorm::L2).powi(2) / DRAWS as f64;
        debiased += value(ErrorNorm::DebiasedL2).powi(2) / DRAWS as f64;
        plain_l1 += value(ErrorNorm::L1) / DRAWS as f64;
        debiased_l1 += value(ErrorNorm::DebiasedL1) / DRAWS as f64;
    }
    // Cutting at 0 leaves a little; the variance of a bin of 20 rows is about 0.01.
    assert!(plain > 0.006 && debiased < 0.25 * plain, "{plain} {debiased}");
    assert!(plain_l1 > 0.05 && debiased_l1 < 0.6 * plain_l1, "{plain_l1} {debiased_l1}");
}

#[test]
fn the_debiased_square_is_the_formula() {
    // One bin: mean confidence 0.8, 3 of 5 right; 0.04 − 0.24/4 is below 0, and with 0.9: 0.09 − 0.06.
    let table = |p: f64| {
        Probabilities::new(Array2::from_shape_fn((5, 2), |(_, class)| if class == 0 { p } else { 1.0 - p }))
            .unwrap()
    };
    let error = binned(CalibrationNotion::Confidence, Binning::Uniform { n_bins: 1 }, ErrorNorm::DebiasedL2);
    assert_eq!(error.value(&table(0.8), &[0, 0, 0, 1, 1]).unwrap(), 0.0);
    assert!((error.value(&table(0.9), &[0, 0, 0, 1, 1]).unwrap() - 0.03_f64.sqrt()).abs() < ROUNDING);
    // A bin of one row counts nothing.
    let two = binned(CalibrationNotion::Confidence, Binning::Uniform { n_bins: 1 }, ErrorNorm::DebiasedL2);
    let one = Probabilities::new(ndarray::array![[0.9, 0.1]]).unwrap();
    assert_eq!(two.value(&one, &[1]).unwrap(), 0.0);
}

/// The smoothed residual at σ by a direct sum of reflected Gaussians over a fine grid.
fn direct(confidence: &[f64], correct: &[bool], sigma: f64) -> f64 {
    let at = |t: f64| {
        let sum: f64 = confidence
            .iter()
            .zip(correct)
            .map(|(&c, &correct)| {
                let kernel: f64 = (-3..=3)
                    .flat_map(|shift| [2.0 * f64::from(shift) + c, 2.0 * f64::from(shift) - c])
                    .map(|centre| (-0.5 * ((t - centre) / sigma).powi(2)).exp())
                    .sum();
                kernel * (f64::from(u8::from(correct)) - c)
            })
            .sum();
        (sum / (confidence.len() as f64 * sigma * (2.0 * PI).sqrt())).abs()
    };
    (0..20_000).map(|point| at((f64::from(point) + 0.5) / 2e4)).sum::<f64>() / 2e4
}

#[test]
fn smoothing_is_the_direct_sum_at_its_fixed_point() {
    let mut draw = Draw::new(5);
    for (rows, shift) in [(40, -0.2), (40, 0.0), (60, -0.05)] {
        let (confidence, correct) = draw.binary(rows, shift);
        let smooth = smooth_ece(&confidence, &correct).unwrap();
        assert!((smooth.value - smooth.sigma).abs() < 1e-8);
        assert!((direct(&confidence, &correct, smooth.sigma) - smooth.value).abs() < 1e-6, "{smooth:?}");
    }
}

#[test]
fn smoothing_finds_the_gap_and_forgives_chance() {
    let mut draw = Draw::new(6);
    let (confidence, correct) = draw.binary(5000, -0.15);
    let value = smooth_ece(&confidence, &correct).unwrap().value;
    assert!((value - 0.15).abs() < 0.02, "{value}");
    let (confidence, correct) = draw.binary(20_000, 0.0);
    assert!(smooth_ece(&confidence, &correct).unwrap().value < 0.02);
    // The bounds: no error at all, and all of it.
    let smooth = smooth_ece(&[1.0; 4], &[true; 4]).unwrap();
    assert_eq!((smooth.value, smooth.sigma), (0.0, derm_calibration::MIN_SIGMA));
    let smooth = smooth_ece(&[1.0; 4], &[false; 4]).unwrap();
    assert!((smooth.value - 1.0).abs() < 1e-9, "{smooth:?}");
}

#[test]
fn a_smoothed_curve_holds_all_rows() {
    let (confidence, correct) = Draw::new(7).binary(2000, -0.1);
    let points = smooth_reliability(&confidence, &correct, 0.05, 201).unwrap();
    let integral: f64 =
        points.windows(2).map(|pair| f64::midpoint(pair[0].density, pair[1].density) / 200.0).sum();
    assert!((integral - 1.0).abs() < 1e-3);
    assert_eq!((points[0].confidence, points[200].confidence), (0.0, 1.0));
    // In the middle of the data the curve lies on the true rate.
    let at = points[130];
    assert!((at.accuracy.unwrap() - 0.55).abs() < 0.08, "{at:?}");
    // Far from all rows there is nothing to divide by.
    let narrow = smooth_reliability(&[0.9; 5], &[true; 5], 0.01, 11).unwrap();
    assert_eq!(narrow[0].accuracy, None);
    assert!((narrow[9].accuracy.unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn kernels_agree_with_a_direct_sum() {
    let (confidence, correct) = Draw::new(8).binary(50, -0.1);
    let h = 0.08;
    let got = kde_ece(&confidence, &correct, Bandwidth::Fixed(h)).unwrap();
    assert_eq!(got.bandwidth, h);
    let mut direct = 0.0;
    for point in 0..POINTS {
        let t = (point as f64 + 0.5) / POINTS as f64;
        let mut sum = 0.0;
        for (&c, &correct) in confidence.iter().zip(&correct) {
            for centre in [c, -c, 2.0 - c] {
                let u = (t - centre) / h;
                if u.abs() < 1.0 {
                    sum += 35.0 / 32.0 * (1.0 - u * u).powi(3) * (t - f64::from(u8::from(correct)));
                }
            }
        }
        direct += (sum / (h * 50.0)).abs() / POINTS as f64;
    }
    assert!((got.value - direct).abs() < 1e-5, "{} {direct}", got.value);
    // Scott's rule, and its floor.
    let mean = confidence.iter().sum::<f64>() / 50.0;
    let variance = confidence.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 49.0;
    let scott = kde_ece(&confidence, &correct, Bandwidth::Scott).unwrap().bandwidth;
    assert!((scott - 1.06 * variance.sqrt() * 50.0_f64.powf(-0.2)).abs() < ROUNDING);
    assert_eq!(
        kde_ece(&[0.9], &[true], Bandwidth::Scott).unwrap().bandwidth,
        derm_calibration::MIN_BANDWIDTH
    );
    let (confidence, correct) = Draw::new(9).binary(5000, -0.15);
    let value = kde_ece(&confidence, &correct, Bandwidth::Scott).unwrap().value;
    assert!((value - 0.15).abs() < 0.02, "{value}");
}

fn all_errors() -> Vec<CalibrationError> {
    let mut errors = Vec::new();
    for notion in [CalibrationNotion::Confidence, CalibrationNotion::TopLabel, CalibrationNotion::Marginal] {
        for binning in [Binning::Uniform { n_bins: 10 }, Binning::EqualMass { n_bins: 10 }] {
            for norm in
                [ErrorNorm::L1, ErrorNorm::L2, ErrorNorm::Max, ErrorNorm::DebiasedL1, ErrorNorm::DebiasedL2]
            {
                errors.push(binned(notion, binning, norm));
            }
        }
        errors.push(CalibrationError::Smooth { notion });
        errors.push(CalibrationError::Kde { notion, bandwidth: Bandwidth::Scott });
    }
    errors
}

#[test]
fn every_error_is_a_number_from_0_to_1_and_ignores_the_order_of_rows() {
    let (probabilities, targets) = Draw::new(10).table(120, 3);
    let order: Vec<usize> = (0..120).map(|row| (row * 71 + 3) % 120).collect();
    let shuffled = probabilities.select(&order).unwrap();
    let shuffled_targets: Vec<usize> = order.iter().map(|&row| targets[row]).collect();
    for error in all_errors() {
        let value = error.value(&probabilities, &targets).unwrap();
        assert!((0.0..=1.0).contains(&value), "{error:?}: {value}");
        let other = error.value(&shuffled, &shuffled_targets).unwrap();
        assert!((value - other).abs() < 1e-8, "{error:?}: {value} {other}");
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<CalibrationError>(&text).unwrap(), error);
    }
}

#[test]
fn intervals_hold_the_value_and_equal_the_function_on_the_resample() {
    let (probabilities, targets) = Draw::new(11).table(90, 3);
    let groups: Vec<String> = (0..90).map(|row| format!("lesion {}", row / 3)).collect();
    let resamples = Resamples::groups(&groups, 40, 5).unwrap();
    let errors = all_errors();
    let estimates = calibration_errors(&probabilities, &targets, &errors, &resamples, 0.1).unwrap();
    let counts = resamples.multiplicities(7);
    let rows: Vec<usize> =
        counts.iter().enumerate().flat_map(|(row, &count)| vec![row; count as usize]).collect();
    let resampled = probabilities.select(&rows).unwrap();
    let resampled_targets: Vec<usize> = rows.iter().map(|&row| targets[row]).collect();
    for (error, estimate) in errors.iter().zip(&estimates) {
        assert_eq!(estimate.value, error.value(&probabilities, &targets).unwrap());
        assert_eq!(estimate.replicates.len(), 40);
        assert!(estimate.interval.low <= estimate.interval.high);
        let direct = error.value(&resampled, &resampled_targets).unwrap();
        assert!((estimate.replicates[7] - direct).abs() < ROUNDING, "{error:?}");
    }
}

#[test]
fn the_interval_covers() {
    // 60 draws of 400 rows over-confident by 0.12 everywhere: a 90 % interval should miss about 6 times. The
    // 99.9 % quantile of Binomial(60, 0.1) is 14; the estimate's own bias is what the rest of the room is for.
    let mut draw = Draw::new(12);
    let mut missed = 0;
    for seed in 0..60 {
        let (confidence, correct) = draw.binary(400, -0.12);
        let values =
            Array2::from_shape_fn(
                (400, 2),
                |(row, class)| {
                    if class == 0 { confidence[row] } else { 1.0 - confidence[row] }
                },
            );
        let probabilities = Probabilities::new(values).unwrap();
        let targets: Vec<usize> = correct.iter().map(|&correct| usize::from(!correct)).collect();
        let error = binned(CalibrationNotion::Marginal, Binning::Uniform { n_bins: 4 }, ErrorNorm::L1);
        let resamples = Resamples::rows(400, 200, seed).unwrap();
        let estimate = &calibration_errors(&probabilities, &targets, &[error], &resamples, 0.1).unwrap()[0];
        missed += u32::from(!estimate.interval.contains(0.12));
    }
    assert!(missed <= 14, "{missed} of 60");
}

#[test]
fn what_cannot_be_is_refused() {
    let (probabilities, targets) = Draw::new(13).table(20, 3);
    for n_bins in [0, 21] {
        for binning in [Binning::Uniform { n_bins }, Binning::EqualMass { n_bins }] {
            let error = binned(CalibrationNotion::Confidence, binning, ErrorNorm::L1);
            let wrong = error.value(&probabilities, &targets).unwrap_err();
            assert!(matches!(wrong, Error::TooMany { argument: "n_bins", maximum: 20, .. }), "{wrong}");
            assert!(reliability(&probabilities, &targets, CalibrationNotion::Marginal, binning).is_err());
        }
    }
    let smooth = CalibrationError::Smooth { notion: CalibrationNotion::Confidence };
    assert!(matches!(smooth.value(&probabilities, &targets[..19]), Err(Error::Value(_))));
    assert!(matches!(smooth.value(&probabilities, &[3; 20]), Err(Error::Value(_))));
    for bandwidth in [0.0, 0.004, 1.1, -1.0, f64::NAN] {
        let bandwidth = Bandwidth::Fixed(bandwidth);
        let wrong = kde_ece(&[0.5], &[true], bandwidth).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "bandwidth", .. }), "{wrong}");
        let error = CalibrationError::Kde { notion: CalibrationNotion::Confidence, bandwidth };
        assert!(matches!(error.value(&probabilities, &targets), Err(Error::Range { .. })));
    }
    for wrong in [
        smooth_ece(&[], &[]).unwrap_err(),
        smooth_ece(&[0.5], &[true, false]).unwrap_err(),
        kde_ece(&[], &[], Bandwidth::Scott).unwrap_err(),
    ] {
        assert!(matches!(wrong, Error::Value(_)), "{wrong}");
    }
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let wrong = smooth_ece(&[0.5, bad], &[true, false]).unwrap_err();
        assert!(matches!(wrong, Error::Entry { argument: "confidence", position: 1, .. }), "{wrong}");
        let wrong = smooth_reliability(&[0.5], &[true], bad.abs() / 1e4, 10).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "sigma", .. }), "{wrong}");
    }
    assert!(matches!(smooth_reliability(&[0.5], &[true], 0.1, 1), Err(Error::Count { .. })));
    let resamples = Resamples::rows(20, 5, 0).unwrap();
    for alpha in [0.0, 1.0, f64::NAN] {
        let wrong = calibration_errors(&probabilities, &targets, &[smooth], &resamples, alpha).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "alpha", .. }), "{wrong}");
    }
    let resamples = Resamples::rows(19, 5, 0).unwrap();
    assert!(calibration_errors(&probabilities, &targets, &[smooth], &resamples, 0.1).is_err());
}
