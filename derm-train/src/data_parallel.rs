//! The micro-batches of an optimizer step shared among several devices.

use std::collections::HashSet;
use std::fmt;
use std::panic::resume_unwind;
use std::thread;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::distributed::{CollectiveTensor, ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, Targets};
use derm_data::Batch;
use derm_distill::Projectors;

use crate::accumulation::{Passes, StepGradients, added, gradients_of};
use crate::learner::Learner;
use crate::{Error, LossTerm, LossTerms, Objective, OptimizerStep, Recipe};

/// How the gradients of several devices become their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Burn's collective operation, which the backend brings: NCCL on CUDA. Backends without one panic in it.
    AllReduce,
    /// Every device's gradients go to the first one and are added there in the devices' order. It works between any
    /// devices, the same one several times too, and gives the same bytes every time.
    FirstDevice,
}

/// Where a run computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Devices {
    /// The device of everything, and of the first micro-batch of each step.
    pub first: Device,
    /// Devices of the same backend that take other micro-batches.
    pub others: Vec<Device>,
    /// How gradients are added up.
    pub reduction: Reduction,
}

impl From<&Device> for Devices {
    fn from(device: &Device) -> Self {
        Self { first: device.clone(), others: Vec::new(), reduction: Reduction::FirstDevice }
    }
}

impl Devices {
    pub(crate) fn without_autodiff(&self) -> Self {
        let others = self.others.iter().map(|device| device.clone().without_autodiff()).collect();
        Self { first: self.first.clone().without_autodiff(), others, ..*self }
    }

    /// Whether there is a micro-batch for each device.
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<(), Error> {
        let steps = recipe.training.gradient_accumulation_steps;
        if steps > self.others.len() {
            return Ok(());
        }
        Err(Error::Value {
            key: "training.gradient_accumulation_steps",
            value: steps.to_string(),
            expected: "at least the number of devices, which share a step's micro-batches",
        })
    }
}

/// A further device of a data-parallel training, with an objective whose tensors lie on it.
pub struct Replica<'a, B: Backbone> {
    /// The device, of the same backend as the first one.
    pub device: Device,
    /// What it minimises: the first device's objective, made on this one.
    pub objective: Box<dyn Objective<B> + Send + 'a>,
}

impl<B: Backbone> fmt::Debug for Replica<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The devices beside the trainer's own, and how their gradients meet.
#[derive(Debug)]
pub struct DataParallel<'a, B: Backbone> {
    /// The further devices.
    pub replicas: Vec<Replica<'a, B>>,
    /// How gradients are added up.
    pub reduction: Reduction,
}

impl OptimizerStep {
    /// The step as a device knows it that has a copy of the network.
    fn to_device(&self, device: &Device, projectors: Projectors) -> Self {
        let moved = |targets: &Vec<Targets>| targets.iter().map(|targets| targets.on(device)).collect();
        Self {
            progress: self.progress,
            targets: moved(&self.targets),
            tasks: self.tasks.iter().map(|(name, targets)| (name.clone(), moved(targets))).collect(),
            projectors,
        }
    }
}

/// What [`gradients_of`] gives for all `batches`, of which device `d` of `D` takes those of number `d`, `d + D`, ….
///
/// Each step begins with the first device's weights and running statistics on all of them, as torch's
/// `DistributedDataParallel` begins with rank 0's buffers; what the others' statistics become is dropped.
pub(crate) fn gradients_on_all<B: Backbone>(
    learner: &Learner<B>,
    objective: &(impl Objective<B> + ?Sized),
    parallel: &mut DataParallel<'_, B>,
    batches: &[(usize, Batch)],
    step: &OptimizerStep,
    passes: &Passes<B>,
) -> StepGradients {
    let devices = parallel.replicas.len() + 1;
    let of = |device: usize| -> Vec<(usize, Batch)> {
        batches.iter().skip(device).step_by(devices).cloned().collect()
    };
    let parts = thread::scope(|scope| {
        let others: Vec<_> = parallel
            .replicas
            .iter_mut()
            .zip(1..)
            .map(|(replica, number)| (replica, of(number)))
            .filter(|(_, batches)| !batches.is_empty())
            .map(|(replica, batches)| {
                let device = replica.device.clone().autodiff();
                let learner = learner.valid().train().fork(&device);
                let step = step.to_device(&device, learner.projectors.clone());
                let moved = |(number, batch): (usize, Batch)| (number, batch.on(&device));
                let batches: Vec<_> = batches.into_iter().map(moved).collect();
                let objective = &mut replica.objective;
                scope.spawn(move || gradients_of(&learner, objective.as_ref(), &batches, &step, passes))
            })
            .collect();
        let mut parts = vec![gradients_of(learner, objective, &of(0), step, passes)];
        for other in others {
            parts.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        parts
    });
    summed(learner, parts, parallel.reduction)
}

fn summed<B: Backbone>(
    learner: &Learner<B>,
    parts: Vec<StepGradients>,
    reduction: Reduction,
) -> StepGradients {
    let (losses, gradients): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let loss = losses.into_iter().flatten().reduce(|sum, loss| {
        let device = sum.total.device();
        let terms = loss.terms.into_iter();
        let terms = terms.map(|term| LossTerm { value: term.value.to_device(&device), ..term }).collect();
        added(sum, LossTerms { total: loss.total.to_device(&device), terms })
    });
    // What no device has a gradient of gets none, and is not decayed either.
    let mut known =
        Known { gradients: &gradients, ids: HashSet::new(), devices: vec![None; gradients.len()] };
    learner.visit(&mut known);
    let Known { ids, devices, .. } = known;
    // One tensor of all gradients: one collective operation a step.
    let flats = gradients.iter().zip(devices).filter_map(|(gradients, device)| {
        let mut flatten = Flatten { gradients, ids: &ids, device: device?, pieces: Vec::new() };
        learner.visit(&mut flatten);
        Some(Tensor::cat(flatten.pieces, 0))
    });
    let Some(total) = reduced(flats.collect(), reduction) else {
        return (loss, GradientsParams::new());
    };
    let mut unflatten = Unflatten { total, ids: &ids, start: 0, gradients: GradientsParams::new() };
    learner.visit(&mut unflatten);
    (loss, unflatten.gradients)
}

fn reduced(flats: Vec<Tensor<1>>, reduction: Reduction) -> Option<Tensor<1>> {
    match reduction {
        Reduction::FirstDevice => flats.into_iter().reduce(|sum, flat| {
            let device = sum.device();
            sum + flat.to_device(&device)
        }),
        Reduction::AllReduce if flats.len() < 2 => flats.into_iter().next(),
        Reduction::AllReduce => {
            let devices: Vec<Device> = flats.iter().map(Tensor::device).collect();
            // All of them are launched before any is waited for.
            let launched: Vec<_> = flats
                .into_iter()
                .map(|flat| all_reduce(flat, ReduceOperation::Sum, devices.clone()))
                .collect();
            let mut resolved = launched.into_iter().map(CollectiveTensor::resolve);
            let first = resolved.next();
            resolved.for_each(drop);
            first
        }
    }
}

/// The parameters of which any device has a gradient, and where each device's lie.
struct Known<'a> {
    gradients: &'a [GradientsParams],
    ids: HashSet<ParamId>,
    devices: Vec<Option<Device>>,
}

impl ModuleVisitor for Known<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for (gradients, device) in self.gradients.iter().zip(&mut self.devices) {
            if let Some(gradient) = gradients.get::<D>(param.id) {
                self.ids.insert(param.id);
                device.get_or_insert_with(|| gradient.device());
            }
        }
    }
}

/// One device's gradients of these parameters, zeros for one that it has none of.
struct Flatten<'a> {
    gradients: &'a GradientsParams,
    ids: &'a HashSet<ParamId>,
    device: Device,
    pieces: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.ids.contains(&param.id) {
            let values = param.lazy_shape().num_elements();
            self.pieces.push(match self.gradients.get::<D>(param.id) {
                Some(gradient) => gradient.reshape([values]),
                None => Tensor::zeros([values], &self.device),
            });
        }
    }
}

/// The way back.
struct Unflatten<'a> {
    total: Tensor<1>,
    ids: &'a HashSet<ParamId>,
    start: usize,
    gradients: GradientsParams,
}

impl ModuleVisitor for Unflatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.ids.contains(&param.id) {
            let shape = param.lazy_shape();
            let values = shape.num_elements();
            let gradient = self.total.clone().narrow(0, self.start, values).reshape(shape);
            self.start += values;
            self.gradients.register::<D>(param.id, gradient);
        }
    }
}
