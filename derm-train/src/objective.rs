use std::collections::BTreeMap;

use burn::tensor::Tensor;
use derm_backbones::ClassifierOutput;
use derm_core::{Backbone, Criterion, Taps, Targets};
use derm_data::Batch;
use derm_distill::{DistillationObjective, NetworkOutput, Projectors};

use crate::Teacher;
use crate::inference::TASK;

/// What a training step minimises, a function of the network's output: the forward pass is the trainer's.
///
/// [`Objective::loss`] is all that an objective must have. One that is a sum of terms implements
/// [`Objective::loss_with_terms`] as well, so that the logs tell them apart.
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

    /// The same with its terms. Default: [`Objective::loss`], and none.
    fn loss_with_terms(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> LossTerms {
        LossTerms { total: self.loss(output, batch, step), terms: Vec::new() }
    }
}

impl<B: Backbone, O: Objective<B> + ?Sized> Objective<B> for Box<O> {
    fn taps(&self) -> Taps {
        (**self).taps()
    }

    fn projectors(&self) -> Projectors {
        (**self).projectors()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        (**self).loss(output, batch, step)
    }

    fn loss_with_terms(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> LossTerms {
        (**self).loss_with_terms(output, batch, step)
    }
}

/// A loss and the terms that it is the sum of.
#[derive(Debug, Clone)]
pub struct LossTerms {
    /// `Σ weight · value` over the terms: what is minimised → `[1]`.
    pub total: Tensor<1>,
    /// The terms; none where the loss is one piece.
    pub terms: Vec<LossTerm>,
}

/// One term of a loss.
#[derive(Debug, Clone)]
pub struct LossTerm {
    /// Its name: `diagnosis` or `hard` for the loss against the diagnosis, those of the distillation's terms, and
    /// `task.<name>` for that of a further task.
    pub name: String,
    /// What it weighs now.
    pub weight: f64,
    /// What the micro-batch adds to its value over the whole step, before the weight → `[1]`.
    pub value: Tensor<1>,
}

/// What is known of an optimizer step before its first forward pass.
#[derive(Debug, Clone)]
pub struct OptimizerStep {
    /// The share of the optimizer steps that are done, in [0, 1].
    pub progress: f64,
    /// The targets of each of the step's micro-batches: what a loss is normalised by.
    pub targets: Vec<Targets>,
    /// For each further task, its targets in those of the micro-batches that have any.
    pub tasks: BTreeMap<String, Vec<Targets>>,
    /// What learns beside the network, as far as it has learned.
    pub projectors: Projectors,
}

impl OptimizerStep {
    /// The step over these micro-batches.
    pub(crate) fn new(progress: f64, batches: &[Batch], projectors: Projectors) -> Self {
        let mut tasks = BTreeMap::<String, Vec<Targets>>::new();
        for task in batches.iter().flat_map(|batch| &batch.tasks) {
            tasks.entry(task.name.clone()).or_default().push(task.targets.clone());
        }
        let targets = batches.iter().map(|batch| batch.targets.clone()).collect();
        Self { progress, targets, tasks, projectors }
    }
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
        Objective::<B>::loss_with_terms(self, output, batch, step).total
    }

    fn loss_with_terms(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> LossTerms {
        let objective = self.objective.at(step.progress).with_projectors(step.projectors.clone());
        let student = NetworkOutput { logits: output.logits, features: Some(output.features) };
        let teacher = objective.asks_teacher().then(|| self.teacher.output(batch, &objective.teacher_taps()));
        let loss = objective.forward_part(&student, teacher.as_ref(), &batch.targets, &step.targets);
        let terms = loss.terms.into_iter();
        let terms = terms.map(|term| LossTerm { name: term.name, weight: term.weight, value: term.value });
        LossTerms { total: loss.total, terms: terms.collect() }
    }
}

/// An objective for the diagnosis and, beside it, a loss for each further task:
/// `L = L_diagnosis + Σ_t w_t · L_t`.
///
/// `L_t` is taken over the rows that are labelled for the task, in the whole optimizer step: unlabelled ones enter neither
/// the loss nor its divisor. A batch without a labelled row adds nothing, and the task's head then has no gradient.
#[derive(Debug)]
pub struct MultiTask<O, C> {
    /// The objective for the diagnosis, supervised or distilled.
    pub diagnosis: O,
    /// The further tasks.
    pub tasks: Vec<TaskLoss<C>>,
}

/// The loss of a further task.
#[derive(Debug, Clone)]
pub struct TaskLoss<C> {
    /// The task, a head of the network.
    pub name: String,
    /// w, above 0.
    pub weight: f64,
    /// The loss against its labels.
    pub criterion: C,
}

impl<B: Backbone, O: Objective<B>, C: Criterion> Objective<B> for MultiTask<O, C> {
    fn taps(&self) -> Taps {
        self.diagnosis.taps()
    }

    fn projectors(&self) -> Projectors {
        self.diagnosis.projectors()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        self.loss_with_terms(output, batch, step).total
    }

    fn loss_with_terms(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> LossTerms {
        let heads = output.tasks.clone();
        let LossTerms { mut total, mut terms } = self.diagnosis.loss_with_terms(output, batch, step);
        if terms.is_empty() {
            terms.push(LossTerm { name: TASK.to_owned(), weight: 1.0, value: total.clone() });
        }
        for task in &self.tasks {
            let labelled = batch.task(&task.name).zip(step.tasks.get(&task.name));
            let logits = heads.iter().find(|(name, _)| *name == task.name);
            let Some(((labels, parts), (_, logits))) = labelled.zip(logits) else { continue };
            let criterion = task.criterion.at(step.progress);
            let logits = logits.clone().select(0, labels.rows.clone());
            let value = criterion.forward(logits, &labels.targets) * criterion.share(&labels.targets, parts);
            total = total + value.clone() * task.weight;
            terms.push(LossTerm { name: format!("task.{}", task.name), weight: task.weight, value });
        }
        LossTerms { total, terms }
    }
}
