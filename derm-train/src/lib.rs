#![doc = include_str!("../README.md")]

mod accumulation;
mod architecture;
mod assessment;
mod checkpoint;
mod dataset_recipe;
mod dataset_source;
mod error;
mod evaluation;
mod finite;
mod gradient_norm;
mod history;
mod inference;
mod label_vetting;
mod learning_rate;
mod model_card;
mod objective;
mod optimizer;
mod prepared;
mod progress;
mod recipe;
mod recipe_file;
mod record_image;
mod run;
mod run_folder;
mod run_report;
mod seed;
mod summary;
mod trainer;

pub use architecture::{Architecture, Named};
pub use assessment::Assessment;
pub use dataset_source::DatasetSource;
pub use error::Error;
pub use evaluation::{
    Breakdown, BundleEvaluation, CorruptionResult, Efficiency, EfficiencyConfig, Latency, Machine,
    ModelEvaluation, OperatingResult, PairedDifference, PromisedSets, Robustness, SubgroupBreakdown,
    TeacherComparison, ViewComparison, ViewResult,
};
pub use history::EpochLog;
pub use inference::predict;
pub use label_vetting::{
    LabelDecision, LabelDecisions, LabelVetting, OutOfFold, RevisedEvaluation, VettedLabel, VettingConfig,
    join_folds,
};
pub use learning_rate::WarmupCosine;
pub use objective::{Distilled, Objective, OptimizerStep, Supervised};
pub use prepared::Prepared;
pub use progress::Progress;
pub use recipe::{
    AbstentionRecipe, ClassWeights, DatasetRecipe, DistillationRecipe, EvaluationRecipe, ImageNorm, LossName,
    ModelRecipe, NearDuplicatePolicy, Recipe, TrainingRecipe,
};
pub use run::{Finished, run, run_with};
pub use trainer::{Trained, Trainer};
