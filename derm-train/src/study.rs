//! Studies: variants of one recipe, each with several seeds, compared honestly.

mod comparison;
mod comparison_config;
mod cost;
mod plan;
mod results_files;
mod run_table;
mod runs;
mod study_report;
mod verdict;

pub use comparison::{
    CountedNoise, Difference, NamedEstimate, RunResult, StudyResults, TeacherResult, VariantFolders,
    VariantResult, compare_runs,
};
pub use comparison_config::ComparisonConfig;
pub use plan::{PlannedRun, Study, StudyTeacher};
pub use runs::{FailedRun, run_study};
pub use verdict::Verdict;
