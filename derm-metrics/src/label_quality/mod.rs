//! Which labels are likely wrong, by confident learning.

mod confident_joint;
mod issues;
mod score;

pub use confident_joint::{ConfidentJoint, confident_thresholds};
pub use issues::{LabelIssue, LabelIssueFilter, label_issues};
pub use score::LabelQualityScore;
