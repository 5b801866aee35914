use derm_losses::{AttentionMode, AttentionPool, CombinationRule, DkdLossConfig, KdLossConfig, KdScale};
use serde::{Deserialize, Serialize};

use crate::layer_pairs::layer_weights;
use crate::{AttentionTerm, DistillationTerm, Error, LayerPairs, TermLoss, WeightSchedule};

/// The least number of classes of a decoupled distillation; [`DistillationConfig::init`] knows the true one.
const DKD_CLASSES: usize = 3;

/// Distillation on feature maps.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `weight` | 1000 (Zagoruyko and Komodakis 2017, with `mean_squared`) | weighs the weighted sum over the layers | finite, ≥ 0 |
/// | `mode` | `mean_squared` | distance of two attention maps | |
/// | `pool` | `features` | what is averaged where sizes differ | |
/// | `layers` | `auto` | the layers compared, and what each weighs | |
/// | `schedule` | `constant` | factor on the weight over training | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionConfig {
    /// Weight of the weighted sum over the layers.
    pub weight: f64,
    /// Distance of two attention maps; its size depends on it by orders, so weight and mode go together.
    pub mode: AttentionMode,
    /// What is averaged where the maps differ in size.
    pub pool: AttentionPool,
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
    /// Factor on the weight over training.
    pub schedule: WeightSchedule,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            weight: 1000.0,
            mode: AttentionMode::MeanSquared,
            pool: AttentionPool::Features,
            layers: LayerPairs::Auto,
            schedule: WeightSchedule::Constant,
        }
    }
}

/// Configuration of [`DistillationObjective`](crate::DistillationObjective): a weighted sum of terms. The weights
/// are named by what they weigh, because α and β mean different things in every paper.
///
/// The loss on the targets, KD and attention transfer have keys of their own; any further ones, and more of the same,
/// stand in `terms`. A term whose weight is 0 is not there; leave KD out by `kd_weight: 0`.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `hard_weight` | 0.5 | weighs the loss on the targets | finite, ≥ 0 |
/// | `hard_schedule` | `constant` | factor on it over training | |
/// | `kd_weight` | 0.5 | weighs the divergence from the teacher | finite, ≥ 0 |
/// | `kd_schedule` | `constant` | factor on it over training | |
/// | `temperature` | 4 | temperature of the divergence | finite, > 0 |
/// | `kd_scale` | `temperature_squared` | factor inside the divergence | |
/// | `attention` | none | distillation on feature maps | |
/// | `terms` | none | further terms | |
///
/// ```
/// use derm_distill::{DistillationConfig, DistillationTerm, RkdTerm, TermLoss};
///
/// let config: DistillationConfig = serde_json::from_str(
///     r#"{
///         "hard_weight": 0.518, "kd_weight": 112.4, "temperature": 3.19,
///         "terms": [
///             {"loss": "rkd", "weight": 0.1},
///             {"loss": {"hint": {"layers": "pooled"}}, "weight": 2, "schedule": {"cosine": {"from": 1, "to": 0}}}
///         ]
///     }"#,
/// )?;
/// config.validate()?;
/// assert_eq!(config.terms[0], DistillationTerm::new(TermLoss::Rkd(RkdTerm::default()), 0.1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Weight of the loss on the targets.
    pub hard_weight: f64,
    /// Factor on it over training.
    pub hard_schedule: WeightSchedule,
    /// Weight of the divergence from the teacher.
    pub kd_weight: f64,
    /// Factor on it over training.
    pub kd_schedule: WeightSchedule,
    /// Temperature of the divergence.
    pub temperature: f64,
    /// The factor inside the divergence.
    pub kd_scale: KdScale,
    /// Distillation on feature maps; none leaves it out.
    pub attention: Option<AttentionConfig>,
    /// Further terms.
    pub terms: Vec<DistillationTerm>,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            hard_weight: 0.5,
            hard_schedule: WeightSchedule::Constant,
            kd_weight: 0.5,
            kd_schedule: WeightSchedule::Constant,
            temperature: 4.0,
            kd_scale: KdScale::TemperatureSquared,
            attention: None,
            terms: Vec::new(),
        }
    }
}

/// A term with its place in the config and its name in a log.
pub(crate) struct Placed {
    pub place: String,
    pub name: String,
    pub term: DistillationTerm,
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

    /// Every term that weighs something, those with keys of their own first.
    pub(crate) fn placed(&self) -> Vec<Placed> {
        let kd = DistillationTerm {
            loss: TermLoss::Kd(self.kd()),
            weight: self.kd_weight,
            schedule: self.kd_schedule,
        };
        let mut terms = vec![("kd".to_owned(), kd)];
        if let Some(AttentionConfig { weight, mode, pool, layers, schedule }) = &self.attention {
            let loss = AttentionTerm { mode: *mode, pool: *pool, layers: layers.clone() };
            let term =
                DistillationTerm { loss: TermLoss::Attention(loss), weight: *weight, schedule: *schedule };
            terms.push(("attention".to_owned(), term));
        }
        for (index, term) in self.terms.iter().enumerate() {
            terms.push((format!("terms[{index}] ({})", term.loss.name()), term.clone()));
        }
        let mut placed: Vec<Placed> = Vec::new();
        for (place, term) in terms.into_iter().filter(|(_, term)| term.weight > 0.0) {
            let same = placed.iter().filter(|before| before.term.loss.name() == term.loss.name()).count();
            let name = match same {
                0 => term.loss.name().to_owned(),
                same => format!("{}_{}", term.loss.name(), same + 1),
            };
            placed.push(Placed { place, name, term });
        }
        placed
    }

    /// The place of the first term that reads the teacher's features at any time, so that its logits alone do not do.
    pub fn feature_term(&self) -> Option<String> {
        self.placed()
            .into_iter()
            .find(|placed| placed.term.loss.layers().is_some())
            .map(|placed| placed.place)
    }

    /// The place of the first term that takes hard targets alone, and neither distributions nor mixed labels.
    pub fn hard_target_term(&self) -> Option<String> {
        let takes = |placed: &Placed| matches!(placed.term.loss, TermLoss::Dkd(_));
        self.placed().into_iter().find(takes).map(|placed| placed.place)
    }

    /// Every weight with its key and its schedule.
    fn weights(&self) -> Vec<(String, f64, WeightSchedule, String)> {
        let key = |key: &str, weight, schedule, of: &str| (key.to_owned(), weight, schedule, of.to_owned());
        let mut weights = vec![
            key("hard_weight", self.hard_weight, self.hard_schedule, "hard_schedule"),
            key("kd_weight", self.kd_weight, self.kd_schedule, "kd_schedule"),
        ];
        if let Some(attention) = &self.attention {
            weights.push(key("attention.weight", attention.weight, attention.schedule, "attention.schedule"));
        }
        for (index, term) in self.terms.iter().enumerate() {
            let place = format!("terms[{index}]");
            let (weight, schedule) = (format!("{place}.weight"), format!("{place}.schedule"));
            weights.push((weight, term.weight, term.schedule, schedule));
        }
        weights
    }

    /// Checks weights, schedules and the settings of every term, of those that weigh nothing too; the names of layers
    /// are checked where the networks are known.
    ///
    /// # Errors
    /// [`Error::Weight`], [`Error::Schedule`], [`Error::NoWeight`], [`Error::Loss`] for the temperature, and
    /// [`Error::Term`] for what is wrong with a term.
    pub fn validate(&self) -> Result<(), Error> {
        let weights = self.weights();
        for (parameter, value, schedule, of) in &weights {
            let value = *value;
            if !((value as f32).is_finite() && value >= 0.0) {
                return Err(Error::Weight { parameter: parameter.clone(), value });
            }
            schedule.validate(of)?;
        }
        // Between two corners no schedule changes its course, and none falls to 0 there without staying at it.
        let mut corners: Vec<f64> =
            weights.iter().flat_map(|(_, _, schedule, _)| schedule.corners()).collect();
        corners.extend([0.0, 1.0]);
        corners.sort_by(f64::total_cmp);
        corners.dedup();
        for between in corners.windows(2) {
            let progress = f64::midpoint(between[0], between[1]);
            let weighs = |(_, weight, schedule, _): &(_, f64, WeightSchedule, _)| {
                weight * schedule.factor(progress) > 0.0
            };
            if !weights.iter().any(weighs) {
                return Err(Error::NoWeight { progress });
            }
        }
        self.kd().validate()?;
        let attention = self.attention.as_ref().map(|attention| ("attention".to_owned(), &attention.layers));
        let layers = self.terms.iter().enumerate().filter_map(|(index, term)| {
            Some((format!("terms[{index}] ({})", term.loss.name()), term.loss.layers()?))
        });
        for (term, layers) in attention.into_iter().chain(layers) {
            if let LayerPairs::Pairs(pairs) = layers {
                layer_weights(pairs).map_err(|source| Error::Term { term, source: Box::new(source) })?;
            }
        }
        for (index, term) in self.terms.iter().enumerate() {
            let checked = match &term.loss {
                TermLoss::Kd(config) => config.validate(),
                TermLoss::Dkd(config) => DkdLossConfig::validate(config, DKD_CLASSES),
                TermLoss::LogitStandardizedKd(config) => config.validate(),
                TermLoss::CosineFeature(term) => term.config().validate(),
                TermLoss::Rkd(term) => term.config().validate(),
                TermLoss::Attention(_) | TermLoss::Hint(_) | TermLoss::SimilarityPreserving(_) => Ok(()),
            };
            checked.map_err(|source| Error::Term {
                term: format!("terms[{index}] ({})", term.loss.name()),
                source: Box::new(source.into()),
            })?;
        }
        Ok(())
    }
}
