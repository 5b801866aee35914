use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::{CrossEntropyLoss, CrossEntropyLossConfig, Error, FocalLoss, FocalLossConfig};

/// The configuration of a classification loss that a file names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassificationLossConfig {
    /// [`CrossEntropyLoss`].
    CrossEntropy(CrossEntropyLossConfig),
    /// [`FocalLoss`].
    Focal(FocalLossConfig),
}

impl Default for ClassificationLossConfig {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropyLossConfig::default())
    }
}

impl ClassificationLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error`] naming the parameter, the value and the allowed range.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        match self {
            Self::CrossEntropy(config) => config.validate(num_classes),
            Self::Focal(config) => config.validate(num_classes),
        }
    }

    /// The loss on `device`.
    ///
    /// # Errors
    /// As [`ClassificationLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<ClassificationLoss, Error> {
        Ok(match self {
            Self::CrossEntropy(config) => ClassificationLoss::CrossEntropy(config.init(num_classes, device)?),
            Self::Focal(config) => ClassificationLoss::Focal(config.init(num_classes, device)?),
        })
    }
}

/// A classification loss that a file named. Code that knows its loss holds the loss itself; everything that
/// takes one is generic over [`Criterion`].
#[derive(Debug, Clone)]
pub enum ClassificationLoss {
    /// [`CrossEntropyLoss`].
    CrossEntropy(CrossEntropyLoss),
    /// [`FocalLoss`].
    Focal(FocalLoss),
}

impl Criterion for ClassificationLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        match self {
            Self::CrossEntropy(loss) => loss.per_sample(logits, targets),
            Self::Focal(loss) => loss.per_sample(logits, targets),
        }
    }

    /// Reduced as the loss inside is.
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        match self {
            Self::CrossEntropy(loss) => loss.forward(logits, targets),
            Self::Focal(loss) => loss.forward(logits, targets),
        }
    }

    fn at(&self, progress: f64) -> Self {
        match self {
            Self::CrossEntropy(loss) => Self::CrossEntropy(loss.at(progress)),
            Self::Focal(loss) => Self::Focal(loss.at(progress)),
        }
    }
}
