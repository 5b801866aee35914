//! Bootstrap, AUROC and `DeLong` at the size of a 25-class test set of 15,561 photographs.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use derm_core::Probabilities;
use derm_metrics::{
    ClassAverage, ClassSet, Metric, Resamples, auroc_ovo, averaged_auroc_ovr, averaged_average_precision,
    bootstrap, delong,
};
use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha8Rng;

const ROWS: usize = 15_561;
const CLASSES: usize = 25;

/// Long-tailed targets, and a plausible model of them.
fn predictions() -> (Probabilities, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let priors: Vec<f64> = (0..CLASSES).map(|class| (-(class as f64) / 6.0).exp()).collect();
    let total: f64 = priors.iter().sum();
    let mut values = Array2::zeros((ROWS, CLASSES));
    let mut targets = Vec::with_capacity(ROWS);
    for mut row in values.rows_mut() {
        let mut left = uniform() * total;
        let target = priors.iter().position(|prior| {
            left -= prior;
            left <= 0.0
        });
        let target = target.unwrap_or(CLASSES - 1);
        for (class, value) in row.iter_mut().enumerate() {
            // The sum of four uniform numbers is nearly normal.
            let noise = (0..4).map(|_| uniform() - 0.5).sum::<f64>() * 2.2;
            let signal = if class == target { 2.2 } else { 0.0 };
            *value = (priors[class].ln() + signal + noise).exp();
        }
        targets.push(target);
    }
    let sums = values.sum_axis(Axis(1)).insert_axis(Axis(1));
    (Probabilities::new(values / sums).unwrap(), targets)
}

fn metrics(criterion: &mut Criterion) {
    let (p, y) = predictions();
    criterion.bench_function("auroc_ovr_macro_15561x25", |bencher| {
        bencher.iter(|| averaged_auroc_ovr(black_box(&p), black_box(&y), ClassAverage::Macro).unwrap());
    });
    criterion.bench_function("auroc_ovo_15561x25", |bencher| {
        bencher.iter(|| auroc_ovo(black_box(&p), black_box(&y)).unwrap());
    });
    criterion.bench_function("average_precision_macro_15561x25", |bencher| {
        bencher
            .iter(|| averaged_average_precision(black_box(&p), black_box(&y), ClassAverage::Macro).unwrap());
    });
    let labels: Vec<bool> = y.iter().map(|&target| target == 0).collect();
    let (first, second) = (p.view().column(0).to_vec(), p.view().column(1).to_vec());
    criterion.bench_function("delong_15561", |bencher| {
        bencher.iter(|| delong(black_box(&first), black_box(&second), &labels, 0.05).unwrap());
    });
}

fn replicates(criterion: &mut Criterion) {
    let (p, y) = predictions();
    let five = [
        Metric::Accuracy,
        Metric::BalancedAccuracy { classes: ClassSet::Present },
        Metric::MacroF1 { classes: ClassSet::Present },
        Metric::Auroc { average: ClassAverage::Macro },
        Metric::Ece { n_bins: 15 },
    ];
    let lesions: Vec<String> = (0..ROWS).map(|row| (row / 2).to_string()).collect();
    let mut group = criterion.benchmark_group("bootstrap_1000_replicates_15561x25");
    group.sample_size(10);
    group.bench_function("five_metrics_rows", |bencher| {
        let resamples = Resamples::rows(ROWS, 1000, 7).unwrap();
        bencher.iter(|| bootstrap(black_box(&p), &y, &five, &resamples, 0.05).unwrap());
    });
    group.bench_function("five_metrics_lesions", |bencher| {
        let resamples = Resamples::groups(&lesions, 1000, 7).unwrap();
        bencher.iter(|| bootstrap(black_box(&p), &y, &five, &resamples, 0.05).unwrap());
    });
    group.finish();
}

criterion_group!(benches, metrics, replicates);
criterion_main!(benches);
