use burn::tensor::{Device, Tensor};
use derm_core::{Criterion, Targets};
use serde::{Deserialize, Serialize};

use crate::deferred_reweighting::{ClassWeighted, DeferredReweighting, check_from};
use crate::error::check_classes;
use crate::{
    AsymmetricSingleLabelLoss, AsymmetricSingleLabelLossConfig, BalancedSoftmaxLoss,
    BalancedSoftmaxLossConfig, CrossEntropyLoss, CrossEntropyLossConfig, Error, FocalLoss, FocalLossConfig,
    GeneralizedCrossEntropyLoss, GeneralizedCrossEntropyLossConfig, LdamLoss, LdamLossConfig,
    LogitAdjustedLoss, LogitAdjustedLossConfig, Poly1Loss, Poly1LossConfig, SigmoidFocalLoss,
    SigmoidFocalLossConfig, SymmetricCrossEntropyLoss, SymmetricCrossEntropyLossConfig,
};

/// The configuration of a classification loss that a file names:
/// `focal: {gamma: 2.0}`, `deferred_reweighting: {from: 0.8, loss: {ldam: {…}}}`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::ClassificationLossConfig;
///
/// let device = Device::default();
/// let config: ClassificationLossConfig = serde_json::from_str(r#"{"poly1": {"epsilon": 1.0}}"#).unwrap();
/// let loss = config.init(2, &device)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[0], 2, &device).unwrap();
/// let value = loss.forward(logits, &targets).into_scalar::<f32>();
/// assert!((value - (2.0_f32.ln() + 0.5)).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassificationLossConfig {
    /// [`CrossEntropyLoss`].
    CrossEntropy(CrossEntropyLossConfig),
    /// [`FocalLoss`].
    Focal(FocalLossConfig),
    /// [`SigmoidFocalLoss`].
    SigmoidFocal(SigmoidFocalLossConfig),
    /// [`LdamLoss`].
    Ldam(LdamLossConfig),
    /// [`LogitAdjustedLoss`].
    LogitAdjusted(LogitAdjustedLossConfig),
    /// [`BalancedSoftmaxLoss`].
    BalancedSoftmax(BalancedSoftmaxLossConfig),
    /// [`AsymmetricSingleLabelLoss`].
    AsymmetricSingleLabel(AsymmetricSingleLabelLossConfig),
    /// [`Poly1Loss`].
    Poly1(Poly1LossConfig),
    /// [`GeneralizedCrossEntropyLoss`].
    GeneralizedCrossEntropy(GeneralizedCrossEntropyLossConfig),
    /// [`SymmetricCrossEntropyLoss`].
    SymmetricCrossEntropy(SymmetricCrossEntropyLossConfig),
    /// [`DeferredReweighting`] of another loss.
    DeferredReweighting(DeferredReweightingConfig),
}

/// Configuration of [`DeferredReweighting`] where a file names the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeferredReweightingConfig {
    /// The share of training from which the class weights apply, in [0, 1]; 0.8 in Cao et al. 2019.
    pub from: f64,
    /// The loss, with its class weights.
    pub loss: Box<ClassificationLossConfig>,
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
            Self::SigmoidFocal(config) => check_classes(num_classes).and_then(|()| config.validate()),
            Self::Ldam(config) => config.validate(num_classes),
            Self::LogitAdjusted(config) => config.validate(num_classes),
            Self::BalancedSoftmax(config) => config.validate(num_classes),
            Self::AsymmetricSingleLabel(config) => config.validate(num_classes),
            Self::Poly1(config) => config.validate(num_classes),
            Self::GeneralizedCrossEntropy(config) => config.validate(num_classes),
            Self::SymmetricCrossEntropy(config) => config.validate(num_classes),
            Self::DeferredReweighting(config) => {
                config.loss.validate(num_classes)?;
                check_from(config.from)?;
                if config.loss.has_class_weights() { Ok(()) } else { Err(Error::NoClassWeights) }
            }
        }
    }

    fn has_class_weights(&self) -> bool {
        match self {
            Self::CrossEntropy(config) => config.class_weights.is_some(),
            Self::Focal(config) => config.alpha.is_some(),
            Self::Ldam(config) => config.class_weights.is_some(),
            _ => false,
        }
    }

    /// The loss on `device`.
    ///
    /// # Errors
    /// As [`ClassificationLossConfig::validate`].
    pub fn init(&self, num_classes: usize, device: &Device) -> Result<ClassificationLoss, Error> {
        self.validate(num_classes)?;
        Ok(match self {
            Self::CrossEntropy(config) => ClassificationLoss::CrossEntropy(config.init(num_classes, device)?),
            Self::Focal(config) => ClassificationLoss::Focal(config.init(num_classes, device)?),
            Self::SigmoidFocal(config) => ClassificationLoss::SigmoidFocal(config.init()?),
            Self::Ldam(config) => ClassificationLoss::Ldam(config.init(num_classes, device)?),
            Self::LogitAdjusted(config) => {
                ClassificationLoss::LogitAdjusted(config.init(num_classes, device)?)
            }
            Self::BalancedSoftmax(config) => {
                ClassificationLoss::BalancedSoftmax(config.init(num_classes, device)?)
            }
            Self::AsymmetricSingleLabel(config) => {
                ClassificationLoss::AsymmetricSingleLabel(config.init(num_classes)?)
            }
            Self::Poly1(config) => ClassificationLoss::Poly1(config.init(num_classes)?),
            Self::GeneralizedCrossEntropy(config) => {
                ClassificationLoss::GeneralizedCrossEntropy(config.init(num_classes)?)
            }
            Self::SymmetricCrossEntropy(config) => {
                ClassificationLoss::SymmetricCrossEntropy(config.init(num_classes)?)
            }
            Self::DeferredReweighting(config) => {
                let loss = config.loss.init(num_classes, device)?;
                ClassificationLoss::DeferredReweighting(Box::new(DeferredReweighting::new(
                    loss,
                    config.from,
                )?))
            }
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
    /// [`SigmoidFocalLoss`].
    SigmoidFocal(SigmoidFocalLoss),
    /// [`LdamLoss`].
    Ldam(LdamLoss),
    /// [`LogitAdjustedLoss`].
    LogitAdjusted(LogitAdjustedLoss),
    /// [`BalancedSoftmaxLoss`].
    BalancedSoftmax(BalancedSoftmaxLoss),
    /// [`AsymmetricSingleLabelLoss`].
    AsymmetricSingleLabel(AsymmetricSingleLabelLoss),
    /// [`Poly1Loss`].
    Poly1(Poly1Loss),
    /// [`GeneralizedCrossEntropyLoss`].
    GeneralizedCrossEntropy(GeneralizedCrossEntropyLoss),
    /// [`SymmetricCrossEntropyLoss`].
    SymmetricCrossEntropy(SymmetricCrossEntropyLoss),
    /// [`DeferredReweighting`] of another loss.
    DeferredReweighting(Box<DeferredReweighting<ClassificationLoss>>),
}

/// The same expression on whichever loss it is.
macro_rules! each {
    ($self:expr, $loss:ident => $expression:expr) => {
        match $self {
            ClassificationLoss::CrossEntropy($loss) => $expression,
            ClassificationLoss::Focal($loss) => $expression,
            ClassificationLoss::SigmoidFocal($loss) => $expression,
            ClassificationLoss::Ldam($loss) => $expression,
            ClassificationLoss::LogitAdjusted($loss) => $expression,
            ClassificationLoss::BalancedSoftmax($loss) => $expression,
            ClassificationLoss::AsymmetricSingleLabel($loss) => $expression,
            ClassificationLoss::Poly1($loss) => $expression,
            ClassificationLoss::GeneralizedCrossEntropy($loss) => $expression,
            ClassificationLoss::SymmetricCrossEntropy($loss) => $expression,
            ClassificationLoss::DeferredReweighting($loss) => $expression,
        }
    };
}

impl Criterion for ClassificationLoss {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        each!(self, loss => loss.per_sample(logits, targets))
    }

    /// Reduced as the loss inside is.
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        each!(self, loss => loss.forward(logits, targets))
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        each!(self, loss => loss.share(part, parts))
    }

    fn at(&self, progress: f64) -> Self {
        match self {
            Self::CrossEntropy(loss) => Self::CrossEntropy(loss.at(progress)),
            Self::Focal(loss) => Self::Focal(loss.at(progress)),
            Self::SigmoidFocal(loss) => Self::SigmoidFocal(loss.at(progress)),
            Self::Ldam(loss) => Self::Ldam(loss.at(progress)),
            Self::LogitAdjusted(loss) => Self::LogitAdjusted(loss.at(progress)),
            Self::BalancedSoftmax(loss) => Self::BalancedSoftmax(loss.at(progress)),
            Self::AsymmetricSingleLabel(loss) => Self::AsymmetricSingleLabel(loss.at(progress)),
            Self::Poly1(loss) => Self::Poly1(loss.at(progress)),
            Self::GeneralizedCrossEntropy(loss) => Self::GeneralizedCrossEntropy(loss.at(progress)),
            Self::SymmetricCrossEntropy(loss) => Self::SymmetricCrossEntropy(loss.at(progress)),
            Self::DeferredReweighting(loss) => Self::DeferredReweighting(Box::new(loss.at(progress))),
        }
    }
}

impl ClassWeighted for ClassificationLoss {
    fn without_class_weights(&self) -> Option<Self> {
        match self {
            Self::CrossEntropy(loss) => loss.without_class_weights().map(Self::CrossEntropy),
            Self::Focal(loss) => loss.without_class_weights().map(Self::Focal),
            Self::Ldam(loss) => loss.without_class_weights().map(Self::Ldam),
            _ => None,
        }
    }
}
