//! One optimizer step made of several micro-batches.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use derm_backbones::{ClassifierInput, ClassifierOutput, HalfPrecision, Recompute};
use derm_core::Backbone;
use derm_data::Batch;

use crate::learner::Learner;
use crate::precision::{gradients_in_f32, output_in_f32, scale_gradients};
use crate::recomputation::RecomputedBackward;
use crate::texts::input_of;
use crate::{Objective, OptimizerStep};

/// How the forward and backward passes of a step are made.
#[derive(Debug)]
pub(crate) struct Passes<B: Backbone> {
    /// The format of mixed precision; none for single precision.
    pub half: Option<HalfPrecision>,
    /// By what the loss is multiplied before the backward pass, and the gradients divided after it.
    pub loss_scale: f64,
    /// Keeps few activations and computes the others again.
    pub recompute: Option<(Recompute, RecomputedBackward<B>)>,
}

/// The loss `[1]`, without a graph, and the gradients of an optimizer step over these micro-batches, both in single
/// precision.
///
/// Each micro-batch has its own forward and backward pass, so that the activations of one are in memory at a time,
/// and its loss is scaled by its share of the whole step before that: the sum is that of one large batch, also
/// where the loss is divided by class weights. What looks at a batch, as batch norm does, looks at the micro-batch.
pub(crate) fn gradients<B: Backbone>(
    learner: &Learner<B>,
    objective: &(impl Objective<B> + ?Sized),
    batches: &[Batch],
    progress: f64,
    passes: &Passes<B>,
) -> (Option<Tensor<1>>, GradientsParams) {
    let targets = batches.iter().map(|batch| batch.targets.clone()).collect();
    let projectors = learner.projectors.clone();
    let (step, taps) = (OptimizerStep { progress, targets, projectors }, objective.taps());
    let Passes { half, loss_scale, recompute } = passes;
    // Projectors, as losses, stay in single precision.
    let halved = half.map(|format| Learner {
        model: format.copy_of(&learner.model),
        projectors: learner.projectors.clone(),
    });
    let taught = halved.as_ref().unwrap_or(learner);
    let mut sum = None;
    let mut accumulated = GradientsAccumulator::new();
    for (number, batch) in batches.iter().enumerate() {
        let ClassifierInput { images, answers, text } = input_of(batch);
        let (images, answers) = match half.map(HalfPrecision::dtype) {
            None => (images, answers),
            Some(format) => (images.cast(format), answers.map(|answers| answers.cast(format))),
        };
        let input = ClassifierInput { images, answers, text };
        let mut value = None;
        let mut loss_of = |output: ClassifierOutput| {
            let output = if half.is_some() { output_in_f32(output) } else { output };
            let loss = objective.loss(output, batch, &step);
            value = Some(loss.clone().without_autodiff());
            if *loss_scale == 1.0 { loss } else { loss * *loss_scale }
        };
        let gradients = match recompute {
            None => {
                let loss = loss_of(taught.model.forward_input(input, &taps));
                GradientsParams::from_grads(loss.backward(), taught)
            }
            Some((recompute, backward)) => {
                // Each micro-batch draws its own masks.
                let seed = recompute.seed.wrapping_add(number as u64);
                let recompute = Recompute { seed, ..*recompute };
                let Learner { model, projectors } = taught;
                let beside = backward(recompute, model, projectors, input, &taps, &mut loss_of);
                accumulated.accumulate(learner, beside.projectors);
                beside.network
            }
        };
        let gradients = if half.is_some() { gradients_in_f32(gradients, taught) } else { gradients };
        accumulated.accumulate(learner, gradients);
        sum = match (sum, value) {
            (Some(sum), Some(value)) => Some(sum + value),
            (sum, value) => sum.or(value),
        };
    }
    let mut gradients = accumulated.grads();
    if *loss_scale != 1.0 {
        scale_gradients(&mut gradients, learner, 1.0 / loss_scale);
    }
    (sum, gradients)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::{Module as _, ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{Device, TensorData};
    use derm_backbones::{
        AnyBackbone, BackboneConfig, Classifier, ClassifierConfig, ConvNextV2Config, HeadConfig,
        PointwiseLayers,
    };
    use derm_core::Targets;
    use derm_data::Orientation;
    use derm_distill::Projectors;
    use derm_losses::ClassificationLossConfig;

    use super::*;
    use crate::optimizer::adamw;
    use crate::{Supervised, TrainingRecipe};

    /// Rounding of f32 sums in another order, as a share of a tensor's largest value.
    const TOLERANCE: f64 = 2e-5;

    const RATE: f64 = 0.01;
    const EPSILON: f64 = 0.01;

    /// Every loss of derm-losses, without class weights and, where it takes some, with them, in every reduction.
    const LOSSES: &[&str] = &[
        r#"{"cross_entropy": {"label_smoothing": 0.1}}"#,
        r#"{"cross_entropy": {"class_weights": [0.2, 1, 3]}}"#,
        r#"{"cross_entropy": {"class_weights": [0.2, 1, 3], "reduction": "batch_mean"}}"#,
        r#"{"cross_entropy": {"class_weights": [0.2, 1, 3], "reduction": "sum"}}"#,
        r#"{"focal": {"gamma": {"linear": {"from": 3, "to": 1}}}}"#,
        r#"{"focal": {"alpha": [0.2, 1, 3], "label_smoothing": 0.1}}"#,
        r#"{"focal": {"alpha": [0.2, 1, 3], "reduction": "weighted_mean"}}"#,
        r#"{"sigmoid_focal": {}}"#,
        r#"{"sigmoid_focal": {"reduction": "batch_mean"}}"#,
        r#"{"sigmoid_focal": {"reduction": "sum"}}"#,
        r#"{"ldam": {"counts": [9, 3, 1], "scale": 2}}"#,
        r#"{"ldam": {"counts": [9, 3, 1], "class_weights": [0.2, 1, 3]}}"#,
        r#"{"logit_adjusted": {"counts": [9, 3, 1]}}"#,
        r#"{"balanced_softmax": {"counts": [9, 3, 1]}}"#,
        r#"{"asymmetric_single_label": {}}"#,
        r#"{"poly1": {}}"#,
        r#"{"generalized_cross_entropy": {}}"#,
        r#"{"symmetric_cross_entropy": {}}"#,
        r#"{"deferred_reweighting": {"from": 0.2, "loss": {"cross_entropy": {"class_weights": [0.2, 1, 3]}}}}"#,
        r#"{"deferred_reweighting": {"from": 0.8, "loss": {"cross_entropy": {"class_weights": [0.2, 1, 3]}}}}"#,
    ];

    /// Layer norms only: a batch norm would see the micro-batches.
    fn network(device: &Device) -> Classifier<AnyBackbone> {
        let backbone = BackboneConfig::Convnextv2(ConvNextV2Config {
            depths: vec![1, 1],
            widths: vec![4, 6],
            stochastic_depth: 0.0,
            pointwise_layers: PointwiseLayers::Linear,
        });
        let config = ClassifierConfig { backbone, head: HeadConfig::new(3) };
        config.init(device).unwrap().train().map(&mut Fill(0.0))
    }

    /// Numbers between −1 and 1 that no generator draws: other tests of this process use it as well.
    fn numbers(count: usize, phase: f64) -> Vec<f64> {
        (0..count).map(|i| (1.7 * i as f64 + phase).sin()).collect()
    }

    /// Weights that are the same whatever else draws.
    struct Fill(f64);

    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let phase = self.0;
            param.map(|weight| {
                let values = numbers(weight.dims().iter().product(), phase);
                let values = Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device());
                (values * 0.5).detach().require_grad()
            })
        }
    }

    /// Micro-batches of 3, 1 and 4 rows, and the same rows as one batch.
    fn batches(soft: bool, device: &Device) -> (Vec<Batch>, Batch) {
        let images = TensorData::new(numbers(8 * 3 * 16 * 16, 0.3), [8, 3, 16, 16]);
        let images = Tensor::<4>::from_data(images, device);
        let classes = [0, 0, 2, 1, 0, 2, 2, 1];
        let shares = Tensor::<2>::from_data(TensorData::new(numbers(24, 0.7), [8, 3]), device) + 1.1;
        let shares = shares.clone() / shares.sum_dim(1);
        let part = |start: usize, end: usize| Batch {
            images: images.clone().narrow(0, start, end - start),
            answers: None,
            tokens: None,
            targets: if soft {
                Targets::Soft(shares.clone().narrow(0, start, end - start))
            } else {
                Targets::from_indices(&classes[start..end], 3, device).unwrap()
            },
            indices: (start..end).collect(),
            orientations: vec![Orientation::UPRIGHT; end - start],
        };
        (vec![part(0, 3), part(3, 4), part(4, 8)], part(0, 8))
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    fn largest(values: &[f64]) -> f64 {
        values.iter().fold(1e-3_f64, |largest, value| largest.max(value.abs()))
    }

    fn assert_near(got: &[f64], expected: &[f64], scale: f64, what: &str) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= TOLERANCE * scale, "{what}: {got} {expected}");
        }
    }

    struct Gradients<'a>(&'a GradientsParams, Vec<Vec<f64>>);
    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).map(values));
        }
    }

    struct Weights(Vec<Vec<f64>>);
    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(values(param.val()));
        }
    }

    #[test]
    fn micro_batches_are_the_large_batch() {
        let device = Device::default().autodiff();
        // ε well above the rounding of the gradients, which AdamW would blow up to a whole step where they are 0.
        let recipe = TrainingRecipe { adam_epsilon: EPSILON, ..TrainingRecipe::default() };
        let start = network(&device);
        for text in LOSSES {
            let config: ClassificationLossConfig = serde_json::from_str(text).unwrap();
            let objective = Supervised { criterion: config.init(3, &device).unwrap() };
            for soft in [false, true] {
                let (parts, whole) = batches(soft, &device);
                let passes = Passes { half: None, loss_scale: 1.0, recompute: None };
                let outcome = |batches: &[Batch]| {
                    let model = Learner::new(start.clone(), Projectors::default());
                    let (loss, gradients) = gradients(&model, &objective, batches, 0.5, &passes);
                    let mut of_gradients = Gradients(&gradients, Vec::new());
                    model.visit(&mut of_gradients);
                    let of_gradients = of_gradients.1;
                    let mut weights = Weights(Vec::new());
                    adamw(&recipe, &model).step(RATE, model, gradients).visit(&mut weights);
                    (values(loss.unwrap()), of_gradients, weights.0)
                };
                let (loss, gradients, weights) = outcome(&parts);
                let (whole_loss, whole_gradients, whole_weights) = outcome(std::slice::from_ref(&whole));
                assert_near(&loss, &whole_loss, largest(&whole_loss), text);
                assert!(gradients.len() > 20 && gradients.len() == whole_gradients.len());
                for (got, expected) in gradients.iter().zip(&whole_gradients) {
                    assert_near(got, expected, largest(expected), text);
                }
                assert_eq!(weights.len(), gradients.len());
                for ((got, expected), gradient) in weights.iter().zip(&whole_weights).zip(&whole_gradients) {
                    // A step moves by at most RATE / EPSILON times what the gradient differs by.
                    let scale = largest(expected) + RATE / EPSILON * largest(gradient);
                    assert_near(got, expected, scale, text);
                }
            }
        }
    }
}
