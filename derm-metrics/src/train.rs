//! The metrics of this crate inside Burn's training loop, exact over the whole epoch.
//!
//! A metric that is averaged over batches is another number: balanced accuracy, macro F1, AUROC and calibration
//! errors of a batch do not average to those of the epoch, and they change with the batch size. An [`EpochMetric`]
//! keeps the logits and targets of the epoch on the host and computes its [`Metric`] once, at the end; until then it
//! has no value. Logits become probabilities in f64.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorReadError};
use burn::train::ClassificationOutput;
use burn::train::metric::{
    Adaptor, Metric as TrainMetric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry, format_float,
};
use derm_core::Logits;
use ndarray::Array2;

use crate::Metric;

/// Digits of the number in the terminal. Files get all of them.
const DISPLAYED_DIGITS: usize = 4;

/// What an [`EpochMetric`] takes of a batch: logits [B, C] and class indices `[B]`.
///
/// `ClassificationOutput` adapts to it. Another output type implements `Adaptor<LogitsInput>`. Its `output` must hold
/// logits; log-probabilities serve as well, probabilities do not.
#[derive(Debug, Clone)]
pub struct LogitsInput {
    /// Logits [B, C].
    pub logits: Tensor<2>,
    /// Class indices `[B]`.
    pub targets: Tensor<1, Int>,
}

impl Adaptor<LogitsInput> for ClassificationOutput {
    fn adapt(&self) -> LogitsInput {
        LogitsInput { logits: self.output.clone(), targets: self.targets.clone() }
    }
}

/// A [`Metric`] of this crate as a metric of Burn's training loop.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use burn::train::metric::{Metric as _, Numeric as _};
/// use derm_metrics::Metric;
/// use derm_metrics::train::{EpochMetric, LogitsInput};
///
/// let device = Device::default();
/// let mut metric = EpochMetric::new(Metric::Accuracy);
/// for (logits, target) in [([2.0, 0.0], 0), ([1.0, 0.0], 1), ([0.0, 3.0], 1)] {
///     let logits = Tensor::<2>::from_floats([logits], &device);
///     metric.add(&LogitsInput { logits, targets: Tensor::<1, Int>::from_ints([target], &device) })?;
/// }
/// assert!(metric.value().is_none());
/// metric.compute()?;
/// assert_eq!(metric.final_value().current(), 2.0 / 3.0);
/// # Ok::<(), burn::tensor::TensorReadError>(())
/// ```
///
/// Where the metric is undefined over the epoch (an AUROC of one class), or the epoch holds logits that are not finite
/// or targets that are no class, the entry says why and the number is NaN: no comparison calls such an epoch the best.
#[derive(Debug, Clone)]
pub struct EpochMetric {
    name: MetricName,
    metric: Metric,
    logits: Vec<f64>,
    targets: Vec<i64>,
    num_classes: usize,
    outcome: Option<Result<f64, String>>,
}

impl EpochMetric {
    /// The metric under its own name.
    pub fn new(metric: Metric) -> Self {
        Self {
            name: Arc::new(metric.to_string()),
            metric,
            logits: Vec::new(),
            targets: Vec::new(),
            num_classes: 0,
            outcome: None,
        }
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// `TensorReadError` where the device fails.
    pub fn add(&mut self, batch: &LogitsInput) -> Result<(), TensorReadError> {
        self.num_classes = batch.logits.dims()[1];
        self.logits.extend(batch.logits.clone().try_into_vec_as::<f64>()?);
        self.targets.extend(batch.targets.clone().try_into_vec_as::<i64>()?);
        self.outcome = None;
        Ok(())
    }

    /// The number over all rows since the last clear, or why there is none.
    fn over_the_epoch(&self) -> Result<f64, String> {
        if self.targets.is_empty() {
            return Err("no rows".to_owned());
        }
        let shape = (self.targets.len(), self.num_classes);
        let logits = Array2::from_shape_vec(shape, self.logits.clone())
            .map_err(|_| "batches of different numbers of classes".to_owned())?;
        let probabilities = Logits::new(logits).map_err(|error| error.to_string())?.softmax();
        let index = |(row, &target): (usize, &i64)| {
            usize::try_from(target).map_err(|_| format!("the target of row {row} is {target}"))
        };
        let targets = self.targets.iter().enumerate().map(index).collect::<Result<Vec<_>, _>>()?;
        let value = self.metric.value(&probabilities, &targets).map_err(|error| error.to_string())?;
        value.ok_or_else(|| self.metric.undefined_where().unwrap_or_else(|| "undefined".to_owned()))
    }
}

impl TrainMetric for EpochMetric {
    type Input = LogitsInput;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn description(&self) -> Option<String> {
        Some(format!("{} over the whole epoch", self.metric))
    }

    fn attributes(&self) -> MetricAttributes {
        let higher_is_better = self.metric.higher_is_better();
        NumericAttributes { unit: None, higher_is_better }.into()
    }

    fn update(
        &mut self,
        item: &Self::Input,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        self.add(item)?;
        Ok(SerializedEntry::not_available(None))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        let outcome = self.over_the_epoch();
        let entry = match &outcome {
            Ok(value) => {
                let formatted = format!("epoch {} - batch N/A", format_float(*value, DISPLAYED_DIGITS));
                SerializedEntry::new(formatted, NumericEntry::Value(*value).serialize())
            }
            Err(reason) => {
                let entry = SerializedEntry::not_available(None);
                SerializedEntry::new(format!("{}: {reason}", entry.formatted), entry.serialized)
            }
        };
        self.outcome = Some(outcome);
        Ok(entry)
    }

    fn clear(&mut self) {
        *self = Self::new(self.metric);
    }
}

impl Numeric for EpochMetric {
    fn value(&self) -> Option<NumericEntry> {
        let value = self.outcome.as_ref()?.as_ref().ok()?;
        Some(NumericEntry::Value(*value))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        let value = self.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok());
        NumericEntry::Final(value.copied().unwrap_or(f64::NAN))
    }
}
