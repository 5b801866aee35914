//! The recipe: every key of a run, in one place, with its default.

use std::path::{Path, PathBuf};

use derm_backbones::BackboneConfig;
use derm_core::{Interpolation, Normalization};
use derm_data::{
    Augmentation, BatchMix, PublishedSplit, SplitConfig, SplitFractions, SyntheticConfig, UnreadablePolicy,
};
use derm_distill::{AttentionConfig, DistillationConfig};
use derm_losses::{
    ClassificationLossConfig, CrossEntropyLossConfig, FocalLossConfig, WeightNormalization, WeightScheme,
    ZeroCounts, class_weights,
};
use serde::{Deserialize, Serialize};

use crate::{DatasetSource, Error, recipe_file};

/// A run: data, network, training, distillation, calibration and where it goes.
///
/// In YAML; unknown keys are errors. Fractions lie in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Name of the run, used in reports and in the model card.
    pub name: String,
    /// Everything random derives from it. Default 0.
    pub seed: u64,
    /// The run folder; it is made, and a run that was interrupted in it goes on. Default `runs/<name>`.
    pub output: Option<PathBuf>,
    /// What is learned from.
    pub dataset: DatasetRecipe,
    /// The network.
    pub model: ModelRecipe,
    /// How it learns.
    pub training: TrainingRecipe,
    /// From whom it learns beside the labels; absent for a network that learns alone.
    pub distillation: Option<DistillationRecipe>,
    /// When it answers and when it refers.
    pub abstention: AbstentionRecipe,
    /// How it is measured.
    pub evaluation: EvaluationRecipe,
}

/// Where images and answers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetRecipe {
    /// The reader: `synthetic` (default), which needs no file, or one of [`derm_data::readers::Source`].
    pub source: DatasetSource,
    /// Folder of the dataset, as published; for every source but `synthetic`.
    pub root: Option<PathBuf>,
    /// The questionnaire (`feature_schema.json`) in place of the source's own.
    pub feature_schema_path: Option<PathBuf>,
    /// What an image that cannot be decoded means: `fail` (default) or `skip`, which counts and names it.
    pub unreadable: UnreadablePolicy,
    /// Turns the source's classes into others: the name of a ready mapping, such as `isic2019_to_ham10000`, or a
    /// mapping file ending in `.json`. Default: the classes as they are.
    pub label_mapping: Option<String>,
    /// What is done about nearly the same picture in two groups. Default `ignore`.
    pub near_duplicates: NearDuplicatePolicy,
    /// Settings of the synthetic dataset. Its seed is apart from the run's, so that several seeds see one set.
    pub synthetic: SyntheticConfig,
    /// Shares of the groups in each role. Its seed is apart from the run's, so that several seeds share one
    /// test set.
    pub split: SplitConfig,
    /// The publishers' split in place of a new one; absent for a new one.
    pub published_split: Option<PublishedSplit>,
    /// A split file, of an earlier run say, in place of a new split.
    pub split_path: Option<PathBuf>,
    /// Threads that prepare batches; 0 prepares them in line. The batches do not depend on it. Default 2.
    pub workers: usize,
    /// Batches that wait, at most. Default 4.
    pub prefetch: usize,
    /// Memory for decoded pixels in MiB; images beyond it are decoded again each epoch. Default 1024.
    pub cache_mib: usize,
}

/// What is done about nearly the same picture in two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearDuplicatePolicy {
    /// Not looked for.
    #[default]
    Ignore,
    /// Pairs that the split puts into two roles are named.
    Report,
    /// Groups that share a picture are one group, before the split is made.
    Merge,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRecipe {
    /// The image encoder. Default `resnet18`.
    pub backbone: BackboneConfig,
    /// Side of the square image in pixels. Default 224.
    pub image_size: usize,
    /// Standardisation of the pixels. Default `imagenet`.
    pub image_norm: ImageNorm,
    /// Kernel by which images are resized. Default `bilinear`.
    pub interpolation: Interpolation,
    /// Whether the questionnaire goes in. Default false.
    pub use_answers: bool,
    /// Widths of the questionnaire encoder's layers, where there is one. Default 64 and 32.
    pub answers_widths: Vec<usize>,
    /// Dropout before the head and within the questionnaire encoder, in [0, 1). Default 0.
    pub dropout: f64,
}

/// Standardisation by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageNorm {
    /// The statistics of `ImageNet`.
    #[default]
    Imagenet,
    /// One half for mean and deviation.
    Siglip,
}

impl ImageNorm {
    /// The numbers.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Imagenet => Normalization::IMAGENET,
            Self::Siglip => Normalization::HALF,
        }
    }
}

/// How the network learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Passes over the training rows. Default 10.
    pub epochs: usize,
    /// Rows a step; an epoch's last partial batch is dropped, because batch norm needs a full one. Default 64.
    pub batch_size: usize,
    /// Peak learning rate of `AdamW`. Default 1e-3.
    pub learning_rate: f64,
    /// Share of the peak that is left at the end. Default 0.
    pub final_learning_rate_share: f64,
    /// Epochs of linear warm-up, fractions allowed. Default 1.
    pub warmup_epochs: f64,
    /// Decoupled weight decay; biases and norms have none. Default 0.01.
    pub weight_decay: f64,
    /// ε of `AdamW`. Default 1e-8.
    pub adam_epsilon: f64,
    /// The gradient's global L2 norm is cut to this; absent for no cut.
    pub clip_norm: Option<f64>,
    /// `cross_entropy` (default) or `focal`.
    pub loss: LossName,
    /// γ of the focal loss, ≥ 0; only `focal` reads it. Default 2.
    pub focal_gamma: f64,
    /// ε of label smoothing. Default 0.
    pub label_smoothing: f64,
    /// Class weights from the training counts: `none` (default), `inverse_frequency`,
    /// `sqrt_inverse_frequency`; mean 1 over the training rows.
    pub class_weights: ClassWeights,
    /// Draws classes equally often instead of each row once an epoch. Default false.
    pub class_balanced_sampler: bool,
    /// What happens to a training picture: flips with probability 0.5 each by default.
    pub augmentation: Augmentation,
    /// Mixup and cutmix. Off by default.
    pub batch_mix: BatchMix,
    /// Steps between checkpoints; the end of every epoch writes one as well. Default 100.
    pub checkpoint_steps: usize,
}

/// Losses by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// `−log p_t`.
    #[default]
    CrossEntropy,
    /// `(1 − p_t)^γ (−log p_t)`.
    Focal,
}

/// Class weights by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All classes weigh the same.
    #[default]
    None,
    /// `1 / n_c`.
    InverseFrequency,
    /// `1 / √n_c`.
    SqrtInverseFrequency,
}

/// From whom the network learns beside the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationRecipe {
    /// Bundle of the teacher.
    pub teacher: PathBuf,
    /// Weight of the loss against the labels. Default 0.5.
    #[serde(default = "half")]
    pub hard_weight: f64,
    /// Weight of T² KL(teacher ‖ student). Default 0.5.
    #[serde(default = "half")]
    pub kd_weight: f64,
    /// T, positive. Default 4.
    #[serde(default = "four")]
    pub temperature: f64,
    /// Attention transfer; absent for none.
    #[serde(default)]
    pub attention: Option<AttentionConfig>,
}

fn half() -> f64 {
    0.5
}

fn four() -> f64 {
    4.0
}

/// When the model answers, offers three classes, or refers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AbstentionRecipe {
    /// Target for the share of wrong answers among answered lesions. Default 0.1.
    pub answer_risk: f64,
    /// Target for the share of lesions whose class is not among the three offered. Default 0.1.
    pub suggest_risk: f64,
    /// Each bound fails with at most this probability. Default 0.1.
    pub delta: f64,
}

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// Bootstrap resamples of lesions. Default 1000.
    pub bootstrap_replicates: usize,
    /// Confidence of the intervals. Default 0.95.
    pub confidence: f64,
    /// Bins of the calibration errors. Default 15.
    pub calibration_bins: usize,
    /// Test images shown in the report. Default 12.
    pub report_images: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: "run".to_owned(),
            seed: 0,
            output: None,
            dataset: DatasetRecipe::default(),
            model: ModelRecipe::default(),
            training: TrainingRecipe::default(),
            distillation: None,
            abstention: AbstentionRecipe::default(),
            evaluation: EvaluationRecipe::default(),
        }
    }
}

impl Default for DatasetRecipe {
    fn default() -> Self {
        Self {
            source: DatasetSource::default(),
            root: None,
            feature_schema_path: None,
            unreadable: UnreadablePolicy::default(),
            label_mapping: None,
            near_duplicates: NearDuplicatePolicy::default(),
            synthetic: SyntheticConfig::default(),
            split: SplitConfig::default(),
            published_split: None,
            split_path: None,
            workers: 2,
            prefetch: 4,
            cache_mib: 1024,
        }
    }
}

impl Default for ModelRecipe {
    fn default() -> Self {
        Self {
            backbone: BackboneConfig::Resnet18,
            image_size: 224,
            image_norm: ImageNorm::default(),
            interpolation: Interpolation::default(),
            use_answers: false,
            answers_widths: vec![64, 32],
            dropout: 0.0,
        }
    }
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            learning_rate: 1e-3,
            final_learning_rate_share: 0.0,
            warmup_epochs: 1.0,
            weight_decay: 0.01,
            adam_epsilon: 1e-8,
            clip_norm: None,
            loss: LossName::default(),
            focal_gamma: 2.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::default(),
            class_balanced_sampler: false,
            augmentation: Augmentation::default(),
            batch_mix: BatchMix::default(),
            checkpoint_steps: 100,
        }
    }
}

impl Default for AbstentionRecipe {
    fn default() -> Self {
        Self { answer_risk: 0.1, suggest_risk: 0.1, delta: 0.1 }
    }
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self { bootstrap_replicates: 1000, confidence: 0.95, calibration_bins: 15, report_images: 12 }
    }
}

impl Recipe {
    /// Reads a recipe from a YAML file and sets each `key.path=value` of `overrides`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Yaml`], [`Error::Override`], [`Error::UnknownKey`], [`Error::Key`] for what
    /// cannot be read, [`Error::Value`] for an impossible value.
    pub fn read(path: impl AsRef<Path>, overrides: &[String]) -> Result<Self, Error> {
        let recipe: Self = recipe_file::read(path.as_ref(), overrides)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The same from a text; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, Error> {
        let recipe: Self = recipe_file::parse(text, origin, overrides)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The run folder.
    pub fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| Path::new("runs").join(&self.name))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, the value and the allowed range; [`Error::Section`] for what another crate
    /// refuses.
    pub fn validate(&self) -> Result<(), Error> {
        let plain =
            |name: &String| !name.trim().is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        check("name", &self.name, "a name without `/` that begins with no dot", plain)?;
        self.dataset.validate()?;
        self.model.validate()?;
        self.training.validate()?;
        if let Some(distillation) = &self.distillation {
            distillation.objective().validate().map_err(section("distillation"))?;
        }
        self.abstention.validate()?;
        self.evaluation.validate()
    }

    /// The loss that the recipe names, with class weights from the counts of the training rows.
    ///
    /// # Errors
    /// [`Error::Loss`] for class weights where a class has no row.
    pub fn loss(&self, class_counts: &[usize]) -> Result<ClassificationLossConfig, Error> {
        let training = &self.training;
        let scheme = match training.class_weights {
            ClassWeights::None => None,
            ClassWeights::InverseFrequency => Some(WeightScheme::InverseFrequency),
            ClassWeights::SqrtInverseFrequency => Some(WeightScheme::SqrtInverseFrequency),
        };
        let weights = scheme
            .map(|scheme| {
                class_weights(class_counts, scheme, WeightNormalization::Balanced, ZeroCounts::Refuse)
            })
            .transpose()?
            .map(|weights| weights.into_iter().map(|weight| weight as f32).collect());
        let label_smoothing = training.label_smoothing;
        Ok(match training.loss {
            LossName::CrossEntropy => ClassificationLossConfig::CrossEntropy(CrossEntropyLossConfig {
                class_weights: weights,
                label_smoothing,
                ..CrossEntropyLossConfig::default()
            }),
            LossName::Focal => ClassificationLossConfig::Focal(FocalLossConfig {
                gamma: training.focal_gamma.into(),
                alpha: weights,
                label_smoothing,
                ..FocalLossConfig::default()
            }),
        })
    }
}

impl DatasetRecipe {
    fn validate(&self) -> Result<(), Error> {
        let root = self.root.as_ref().map_or("absent".to_owned(), |root| root.display().to_string());
        match &self.source {
            DatasetSource::Synthetic => {
                check("dataset.root", &root, "absent, because the synthetic dataset is drawn", |_| {
                    self.root.is_none()
                })?;
            }
            DatasetSource::Read(_) => {
                check("dataset.root", &root, "the dataset's folder", |_| self.root.is_some())?;
            }
        }
        self.synthetic.validate().map_err(section("dataset.synthetic"))?;
        let SplitFractions { train, validation, calibration, test } = self.split.fractions;
        for (key, share) in [
            ("dataset.split.fractions.train", train),
            ("dataset.split.fractions.validation", validation),
            ("dataset.split.fractions.calibration", calibration),
            ("dataset.split.fractions.test", test),
        ] {
            check(key, &share, "between 0 and 1", |v| open_unit(*v))?;
        }
        let sum = train + validation + calibration + test;
        check("dataset.split.fractions", &sum, "fractions that sum to 1", |v| {
            (v - 1.0).abs() <= SHARES_TOLERANCE
        })?;
        if let (Some(path), Some(_)) = (&self.split_path, &self.published_split) {
            let path = path.display();
            check("dataset.split_path", &path, "absent where dataset.published_split is there", |_| false)?;
        }
        check("dataset.workers", &self.workers, "0 to 64", |v| *v <= 64)?;
        check("dataset.prefetch", &self.prefetch, "1 to 1024", |v| (1..=1024).contains(v))?;
        check("dataset.cache_mib", &self.cache_mib, "0 to 16777216", |v| *v <= 1 << 24)
    }
}

impl ModelRecipe {
    fn validate(&self) -> Result<(), Error> {
        self.backbone.validate().map_err(section("model.backbone"))?;
        check("model.image_size", &self.image_size, "8 to 4096", |v| (8..=4096).contains(v))?;
        let widths = format!("{:?}", self.answers_widths);
        let sizes =
            !self.answers_widths.is_empty() && self.answers_widths.iter().all(|w| (1..=65536).contains(w));
        check("model.answers_widths", &widths, "one or more, each 1 to 65536", |_| sizes)?;
        check("model.dropout", &self.dropout, "0 to below 1", |v| (0.0..1.0).contains(v))
    }
}

impl TrainingRecipe {
    fn validate(&self) -> Result<(), Error> {
        check("training.epochs", &self.epochs, "1 to 1000000", |v| (1..=1_000_000).contains(v))?;
        check("training.batch_size", &self.batch_size, "2 to 65536", |v| (2..=65536).contains(v))?;
        check("training.learning_rate", &self.learning_rate, "above 0, at most 1", |v| {
            *v > 0.0 && *v <= 1.0
        })?;
        let share = self.final_learning_rate_share;
        check("training.final_learning_rate_share", &share, "0 to 1", |v| within(*v, 0.0, 1.0))?;
        let epochs = self.epochs as f64;
        check("training.warmup_epochs", &self.warmup_epochs, "0 to training.epochs", |v| {
            within(*v, 0.0, epochs)
        })?;
        check("training.weight_decay", &self.weight_decay, "0 to 1", |v| within(*v, 0.0, 1.0))?;
        // Burn computes in f32: a smaller ε would be 0 there, a larger one infinite.
        let single = |v: &f64| within(*v, f64::from(f32::MIN_POSITIVE), 1.0);
        check("training.adam_epsilon", &self.adam_epsilon, "1.2e-38 to 1", single)?;
        if let Some(norm) = self.clip_norm {
            check("training.clip_norm", &norm, "above 0", |v| v.is_finite() && *v > 0.0)?;
        }
        check("training.focal_gamma", &self.focal_gamma, "0 or more", |v| v.is_finite() && *v >= 0.0)?;
        check("training.label_smoothing", &self.label_smoothing, "0 to 1", |v| within(*v, 0.0, 1.0))?;
        self.augmentation.validate().map_err(section("training.augmentation"))?;
        self.batch_mix.validate().map_err(section("training.batch_mix"))?;
        check("training.checkpoint_steps", &self.checkpoint_steps, "1 or more", |v| *v >= 1)
    }
}

impl DistillationRecipe {
    /// The objective that the section describes.
    pub fn objective(&self) -> DistillationConfig {
        DistillationConfig {
            hard_weight: self.hard_weight,
            kd_weight: self.kd_weight,
            temperature: self.temperature,
            attention: self.attention.clone(),
            ..DistillationConfig::default()
        }
    }
}

impl AbstentionRecipe {
    fn validate(&self) -> Result<(), Error> {
        let Self { answer_risk, suggest_risk, delta } = *self;
        check("abstention.answer_risk", &answer_risk, "between 0 and 1", |v| open_unit(*v))?;
        check("abstention.suggest_risk", &suggest_risk, "between 0 and 1", |v| open_unit(*v))?;
        check("abstention.delta", &delta, "between 0 and 1", |v| open_unit(*v))
    }
}

impl EvaluationRecipe {
    fn validate(&self) -> Result<(), Error> {
        let replicates = self.bootstrap_replicates;
        check("evaluation.bootstrap_replicates", &replicates, "2 to 1000000", |v| {
            (2..=1_000_000).contains(v)
        })?;
        check("evaluation.confidence", &self.confidence, "between 0 and 1", |v| open_unit(*v))?;
        check("evaluation.calibration_bins", &self.calibration_bins, "1 to 1000", |v| (1..=1000).contains(v))
    }

    /// Refuses more bins than validation rows.
    pub(crate) fn check_bins(&self, validation_rows: usize) -> Result<(), Error> {
        let expected = "at most the number of validation rows";
        check("evaluation.calibration_bins", &self.calibration_bins, expected, |v| *v <= validation_rows)
    }
}

/// How far the sum of the shares may be from 1: decimal fractions are not exact in binary.
const SHARES_TOLERANCE: f64 = 1e-6;

fn within(value: f64, low: f64, high: f64) -> bool {
    (low..=high).contains(&value)
}

fn open_unit(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

fn section<E: Into<Error>>(section: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Section { section, source: Box::new(source.into()) }
}

fn check<T: std::fmt::Display>(
    key: &'static str,
    value: &T,
    expected: &'static str,
    allowed: impl Fn(&T) -> bool,
) -> Result<(), Error> {
    if allowed(value) { Ok(()) } else { Err(Error::Value { key, value: value.to_string(), expected }) }
}
