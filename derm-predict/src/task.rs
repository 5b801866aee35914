use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use derm_backbones::Classifier;
use derm_calibration::{Calibrate as _, Calibrator};
use derm_core::{Backbone, LabelMap, Logits, View};
use serde::{Deserialize, Serialize};

use crate::bundle::{CONFIG, labels_file, no_labels_file, write_json};
use crate::predictor::read_json;
use crate::{ClassProbability, Error};

/// The further tasks of a bundle and their calibrators, in the order of the network's heads.
pub(crate) const TASKS: &str = "tasks.json";

/// A task beside the diagnosis: a head of the same network.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleTask {
    /// Its name, that of the head.
    pub name: String,
    /// Its classes, in logit order.
    pub labels: LabelMap,
    /// From its logits to probabilities, fitted on the validation rows that are labelled for it.
    pub calibrator: Calibrator,
}

/// What the model says of one image for a further task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskProbabilities {
    /// The task.
    pub task: String,
    /// Every class, most probable first; equal ones in the order of the labels. The probabilities sum to 1.
    pub ranking: Vec<ClassProbability>,
}

/// A task as `tasks.json` has it; its classes stand in `labels/<name>.txt`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFields {
    name: String,
    calibrator: Calibrator,
}

impl BundleTask {
    /// The calibrated probabilities of the scores [1, C] of one image.
    pub(crate) fn probabilities(&self, scores: &Logits) -> Result<TaskProbabilities, Error> {
        let probabilities = self.calibrator.apply(scores)?;
        let names = self.labels.names();
        let ranking = probabilities.ranking(0).into_iter().map(|class| ClassProbability {
            label: names[class].clone(),
            probability: probabilities.view()[[0, class]],
        });
        Ok(TaskProbabilities { task: self.name.clone(), ranking: ranking.collect() })
    }
}

/// Writes the tasks and their labels into a bundle's folder; nothing where there is none.
pub(crate) fn write<B: Backbone>(
    folder: &Path,
    tasks: &[BundleTask],
    model: &Classifier<B>,
) -> Result<(), Error> {
    check_heads(folder, tasks, model)?;
    if tasks.is_empty() {
        return Ok(());
    }
    for BundleTask { name, labels, .. } in tasks {
        let path = folder.join(labels_file(name).ok_or_else(|| no_labels_file(folder.join(TASKS), name))?);
        if path.exists() {
            let reason = format!("the name of the task {name:?} stands twice");
            return Err(Error::Mismatch { path: folder.join(TASKS), reason });
        }
        labels.write(&path).map_err(|source| Error::Labels { path, source })?;
    }
    let fields =
        |task: &BundleTask| TaskFields { name: task.name.clone(), calibrator: task.calibrator.clone() };
    write_json(&folder.join(TASKS), &tasks.iter().map(fields).collect::<Vec<_>>())
}

/// Reads the tasks of a verified bundle, and checks that they are those of the network's heads, calibrated on this split
/// and this view.
pub(crate) fn read<B: Backbone>(
    folder: &Path,
    model: &Classifier<B>,
    split: &str,
    view: &View,
) -> Result<Vec<BundleTask>, Error> {
    let file = folder.join(TASKS);
    let fields: Vec<TaskFields> = if file.is_file() { read_json(&file)? } else { Vec::new() };
    let mut tasks = Vec::with_capacity(fields.len());
    for TaskFields { name, calibrator } in fields {
        let path = labels_file(&name).map(|name| folder.join(name)).filter(|path| path.is_file());
        let path = path.ok_or_else(|| no_labels_file(file.clone(), &name))?;
        let labels = LabelMap::read(&path).map_err(|source| Error::Labels { path: path.clone(), source })?;
        if let Some(fitted_on) = calibrator.fitted_on() {
            let differs = if fitted_on.split_hash != split {
                Some(format!("the split {}: the model's is {split}", fitted_on.split_hash))
            } else if fitted_on.view != *view {
                Some(format!("the view `{}`: expected `{view}`", fitted_on.view))
            } else {
                None
            };
            if let Some(differs) = differs {
                let reason = format!("the calibrator of the task {name:?} was fitted on {differs}");
                return Err(Error::Mismatch { path: file, reason });
            }
        }
        tasks.push(BundleTask { name, labels, calibrator });
    }
    check_heads(folder, &tasks, model)?;
    Ok(tasks)
}

/// Refuses tasks that are not the network's further heads, in their order and with their classes.
fn check_heads<B: Backbone>(folder: &Path, tasks: &[BundleTask], model: &Classifier<B>) -> Result<(), Error> {
    let names: Vec<&String> = tasks.iter().map(|task| &task.name).collect();
    if !names.iter().copied().eq(model.tasks()) {
        let reason = format!("the tasks {names:?}: the network has heads for {:?}", model.tasks());
        return Err(Error::Mismatch { path: folder.join(CONFIG), reason });
    }
    let mut heads = HeadWidths::default();
    model.visit(&mut heads);
    for (task, width) in tasks.iter().zip(heads.widths) {
        let classes = task.labels.num_classes();
        if classes != width {
            let reason = format!("task {:?} has {classes} classes: expected {width}, one a logit", task.name);
            return Err(Error::Mismatch { path: folder.join(TASKS), reason });
        }
    }
    Ok(())
}

/// Logits of each further head: the length of its bias.
#[derive(Default)]
struct HeadWidths {
    path: Vec<String>,
    widths: Vec<usize>,
}

impl ModuleVisitor for HeadWidths {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is = |at: Option<&String>, name: &str| at.is_some_and(|at| at == name);
        if is(self.path.first(), "task_heads") && is(self.path.last(), "bias") {
            self.widths.push(param.lazy_shape().num_elements());
        }
    }
}
