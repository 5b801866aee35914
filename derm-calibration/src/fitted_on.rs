use derm_core::{Predictions, Role, SplitRole, View};
use serde::{Deserialize, Serialize};

/// The rows that something was fitted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedOn {
    /// Their role.
    pub role: SplitRole,
    /// Number of rows.
    pub samples: usize,
    /// Number of groups (lesions or patients).
    pub groups: usize,
    /// Hash of their split.
    pub split_hash: String,
    /// What the model looked at.
    pub view: View,
}

impl FittedOn {
    /// The rows of `predictions`.
    pub fn new<R: Role>(predictions: &Predictions<R>) -> Self {
        Self {
            role: R::ROLE,
            samples: predictions.len(),
            groups: predictions.num_groups(),
            split_hash: predictions.split_hash().to_owned(),
            view: predictions.metadata().view.clone(),
        }
    }
}
