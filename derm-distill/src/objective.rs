use burn::tensor::{Device, Tensor};
use derm_core::{BackboneSpec, Criterion, Features, Taps, Targets};

use crate::comparison::Comparison;
use crate::layer_pairs::POOLED;
use crate::{DistillationConfig, Error, LayerPair, Projectors, WeightSchedule};

/// What a network said about a batch.
#[derive(Debug, Clone)]
pub struct NetworkOutput {
    /// Logits [B, C].
    pub logits: Tensor<2>,
    /// Pooled features and the maps of the taps; none where only the logits are known, as from a cache.
    pub features: Option<Features>,
}

/// The loss of a batch and its terms, each `[1]`.
#[derive(Debug, Clone)]
pub struct DistillationLoss {
    /// `Σ weight · value` over the terms: what is to be minimised.
    pub total: Tensor<1>,
    /// Every term that weighs something now, in the order of the config.
    pub terms: Vec<TermValue>,
}

/// A term's value, unweighted.
#[derive(Debug, Clone)]
pub struct TermValue {
    /// `hard` for the loss on the targets; else the loss's name, with `_2`, `_3`, … where it stands again.
    pub name: String,
    /// What it weighs now.
    pub weight: f64,
    /// Its value `[1]`, before the weight.
    pub value: Tensor<1>,
}

impl DistillationLoss {
    /// The value of the term `name`, before its weight; none where it weighs nothing now.
    pub fn term(&self, name: &str) -> Option<&Tensor<1>> {
        self.terms.iter().find(|term| term.name == name).map(|term| &term.value)
    }
}

/// What weighs a term, and what it weighs now.
#[derive(Debug, Clone, Copy)]
struct Weight {
    configured: f64,
    schedule: WeightSchedule,
    now: f64,
}

impl Weight {
    fn new(weight: f64, schedule: WeightSchedule) -> Self {
        Self { configured: weight, schedule, now: weight * schedule.factor(0.0) }
    }

    fn at(self, progress: f64) -> Self {
        Self { now: self.configured * self.schedule.factor(progress), ..self }
    }

    fn weighs(self) -> bool {
        self.now > 0.0
    }
}

#[derive(Debug, Clone)]
struct Term {
    name: String,
    weight: Weight,
    comparison: Comparison,
}

/// Teacher and student in one objective: the sum of the loss on the targets and of the config's terms, each times its
/// weight at this point of training.
///
/// It starts as at progress 0: the training loop must call [`DistillationObjective::at`]. A term whose weight is 0 now
/// is not computed.
///
/// The teacher is a constant: gradients flow into the student and the projectors alone, whether the teacher ran with a
/// graph or, as it should, without one. Its tensors may come from the plain device while the student's are on the
/// autodiff one.
#[derive(Debug, Clone)]
pub struct DistillationObjective<C> {
    hard: C,
    hard_weight: Weight,
    terms: Vec<Term>,
    projectors: Projectors,
}

impl DistillationConfig {
    /// The objective for these two networks of `num_classes` logits, around the criterion `hard` on the targets, with
    /// new projectors on `device`, drawn here and now from its generator: after `device.seed(seed)` they are the same.
    ///
    /// # Errors
    /// As [`DistillationConfig::validate`]; [`Error::Term`] with [`LayerPairs::resolve`](crate::LayerPairs::resolve)'s
    /// errors, [`Error::PooledAttention`], [`Error::Widths`], or [`Error::Loss`] for decoupled distillation of two
    /// classes.
    pub fn init<C: Criterion>(
        &self,
        hard: C,
        num_classes: usize,
        student: &BackboneSpec,
        teacher: &BackboneSpec,
        device: &Device,
    ) -> Result<DistillationObjective<C>, Error> {
        self.validate()?;
        let mut projectors = Projectors::default();
        let mut terms = Vec::new();
        for placed in self.placed() {
            let comparison =
                Comparison::new(&placed.term.loss, num_classes, [student, teacher], &mut projectors, device);
            let comparison =
                comparison.map_err(|source| Error::Term { term: placed.place, source: Box::new(source) })?;
            let weight = Weight::new(placed.term.weight, placed.term.schedule);
            terms.push(Term { name: placed.name, weight, comparison });
        }
        let hard_weight = Weight::new(self.hard_weight, self.hard_schedule);
        Ok(DistillationObjective { hard, hard_weight, terms, projectors })
    }
}

impl<C: Criterion> DistillationObjective<C> {
    /// The maps that the student's forward pass must tap: those of every term, whenever it weighs.
    pub fn student_taps(&self) -> Taps {
        taps(self.layer_pairs().map(|pair| &pair.student))
    }

    /// The maps that the teacher's forward pass must tap now.
    pub fn teacher_taps(&self) -> Taps {
        taps(self.now().flat_map(|term| term.comparison.pairs()).map(|pair| &pair.teacher))
    }

    /// The layers compared, in the order of the terms.
    pub fn layer_pairs(&self) -> impl Iterator<Item = &LayerPair> {
        self.terms.iter().flat_map(|term| term.comparison.pairs())
    }

    /// Whether a term that weighs now asks the teacher at all.
    pub fn asks_teacher(&self) -> bool {
        self.now().next().is_some()
    }

    /// The criterion on the targets.
    pub fn hard(&self) -> &C {
        &self.hard
    }

    /// The projectors that [`DistillationObjective::forward`] uses.
    pub fn projectors(&self) -> &Projectors {
        &self.projectors
    }

    /// The same objective with projectors that have learned.
    #[must_use]
    pub fn with_projectors(self, projectors: Projectors) -> Self {
        Self { projectors, ..self }
    }

    /// The loss of a batch with its terms.
    ///
    /// # Panics
    /// When a tapped map is missing, shapes disagree, or a term that takes hard targets gets distributions.
    pub fn forward(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
    ) -> DistillationLoss {
        self.evaluate(student, Some(teacher), targets, None)
    }

    /// What a part of a larger batch adds to the loss of the whole: each term times its share. `parts` are the targets
    /// of all its parts. `teacher` may be none where [no term asks it](DistillationObjective::asks_teacher).
    ///
    /// The sum over the parts is [`DistillationObjective::forward`] of the whole for every term that is a mean over
    /// the samples. `rkd` and `similarity_preserving` compare the samples of a batch with each other: of them the sum
    /// is the mean of the parts' losses, weighed by their samples, and pairs across parts are never seen.
    ///
    /// # Panics
    /// As [`DistillationObjective::forward`], and where a term asks a teacher that is not there.
    pub fn forward_part(
        &self,
        student: &NetworkOutput,
        teacher: Option<&NetworkOutput>,
        targets: &Targets,
        parts: &[Targets],
    ) -> DistillationLoss {
        self.evaluate(student, teacher, targets, Some(parts))
    }

    fn evaluate(
        &self,
        student: &NetworkOutput,
        teacher: Option<&NetworkOutput>,
        targets: &Targets,
        parts: Option<&[Targets]>,
    ) -> DistillationLoss {
        let mut terms = Vec::new();
        if self.hard_weight.weighs() {
            let value = self.hard.forward(student.logits.clone(), targets);
            let value = match parts {
                Some(parts) => value * self.hard.share(targets, parts),
                None => value,
            };
            terms.push(TermValue { name: HARD.to_owned(), weight: self.hard_weight.now, value });
        }
        let share = parts.map(|parts| targets.share_of(parts));
        for term in self.now() {
            assert!(teacher.is_some(), "the term `{}` asks the teacher", term.name);
            let Some(teacher) = teacher else { continue };
            let value = term.comparison.forward(student, teacher, targets, &self.projectors);
            let value = match &share {
                Some(share) => value * share.clone(),
                None => value,
            };
            terms.push(TermValue { name: term.name.clone(), weight: term.weight.now, value });
        }
        let weighted = terms.iter().map(|term| term.value.clone() * term.weight);
        let total = weighted.reduce(|sum, term| sum + term);
        // At the very point where all schedules pass 0 there is nothing to learn.
        let total = total.unwrap_or_else(|| student.logits.clone().sum() * 0.0);
        DistillationLoss { total, terms }
    }

    /// The loss of each sample, shape `[B]`; none where a term compares the samples of a batch with each other. Its
    /// mean is [`DistillationLoss::total`] where the criterion averages over the batch.
    ///
    /// # Panics
    /// As [`DistillationObjective::forward`].
    pub fn per_sample(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
    ) -> Option<Tensor<1>> {
        let mut sum = student.logits.clone().sum_dim(1).squeeze_dim(1) * 0.0;
        if self.hard_weight.weighs() {
            sum = self.hard.per_sample(student.logits.clone(), targets) * self.hard_weight.now;
        }
        for term in self.now() {
            let value = term.comparison.per_sample(student, teacher, targets, &self.projectors)?;
            sum = sum + value * term.weight.now;
        }
        Some(sum)
    }

    fn now(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().filter(|term| term.weight.weighs())
    }

    /// The objective at a point of training: weights follow their schedules, the criterion on the targets may follow
    /// its own.
    #[must_use]
    pub fn at(&self, progress: f64) -> Self {
        let term = |term: &Term| Term { weight: term.weight.at(progress), ..term.clone() };
        Self {
            hard: self.hard.at(progress),
            hard_weight: self.hard_weight.at(progress),
            terms: self.terms.iter().map(term).collect(),
            projectors: self.projectors.clone(),
        }
    }
}

/// The name of the loss on the targets.
const HARD: &str = "hard";

/// Each stage once; pooled features are there without a tap.
fn taps<'a>(names: impl Iterator<Item = &'a String>) -> Taps {
    let mut stages: Vec<&String> = Vec::new();
    for name in names.filter(|name| *name != POOLED) {
        if !stages.contains(&name) {
            stages.push(name);
        }
    }
    Taps::stages(stages)
}
