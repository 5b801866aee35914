use std::fmt;

use serde::{Deserialize, Serialize};

use super::Parameters;

/// A point of the space that was tried, or is being tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Its number, from 0.
    pub number: usize,
    /// The value of every key.
    pub parameters: Parameters,
    /// The metric after each epoch; `None` where it was undefined.
    pub epochs: Vec<Option<f64>>,
    /// How it ended; `None` while it runs.
    pub end: Option<TrialEnd>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialEnd {
    /// It came to its end, with this value of the metric.
    Complete(f64),
    /// It was given up because others were better at the same epoch.
    Pruned,
    /// It has no value: its loss was lost, or its keys do not go together.
    Failed(String),
}

impl Trial {
    /// Its value, where it came to its end.
    pub fn value(&self) -> Option<f64> {
        match self.end {
            Some(TrialEnd::Complete(value)) => Some(value),
            _ => None,
        }
    }

    /// Its state in one word.
    pub(super) fn state(&self) -> &'static str {
        match self.end {
            None => "running",
            Some(TrialEnd::Complete(_)) => "complete",
            Some(TrialEnd::Pruned) => "pruned",
            Some(TrialEnd::Failed(_)) => "failed",
        }
    }

    /// The best value of its epochs so far.
    pub(super) fn best_epoch_value(&self, higher_is_better: bool) -> Option<f64> {
        best(&self.epochs, higher_is_better)
    }
}

/// The best value that there is.
pub(super) fn best(values: &[Option<f64>], higher_is_better: bool) -> Option<f64> {
    let better = |a: f64, b: f64| if higher_is_better { a.max(b) } else { a.min(b) };
    values.iter().flatten().copied().reduce(better)
}

impl fmt::Display for TrialEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(value) => write!(f, "{value:.4}"),
            Self::Pruned => f.write_str("pruned"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}
