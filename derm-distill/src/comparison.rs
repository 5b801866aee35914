use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor};
use derm_core::{BackboneSpec, Targets};
use derm_losses::{
    AttentionTransferLoss, CosineFeatureLoss, DkdLoss, KdLoss, LogitStandardizedKdLoss, RkdLoss,
    SimilarityPreservingLoss,
};

use crate::layer_pairs::POOLED;
use crate::{Error, LayerPair, LayerPairs, NetworkOutput, Projection, Projectors, TermLoss};

/// What a term compares of the two networks, checked and with its layers found.
#[derive(Debug, Clone)]
pub(crate) enum Comparison {
    Kd(KdLoss),
    Dkd(DkdLoss),
    LogitStandardizedKd(LogitStandardizedKdLoss),
    Layers(Layers),
}

/// A loss on the features of pairs of layers: `Σ weight · loss(student, teacher)`.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    loss: LayerLoss,
    pairs: Vec<LayerPair>,
    /// The projector of each pair, by its number among its kind.
    projectors: Vec<Option<usize>>,
}

#[derive(Debug, Clone)]
enum LayerLoss {
    Attention(AttentionTransferLoss),
    Hint,
    CosineFeature(CosineFeatureLoss),
    SimilarityPreserving,
    Rkd(RkdLoss),
}

impl Comparison {
    pub(crate) fn new(
        loss: &TermLoss,
        num_classes: usize,
        networks: [&BackboneSpec; 2],
        projectors: &mut Projectors,
        device: &Device,
    ) -> Result<Self, Error> {
        let pairs = |layers: &LayerPairs| layers.resolve(networks[0], networks[1]);
        let without = |loss, pairs: Vec<LayerPair>| {
            Self::Layers(Layers { loss, projectors: vec![None; pairs.len()], pairs })
        };
        Ok(match loss {
            TermLoss::Kd(config) => Self::Kd(config.init()?),
            TermLoss::Dkd(config) => Self::Dkd(config.init(num_classes)?),
            TermLoss::LogitStandardizedKd(config) => Self::LogitStandardizedKd(config.init()?),
            TermLoss::Attention(term) => {
                let pairs = pairs(&term.layers)?;
                if pairs.iter().any(|pair| pair.student == POOLED || pair.teacher == POOLED) {
                    return Err(Error::PooledAttention);
                }
                let loss = AttentionTransferLoss { mode: term.mode, pool: term.pool };
                without(LayerLoss::Attention(loss), pairs)
            }
            TermLoss::Hint(term) => {
                let pairs = pairs(&term.layers)?;
                let mut found = Vec::with_capacity(pairs.len());
                for pair in &pairs {
                    let [student, teacher] = widths(pair, networks);
                    found.push(Some(projectors.add_hint(student, teacher, term.reduction, device)?));
                }
                Self::Layers(Layers { loss: LayerLoss::Hint, pairs, projectors: found })
            }
            TermLoss::CosineFeature(term) => {
                let pairs = pairs(&term.layers)?;
                let mut found = Vec::with_capacity(pairs.len());
                for pair in &pairs {
                    let [student, teacher] = widths(pair, networks);
                    let projects = match term.projector {
                        Projection::Auto => student != teacher,
                        Projection::Always => true,
                        Projection::Never if student == teacher => false,
                        Projection::Never => {
                            return Err(Error::Widths {
                                student: pair.student.clone(),
                                student_width: student,
                                teacher: pair.teacher.clone(),
                                teacher_width: teacher,
                            });
                        }
                    };
                    found.push(projects.then(|| projectors.add_convolution(student, teacher, device)));
                }
                let loss = LayerLoss::CosineFeature(term.config().init()?);
                Self::Layers(Layers { loss, pairs, projectors: found })
            }
            TermLoss::SimilarityPreserving(term) => {
                without(LayerLoss::SimilarityPreserving, pairs(&term.layers)?)
            }
            TermLoss::Rkd(term) => without(LayerLoss::Rkd(term.config().init()?), pairs(&term.layers)?),
        })
    }

    /// The layers compared; none for a loss on logits.
    pub(crate) fn pairs(&self) -> &[LayerPair] {
        match self {
            Self::Kd(_) | Self::Dkd(_) | Self::LogitStandardizedKd(_) => &[],
            Self::Layers(layers) => &layers.pairs,
        }
    }

    /// The value of a batch `[1]`.
    pub(crate) fn forward(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
        projectors: &Projectors,
    ) -> Tensor<1> {
        let per_sample = self.per_sample(student, teacher, targets, projectors);
        per_sample.map_or_else(|| self.within_batch(student, teacher), Tensor::mean)
    }

    /// The value of each sample `[B]`, whose mean is the batch's; none where samples are compared with each other.
    pub(crate) fn per_sample(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        targets: &Targets,
        projectors: &Projectors,
    ) -> Option<Tensor<1>> {
        let logits = || (student.logits.clone(), teacher.logits.clone());
        Some(match self {
            Self::Kd(loss) => {
                let (student, teacher) = logits();
                loss.per_sample(student, teacher)
            }
            Self::Dkd(loss) => {
                let hard = if let Targets::Hard(classes) = targets { Some(classes) } else { None };
                assert!(hard.is_some(), "decoupled distillation takes hard targets, not distributions");
                let (student, teacher) = logits();
                loss.per_sample(student, teacher, hard?)
            }
            Self::LogitStandardizedKd(loss) => {
                let (student, teacher) = logits();
                loss.per_sample(student, teacher)
            }
            Self::Layers(layers) => return layers.per_sample(student, teacher, projectors),
        })
    }

    fn within_batch(&self, student: &NetworkOutput, teacher: &NetworkOutput) -> Tensor<1> {
        match self {
            Self::Layers(layers) => layers.within_batch(student, teacher),
            Self::Kd(_) | Self::Dkd(_) | Self::LogitStandardizedKd(_) => {
                unreachable!("a loss on logits has a value for each sample")
            }
        }
    }
}

impl Layers {
    /// The weight, the student's and the teacher's features [B, C, H, W] and the projector of each pair that weighs.
    fn compared(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
    ) -> impl Iterator<Item = (f64, Tensor<4>, Tensor<4>, Option<usize>)> {
        let pairs = self.pairs.iter().zip(&self.projectors).filter(|(pair, _)| pair.weight > 0.0);
        pairs.map(|(pair, projector)| {
            let (student, teacher) = (features(student, &pair.student), features(teacher, &pair.teacher));
            (pair.weight, student, teacher, *projector)
        })
    }

    fn per_sample(
        &self,
        student: &NetworkOutput,
        teacher: &NetworkOutput,
        projectors: &Projectors,
    ) -> Option<Tensor<1>> {
        if matches!(self.loss, LayerLoss::SimilarityPreserving | LayerLoss::Rkd(_)) {
            return None;
        }
        let losses = self.compared(student, teacher).map(|(weight, student, teacher, projector)| {
            let loss = match &self.loss {
                LayerLoss::Attention(loss) => loss.per_sample(student, teacher),
                LayerLoss::Hint => {
                    let hint = projector.and_then(|number| projectors.hints.get(number));
                    let value = hint.map(|hint| hint.per_sample(student, teacher));
                    value.unwrap_or_else(|| unreachable!("every pair of a hint has its projector"))
                }
                LayerLoss::CosineFeature(loss) => {
                    let (student, teacher) = at_common_size(student, teacher.without_autodiff());
                    let student = match projector.and_then(|number| projectors.convolutions.get(number)) {
                        Some(convolution) => {
                            convolution.forward(student.cast(convolution.weight.val().dtype()))
                        }
                        None => student,
                    };
                    loss.per_sample(student, teacher)
                }
                LayerLoss::SimilarityPreserving | LayerLoss::Rkd(_) => unreachable!("handled above"),
            };
            loss * weight
        });
        losses.reduce(|sum, loss| sum + loss)
    }

    fn within_batch(&self, student: &NetworkOutput, teacher: &NetworkOutput) -> Tensor<1> {
        let losses = self.compared(student, teacher).map(|(weight, student, teacher, _)| {
            let loss = match &self.loss {
                LayerLoss::SimilarityPreserving => SimilarityPreservingLoss.forward(student, teacher),
                LayerLoss::Rkd(loss) => loss.forward(student, teacher),
                LayerLoss::Attention(_) | LayerLoss::Hint | LayerLoss::CosineFeature(_) => {
                    unreachable!("these have a value for each sample")
                }
            };
            loss * weight
        });
        let sum = losses.reduce(|sum, loss| sum + loss);
        sum.unwrap_or_else(|| unreachable!("at least one pair of layers weighs something"))
    }
}

/// The widths of a pair: the student's, the teacher's.
fn widths(pair: &LayerPair, [student, teacher]: [&BackboneSpec; 2]) -> [usize; 2] {
    // `LayerPairs::resolve` has found every stage.
    let width =
        |spec: &BackboneSpec, name: &str| spec.stage(name).map_or(spec.embedding, |stage| stage.channels);
    [width(student, &pair.student), width(teacher, &pair.teacher)]
}

/// The features of a layer [B, C, H, W]; pooled ones [B, D] are a map of one pixel.
fn features(output: &NetworkOutput, name: &str) -> Tensor<4> {
    let found = output.features.as_ref().and_then(|features| {
        if name == POOLED {
            let [batch, width] = features.pooled.dims();
            Some(features.pooled.clone().reshape([batch, width, 1, 1]))
        } else {
            features.map(name).cloned()
        }
    });
    assert!(found.is_some(), "the features of `{name}` were not tapped");
    found.unwrap_or_else(|| unreachable!("they were just found"))
}

/// Both maps at the smaller height and the smaller width of the two, by adaptive average pooling.
fn at_common_size(student: Tensor<4>, teacher: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let ([_, _, height, width], [_, _, other_height, other_width]) = (student.dims(), teacher.dims());
    let size = [height.min(other_height), width.min(other_width)];
    let pooled = |map: Tensor<4>| {
        let [_, _, height, width] = map.dims();
        if [height, width] == size { map } else { adaptive_avg_pool2d(map, size) }
    };
    (pooled(student), pooled(teacher))
}
