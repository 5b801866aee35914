//! Search for the hyper-parameters of a recipe: tree-structured Parzen estimators, median pruning, a file by which a
//! search that was stopped goes on.

mod config;
mod dimension;
mod plan;
mod pruner;
mod results_files;
mod sampler;
mod search_file;
mod search_report;
mod space;
mod training;
mod trial;
mod trials;

pub use config::SearchConfig;
pub use dimension::Dimension;
pub use plan::Search;
pub use pruner::PrunerConfig;
pub use results_files::SearchResults;
pub use sampler::SamplerConfig;
pub use space::{Parameters, SearchSpace};
pub use training::run_search;
pub use trial::{Trial, TrialEnd};
pub use trials::{RunningTrial, search_trials};
