use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is known after an epoch. One line of `history.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochLog {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Optimizer steps done.
    pub step: usize,
    /// Mean of the losses of the optimizer steps.
    pub train_loss: f64,
    /// Every [`ValidationMetric`](crate::ValidationMetric) of the validation rows, by its name; one that is undefined
    /// on them (the AUROC of a single class) is absent.
    pub validation: BTreeMap<String, f64>,
    /// The same of the moving average of the weights, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema_validation: Option<BTreeMap<String, f64>>,
    /// Learning rate of the last step, at the head.
    pub learning_rate: f64,
    /// Seconds of training, without validation.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
    /// Largest resident memory of the process so far, in bytes, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Memory that the device's pool has taken so far, in bytes; absent on a processor, whose memory is the process's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
}

impl EpochLog {
    /// What early stopping and the best checkpoints go by: the moving average's metrics where there is one.
    pub(crate) fn judged(&self) -> &BTreeMap<String, f64> {
        self.ema_validation.as_ref().unwrap_or(&self.validation)
    }
}
