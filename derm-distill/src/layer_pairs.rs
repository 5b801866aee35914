use derm_core::{BackboneSpec, Taps};
use derm_losses::LayerWeights;
use serde::{Deserialize, Serialize};

use crate::{Error, Network};

/// The name by which a pair takes the pooled features [B, D] in front of the head, as a map of one pixel.
pub(crate) const POOLED: &str = "pooled";

/// A layer of the student and the layer of the teacher that it imitates: stages by their names, or `pooled` for the
/// pooled features in front of the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerPair {
    /// The student's stage, or `pooled`.
    pub student: String,
    /// The teacher's stage, or `pooled`.
    pub teacher: String,
    /// What the pair weighs in the sum over the layers: finite, ≥ 0, not 0 for all; 1 where a file does not say.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// Which layers are compared: `auto`, `pooled`, or `pairs: [{student: layer2, teacher: layer3, weight: 0.5}, …]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerPairs {
    /// Every stride that both networks have, once, with weight 1: the last stage of that stride in each.
    #[default]
    Auto,
    /// The pooled features in front of the head.
    Pooled,
    /// These.
    Pairs(Vec<LayerPair>),
}

impl LayerPairs {
    /// The pairs for these two networks.
    ///
    /// ```
    /// use derm_core::{BackboneSpec, ImageInput, Interpolation, Normalization, StageSpec};
    /// use derm_distill::LayerPairs;
    ///
    /// let input = ImageInput {
    ///     size: 64,
    ///     normalization: Normalization::HALF,
    ///     interpolation: Interpolation::Bilinear,
    ///     crop_pct: 1.0,
    /// };
    /// let spec = |stages: &[(&str, usize)]| {
    ///     let stages = stages.iter().map(|&(name, stride)| StageSpec { name: name.to_owned(), channels: 8, stride });
    ///     BackboneSpec::new("network", 8, stages.collect(), input)
    /// };
    /// let student = spec(&[("a", 2), ("b", 4)]);
    /// let teacher = spec(&[("x", 4), ("y", 4), ("z", 8)]);
    /// let pairs = LayerPairs::Auto.resolve(&student, &teacher)?;
    /// assert_eq!(pairs.len(), 1);
    /// assert_eq!((pairs[0].student.as_str(), pairs[0].teacher.as_str()), ("b", "y"));
    /// # Ok::<(), derm_distill::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoCommonStride`] where `auto` finds none; [`Error::NoLayers`], [`Error::DuplicateLayers`] and
    /// [`Error::Layer`] for a list that is empty, repeats itself or names a layer that is not there;
    /// [`Error::LayerWeights`] for their weights.
    pub fn resolve(&self, student: &BackboneSpec, teacher: &BackboneSpec) -> Result<Vec<LayerPair>, Error> {
        match self {
            Self::Auto => by_stride(student, teacher),
            Self::Pooled => {
                Ok(vec![LayerPair { student: POOLED.to_owned(), teacher: POOLED.to_owned(), weight: 1.0 }])
            }
            Self::Pairs(pairs) => {
                layer_weights(pairs)?;
                for (index, pair) in pairs.iter().enumerate() {
                    let check = |network, spec: &BackboneSpec, name: &String| {
                        let tap = if name == POOLED { Taps::none() } else { Taps::stages([name]) };
                        spec.check(&tap).map_err(|source| Error::Layer { network, source })
                    };
                    check(Network::Student, student, &pair.student)?;
                    check(Network::Teacher, teacher, &pair.teacher)?;
                    let same =
                        |other: &LayerPair| other.student == pair.student && other.teacher == pair.teacher;
                    if pairs[..index].iter().any(same) {
                        return Err(Error::DuplicateLayers {
                            student: pair.student.clone(),
                            teacher: pair.teacher.clone(),
                        });
                    }
                }
                Ok(pairs.clone())
            }
        }
    }
}

/// What each pair weighs.
pub(crate) fn layer_weights(pairs: &[LayerPair]) -> Result<LayerWeights, Error> {
    if pairs.is_empty() {
        return Err(Error::NoLayers);
    }
    let weights = pairs.iter().map(|pair| pair.weight).collect();
    LayerWeights::new(weights).map_err(|source| Error::LayerWeights { source })
}

fn by_stride(student: &BackboneSpec, teacher: &BackboneSpec) -> Result<Vec<LayerPair>, Error> {
    let is_last = |index: usize| {
        let stages = &student.stages;
        stages[index + 1..].iter().all(|later| later.stride != stages[index].stride)
    };
    let pairs: Vec<LayerPair> = student
        .stages
        .iter()
        .enumerate()
        .filter(|(index, _)| is_last(*index))
        .filter_map(|(_, stage)| {
            let other = teacher.stages.iter().rev().find(|other| other.stride == stage.stride)?;
            Some(LayerPair { student: stage.name.clone(), teacher: other.name.clone(), weight: 1.0 })
        })
        .collect();
    if pairs.is_empty() {
        let strides = |spec: &BackboneSpec| spec.stages.iter().map(|stage| stage.stride).collect();
        Err(Error::NoCommonStride { student: strides(student), teacher: strides(teacher) })
    } else {
        Ok(pairs)
    }
}
