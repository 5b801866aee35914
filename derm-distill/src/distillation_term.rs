use std::fmt;

use derm_losses::{
    AttentionMode, AttentionPool, CosineFeatureLossConfig, DkdLossConfig, HintReduction, KdLossConfig,
    LogitStandardizedKdLossConfig, RkdLossConfig,
};
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{LayerPairs, WeightSchedule};

/// A term of the distillation loss: `{loss: kd, weight: 0.9}`, or with settings
/// `{loss: {kd: {temperature: 2}}, weight: 0.9, schedule: {cosine: {from: 1, to: 0}}}`.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `loss` | required | what is compared, and how | |
/// | `weight` | required | weighs the term | finite, ≥ 0 |
/// | `schedule` | `constant` | factor on the weight over training | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationTerm {
    /// What is compared, and how.
    pub loss: TermLoss,
    /// The term's weight.
    pub weight: f64,
    /// Factor on the weight over training.
    #[serde(default)]
    pub schedule: WeightSchedule,
}

impl DistillationTerm {
    /// A term whose weight stays as it is.
    pub fn new(loss: TermLoss, weight: f64) -> Self {
        Self { loss, weight, schedule: WeightSchedule::Constant }
    }
}

/// What a term compares: in a file its name, with its settings where they are not the defaults.
///
/// | name | compares | settings |
/// |---|---|---|
/// | `kd` | logits | those of [`KdLossConfig`] |
/// | `dkd` | logits, by hard targets of three classes or more | those of [`DkdLossConfig`] |
/// | `logit_standardized_kd` | logits | those of [`LogitStandardizedKdLossConfig`] |
/// | `attention` | feature maps, any widths | [`AttentionTerm`] |
/// | `hint` | features, the student's projected | [`HintTerm`] |
/// | `cosine_feature` | features, the student's projected where widths differ | [`CosineFeatureTerm`] |
/// | `similarity_preserving` | how the samples of a batch are alike, any widths | [`SimilarityPreservingTerm`] |
/// | `rkd` | distances and angles between the samples of a batch, any widths | [`RkdTerm`] |
///
/// ```
/// use derm_distill::{DistillationTerm, RkdTerm, TermLoss};
///
/// let read = |text| serde_json::from_str::<DistillationTerm>(text);
/// let term = read(r#"{"loss": "rkd", "weight": 0.1}"#)?;
/// assert_eq!(term, DistillationTerm::new(TermLoss::Rkd(RkdTerm::default()), 0.1));
/// let term = read(r#"{"loss": {"kd": {"temperature": 3.19}}, "weight": 112.4}"#)?;
/// assert!(matches!(term.loss, TermLoss::Kd(kd) if kd.temperature == 3.19));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TermLoss {
    /// T² KL(teacher ‖ student).
    Kd(KdLossConfig),
    /// Decoupled distillation.
    Dkd(DkdLossConfig),
    /// KD of standardised logits.
    LogitStandardizedKd(LogitStandardizedKdLossConfig),
    /// Attention transfer.
    Attention(AttentionTerm),
    /// The teacher's features, guessed from the student's.
    Hint(HintTerm),
    /// The angle between features.
    CosineFeature(CosineFeatureTerm),
    /// Similarities within the batch.
    SimilarityPreserving(SimilarityPreservingTerm),
    /// Distances and angles within the batch.
    Rkd(RkdTerm),
}

impl TermLoss {
    /// Every name.
    const NAMES: [&'static str; 8] = [
        "kd",
        "dkd",
        "logit_standardized_kd",
        "attention",
        "hint",
        "cosine_feature",
        "similarity_preserving",
        "rkd",
    ];

    /// The name in a file.
    pub fn name(&self) -> &'static str {
        let [kd, dkd, standardized, attention, hint, cosine, similarity, rkd] = Self::NAMES;
        match self {
            Self::Kd(_) => kd,
            Self::Dkd(_) => dkd,
            Self::LogitStandardizedKd(_) => standardized,
            Self::Attention(_) => attention,
            Self::Hint(_) => hint,
            Self::CosineFeature(_) => cosine,
            Self::SimilarityPreserving(_) => similarity,
            Self::Rkd(_) => rkd,
        }
    }

    /// The loss of that name with its default settings.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "kd" => Self::Kd(KdLossConfig::default()),
            "dkd" => Self::Dkd(DkdLossConfig::default()),
            "logit_standardized_kd" => Self::LogitStandardizedKd(LogitStandardizedKdLossConfig::default()),
            "attention" => Self::Attention(AttentionTerm::default()),
            "hint" => Self::Hint(HintTerm::default()),
            "cosine_feature" => Self::CosineFeature(CosineFeatureTerm::default()),
            "similarity_preserving" => Self::SimilarityPreserving(SimilarityPreservingTerm::default()),
            "rkd" => Self::Rkd(RkdTerm::default()),
            _ => return None,
        })
    }

    /// The layers compared; none for a loss on logits.
    pub fn layers(&self) -> Option<&LayerPairs> {
        match self {
            Self::Kd(_) | Self::Dkd(_) | Self::LogitStandardizedKd(_) => None,
            Self::Attention(term) => Some(&term.layers),
            Self::Hint(term) => Some(&term.layers),
            Self::CosineFeature(term) => Some(&term.layers),
            Self::SimilarityPreserving(term) => Some(&term.layers),
            Self::Rkd(term) => Some(&term.layers),
        }
    }
}

impl<'de> Deserialize<'de> for TermLoss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameWithSettings)
    }
}

/// Reads a name alone, or one name with its settings.
struct NameWithSettings;

impl<'de> Visitor<'de> for NameWithSettings {
    type Value = TermLoss;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a loss, or one name with its settings")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<TermLoss, E> {
        TermLoss::named(name).ok_or_else(|| E::unknown_variant(name, &TermLoss::NAMES))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TermLoss, A::Error> {
        let one_name = || de::Error::custom("expected one name with its settings");
        let name: String = map.next_key()?.ok_or_else(one_name)?;
        let loss = match self.visit_str::<A::Error>(&name)? {
            TermLoss::Kd(_) => TermLoss::Kd(map.next_value()?),
            TermLoss::Dkd(_) => TermLoss::Dkd(map.next_value()?),
            TermLoss::LogitStandardizedKd(_) => TermLoss::LogitStandardizedKd(map.next_value()?),
            TermLoss::Attention(_) => TermLoss::Attention(map.next_value()?),
            TermLoss::Hint(_) => TermLoss::Hint(map.next_value()?),
            TermLoss::CosineFeature(_) => TermLoss::CosineFeature(map.next_value()?),
            TermLoss::SimilarityPreserving(_) => TermLoss::SimilarityPreserving(map.next_value()?),
            TermLoss::Rkd(_) => TermLoss::Rkd(map.next_value()?),
        };
        if map.next_key::<IgnoredAny>()?.is_some() { Err(one_name()) } else { Ok(loss) }
    }
}

/// Attention transfer: [`AttentionTransferLoss`](derm_losses::AttentionTransferLoss).
///
/// | field | default | purpose |
/// |---|---|---|
/// | `mode` | `mean_squared` | distance of two attention maps; its size, and so the weight, depends on it |
/// | `pool` | `features` | what is averaged where sizes differ |
/// | `layers` | `auto` | the layers compared; `pooled` has no map |
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionTerm {
    /// Distance of two attention maps.
    pub mode: AttentionMode,
    /// What is averaged where the maps differ in size.
    pub pool: AttentionPool,
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
}

/// The hint: [`HintLoss`](derm_losses::HintLoss), a projector for each pair of layers.
///
/// | field | default | purpose |
/// |---|---|---|
/// | `layers` | `auto` | the layers compared |
/// | `reduction` | `mean` | how the squares are averaged |
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HintTerm {
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
    /// How the squares are averaged.
    pub reduction: HintReduction,
}

/// When the student's features go through a projector, a learned 1×1 convolution to the teacher's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Where the widths differ.
    #[default]
    Auto,
    /// In every pair.
    Always,
    /// In none: pairs of different widths are refused.
    Never,
}

/// The angle between features: [`CosineFeatureLoss`](derm_losses::CosineFeatureLoss) at the smaller height and width
/// of the two, where maps are compared.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `layers` | `pooled` | the layers compared | |
/// | `projector` | `auto` | when the student's features are projected | |
/// | `norm_epsilon` | 1e-8 | the least that a vector's length counts as | finite, > 0 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineFeatureTerm {
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
    /// When the student's features are projected.
    pub projector: Projection,
    /// The least that a vector's length counts as.
    pub norm_epsilon: f64,
}

impl CosineFeatureTerm {
    pub(crate) fn config(&self) -> CosineFeatureLossConfig {
        CosineFeatureLossConfig { norm_epsilon: self.norm_epsilon }
    }
}

impl Default for CosineFeatureTerm {
    fn default() -> Self {
        let CosineFeatureLossConfig { norm_epsilon } = CosineFeatureLossConfig::default();
        Self { layers: LayerPairs::Pooled, projector: Projection::Auto, norm_epsilon }
    }
}

/// Similarities within the batch: [`SimilarityPreservingLoss`](derm_losses::SimilarityPreservingLoss).
///
/// | field | default | purpose |
/// |---|---|---|
/// | `layers` | `pooled` | the layers compared; the paper takes the last map, flattened: name it by `pairs` |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimilarityPreservingTerm {
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
}

impl Default for SimilarityPreservingTerm {
    fn default() -> Self {
        Self { layers: LayerPairs::Pooled }
    }
}

/// Relational distillation: [`RkdLoss`](derm_losses::RkdLoss). Its memory grows with the batch's cube.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `layers` | `pooled` | the layers compared | |
/// | `distance_weight` | 25 | weighs the distances | finite, ≥ 0 |
/// | `angle_weight` | 50 | weighs the angles | finite, ≥ 0, not 0 with the other |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RkdTerm {
    /// The layers compared, and what each weighs.
    pub layers: LayerPairs,
    /// Weight of the distances.
    pub distance_weight: f64,
    /// Weight of the angles.
    pub angle_weight: f64,
}

impl RkdTerm {
    pub(crate) fn config(&self) -> RkdLossConfig {
        RkdLossConfig { distance_weight: self.distance_weight, angle_weight: self.angle_weight }
    }
}

impl Default for RkdTerm {
    fn default() -> Self {
        let RkdLossConfig { distance_weight, angle_weight } = RkdLossConfig::default();
        Self { layers: LayerPairs::Pooled, distance_weight, angle_weight }
    }
}
