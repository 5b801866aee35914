use derm_backbones::HalfPrecision;
use derm_data::{Augmentation, BatchMix, SampleOrder};
use derm_losses::Gamma;
use serde::{Deserialize, Serialize};

use crate::recipe::check::{check, section, within};
use crate::recipe::phases;
use crate::{
    CheckpointsRecipe, ClassWeights, EarlyStoppingRecipe, EmaRecipe, Error, FinalWeights, LossRecipe,
    PhaseRecipe,
};

/// How the network learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Passes over the training rows. Default 10.
    pub epochs: usize,
    /// Rows of a micro-batch; an epoch's last partial one is dropped, because batch norm needs a full one. Default
    /// 64.
    pub batch_size: usize,
    /// Micro-batches of an optimizer step, which has `batch_size` times as many rows; the last step of an epoch
    /// takes those that are left. Default 1.
    pub gradient_accumulation_steps: usize,
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
    /// Mixed precision: the format of forward and backward pass, `bf16` or `f16`; weights, optimizer, losses and norms
    /// stay in f32. Absent for f32 throughout.
    pub amp_dtype: Option<HalfPrecision>,
    /// Layer-wise decay of the learning rate, in (0, 1]: each layer group has this times the rate of the one above it.
    /// Default 1.
    pub layer_decay: f64,
    /// What stands still in the first epochs; past them everything trains. Default none.
    pub phases: Vec<PhaseRecipe>,
    /// `cross_entropy` (default), `focal`, or any [`ClassificationLossConfig`](derm_losses::ClassificationLossConfig)
    /// with its settings.
    pub loss: LossRecipe,
    /// γ of the focal loss, ≥ 0: a number, one a class, or a schedule; only `focal` reads it. Default 2.
    pub focal_gamma: Gamma,
    /// ε of label smoothing, of `cross_entropy` and `focal`. Default 0.
    pub label_smoothing: f64,
    /// Class weights from the training counts: `none` (default), `inverse_frequency`,
    /// `sqrt_inverse_frequency`, `class_balanced: {beta}`; mean 1 over the training rows.
    pub class_weights: ClassWeights,
    /// Which rows an epoch draws: each once (`shuffled`, the default), or as many with the classes balanced.
    pub sampler: SampleOrder,
    /// Short for `sampler: class_balanced`. Default false.
    pub class_balanced_sampler: bool,
    /// What happens to a training picture: flips with probability 0.5 each by default.
    pub augmentation: Augmentation,
    /// Mixup and cutmix. Off by default.
    pub batch_mix: BatchMix,
    /// Moving average of the weights; absent for none.
    pub ema: Option<EmaRecipe>,
    /// When it ends before its last epoch; absent for never.
    pub early_stopping: Option<EarlyStoppingRecipe>,
    /// Which epochs' weights are kept.
    pub checkpoints: CheckpointsRecipe,
    /// Which weights become the bundle. Default `last`.
    pub final_weights: FinalWeights,
    /// Steps between checkpoints; the end of every epoch writes one as well. Default 100.
    pub checkpoint_steps: usize,
    /// Steps between lines of `steps.jsonl`; 0 for none. Default 10.
    pub log_steps: usize,
    /// Whether event files for `TensorBoard` are written. Default false.
    pub tensorboard: bool,
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            gradient_accumulation_steps: 1,
            learning_rate: 1e-3,
            final_learning_rate_share: 0.0,
            warmup_epochs: 1.0,
            weight_decay: 0.01,
            adam_epsilon: 1e-8,
            clip_norm: None,
            amp_dtype: None,
            layer_decay: 1.0,
            phases: Vec::new(),
            loss: LossRecipe::default(),
            focal_gamma: Gamma::Constant(2.0),
            label_smoothing: 0.0,
            class_weights: ClassWeights::default(),
            sampler: SampleOrder::default(),
            class_balanced_sampler: false,
            augmentation: Augmentation::default(),
            batch_mix: BatchMix::default(),
            ema: None,
            early_stopping: None,
            checkpoints: CheckpointsRecipe::default(),
            final_weights: FinalWeights::default(),
            checkpoint_steps: 100,
            log_steps: 10,
            tensorboard: false,
        }
    }
}

impl TrainingRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check("training.epochs", &self.epochs, "1 to 1000000", |v| (1..=1_000_000).contains(v))?;
        check("training.batch_size", &self.batch_size, "2 to 65536", |v| (2..=65536).contains(v))?;
        let accumulated = self.gradient_accumulation_steps;
        check("training.gradient_accumulation_steps", &accumulated, "1 to 65536", |v| {
            (1..=65536).contains(v)
        })?;
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
        check("training.layer_decay", &self.layer_decay, "above 0, at most 1", |v| *v > 0.0 && *v <= 1.0)?;
        phases::validate(&self.phases, self.epochs)?;
        self.validate_loss()?;
        self.validate_sampler()?;
        self.augmentation.validate().map_err(section("training.augmentation"))?;
        self.batch_mix.validate().map_err(section("training.batch_mix"))?;
        self.ema.as_ref().map_or(Ok(()), EmaRecipe::validate)?;
        self.early_stopping.as_ref().map_or(Ok(()), EarlyStoppingRecipe::validate)?;
        self.checkpoints.validate()?;
        let (weights, expected) = match self.final_weights {
            FinalWeights::Ema => ("ema", "last or best, because training.ema is absent"),
            FinalWeights::Best => ("best", "last or ema, because training.checkpoints.keep_best is 0"),
            FinalWeights::Last => ("last", "any"),
        };
        check("training.final_weights", &weights, expected, |_| match self.final_weights {
            FinalWeights::Ema => self.ema.is_some(),
            FinalWeights::Best => self.checkpoints.keep_best > 0,
            FinalWeights::Last => true,
        })?;
        check("training.checkpoint_steps", &self.checkpoint_steps, "1 or more", |v| *v >= 1)
    }

    /// The rule by which an epoch draws its rows.
    pub fn sample_order(&self) -> SampleOrder {
        if self.class_balanced_sampler { SampleOrder::ClassBalanced } else { self.sampler }
    }

    fn validate_sampler(&self) -> Result<(), Error> {
        let order = format!("{:?}", self.sampler);
        let expected =
            "shuffled, class_balanced, square_root_balanced or effective_number with beta from 0 to below 1";
        check("training.sampler", &order, expected, |_| match self.sampler {
            SampleOrder::Sequential => false,
            SampleOrder::EffectiveNumber { beta } => (0.0..1.0).contains(&beta),
            SampleOrder::Shuffled | SampleOrder::ClassBalanced | SampleOrder::SquareRootBalanced => true,
        })?;
        let expected = "false, because training.sampler names another order";
        check("training.class_balanced_sampler", &self.class_balanced_sampler, expected, |short| {
            !short || matches!(self.sampler, SampleOrder::Shuffled | SampleOrder::ClassBalanced)
        })
    }
}
