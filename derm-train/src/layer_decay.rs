use burn::module::ParamGroup;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use derm_backbones::{Classifier, LayerGroups, layer_rates};
use derm_core::Backbone;

use crate::Error;

/// The learning rate of every parameter: the step's, times a factor that falls from the head towards the image.
///
/// The factor of a layer group is `layer_decay` to the power of its distance from the head; the head has 1. Biases and
/// norms follow their group.
///
/// # Source
/// `BEiT` (Bao et al. 2022) and timm's `layer_decay`.
pub(crate) struct LayerDecay {
    groups: Vec<(ParamGroup, f64)>,
}

impl LayerDecay {
    /// # Errors
    /// As [`layer_rates`].
    pub(crate) fn new<B: Backbone + LayerGroups>(decay: f64, model: &Classifier<B>) -> Result<Self, Error> {
        let groups = if decay == 1.0 { Vec::new() } else { layer_rates(model, decay)? };
        let groups = groups.into_iter().map(|rate| (ParamGroup::from_ids(rate.parameters), rate.factor));
        Ok(Self { groups: groups.collect() })
    }

    /// The rates of a step whose rate at the head is `rate`.
    pub(crate) fn rates(&self, rate: f64) -> ModuleLearningRate {
        let scheduler = ModuleLrScheduler::new(rate);
        let with_group = |scheduler: ModuleLrScheduler, (group, factor): &(ParamGroup, f64)| {
            scheduler.with_group(group.clone(), rate * factor)
        };
        self.groups.iter().fold(scheduler, with_group).step()
    }
}
