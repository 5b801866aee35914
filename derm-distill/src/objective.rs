use burn::tensor::Tensor;
use derm_core::{BackboneSpec, Criterion, Features, Taps, Targets};
use derm_losses::{AttentionTransferLoss, KdLoss, LayerWeights};

use crate::layer_pairs::layer_weights;
use crate::{DistillationConfig, Error, LayerPair};

/// What a network said about a batch: logits [B, C], and the features with the maps of its taps.
#[derive(Debug, Clone)]
pub struct NetworkOutput {
    /// Logits [B, C].
    pub logits: Tensor<2>,
    /// Features and tapped maps.
    pub features: Features,
}

/// The loss of a batch and its terms, unweighted, each `[1]`.
#[derive(Debug, Clone)]
pub struct DistillationLoss {
    /// `hard_weight · hard + kd_weight · kd + attention.weight · attention`: what is to be minimised.
    pub total: Tensor<1>,
    /// The criterion on the targets, reduced as it reduces.
    pub hard: Tensor<1>,
    /// The divergence from the teacher.
    pub kd: Tensor<1>,
    /// The attention distance, summed over the layers by their weights; none where it is not configured.
    pub attention: Option<Tensor<1>>,
}

#[derive(Debug, Clone)]
struct Attention {
    weight: f64,
    loss: AttentionTransferLoss,
    pairs: Vec<LayerPair>,
    layer_weights: LayerWeights,
}

impl Attention {
    /// The maps of each pair, student first.
    fn maps(&self, student: &Features, teacher: &Features) -> impl Iterator<Item = (Tensor<4>, Tensor<4>)> {
        self.pairs.iter().map(|pair| {
            let tapped = |features: &Features, name: &str| {
                let map = features.map(name).cloned();
                assert!(map.is_some(), "the feature map of `{name}` was not tapped");
                map
            };
            let maps = tapped(student, &pair.student).zip(tapped(teacher, &pair.teacher));
            maps.unwrap_or_else(|| unreachable!("both maps were just found"))
        })
    }
}

/// Teacher and student in one objective:
/// `hard_weight · hard(student, targets) + kd_weight · KD(student, teacher) + weight · Σ_layers layer weight · AT`.
///
/// The teacher is a constant: gradients flow into the student alone, whether the teacher ran with a graph or, as
/// it should, without one. Its tensors may come from the plain device while the student's are on the autodiff
/// one.
#[derive(Debug, Clone)]
pub struct DistillationObjective<C> {
    hard: C,
    hard_weight: f64,
    kd: KdLoss,
    kd_weight: f64,
    attention: Option<Attention>,
}

impl DistillationConfig {
    /// The objective for these two networks, around the criterion `hard` on the targets.
    ///
    /// # Errors
    /// As [`DistillationConfig::validate`] and [`LayerPairs::resolve`](crate::LayerPairs::resolve).
    pub fn init<C: Criterion>(
        &self,
        hard: C,
        student: &BackboneSpec,
        teacher: &BackboneSpec,
    ) -> Result<DistillationObjective<C>, Error> {
        self.validate()?;
        let attention = self.attention.as_ref().map(|config| -> Result<_, Error> {
            let loss = AttentionTransferLoss { mode: config.mode, pool: config.pool };
            let pairs = config.layers.resolve(student, teacher)?;
            let layer_weights = layer_weights(&pairs)?;
            Ok(Attention { weight: config.weight, loss, pairs, layer_weights })
        });
        Ok(DistillationObjective {
            hard,
            hard_weight: self.hard_weight,
            kd: self.kd().init()?,
            kd_weight: self.kd_weight,
            attention: attention.transpose()?,
        })
    }
}

impl<C: Criterion> DistillationObjective<C> {
    /// The maps that the student's forward pass must tap.
    pub fn student_taps(&self) -> Taps {
        self.taps(|pair| &pair.student)
    }

    /// The maps that the teacher's forward pass must tap.
    pub fn teacher_taps(&self) -> Taps {
        self.taps(|pair| &pair.teacher)
    }

    fn taps(&self, name: impl Fn(&LayerPair) -> &String) -> Taps {
        Taps::stages(self.layer_pairs().iter().map(name))
    }

    /// The layers compared; empty without attention transfer.
    pub fn layer_pairs(&self) -> &[LayerPair] {
        self.attention.as_ref().map_or(&[], |attention| &attention.pairs)
    }

    /// The criterion on the targets.
    pub fn hard(&self) -> &C {
        &self.hard
    }

    /// The loss of a batch with its terms.
    ///
    /// # Panics
    /// When a tapped map is missing, or shapes disagree.
    pub fn forward(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
    ) -> DistillationLoss {
        let hard = self.hard.forward(student.logits.clone(), targets);
        let kd = self.kd.forward(student.logits.clone(), teacher.logits.clone());
        let attention = self.attention.as_ref().map(|attention| {
            let maps = attention.maps(&student.features, &teacher.features);
            attention.loss.forward_layers(maps, &attention.layer_weights)
        });
        let total = self.sum(hard.clone(), kd.clone(), attention.clone());
        DistillationLoss { total, hard, kd, attention }
    }

    /// What a part of a larger batch adds to the loss of the whole: each term times its share, so that the sum over
    /// the parts is [`DistillationObjective::forward`] of the whole. `parts` are the targets of all its parts.
    ///
    /// # Panics
    /// As [`DistillationObjective::forward`].
    pub fn forward_part(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
        parts: &[Targets],
    ) -> DistillationLoss {
        let DistillationLoss { hard, kd, attention, .. } = self.forward(student, teacher, targets);
        let samples = targets.share_of(parts);
        let hard = hard * self.hard.share(targets, parts);
        let kd = kd * samples.clone();
        let attention = attention.map(|attention| attention * samples);
        let total = self.sum(hard.clone(), kd.clone(), attention.clone());
        DistillationLoss { total, hard, kd, attention }
    }

    /// The loss of each sample, shape `[B]`. Its mean is [`DistillationLoss::total`] where the criterion averages
    /// over the batch.
    ///
    /// # Panics
    /// As [`DistillationObjective::forward`].
    pub fn per_sample(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
    ) -> Tensor<1> {
        let hard = self.hard.per_sample(student.logits.clone(), targets);
        let kd = self.kd.per_sample(student.logits.clone(), teacher.logits.clone());
        let attention = self.attention.as_ref().map(|attention| {
            let maps = attention.maps(&student.features, &teacher.features);
            attention.loss.per_sample_layers(maps, &attention.layer_weights)
        });
        self.sum(hard, kd, attention)
    }

    fn sum(&self, hard: Tensor<1>, kd: Tensor<1>, attention: Option<Tensor<1>>) -> Tensor<1> {
        let sum = hard * self.hard_weight + kd * self.kd_weight;
        match (&self.attention, attention) {
            (Some(config), Some(attention)) => sum + attention * config.weight,
            _ => sum,
        }
    }

    /// The objective at a point of training: the criterion on the targets may follow a schedule.
    pub fn at(&self, progress: f64) -> Self {
        Self {
            hard: self.hard.at(progress),
            hard_weight: self.hard_weight,
            kd: self.kd,
            kd_weight: self.kd_weight,
            attention: self.attention.clone(),
        }
    }
}
