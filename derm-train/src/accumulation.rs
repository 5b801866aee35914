//! One optimizer step made of several micro-batches.

use burn::optim::{GradientsAccumulator, GradientsParams};
use derm_backbones::{ClassifierInput, ClassifierOutput, HalfPrecision, Recompute};
use derm_core::Backbone;
use derm_data::Batch;

use crate::data_parallel::{DataParallel, gradients_on_all};
use crate::learner::Learner;
use crate::precision::{gradients_in_f32, output_in_f32, scale_gradients};
use crate::recomputation::RecomputedBackward;
use crate::texts::input_of;
use crate::{LossTerm, LossTerms, Objective, OptimizerStep};

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

/// The loss and its terms, without a graph, and the gradients.
pub(crate) type StepGradients = (Option<LossTerms>, GradientsParams);

/// The loss and the gradients of an optimizer step over these micro-batches, all in single precision, computed on one
/// device or shared among several.
///
/// Each micro-batch has its own forward and backward pass, so that the activations of one are in memory at a time,
/// and its loss is scaled by its share of the whole step before that: the sum is that of one large batch, also
/// where the loss is divided by class weights. What looks at a batch, as batch norm does, looks at the micro-batch.
pub(crate) fn gradients<B: Backbone>(
    learner: &Learner<B>,
    objective: &(impl Objective<B> + ?Sized),
    parallel: Option<&mut DataParallel<'_, B>>,
    batches: &[Batch],
    progress: f64,
    passes: &Passes<B>,
) -> StepGradients {
    let step = OptimizerStep::new(progress, batches, learner.projectors.clone());
    let numbered: Vec<(usize, Batch)> = batches.iter().cloned().enumerate().collect();
    match parallel {
        Some(parallel) if batches.len() > 1 => {
            gradients_on_all(learner, objective, parallel, &numbered, &step, passes)
        }
        _ => gradients_of(learner, objective, &numbered, &step, passes),
    }
}

/// Those of some of the step's micro-batches, which keep their numbers in it, on one device.
pub(crate) fn gradients_of<B: Backbone>(
    learner: &Learner<B>,
    objective: &(impl Objective<B> + ?Sized),
    batches: &[(usize, Batch)],
    step: &OptimizerStep,
    passes: &Passes<B>,
) -> StepGradients {
    let taps = objective.taps();
    let Passes { half, loss_scale, recompute } = passes;
    // Projectors, as losses, stay in single precision.
    let halved = half.map(|format| Learner {
        model: format.copy_of(&learner.model),
        projectors: learner.projectors.clone(),
    });
    let taught = halved.as_ref().unwrap_or(learner);
    let mut sum: Option<LossTerms> = None;
    let mut accumulated = GradientsAccumulator::new();
    for (number, batch) in batches {
        let ClassifierInput { images, answers, text } = input_of(batch);
        let (images, answers) = match half.map(HalfPrecision::dtype) {
            None => (images, answers),
            Some(format) => (images.cast(format), answers.map(|answers| answers.cast(format))),
        };
        let input = ClassifierInput { images, answers, text };
        let mut value = None;
        let mut loss_of = |output: ClassifierOutput| {
            let output = if half.is_some() { output_in_f32(output) } else { output };
            let LossTerms { total: loss, terms } = objective.loss_with_terms(output, batch, step);
            let plain = |term: LossTerm| LossTerm { value: term.value.without_autodiff(), ..term };
            let terms = terms.into_iter().map(plain).collect();
            value = Some(LossTerms { total: loss.clone().without_autodiff(), terms });
            if *loss_scale == 1.0 { loss } else { loss * *loss_scale }
        };
        let gradients = match recompute {
            None => {
                let loss = loss_of(taught.model.forward_input(input, &taps));
                GradientsParams::from_grads(loss.backward(), taught)
            }
            Some((recompute, backward)) => {
                // Each micro-batch draws its own masks.
                let seed = recompute.seed.wrapping_add(*number as u64);
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
            (Some(sum), Some(value)) => Some(added(sum, value)),
            (sum, value) => sum.or(value),
        };
    }
    let mut gradients = accumulated.grads();
    if *loss_scale != 1.0 {
        scale_gradients(&mut gradients, learner, 1.0 / loss_scale);
    }
    (sum, gradients)
}

/// The sum of two losses, term by term: one may have terms that the other does not.
pub(crate) fn added(sum: LossTerms, value: LossTerms) -> LossTerms {
    let LossTerms { total, mut terms } = sum;
    for term in value.terms {
        match terms.iter_mut().find(|known| known.name == term.name) {
            Some(known) => known.value = known.value.clone() + term.value,
            None => terms.push(term),
        }
    }
    LossTerms { total: total + value.total, terms }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::{Module as _, ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{Device, Tensor, TensorData};
    use derm_backbones::{
        AnyBackbone, BackboneConfig, Classifier, ClassifierConfig, ConvNextV2Config, HeadConfig,
        PointwiseLayers, TaskConfig,
    };
    use derm_core::Targets;
    use derm_data::{BatchTask, Orientation};
    use derm_distill::Projectors;
    use derm_losses::{ClassificationLoss, ClassificationLossConfig, CrossEntropyLossConfig};

    use super::*;
    use crate::optimizer::adamw;
    use crate::{MultiTask, Supervised, TaskLoss, TrainingRecipe};

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
        network_with(HeadConfig::new(3), device)
    }

    fn network_with(head: HeadConfig, device: &Device) -> Classifier<AnyBackbone> {
        let backbone = BackboneConfig::Convnextv2(ConvNextV2Config {
            depths: vec![1, 1],
            widths: vec![4, 6],
            stochastic_depth: 0.0,
            pointwise_layers: PointwiseLayers::Linear,
        });
        let config = ClassifierConfig { backbone, head };
        config.init(device).unwrap().train().map(&mut Fill(0.0))
    }

    /// The same with a head for the task `t`.
    fn with_task(device: &Device) -> Classifier<AnyBackbone> {
        let head = HeadConfig {
            tasks: vec![TaskConfig { name: "t".to_owned(), num_classes: 3 }],
            ..HeadConfig::new(3)
        };
        network_with(head, device)
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
            tasks: Vec::new(),
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

    /// The rows of a batch from `start` on, labelled for the task `t` where `classes` says so.
    fn labelled(batch: Batch, start: usize, soft: bool, device: &Device) -> Batch {
        let classes = [Some(1), None, Some(0), None, Some(2), Some(0), None, Some(1)];
        let rows: Vec<usize> =
            (0..batch.indices.len()).filter(|row| classes[start + row].is_some()).collect();
        let of_rows: Vec<usize> = rows.iter().filter_map(|row| classes[start + row]).collect();
        if rows.is_empty() {
            return batch;
        }
        let targets = Targets::from_indices(&of_rows, 3, device).unwrap();
        // Of the soft ones 0.6 lies on the class and 0.2 on each other.
        let soft_of = |targets: &Targets| Targets::Soft(targets.to_distributions(3) * 0.4 + 0.2);
        let targets = if soft { soft_of(&targets) } else { targets };
        let places: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let rows = Tensor::from_data(TensorData::new(places, [rows.len()]), device);
        Batch { tasks: vec![BatchTask { name: "t".to_owned(), rows, targets }], ..batch }
    }

    /// A loss without a slope: what is learned is the task alone.
    struct Nothing;
    impl<B: Backbone> Objective<B> for Nothing {
        fn loss(&self, output: ClassifierOutput, _: &Batch, _: &OptimizerStep) -> Tensor<1> {
            output.logits.sum() * 0.0
        }
    }

    fn of_task(text: &str, device: &Device) -> TaskLoss<ClassificationLoss> {
        let config: ClassificationLossConfig = serde_json::from_str(text).unwrap();
        TaskLoss { name: "t".to_owned(), weight: 0.3, criterion: config.init(3, device).unwrap() }
    }

    /// Loss, terms and gradients of a step.
    fn step(
        start: &Classifier<AnyBackbone>,
        objective: &impl Objective<AnyBackbone>,
        batches: &[Batch],
    ) -> (LossTerms, Vec<Vec<f64>>) {
        let passes = Passes { half: None, loss_scale: 1.0, recompute: None };
        let model = Learner::new(start.clone(), Projectors::default());
        let (loss, gradients) = gradients(&model, objective, None, batches, 0.5, &passes);
        let mut of_gradients = Gradients(&gradients, Vec::new());
        model.visit(&mut of_gradients);
        (loss.unwrap(), of_gradients.1)
    }

    #[test]
    fn micro_batches_are_the_large_batch_for_a_task_too() {
        let device = Device::default().autodiff();
        let start = with_task(&device);
        for text in LOSSES {
            let diagnosis =
                Supervised { criterion: CrossEntropyLossConfig::default().init(3, &device).unwrap() };
            let objective = MultiTask { diagnosis, tasks: vec![of_task(text, &device)] };
            for soft in [false, true] {
                let (parts, whole) = batches(soft, &device);
                // The second part has one row, which is not labelled.
                let parts = parts.into_iter().zip([0, 3, 4]);
                let parts: Vec<Batch> = parts.map(|(part, at)| labelled(part, at, soft, &device)).collect();
                assert!(parts[1].tasks.is_empty());
                let whole = labelled(whole, 0, soft, &device);
                let (loss, gradients) = step(&start, &objective, &parts);
                let (whole_loss, whole_gradients) = step(&start, &objective, &[whole]);
                let names: Vec<&str> = loss.terms.iter().map(|term| term.name.as_str()).collect();
                assert_eq!(names, ["diagnosis", "task.t"]);
                let mut sum = 0.0;
                for (term, whole) in loss.terms.iter().zip(&whole_loss.terms) {
                    let (got, expected) = (values(term.value.clone()), values(whole.value.clone()));
                    assert_near(&got, &expected, largest(&expected), text);
                    sum += term.weight * got[0];
                }
                let total = values(loss.total);
                assert_near(&[sum], &total, largest(&total), text);
                assert_near(&total, &values(whole_loss.total), largest(&total), text);
                assert!(gradients.len() > 20 && gradients.len() == whole_gradients.len());
                for (got, expected) in gradients.iter().zip(&whole_gradients) {
                    assert_near(got, expected, largest(expected), text);
                }
            }
        }
    }

    #[test]
    fn unlabelled_rows_have_no_part_in_a_task() {
        let device = Device::default().autodiff();
        let start = with_task(&device);
        let (_, whole) = batches(false, &device);
        let whole = labelled(whole, 0, false, &device);
        let rows = whole.tasks[0].rows.clone();
        for text in LOSSES {
            let objective = MultiTask { diagnosis: Nothing, tasks: vec![of_task(text, &device)] };
            let (loss, gradients) = step(&start, &objective, std::slice::from_ref(&whole));
            // The labelled rows alone.
            let targets = whole.tasks[0].targets.clone();
            let count = targets.num_samples();
            let all = Tensor::arange(0..count as i64, &device);
            let alone = Batch {
                images: whole.images.clone().select(0, rows.clone()),
                targets: targets.clone(),
                tasks: vec![BatchTask { name: "t".to_owned(), rows: all, targets }],
                indices: (0..count).collect(),
                orientations: vec![Orientation::UPRIGHT; count],
                ..whole.clone()
            };
            let (expected_loss, expected) = step(&start, &objective, &[alone]);
            assert_near(&values(loss.total), &values(expected_loss.total), 1.0, text);
            assert!(gradients.iter().flatten().any(|value| value.abs() > 1e-3));
            assert_eq!(gradients.len(), expected.len());
            for (got, expected) in gradients.iter().zip(&expected) {
                assert_near(got, expected, largest(expected), text);
            }
        }
        // None at all: no loss, and nothing for the task's head to learn.
        let objective = MultiTask { diagnosis: Nothing, tasks: vec![of_task(LOSSES[0], &device)] };
        let unlabelled = Batch { tasks: Vec::new(), ..whole };
        let (loss, gradients) = step(&start, &objective, &[unlabelled]);
        assert_eq!(values(loss.total), [0.0]);
        assert!(gradients.iter().flatten().all(|value| *value == 0.0));
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
                    let (loss, gradients) = gradients(&model, &objective, None, batches, 0.5, &passes);
                    let mut of_gradients = Gradients(&gradients, Vec::new());
                    model.visit(&mut of_gradients);
                    let of_gradients = of_gradients.1;
                    let mut weights = Weights(Vec::new());
                    adamw(&recipe, &model).step(RATE, model, gradients).visit(&mut weights);
                    (values(loss.unwrap().total), of_gradients, weights.0)
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
