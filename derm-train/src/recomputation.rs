use std::num::NonZeroUsize;

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use derm_backbones::{Blocks, Classifier, ClassifierInput, ClassifierOutput, Recompute};
use derm_core::Taps;
use derm_distill::Projectors;

use crate::{Architecture, Error, ModelRecipe};

/// A forward and backward pass that keeps few activations, for one type of network: what
/// [`Architecture::recomputation`](crate::Architecture::recomputation) gives.
pub type RecomputedBackward<B> = fn(
    Recompute,
    &Classifier<B>,
    &Projectors,
    ClassifierInput,
    &Taps,
    &mut dyn FnMut(ClassifierOutput) -> Tensor<1>,
) -> RecomputedGradients;

/// What a [`RecomputedBackward`] gives.
#[derive(Debug)]
pub struct RecomputedGradients {
    /// The gradients of the network's parameters.
    pub network: GradientsParams,
    /// Those of the projectors', which the loss reads.
    pub projectors: GradientsParams,
}

/// [`Recompute::backward_beside`] of a chain of blocks.
pub fn recomputed<B: Blocks>(
    recompute: Recompute,
    network: &Classifier<B>,
    projectors: &Projectors,
    input: ClassifierInput,
    taps: &Taps,
    loss: &mut dyn FnMut(ClassifierOutput) -> Tensor<1>,
) -> RecomputedGradients {
    let (step, projectors) = recompute.backward_beside(network, projectors, input, taps, loss);
    RecomputedGradients { network: step.gradients, projectors }
}

/// How many blocks are computed again together, and how; none where activations are kept.
pub(crate) type Recomputation<B> = Option<(NonZeroUsize, RecomputedBackward<B>)>;

/// What the recipe asks for.
pub(crate) fn recomputation_of<A: Architecture>(
    recipe: &ModelRecipe,
) -> Result<Recomputation<A::Backbone>, Error> {
    let blocks = NonZeroUsize::new(recipe.gradient_checkpointing_blocks);
    match blocks.filter(|_| recipe.gradient_checkpointing) {
        None => Ok(None),
        Some(blocks) => Ok(Some((blocks, A::recomputation().ok_or(Error::NoRecomputation)?))),
    }
}
