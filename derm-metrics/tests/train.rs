//! The metrics inside Burn's own training loop: what it logs is the metric of the whole epoch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::module::{Module, Param};
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::logger::FileMetricLogger;
use burn::train::metric::{Metric as _, MetricAttributes, Numeric as _};
use burn::train::{ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep};
use derm_core::Logits;
use derm_metrics::train::{EpochMetric, LogitsInput};
use derm_metrics::{ClassAverage, ClassSet, Metric};
use ndarray::Array2;

/// f32 logits are exact in f64 on both ways, and the loop writes every digit.
const SAME: f64 = 1e-12;

const METRICS: [Metric; 4] = [
    Metric::BalancedAccuracy { classes: ClassSet::Present },
    Metric::MacroF1 { classes: ClassSet::Present },
    Metric::Auroc { average: ClassAverage::Macro },
    Metric::Ece { n_bins: 15 },
];

/// 50 rows of 3 classes, imbalanced; x is a little informative.
fn rows() -> Vec<([f32; 2], usize)> {
    let value = |i: usize, k: usize| ((i * 37 + k * 91) % 101) as f32 / 50.0 - 1.0;
    let class = |i: usize| usize::from(i % 4 == 0) + usize::from(i % 8 == 0);
    (0..50).map(|i| ([value(i, 1) + class(i) as f32, value(i, 2)], class(i))).collect()
}

fn batches(size: usize) -> Vec<(Array2<f64>, Vec<usize>)> {
    let row = |x: [f32; 2]| [f64::from(x[0]), f64::from(x[1]), 0.5];
    rows()
        .chunks(size)
        .map(|chunk| {
            let logits: Vec<f64> = chunk.iter().flat_map(|(x, _)| row(*x)).collect();
            let logits = Array2::from_shape_vec((chunk.len(), 3), logits).unwrap();
            (logits, chunk.iter().map(|(_, class)| *class).collect())
        })
        .collect()
}

fn input(logits: &Array2<f64>, targets: &[i64]) -> LogitsInput {
    let device = Device::default();
    let values: Vec<f32> = logits.iter().map(|&z| z as f32).collect();
    LogitsInput {
        logits: Tensor::from_data(TensorData::new(values, [logits.nrows(), logits.ncols()]), &device),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets.to_vec(), [targets.len()]), &device),
    }
}

fn over_batches(metric: Metric, size: usize) -> EpochMetric {
    let mut epoch = EpochMetric::new(metric);
    for (logits, targets) in batches(size) {
        let targets: Vec<i64> = targets.into_iter().map(|class| class as i64).collect();
        epoch.add(&input(&logits, &targets)).unwrap();
        assert!(epoch.value().is_none(), "a value before the epoch is over");
    }
    epoch.compute().unwrap();
    epoch
}

#[test]
fn the_epoch_counts_and_not_the_batch_size() {
    let (logits, targets) = batches(50).remove(0);
    let probabilities = Logits::new(logits).unwrap().softmax();
    for metric in METRICS {
        let expected = metric.value(&probabilities, &targets).unwrap().unwrap();
        for size in [1, 7, 50] {
            let got = over_batches(metric, size).final_value().current();
            assert!((got - expected).abs() < SAME, "{metric} in batches of {size}: {got} and {expected}");
        }
        // and it is not what averaging over batches gives
        let of_batch = |(logits, targets): &(Array2<f64>, Vec<usize>)| {
            metric.value(&Logits::new(logits.clone()).unwrap().softmax(), targets).unwrap()
        };
        let values: Vec<f64> = batches(7).iter().filter_map(of_batch).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - expected).abs() > 1e-3, "{metric}: {mean} and {expected}");
    }
}

#[test]
fn clearing_starts_a_new_epoch() {
    let mut metric = over_batches(Metric::Accuracy, 10);
    metric.clear();
    assert!(metric.value().is_none() && metric.final_value().current().is_nan());
    metric.add(&input(&ndarray::array![[0.0, 1.0]], &[1])).unwrap();
    metric.compute().unwrap();
    assert_eq!(metric.final_value().current(), 1.0);
}

#[test]
fn what_is_undefined_has_no_number_and_says_why() {
    let cases: [(Metric, f64, i64, &str); 4] = [
        (Metric::Auroc { average: ClassAverage::Macro }, 0.0, 1, "all rows are of one class"),
        (Metric::Accuracy, f64::NAN, 1, "NaN"),
        (Metric::Accuracy, 0.0, 2, "2"),
        (Metric::Accuracy, 0.0, -1, "the target of row 0 is -1"),
    ];
    for (metric, logit, target, reason) in cases {
        let mut metric = EpochMetric::new(metric);
        metric.add(&input(&ndarray::array![[logit, 1.0]], &[target])).unwrap();
        let entry = metric.compute().unwrap();
        assert!(entry.formatted.contains(reason), "{}: expected {reason}", entry.formatted);
        assert!(metric.value().is_none() && metric.final_value().current().is_nan());
    }
    assert!(EpochMetric::new(Metric::Accuracy).compute().unwrap().formatted.contains("no rows"));
}

#[test]
fn the_loop_knows_what_is_better() {
    for (metric, expected) in [(Metric::Accuracy, true), (Metric::Brier, false)] {
        let MetricAttributes::Numeric(attributes) = EpochMetric::new(metric).attributes() else { panic!() };
        assert_eq!(attributes.higher_is_better, expected);
    }
}

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
}

impl Linear {
    fn output(&self, (x, targets): (Tensor<2>, Tensor<1, Int>)) -> ClassificationOutput {
        let logits = x.matmul(self.weight.val());
        let picked = log_softmax(logits.clone(), 1).gather(1, targets.clone().unsqueeze_dim(1));
        ClassificationOutput::new(picked.mean().neg(), logits, targets)
    }
}

impl TrainStep for Linear {
    type Input = (Tensor<2>, Tensor<1, Int>);
    type Output = ClassificationOutput;

    fn step(&self, item: Self::Input) -> TrainOutput<ClassificationOutput> {
        let output = self.output(item);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Linear {
    type Input = (Tensor<2>, Tensor<1, Int>);
    type Output = ClassificationOutput;

    fn step(&self, item: Self::Input) -> ClassificationOutput {
        self.output(item)
    }
}

#[derive(Debug, Clone)]
struct Rows;

impl Batcher<([f32; 2], usize), (Tensor<2>, Tensor<1, Int>)> for Rows {
    fn batch(&self, items: Vec<([f32; 2], usize)>, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let x: Vec<f32> = items.iter().flat_map(|(x, _)| *x).collect();
        let targets: Vec<i64> = items.iter().map(|(_, class)| *class as i64).collect();
        let count = items.len();
        (
            Tensor::from_data(TensorData::new(x, [count, 2]), device),
            Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), device),
        )
    }
}

fn loader(size: usize) -> Arc<dyn DataLoader<(Tensor<2>, Tensor<1, Int>)>> {
    DataLoaderBuilder::new(Rows).batch_size(size).build(InMemDataset::new(rows()))
}

#[test]
fn burns_training_loop_logs_the_metrics_of_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default().autodiff();
    let weight = Tensor::from_floats([[0.3, -0.2, 0.1], [0.0, 0.4, -0.3]], &device);
    let model = Linear { weight: Param::from_tensor(weight) };
    let optimizer: ModuleOptimizer = SgdConfig::new().init();
    let mut training = SupervisedTraining::new(folder.path(), loader(8), loader(7))
        .num_epochs(1)
        .with_metric_logger(FileMetricLogger::new(folder.path()))
        .with_application_logger(None);
    for metric in METRICS {
        training = training
            .metric_train_numeric(EpochMetric::new(metric))
            .metric_valid_numeric(EpochMetric::new(metric));
    }
    let result = training.launch(Learner::new(model, optimizer, ConstantLr::new(0.1)));

    // The loop validates after its epoch, so the trained weights give the validation numbers.
    let (x, _) = Rows.batch(rows(), &Device::default());
    let logits = x.matmul(result.model.weight.val().without_autodiff());
    let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
    let probabilities = Logits::new(Array2::from_shape_vec((50, 3), logits).unwrap()).unwrap().softmax();
    let targets: Vec<usize> = rows().iter().map(|(_, class)| *class).collect();
    for metric in METRICS {
        let expected = metric.value(&probabilities, &targets).unwrap().unwrap();
        let path = folder.path().join("valid/epoch-1").join(format!("{metric}.log"));
        let log =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap();
        let logged: f64 = last.split(',').next().unwrap().parse().unwrap();
        assert!((logged - expected).abs() < 1e-6, "{metric}: logged {log:?}, expected {expected}");
    }
}
