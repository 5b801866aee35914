use burn::tensor::Tensor;
use derm_core::{Criterion, Targets};

use crate::Error;
use crate::error::check_range;
use crate::progress::share;

/// A criterion that can have class weights.
pub trait ClassWeighted: Criterion + Sized {
    /// The same criterion with all classes weighted alike; none where it has no class weights.
    fn without_class_weights(&self) -> Option<Self>;
}

/// Deferred re-weighting: a criterion whose class weights apply only from a share of training on, so that the
/// features are learned from the data as they are, and the decision boundaries are moved late.
///
/// Works around any [`ClassWeighted`] criterion; around [`LdamLoss`](crate::LdamLoss) with
/// [`WeightScheme::ClassBalanced`](crate::WeightScheme::ClassBalanced) at β = 0.9999 and `from` = 0.8 it is
/// LDAM-DRW. It starts as at progress 0: the training loop must call [`Criterion::at`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::{Criterion, Targets};
/// use derm_losses::{CrossEntropyLossConfig, DeferredReweighting, Reduction};
///
/// let device = Device::default();
/// let weighted = CrossEntropyLossConfig {
///     class_weights: Some(vec![1.0, 3.0]),
///     reduction: Reduction::BatchMean,
///     ..Default::default()
/// };
/// let loss = DeferredReweighting::new(weighted.init(2, &device)?, 0.8)?;
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let targets = Targets::from_indices(&[1], 2, &device).unwrap();
/// let at = |progress| loss.at(progress).forward(logits.clone(), &targets).into_scalar::<f32>();
/// assert!((at(0.79) - 2.0_f32.ln()).abs() < 1e-6);
/// assert!((at(0.8) - 3.0 * 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Cao et al. 2019, "Learning imbalanced datasets with label-distribution-aware margin loss", algorithm 1; their
/// code re-weights from epoch 160 of 200.
#[derive(Debug, Clone)]
pub struct DeferredReweighting<C> {
    weighted: C,
    unweighted: C,
    from: f64,
    reweights: bool,
}

/// Checks the share of training from which class weights apply.
pub(crate) fn check_from(from: f64) -> Result<(), Error> {
    check_range("from", from, "a number in [0, 1]", |v| (0.0..=1.0).contains(&v))
}

impl<C: ClassWeighted> DeferredReweighting<C> {
    /// `weighted` from the share `from` of training on, in [0, 1], and without its class weights before.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for `from`, [`Error::NoClassWeights`] where there is nothing to defer.
    pub fn new(weighted: C, from: f64) -> Result<Self, Error> {
        check_from(from)?;
        let unweighted = weighted.without_class_weights().ok_or(Error::NoClassWeights)?;
        Ok(Self { weighted, unweighted, from, reweights: from <= 0.0 })
    }

    /// Whether the class weights apply at this point of training.
    pub fn reweights(&self) -> bool {
        self.reweights
    }

    fn current(&self) -> &C {
        if self.reweights { &self.weighted } else { &self.unweighted }
    }
}

impl<C: ClassWeighted> Criterion for DeferredReweighting<C> {
    fn per_sample<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.current().per_sample(logits, targets)
    }

    /// Reduced as the criterion inside is.
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: &Targets) -> Tensor<1> {
        self.current().forward(logits, targets)
    }
    fn share(&self, part: &Targets, parts: &[Targets]) -> Tensor<1> {
        self.current().share(part, parts)
    }

    fn at(&self, progress: f64) -> Self {
        Self {
            weighted: self.weighted.at(progress),
            unweighted: self.unweighted.at(progress),
            from: self.from,
            reweights: share(progress) >= self.from,
        }
    }
}
