//! How good a model is, beyond the [`Assessment`](crate::Assessment): what one command measures and writes.

mod breakdown;
mod bundle_evaluation;
mod csv_tables;
mod efficiency;
mod model_evaluation;
mod robustness;
pub(crate) mod sections;
mod teacher_comparison;
mod view_comparison;

pub use breakdown::{Breakdown, OperatingResult, PromisedSets, SubgroupBreakdown};
pub use bundle_evaluation::BundleEvaluation;
pub use efficiency::{Efficiency, EfficiencyConfig, Latency, Machine};
pub use model_evaluation::ModelEvaluation;
pub use robustness::{CorruptionResult, Robustness};
pub use teacher_comparison::{PairedDifference, TeacherComparison};
pub use view_comparison::{ViewComparison, ViewResult};
