//! Which labels should be looked at again, what a person decided, and what that changes.

mod decisions;
mod out_of_fold;
mod ranking;
mod revised_evaluation;

pub use decisions::{LabelDecision, LabelDecisions};
pub use out_of_fold::{OutOfFold, join_folds};
pub use ranking::{LabelVetting, VettedLabel, VettingConfig};
pub use revised_evaluation::RevisedEvaluation;
