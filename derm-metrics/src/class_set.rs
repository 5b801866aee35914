use serde::{Deserialize, Serialize};

/// Over which classes a mean over classes runs. The two differ where a class has no samples, and then by a
/// lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassSet {
    /// The classes that have at least one sample (scikit-learn's `balanced_accuracy_score`).
    Present,
    /// All C classes; one without samples counts as the value for an empty denominator, 0 where nothing else
    /// is said.
    All,
}
