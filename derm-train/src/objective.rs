use burn::tensor::Tensor;
use derm_backbones::ClassifierOutput;
use derm_core::{Backbone, Criterion, Taps, Targets};
use derm_data::Batch;
use derm_distill::{DistillationObjective, NetworkOutput, Projectors};

use crate::Teacher;

/// What a training step minimises, a function of the network's output: the forward pass is the trainer's.
pub trait Objective<B: Backbone> {
    /// The feature maps of the network that the loss reads. Default none.
    fn taps(&self) -> Taps {
        Taps::none()
    }

    /// What learns beside the network, at its start, and goes when training is done. Default nothing.
    fn projectors(&self) -> Projectors {
        Projectors::default()
    }

    /// What a micro-batch adds to the loss of its optimizer step → `[1]`: the sum over the step's micro-batches is
    /// the loss of all its rows as one batch.
    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1>;
}

/// What is known of an optimizer step before its first forward pass.
#[derive(Debug, Clone)]
pub struct OptimizerStep {
    /// The share of the optimizer steps that are done, in [0, 1].
    pub progress: f64,
    /// The targets of each of the step's micro-batches: what a loss is normalised by.
    pub targets: Vec<Targets>,
    /// What learns beside the network, as far as it has learned.
    pub projectors: Projectors,
}

/// Learns from the labels alone.
#[derive(Debug, Clone)]
pub struct Supervised<C> {
    /// The loss against the labels.
    pub criterion: C,
}

impl<B: Backbone, C: Criterion> Objective<B> for Supervised<C> {
    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let criterion = self.criterion.at(step.progress);
        criterion.forward(output.logits, &batch.targets) * criterion.share(&batch.targets, &step.targets)
    }
}

/// Learns from the labels and from a teacher that sees the same batch.
#[derive(Debug)]
pub struct Distilled<'a, C, T: Backbone> {
    /// Who is asked.
    pub teacher: Teacher<'a, T>,
    /// What is compared, and by which weights.
    pub objective: DistillationObjective<C>,
}

impl<B: Backbone, C: Criterion, T: Backbone> Objective<B> for Distilled<'_, C, T> {
    fn taps(&self) -> Taps {
        self.objective.student_taps()
    }

    fn projectors(&self) -> Projectors {
        self.objective.projectors().clone()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let objective = self.objective.at(step.progress).with_projectors(step.projectors.clone());
        let student = NetworkOutput { logits: output.logits, features: Some(output.features) };
        let teacher = objective.asks_teacher().then(|| self.teacher.output(batch, &objective.teacher_taps()));
        objective.forward_part(&student, teacher.as_ref(), &batch.targets, &step.targets).total
    }
}
