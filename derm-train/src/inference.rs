use burn::tensor::{Device, Tensor};
use derm_backbones::Classifier;
use derm_core::{
    Backbone, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Taps, View,
};
use derm_data::{Batch, Dataset, Loader, Record, Split, TestView};
use ndarray::Array2;

use crate::Error;
use crate::texts::input_of;

/// The logits of every batch of a loader, in its order, with the records they belong to.
///
/// `model` must be in inference mode ([`Module::valid`](burn::module::Module::valid)) on `device`, which has no
/// autodiff.
pub(crate) fn logits<B: Backbone>(
    model: &Classifier<B>,
    loader: &Loader,
    device: &Device,
) -> Result<(Vec<usize>, Array2<f32>), Error> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for batch in loader.epoch(0) {
        let batch = Batch::to_device(batch?, device)?;
        let logits = model.forward_input(input_of(&batch), &Taps::none()).logits;
        values.extend(host_values(logits));
        rows.extend(batch.indices);
    }
    let shape = (rows.len(), loader.samples().num_classes());
    let count = values.len();
    let values = Array2::from_shape_vec(shape, values).map_err(|_| derm_core::ValueError::Length {
        argument: "logits",
        got: count,
        expected: shape.0 * shape.1,
    })?;
    Ok((rows, values))
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
    let (rows, values) = logits(model, loader, device)?;
    let mut columns = PredictionColumns::default();
    for &row in &rows {
        let record = dataset.record(row)?;
        columns.ids.push(record.id.clone());
        columns.groups.push(record.group().to_owned());
        columns.cases.push(record.case.clone());
        columns.targets.push(record.class.get());
    }
    columns.soft_targets = soft_targets(dataset, &rows)?;
    let names = dataset.records().iter().flat_map(|record| record.subgroups.keys());
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let of_row = |&row: &usize| Ok(dataset.record(row)?.subgroups.get(name).cloned().unwrap_or_default());
        columns.subgroups.insert(name.clone(), rows.iter().map(of_row).collect::<Result<_, Error>>()?);
    }
    let metadata = PredictionMetadata {
        task: TASK.to_owned(),
        view: loader.view(),
        labels: dataset.labels().clone(),
        split_hash: split.hash(),
    };
    Ok(Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })?)
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
    match (members.pop(), members.is_empty()) {
        (None, _) => Err(Error::View { view: view.clone() }),
        (Some(alone), true) => Ok(alone),
        (Some(last), false) => {
            members.push(last);
            Ok(Predictions::mean_of(&members, view.clone())?)
        }
    }
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

/// The name of the only task of a single-head network.
pub(crate) const TASK: &str = "diagnosis";
