use derm_data::{Augmentation, BatchMix};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::{check, section, within};

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
        check("training.focal_gamma", &self.focal_gamma, "0 or more", |v| v.is_finite() && *v >= 0.0)?;
        check("training.label_smoothing", &self.label_smoothing, "0 to 1", |v| within(*v, 0.0, 1.0))?;
        self.augmentation.validate().map_err(section("training.augmentation"))?;
        self.batch_mix.validate().map_err(section("training.batch_mix"))?;
        check("training.checkpoint_steps", &self.checkpoint_steps, "1 or more", |v| *v >= 1)
    }
}
