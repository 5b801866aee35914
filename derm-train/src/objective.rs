use burn::tensor::Tensor;
use derm_backbones::{Classifier, ClassifierOutput};
use derm_core::{Backbone, Criterion, Taps, Targets};
use derm_data::Batch;
use derm_distill::{DistillationObjective, NetworkOutput};

/// What a training step minimises, a function of the network's output: the forward pass is the trainer's.
pub trait Objective<B: Backbone> {
    /// The feature maps of the network that the loss reads. Default none.
    fn taps(&self) -> Taps {
        Taps::none()
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
    /// The teacher, in inference mode on the device without autodiff.
    pub teacher: &'a Classifier<T>,
    /// What is compared, and by which weights.
    pub objective: DistillationObjective<C>,
}

impl<B: Backbone, C: Criterion, T: Backbone> Objective<B> for Distilled<'_, C, T> {
    fn taps(&self) -> Taps {
        self.objective.student_taps()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let objective = self.objective.at(step.progress);
        let teacher = self.teacher.forward(
            batch.images.clone().without_autodiff(),
            batch.answers.clone().map(Tensor::without_autodiff),
            &objective.teacher_taps(),
        );
        let (student, teacher) = (network_output(output), network_output(teacher));
        objective.forward_part(&student, &teacher, &batch.targets, &step.targets).total
    }
}

fn network_output(output: ClassifierOutput) -> NetworkOutput {
    NetworkOutput { logits: output.logits, features: output.features }
}
