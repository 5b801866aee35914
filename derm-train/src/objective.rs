use burn::tensor::Tensor;
use derm_backbones::Classifier;
use derm_core::{Backbone, Criterion, Taps};
use derm_data::Batch;
use derm_distill::DistillationObjective;

/// What a training step minimises.
pub trait Objective<B: Backbone> {
    /// The loss of the network on a batch → [1]. `progress` is the share of the optimizer steps that are done,
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
#[derive(Debug, Clone)]
pub struct Distilled<C, T: Backbone> {
    /// The loss against the labels.
    pub criterion: C,
    /// The teacher; it runs without autodiff, in inference mode.
    pub teacher: Classifier<T>,
    /// What is compared, and by which weights.
    pub objective: DistillationObjective,
}

impl<B: Backbone, C: Criterion, T: Backbone> Objective<B> for Distilled<C, T> {
    fn loss(&self, model: &Classifier<B>, batch: &Batch, progress: f64) -> Tensor<1> {
        let answers = batch.answers.clone();
        let student = model.forward(batch.images.clone(), answers.clone(), self.objective.student_taps());
        let teacher = self.teacher.forward(
            batch.images.clone().without_autodiff(),
            answers.map(Tensor::without_autodiff),
            self.objective.teacher_taps(),
        );
        let criterion = self.criterion.at(progress);
        self.objective.forward(&student, &teacher, &batch.targets, &criterion).total
    }
}
