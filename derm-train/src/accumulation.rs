//! One optimizer step made of several micro-batches.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use derm_backbones::Classifier;
use derm_core::Backbone;
use derm_data::Batch;

use crate::{Objective, OptimizerStep};

/// The loss `[1]`, without a graph, and the gradients of an optimizer step over these micro-batches.
///
/// Each micro-batch has its own forward and backward pass, so that the activations of one are in memory at a time,
/// and its loss is scaled by its share of the whole step before that: the sum is that of one large batch, also
/// where the loss is divided by class weights. What looks at a batch, as batch norm does, looks at the micro-batch.
pub(crate) fn gradients<B: Backbone>(
    model: &Classifier<B>,
    objective: &(impl Objective<B> + ?Sized),
    batches: &[Batch],
    progress: f64,
) -> (Option<Tensor<1>>, GradientsParams) {
    let targets = batches.iter().map(|batch| batch.targets.clone()).collect();
    let (step, taps) = (OptimizerStep { progress, targets }, objective.taps());
    let mut sum = None;
    let mut gradients = GradientsAccumulator::new();
    for batch in batches {
        let output = model.forward(batch.images.clone(), batch.answers.clone(), &taps);
        let loss = objective.loss(output, batch, &step);
        let value = loss.clone().without_autodiff();
        sum = Some(match sum {
            None => value,
            Some(sum) => sum + value,
        });
        gradients.accumulate(model, GradientsParams::from_grads(loss.backward(), model));
    }
    (sum, gradients.grads())
}
