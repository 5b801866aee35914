#![doc = include_str!("../README.md")]

mod answer_dropout;
mod augment;
mod batch;
mod batch_mix;
mod colour_histogram;
mod corruption;
mod dataset;
mod dataset_summary;
mod decode;
mod device_batches;
mod error;
mod label_mapping;
mod leak_report;
mod loader;
mod near_duplicates;
mod normalize;
mod permutation_importance;
mod pixel_cache;
mod pixel_ops;
mod pixels;
mod portable_rng;
pub mod readers;
mod record;
mod resize;
mod sampler;
mod samples;
pub mod schema;
mod split;
mod synthetic;
mod task_labels;
mod token_rows;
mod tta;

pub use answer_dropout::{AnswerDropoutConfig, AnswerDropoutLevel, AnswerDropoutSweep};
pub use augment::{
    Augmentation, Blur, ColourJitter, CutOut, Drawn, Hair, Orientation, RandAugment, RandomResizedCrop,
    Rotation, Scratch, Vignette,
};
pub use batch::{Batch, BatchTask, HostBatch, HostTargets, HostTask};
pub use batch_mix::BatchMix;
pub use colour_histogram::ColourHistogram;
pub use corruption::{Corruption, CorruptionKind};
pub use dataset::{Dataset, Skipped, UnreadablePolicy};
pub use dataset_summary::{AnswerSummary, ClassSummary, DatasetSummary, SkippedReason};
pub use decode::{MAX_PIXELS, decode_bytes, decode_file, image_dimensions};
pub use device_batches::DeviceBatches;
pub use error::Error;
pub use label_mapping::{LabelMapping, Unmapped};
pub use leak_report::{EmptyBlock, LeakReport, LeakVerdict, MissingShare, MissingnessPrediction};
pub use loader::{EpochBatches, LastBatch, Loader, LoaderConfig};
pub use near_duplicates::{
    Crossing, CrossingSide, NearDuplicate, NearDuplicateConfig, NearDuplicateReport, NearDuplicates,
};
pub use normalize::Normalizer;
pub use permutation_importance::{
    Importance, PermutationImportance, PermutationImportanceConfig, PermutationUnit,
};
pub use pixel_cache::{PixelCache, StoredPixels};
pub use pixels::RgbPixels;
pub use readers::{ImagePolicy, ReadPolicy};
pub use record::{Answers, ImageSource, Record};
pub use resize::{Resize, ResizeRule};
pub use sampler::{SampleOrder, Sampler};
pub use samples::{Questionnaire, Samples};
pub use schema::FeatureSchema;
pub use split::{
    EmptyClassPolicy, FoldConfig, Folds, PartBalance, PublishedSplit, RestFractions, Split, SplitBalance,
    SplitConfig, SplitFractions,
};
pub use synthetic::{SyntheticConfig, synthetic_caption_words};
pub use task_labels::{TaskLabels, UnlistedValue};
pub use token_rows::{BatchTokens, HostTokens, TokenRows};
pub use tta::{CropPlace, TestView};
