use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor};
use derm_backbones::Classifier;
use derm_core::{
    Backbone, ClassIndex, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Taps,
    View,
};
use derm_data::{Batch, Dataset, Loader, Record, Split, TestView};
use ndarray::{Array2, Axis};

use crate::Error;
use crate::texts::input_of;

/// What a network says of the rows of a loader, in its order.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// The records.
    pub rows: Vec<usize>,
    /// Logits of the diagnosis, shape [N, C].
    pub logits: Array2<f32>,
    /// Logits of each further task.
    pub tasks: Vec<(String, Array2<f32>)>,
}

/// What `model` says of every batch of a loader.
///
/// `model` must be in inference mode ([`Module::valid`](burn::module::Module::valid)) on `device`, which has no
/// autodiff.
pub(crate) fn outputs<B: Backbone>(
    model: &Classifier<B>,
    loader: &Loader,
    device: &Device,
) -> Result<Outputs, Error> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    let mut of_tasks: Vec<Vec<f32>> = vec![Vec::new(); model.tasks().len()];
    for batch in loader.epoch(0) {
        let batch = Batch::to_device(batch?, device)?;
        let output = model.forward_input(input_of(&batch), &Taps::none());
        values.extend(host_values(output.logits));
        for (values, (_, logits)) in of_tasks.iter_mut().zip(output.tasks) {
            values.extend(host_values(logits));
        }
        rows.extend(batch.indices);
    }
    let logits = table(rows.len(), loader.samples().num_classes(), values)?;
    let classes = |values: &Vec<f32>| values.len().checked_div(rows.len()).unwrap_or_default();
    let task = |(name, values): (&String, Vec<f32>)| {
        Ok((name.clone(), table(rows.len(), classes(&values), values)?))
    };
    let tasks = model.tasks().iter().zip(of_tasks).map(task).collect::<Result<_, Error>>()?;
    Ok(Outputs { rows, logits, tasks })
}

/// Values as rows of one number a class.
fn table(rows: usize, classes: usize, values: Vec<f32>) -> Result<Array2<f32>, Error> {
    let (got, expected) = (values.len(), rows * classes);
    Array2::from_shape_vec((rows, classes), values)
        .map_err(|_| derm_core::ValueError::Length { argument: "logits", got, expected }.into())
}

/// The values of a tensor on the host, in row-major order, as f32 whatever the device computes in.
fn host_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The predictions of a network on the rows of one role.
///
/// # Errors
/// Where an image cannot be read, or a logit is not finite.
pub fn predict<R: Role, B: Backbone>(
    model: &Classifier<B>,
    dataset: &Dataset,
    split: &Split,
    loader: &Loader,
    device: &Device,
) -> Result<Predictions<R>, Error> {
    of_diagnosis(outputs(model, loader, device)?, dataset, split, loader.view())
}

/// The predictions of a network on the rows of one role, as `view` shows them: those of [`predict`], or their mean
/// probabilities where the view is an average.
///
/// # Errors
/// As [`predict`], and [`Error::View`] for a view that does not say how to look at a picture.
pub fn predict_view<R: Role, B: Backbone>(
    model: &Classifier<B>,
    dataset: &Dataset,
    split: &Split,
    loader: &Loader,
    view: &View,
    device: &Device,
) -> Result<Predictions<R>, Error> {
    let mut members = Vec::new();
    for picture in TestView::of(view) {
        let loader = loader.clone().with_view(picture)?;
        members.push(predict(model, dataset, split, &loader, device)?);
    }
    mean_over(members, view)
}

/// The predictions of every head of a network on the rows of one role: those of [`predict_view`] and, for each further
/// task that the dataset is labelled for, by its name, those of the rows that have its label.
///
/// # Errors
/// As [`predict_view`], and [`Error::Predictions`] for a task without a labelled row.
pub fn predict_tasks<R: Role, B: Backbone>(
    model: &Classifier<B>,
    dataset: &Dataset,
    split: &Split,
    loader: &Loader,
    view: &View,
    device: &Device,
) -> Result<TaskPredictions<R>, Error> {
    let mut diagnosis = Vec::new();
    let mut of_tasks: BTreeMap<String, Vec<Predictions<R>>> = BTreeMap::new();
    for picture in TestView::of(view) {
        let loader = loader.clone().with_view(picture)?;
        let mut outputs = outputs(model, &loader, device)?;
        for (name, logits) in std::mem::take(&mut outputs.tasks) {
            if !dataset.tasks().contains_key(&name) {
                continue;
            }
            let table = of_task(&name, &outputs.rows, &logits, dataset, split, loader.view())?;
            of_tasks.entry(name).or_default().push(table);
        }
        diagnosis.push(of_diagnosis(outputs, dataset, split, loader.view())?);
    }
    let mean = |(name, members)| Ok((name, mean_over(members, view)?));
    let tasks = of_tasks.into_iter().map(mean).collect::<Result<_, Error>>()?;
    Ok(TaskPredictions { diagnosis: mean_over(diagnosis, view)?, tasks })
}

/// The predictions of every head of a network.
#[derive(Debug, Clone)]
pub struct TaskPredictions<R: Role> {
    /// The diagnosis, of every row.
    pub diagnosis: Predictions<R>,
    /// Each further task by its name, of the rows that are labelled for it.
    pub tasks: BTreeMap<String, Predictions<R>>,
}

/// The only member, or the mean of several.
fn mean_over<R: Role>(mut members: Vec<Predictions<R>>, view: &View) -> Result<Predictions<R>, Error> {
    match (members.pop(), members.is_empty()) {
        (None, _) => Err(Error::View { view: view.clone() }),
        (Some(alone), true) => Ok(alone),
        (Some(last), false) => {
            members.push(last);
            Ok(Predictions::mean_of(&members, view.clone())?)
        }
    }
}

fn of_diagnosis<R: Role>(
    outputs: Outputs,
    dataset: &Dataset,
    split: &Split,
    view: View,
) -> Result<Predictions<R>, Error> {
    let Outputs { rows, logits, .. } = outputs;
    let mut columns = columns(dataset, &rows)?;
    columns.targets = dataset.classes(&rows)?.into_iter().map(ClassIndex::get).collect();
    columns.soft_targets = soft_targets(dataset, &rows)?;
    let (task, labels) = (TASK.to_owned(), dataset.labels().clone());
    let metadata = PredictionMetadata { task, view, labels, split_hash: split.hash() };
    Ok(Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values: logits })?)
}

/// The rows that are labelled for a task.
fn of_task<R: Role>(
    task: &str,
    rows: &[usize],
    logits: &Array2<f32>,
    dataset: &Dataset,
    split: &Split,
    view: View,
) -> Result<Predictions<R>, Error> {
    let unknown = || derm_data::Error::UnknownTask {
        task: task.to_owned(),
        known: dataset.tasks().keys().cloned().collect(),
    };
    let labels = dataset.tasks().get(task).ok_or_else(unknown)?.clone();
    let (mut places, mut labelled, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (place, &row) in rows.iter().enumerate() {
        if let Some(class) = dataset.record(row)?.tasks.get(task) {
            places.push(place);
            labelled.push(row);
            targets.push(class.get());
        }
    }
    let columns = PredictionColumns { targets, ..columns(dataset, &labelled)? };
    let values = logits.select(Axis(0), &places);
    let metadata = PredictionMetadata { task: task.to_owned(), view, labels, split_hash: split.hash() };
    Ok(Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })?)
}

/// Who the records at `rows` are, without their labels.
fn columns(dataset: &Dataset, rows: &[usize]) -> Result<PredictionColumns, Error> {
    let mut columns = PredictionColumns::default();
    for &row in rows {
        let record = dataset.record(row)?;
        columns.ids.push(record.id.clone());
        columns.groups.push(record.group().to_owned());
        columns.cases.push(record.case.clone());
    }
    let names = dataset.records().iter().flat_map(|record| record.subgroups.keys());
    for name in names.collect::<BTreeSet<_>>() {
        let of_row = |&row: &usize| Ok(dataset.record(row)?.subgroups.get(name).cloned().unwrap_or_default());
        columns.subgroups.insert(name.clone(), rows.iter().map(of_row).collect::<Result<_, Error>>()?);
    }
    Ok(columns)
}

/// The labels of the records at `rows` as distributions, where any of them is one.
fn soft_targets(dataset: &Dataset, rows: &[usize]) -> Result<Option<Array2<f32>>, Error> {
    let records: Vec<&Record> =
        rows.iter().map(|&row| dataset.record(row)).collect::<Result<_, derm_data::Error>>()?;
    if records.iter().all(|record| record.soft_label.is_none()) {
        return Ok(None);
    }
    let num_classes = dataset.labels().num_classes();
    let rows: Vec<Vec<f32>> = records.iter().map(|record| record.distribution(num_classes)).collect();
    Ok(Some(Array2::from_shape_fn((rows.len(), num_classes), |(row, class)| rows[row][class])))
}

/// The name of the first task.
pub(crate) const TASK: &str = "diagnosis";
