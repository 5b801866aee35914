use burn::tensor::Tensor;
use derm_core::{BackboneSpec, Criterion, Features, Taps, Targets};
use derm_losses::{
    AttentionMode, AttentionPool, AttentionTransferLoss, CombinationRule, KdLoss, KdLossConfig, KdScale,
};
use serde::{Deserialize, Serialize};

use crate::{Error, LayerPair, LayerPairs};

/// Distillation on feature maps.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `weight` | 1000 (Zagoruyko and Komodakis 2017, with `mean_squared`) | weighs the sum over the layers | finite, ≥ 0 |
/// | `mode` | `mean_squared` | distance of two attention maps | |
/// | `pool` | `features` | what is averaged where sizes differ | |
/// | `layers` | `auto` | the layers compared | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionConfig {
    /// Weight of the sum over the layers.
    pub weight: f64,
    /// Distance of two attention maps; its size depends on it by orders, so weight and mode go together.
    pub mode: AttentionMode,
    /// What is averaged where the maps differ in size.
    pub pool: AttentionPool,
    /// The layers compared.
    pub layers: LayerPairs,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            weight: 1000.0,
            mode: AttentionMode::MeanSquared,
            pool: AttentionPool::Features,
            layers: LayerPairs::Auto,
        }
    }
}

/// Configuration of [`DistillationObjective`]. The weights are named by what they weigh, because α and β mean
/// different things in every paper.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `hard_weight` | 0.5 | weighs the loss on the targets | finite, ≥ 0 |
/// | `kd_weight` | 0.5 | weighs the divergence from the teacher | finite, ≥ 0 |
/// | `temperature` | 4 | temperature of the divergence | finite, > 0 |
/// | `kd_scale` | `temperature_squared` | factor inside the divergence | |
/// | `attention` | none | distillation on feature maps | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Weight of the loss on the targets.
    pub hard_weight: f64,
    /// Weight of the divergence from the teacher.
    pub kd_weight: f64,
    /// Temperature of the divergence.
    pub temperature: f64,
    /// The factor inside the divergence.
    pub kd_scale: KdScale,
    /// Distillation on feature maps; none leaves it out.
    pub attention: Option<AttentionConfig>,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            hard_weight: 0.5,
            kd_weight: 0.5,
            temperature: 4.0,
            kd_scale: KdScale::TemperatureSquared,
            attention: None,
        }
    }
}

impl DistillationConfig {
    /// The weights of a rule of the literature, with everything else as by default.
    ///
    /// ```
    /// use derm_distill::DistillationConfig;
    /// use derm_losses::CombinationRule;
    ///
    /// let config = DistillationConfig::combined(CombinationRule::Convex { alpha: 0.1 })?;
    /// assert_eq!((config.hard_weight, config.kd_weight), (0.1, 0.9));
    /// # Ok::<(), derm_distill::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Loss`] for a weight out of range.
    pub fn combined(rule: CombinationRule) -> Result<Self, Error> {
        let [hard_weight, kd_weight] = rule.weights()?;
        Ok(Self { hard_weight, kd_weight, ..Self::default() })
    }

    fn kd(&self) -> KdLossConfig {
        KdLossConfig { temperature: self.temperature, scale: self.kd_scale }
    }

    /// Checks the weights and the temperature; the layers are checked where the networks are known.
    ///
    /// # Errors
    /// [`Error::Weight`], [`Error::NoWeight`] or [`Error::Loss`].
    pub fn validate(&self) -> Result<(), Error> {
        let attention_weight = self.attention.as_ref().map_or(0.0, |attention| attention.weight);
        let weights = [
            ("hard_weight", self.hard_weight),
            ("kd_weight", self.kd_weight),
            ("attention.weight", attention_weight),
        ];
        for (parameter, value) in weights {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::Weight { parameter, value });
            }
        }
        if weights.iter().all(|(_, value)| *value == 0.0) {
            return Err(Error::NoWeight);
        }
        Ok(self.kd().validate()?)
    }

    /// The objective for these two networks, around the criterion `hard` on the targets.
    ///
    /// # Errors
    /// As [`DistillationConfig::validate`] and [`LayerPairs::resolve`].
    pub fn init<C: Criterion>(
        &self,
        hard: C,
        student: &BackboneSpec,
        teacher: &BackboneSpec,
    ) -> Result<DistillationObjective<C>, Error> {
        self.validate()?;
        let attention = self.attention.as_ref().map(|config| {
            let loss = AttentionTransferLoss { mode: config.mode, pool: config.pool };
            config.layers.resolve(student, teacher).map(|pairs| Attention {
                weight: config.weight,
                loss,
                pairs,
            })
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
    /// The attention distance summed over the layers; none where it is not configured.
    pub attention: Option<Tensor<1>>,
}

#[derive(Debug, Clone)]
struct Attention {
    weight: f64,
    loss: AttentionTransferLoss,
    pairs: Vec<LayerPair>,
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
/// `hard_weight · hard(student, targets) + kd_weight · KD(student, teacher) + weight · Σ_layers AT`.
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
            attention.loss.forward_layers(attention.maps(&student.features, &teacher.features))
        });
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
        let attention = self.attention.as_ref().and_then(|attention| {
            let maps = attention.maps(&student.features, &teacher.features);
            maps.map(|(student, teacher)| attention.loss.per_sample(student, teacher)).reduce(|a, b| a + b)
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
