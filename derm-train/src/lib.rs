#![doc = include_str!("../README.md")]

mod accumulation;
mod architecture;
mod assessment;
mod best_checkpoints;
mod checkpoint;
mod data_parallel;
mod dataset_recipe;
mod dataset_source;
mod early_stopping;
mod ema;
mod epoch_observer;
mod error;
mod evaluation;
mod finite;
mod gradient_norm;
mod history;
mod inference;
mod label_vetting;
mod layer_decay;
mod learner;
mod learning_rate;
mod loss_scale;
mod model_card;
mod objective;
mod optimizer;
mod peak_memory;
mod phases;
mod precision;
mod prepared;
mod progress;
mod published_weights;
mod recipe;
mod recipe_file;
mod recomputation;
mod record_image;
mod run;
mod run_folder;
mod run_report;
mod search;
mod seed;
mod step_log;
mod step_plan;
mod study;
mod summary;
mod task_assessment;
mod teacher;
mod tensorboard;
mod texts;
mod trainer;
mod training_log;
mod validation_metric;
mod versions;

pub use architecture::{Architecture, Named};
pub use assessment::Assessment;
pub use data_parallel::{DataParallel, Devices, Reduction, Replica};
pub use dataset_source::DatasetSource;
pub use epoch_observer::EpochObserver;
pub use error::Error;
pub use evaluation::{
    Breakdown, BundleEvaluation, CorruptionResult, Efficiency, EfficiencyConfig, Latency, Machine,
    ModelEvaluation, OperatingResult, PairedDifference, PromisedSets, Robustness, SubgroupBreakdown,
    TeacherComparison, ViewComparison, ViewResult,
};
pub use history::EpochLog;
pub use inference::{TaskPredictions, predict, predict_tasks, predict_view};
pub use label_vetting::{
    LabelDecision, LabelDecisions, LabelVetting, OutOfFold, RevisedEvaluation, VettedLabel, VettingConfig,
    join_folds,
};
pub use learning_rate::WarmupCosine;
pub use objective::{
    Distilled, LossTerm, LossTerms, MultiTask, Objective, OptimizerStep, Supervised, TaskLoss,
};
pub use prepared::Prepared;
pub use progress::Progress;
pub use recipe::{
    AbstentionRecipe, CheckpointsRecipe, ClassWeights, ConformalRecipe, DatasetRecipe, DistillationRecipe,
    EarlyStoppingRecipe, EmaRecipe, EvaluationRecipe, FinalWeights, FreezeRecipe, ImageNorm, LossName,
    LossRecipe, ModelRecipe, NearDuplicatePolicy, PhaseRecipe, Recipe, TaskRecipe, TextRecipe,
    TrainingRecipe,
};
pub use recomputation::{RecomputedBackward, RecomputedGradients, recomputed};
pub use run::{Finished, run, run_on, run_with};
pub use search::{
    Dimension, Parameters, PrunerConfig, RunningTrial, SamplerConfig, Search, SearchConfig, SearchResults,
    SearchSpace, Trial, TrialEnd, run_search, search_trials,
};
pub use step_log::{StepEntry, TermEntry};
pub use study::{
    ComparisonConfig, CountedNoise, Difference, FailedRun, NamedEstimate, PlannedRun, RunResult, Study,
    StudyResults, StudyTeacher, TeacherResult, VariantFolders, VariantResult, Verdict, compare_runs,
    run_study,
};
pub use task_assessment::TaskAssessment;
pub use teacher::Teacher;
pub use trainer::{Trained, Trainer};
pub use validation_metric::ValidationMetric;
