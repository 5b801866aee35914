//! What trains in which epoch.

use derm_backbones::{Classifier, LayerGroup, LayerGroups, freeze_layers, unfreeze_layers};
use derm_core::Backbone;

use crate::recipe::{FreezeRecipe, PhaseRecipe};
use crate::{Error, TrainingRecipe};

/// The phase of an epoch, from 0; none past the last one, where everything trains.
pub(crate) fn phase_of(recipe: &TrainingRecipe, epoch: usize) -> Option<&PhaseRecipe> {
    let mut end = 0;
    recipe.phases.iter().find(|phase| {
        end += phase.epochs;
        epoch < end
    })
}

/// The layer groups that stand still in an epoch.
///
/// # Errors
/// [`derm_backbones::Error::NoGroup`] for a name that is no part of the network, [`Error::AllFrozen`] where nothing is
/// left to train.
pub(crate) fn frozen_in<B: Backbone + LayerGroups>(
    recipe: &TrainingRecipe,
    epoch: usize,
    model: &Classifier<B>,
) -> Result<Vec<String>, Error> {
    let groups = model.layer_groups();
    let Some(PhaseRecipe { freeze: FreezeRecipe(names), .. }) = phase_of(recipe, epoch) else {
        return Ok(Vec::new());
    };
    let mut frozen: Vec<String> = Vec::new();
    for name in names {
        let before = frozen.len();
        let fresh = groups.iter().filter(|group| belongs(group, name));
        let fresh: Vec<String> = fresh.map(|group| group.name.clone()).collect();
        if fresh.is_empty() {
            let parts = ["backbone".to_owned()].into_iter();
            let known = parts.chain(groups.iter().map(|group| group.name.clone())).collect();
            return Err(derm_backbones::Error::NoGroup { name: name.clone(), known }.into());
        }
        frozen.extend(fresh.into_iter().filter(|name| !frozen[..before].contains(name)).collect::<Vec<_>>());
    }
    if frozen.len() == groups.len() {
        return Err(Error::AllFrozen { names: names.clone() });
    }
    Ok(frozen)
}

fn belongs(group: &LayerGroup, name: &str) -> bool {
    let below = |path: &String| path == "backbone" || path.starts_with("backbone.");
    if name == "backbone" {
        return group.prefixes.iter().all(below);
    }
    group.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The network with the groups `now` standing still in place of the groups `before`.
///
/// A frozen parameter takes no gradient: the optimizer neither moves nor decays it and leaves its moments as they are.
/// One that is frozen from the start has no moments, and its first step is step 1 of its bias correction.
pub(crate) fn freeze<B: Backbone + LayerGroups>(
    model: Classifier<B>,
    before: &[String],
    now: &[String],
) -> Result<Classifier<B>, Error> {
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let now: Vec<&str> = now.iter().map(String::as_str).collect();
    Ok(freeze_layers(unfreeze_layers(model, &before)?, &now)?)
}
