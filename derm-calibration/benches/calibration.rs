//! Fits and errors at the size of a large dermatology test set: 15,561 rows of 25 classes.
//!
//! `DERM_BENCH_TABLE=<folder>` writes the rows there as raw little-endian numbers, for the peer's script.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use derm_calibration::{
    AbstainConfig, AbstainPolicy, BetaConfig, CalibrationError, CalibrationNotion, Calibrator,
    CalibratorConfig, DirichletConfig, FitCalibrator, IsotonicConfig, Odir, SelectionConfig,
    TemperatureConfig, ThresholdGrid, VectorConfig, calibration_errors, kde_ece, select_calibrator,
    smooth_ece,
};
use derm_core::{
    Calibration, LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores,
    Validation, View,
};
use derm_metrics::Resamples;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROWS: usize = 15_561;
const CLASSES: usize = 25;

/// Long-tailed targets and over-confident logits; two thirds are right.
fn predictions<R: Role>(seed: u64) -> Predictions<R> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let targets: Vec<usize> = (0..ROWS).map(|_| (uniform().powi(2) * CLASSES as f64) as usize).collect();
    let values = Array2::from_shape_fn((ROWS, CLASSES), |(row, class)| {
        let noise = (0..4).map(|_| uniform() - 0.5).sum::<f64>() * 3.0_f64.sqrt();
        let signal = if targets[row] == class { 2.4 } else { 0.0 };
        (2.0 * (noise + signal)) as f32
    });
    let ids: Vec<String> = (0..ROWS).map(|row| format!("{row:05}")).collect();
    let columns = PredictionColumns {
        groups: (0..ROWS).map(|row| format!("lesion {:05}", row / 2)).collect(),
        cases: ids.clone(),
        ids,
        targets,
        ..PredictionColumns::default()
    };
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new((0..CLASSES).map(|class| format!("class {class}"))).unwrap(),
        split_hash: "bench".into(),
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

fn write_table(folder: &str, rows: &Predictions<Validation>) {
    let logits: Vec<u8> = rows.scores().values.iter().flat_map(|z| z.to_le_bytes()).collect();
    let targets: Vec<u8> = rows.targets().iter().flat_map(|&t| (t as i64).to_le_bytes()).collect();
    std::fs::write(format!("{folder}/logits.f32"), logits).unwrap();
    std::fs::write(format!("{folder}/targets.i64"), targets).unwrap();
}

fn calibration(criterion: &mut Criterion) {
    let validation = predictions::<Validation>(1);
    if let Ok(folder) = std::env::var("DERM_BENCH_TABLE") {
        write_table(&folder, &validation);
    }
    let mut fits = criterion.benchmark_group("fit");
    fits.sample_size(10);
    let dirichlet =
        |odir| CalibratorConfig::Dirichlet(DirichletConfig { odir, ..DirichletConfig::default() });
    for (name, config) in [
        ("temperature", CalibratorConfig::Temperature(TemperatureConfig::default())),
        ("vector", CalibratorConfig::Vector(VectorConfig::default())),
        ("beta_one_vs_rest", CalibratorConfig::Beta(BetaConfig::default())),
        ("isotonic_one_vs_rest", CalibratorConfig::Isotonic(IsotonicConfig::default())),
        ("dirichlet", dirichlet(Odir::NONE)),
        ("dirichlet_odir", dirichlet(Odir::default())),
    ] {
        let fitted = config.fit(&validation).unwrap();
        let nll = derm_metrics::nll(&fitted.calibrate(&validation).unwrap(), validation.targets(), 1e-12);
        let convergence = match &fitted {
            Calibrator::Vector(fitted) => Some(fitted.convergence),
            Calibrator::Dirichlet(fitted) => Some(fitted.convergence),
            _ => None,
        };
        // For the peer's comparison: the same optimum, not only the same time.
        eprintln!("{name}: NLL on the rows of the fit {:.9}, {convergence:?}", nll.unwrap());
        fits.bench_function(name, |bencher| bencher.iter(|| config.fit(&validation).unwrap()));
    }
    fits.finish();

    let probabilities = validation.probabilities();
    let confidence = probabilities.confidence();
    let correct: Vec<bool> = probabilities
        .predicted()
        .iter()
        .zip(validation.targets())
        .map(|(class, target)| class == target)
        .collect();
    eprintln!("smooth ECE {:.9}", smooth_ece(&confidence, &correct).unwrap().value);
    let mut errors = criterion.benchmark_group("error");
    errors
        .bench_function("smooth_ece", |bencher| bencher.iter(|| smooth_ece(&confidence, &correct).unwrap()));
    let scott = derm_calibration::Bandwidth::Scott;
    errors
        .bench_function("kde_ece", |bencher| bencher.iter(|| kde_ece(&confidence, &correct, scott).unwrap()));
    errors.sample_size(10);
    let resamples = Resamples::groups(validation.groups(), 200, 7).unwrap();
    let smooth = [CalibrationError::Smooth { notion: CalibrationNotion::Confidence }];
    errors.bench_function("smooth_ece_with_200_replicates", |bencher| {
        bencher.iter(|| {
            calibration_errors(&probabilities, validation.targets(), &smooth, &resamples, 0.05).unwrap()
        });
    });
    errors.finish();

    let rows = predictions::<Calibration>(2);
    let mut policies = criterion.benchmark_group("choose");
    policies.sample_size(10);
    let grid = ThresholdGrid::from_validation(&validation, &Calibrator::Identity, 10, 10).unwrap();
    policies.bench_function("abstain_policy", |bencher| {
        let config = AbstainConfig::default();
        bencher.iter(|| AbstainPolicy::fit(&rows, &Calibrator::Identity, &grid, &config).unwrap());
    });
    policies.bench_function("calibrator_of_4_by_5_folds", |bencher| {
        let candidates = CalibratorConfig::all();
        bencher
            .iter(|| select_calibrator(&validation, &candidates[..4], &SelectionConfig::default()).unwrap());
    });
    policies.finish();
}

criterion_group!(benches, calibration);
criterion_main!(benches);
