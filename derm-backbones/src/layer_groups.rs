use burn::module::{Flag, Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::Tensor;

use crate::Error;
use crate::module_path::ModulePath;

/// Consecutive parameters of a network that are frozen, or given a learning rate, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerGroup {
    /// Its name, such as `stem`, `layer1.0` or `blocks.11`.
    pub name: String,
    /// Beginnings of the module paths that belong to it, whole segments.
    pub prefixes: Vec<String>,
}

impl LayerGroup {
    /// A group of these path prefixes.
    pub fn new<S: Into<String>>(name: impl Into<String>, prefixes: impl IntoIterator<Item = S>) -> Self {
        Self { name: name.into(), prefixes: prefixes.into_iter().map(Into::into).collect() }
    }

    /// The group of a module that stands as `field` in another one; its name gets `prefix` and a dot.
    pub(crate) fn below(self, field: &str, prefix: Option<&str>) -> Self {
        Self {
            name: prefix.map_or(self.name.clone(), |prefix| format!("{prefix}.{}", self.name)),
            prefixes: self.prefixes.into_iter().map(|path| format!("{field}.{path}")).collect(),
        }
    }

    fn holds(&self, path: &str) -> bool {
        self.prefixes.iter().any(|prefix| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// A network whose parameters lie in an order from the image to the head.
///
/// Stages are frozen and learning rates decay along this order; see [`layer_rates`] and [`freeze_layers`].
pub trait LayerGroups: Module {
    /// The groups from the image to the head. Together they hold every parameter once.
    fn layer_groups(&self) -> Vec<LayerGroup>;

    /// How far each group lies below the last one. In a chain, as here, one step a group; two encoders beside each
    /// other both begin one step below the head.
    fn distances(&self) -> Vec<usize> {
        (0..self.layer_groups().len()).rev().collect()
    }
}

/// The parameters of one group and the factor of their learning rate.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRate {
    /// The group's name.
    pub name: String,
    /// Factor of the learning rate, in (0, 1].
    pub factor: f64,
    /// Its parameters.
    pub parameters: Vec<ParamId>,
}

/// Learning-rate factors that fall towards the image: `decay` to the power of the group's distance from the last
/// one, which has 1.
///
/// # Errors
/// [`Error::OutOfRange`] for a decay outside (0, 1], [`Error::Ungrouped`] where a parameter lies in no group or
/// in several.
///
/// # Source
/// Layer-wise rate decay as in `BEiT` and timm's `layer_decay`.
pub fn layer_rates<M: LayerGroups>(module: &M, decay: f64) -> Result<Vec<LayerRate>, Error> {
    crate::error::check_range("layer_decay", decay, "a number in (0, 1]", |v| v > 0.0 && v <= 1.0)?;
    let groups = grouped(module)?.into_iter().zip(module.distances());
    let rates = groups.map(|((name, parameters), distance)| LayerRate {
        name,
        factor: decay.powi(distance as i32),
        parameters,
    });
    Ok(rates.collect())
}

/// The module with the named groups frozen: their parameters take no gradient, their dropout and stochastic depth
/// stand still and their batch norms use, and keep, the running statistics.
///
/// # Errors
/// [`Error::NoGroup`] for an unknown name.
pub fn freeze_layers<M: LayerGroups>(module: M, names: &[&str]) -> Result<M, Error> {
    let group = paths_of(&module, names)?;
    Ok(module.freeze_group(group))
}

/// The module with the named groups training again.
///
/// # Errors
/// [`Error::NoGroup`] for an unknown name.
pub fn unfreeze_layers<M: LayerGroups>(module: M, names: &[&str]) -> Result<M, Error> {
    let group = paths_of(&module, names)?;
    Ok(module.unfreeze_group(group))
}

/// The group of everything in the named groups, flags of dropout and norms included.
fn paths_of<M: LayerGroups>(module: &M, names: &[&str]) -> Result<ParamGroup, Error> {
    let groups = module.layer_groups();
    let mut wanted = Vec::with_capacity(names.len());
    for name in names {
        let group = groups.iter().find(|group| group.name == *name);
        wanted.push(group.ok_or_else(|| Error::NoGroup {
            name: (*name).to_owned(),
            known: groups.iter().map(|group| group.name.clone()).collect(),
        })?);
    }
    let ids = ids_by_path(module, true);
    let inside = ids.into_iter().filter(|(path, _)| wanted.iter().any(|group| group.holds(path)));
    Ok(ParamGroup::from_ids(inside.map(|(_, id)| id).collect()))
}

/// Every group with its float parameters, running statistics included; each parameter is in exactly one.
fn grouped<M: LayerGroups>(module: &M) -> Result<Vec<(String, Vec<ParamId>)>, Error> {
    let groups = module.layer_groups();
    let mut found: Vec<(String, Vec<ParamId>)> =
        groups.iter().map(|group| (group.name.clone(), Vec::new())).collect();
    for (path, id) in ids_by_path(module, false) {
        let holding: Vec<usize> = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.holds(&path))
            .map(|(index, _)| index)
            .collect();
        match holding.as_slice() {
            [index] => found[*index].1.push(id),
            several => {
                let groups = several.iter().map(|index| groups[*index].name.clone()).collect();
                return Err(Error::Ungrouped { path, groups });
            }
        }
    }
    Ok(found)
}

fn ids_by_path<M: Module>(module: &M, flags: bool) -> Vec<(String, ParamId)> {
    let mut collector = Collector { path: ModulePath::default(), flags, ids: Vec::new() };
    module.visit(&mut collector);
    collector.ids
}

struct Collector {
    path: ModulePath,
    flags: bool,
    ids: Vec<(String, ParamId)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.ids.push((self.path.path(), param.id));
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        if self.flags {
            self.ids.push((self.path.path(), flag.id));
        }
    }
}
