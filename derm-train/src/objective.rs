use burn::tensor::Tensor;
use derm_backbones::{Classifier, ClassifierOutput};
use derm_core::{Backbone, Criterion, Taps};
use derm_data::Batch;
use derm_distill::{DistillationObjective, NetworkOutput};

/// What a training step minimises.
pub trait Objective<B: Backbone> {
    /// The loss of the network on a batch → `[1]`. `progress` is the share of the optimizer steps that are done,
    /// in [0, 1].
    fn loss(&self, model: &Classifier<B>, batch: &Batch, progress: f64) -> Tensor<1>;
}

/// Learns from the labels alone.
#[derive(Debug, Clone)]
pub struct Supervised<C> {
    /// The loss against the labels.
    pub criterion: C,
}

impl<B: Backbone, C: Criterion> Objective<B> for Supervised<C> {
    fn loss(&self, model: &Classifier<B>, batch: &Batch, progress: f64) -> Tensor<1> {
        let output = model.forward(batch.images.clone(), batch.answers.clone(), &Taps::none());
        self.criterion.at(progress).forward(output.logits, &batch.targets)
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
    fn loss(&self, model: &Classifier<B>, batch: &Batch, progress: f64) -> Tensor<1> {
        let objective = self.objective.at(progress);
        let student = model.forward(batch.images.clone(), batch.answers.clone(), &objective.student_taps());
        let teacher = self.teacher.forward(
            batch.images.clone().without_autodiff(),
            batch.answers.clone().map(Tensor::without_autodiff),
            &objective.teacher_taps(),
        );
        objective.forward(&network_output(student), &network_output(teacher), &batch.targets).total
    }
}

fn network_output(output: ClassifierOutput) -> NetworkOutput {
    NetworkOutput { logits: output.logits, features: output.features }
}
