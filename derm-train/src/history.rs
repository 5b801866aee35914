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
    /// Mean negative log-likelihood of the validation rows.
    pub validation_nll: f64,
    /// Accuracy of the validation rows.
    pub validation_accuracy: f64,
    /// Balanced accuracy of the validation rows, over the classes that they have.
    pub validation_balanced_accuracy: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Seconds of training, without validation.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
}
