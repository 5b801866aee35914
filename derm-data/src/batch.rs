//! Batches on the host and on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};
use derm_core::{Probabilities, Targets};
use ndarray::Array2;

use crate::{BatchTokens, Error, HostTokens, Orientation};

/// The labels of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum HostTargets {
    /// One class a record, B numbers.
    Classes(Vec<usize>),
    /// One distribution a record, [B, C] row-major: soft labels, or labels that were mixed.
    Distributions(Vec<f32>),
}

impl HostTargets {
    /// The labels as distributions, [B, C] row-major: a class becomes a row with a single 1.
    pub fn into_distributions(self, num_classes: usize) -> Vec<f32> {
        match self {
            Self::Distributions(rows) => rows,
            Self::Classes(classes) => {
                let mut rows = vec![0.0; classes.len() * num_classes];
                for (row, class) in rows.chunks_exact_mut(num_classes.max(1)).zip(classes) {
                    row[class] = 1.0;
                }
                rows
            }
        }
    }
}

/// The labels of a batch for a further task, of those records that have one.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTask {
    /// The task.
    pub name: String,
    /// Number of its classes.
    pub num_classes: usize,
    /// The labelled rows of the batch, each below B, ascending. Often not all of them, and possibly none.
    pub rows: Vec<usize>,
    /// Their labels, in this order.
    pub targets: HostTargets,
}

impl HostTask {
    /// The labels as distributions, mixed as the pictures are: λ of a row's own and 1 − λ of that of row B − 1 − i. A
    /// mixed row is labelled where both of its pictures are; where λ is 1 nothing was mixed, and every label stays.
    pub(crate) fn mix(&mut self, batch_size: usize, lambda: f32) {
        let num_classes = self.num_classes;
        let empty = HostTargets::Classes(Vec::new());
        let own = std::mem::replace(&mut self.targets, empty).into_distributions(num_classes);
        if lambda >= 1.0 {
            self.targets = HostTargets::Distributions(own);
            return;
        }
        let label = |row: usize| {
            let place = self.rows.binary_search(&row).ok()?;
            Some(&own[place * num_classes..(place + 1) * num_classes])
        };
        let (mut rows, mut mixed) = (Vec::new(), Vec::new());
        for &row in &self.rows {
            let Some((own, other)) = label(row).zip(label(batch_size - 1 - row)) else { continue };
            rows.push(row);
            mixed.extend(own.iter().zip(other).map(|(own, other)| lambda * own + (1.0 - lambda) * other));
        }
        self.rows = rows;
        self.targets = HostTargets::Distributions(mixed);
    }
}

/// A batch in host memory, B records.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// Normalised pixels, [B, 3, S, S] row-major.
    pub images: Vec<f32>,
    /// Side S of the images.
    pub image_size: usize,
    /// Encoded answers, [B, Q] row-major, where the model reads them.
    pub answers: Option<Vec<f32>>,
    /// Number of answer columns Q; 0 where there are none.
    pub answer_width: usize,
    /// Tokens of each record's text, where the model reads texts.
    pub tokens: Option<HostTokens>,
    /// Label of each record.
    pub targets: HostTargets,
    /// Number of classes.
    pub num_classes: usize,
    /// The labels of every further task, by its name.
    pub tasks: Vec<HostTask>,
    /// Index of each record in the dataset.
    pub indices: Vec<usize>,
    /// How each picture lies.
    pub orientations: Vec<Orientation>,
}

impl HostBatch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// The labels of a batch for a further task on a device.
///
/// The labelled rows are gathered, not masked: `logits.select(0, rows)` goes with `targets`, so that every loss, whatever
/// it is divided by, sees the labelled rows and no others.
#[derive(Clone, Debug)]
pub struct BatchTask {
    /// The task.
    pub name: String,
    /// The labelled rows, shape `[L]` with L ≥ 1.
    pub rows: Tensor<1, Int>,
    /// Their labels: classes, shape `[L]`, or distributions, shape `[L, C]`.
    pub targets: Targets,
}

/// A batch on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Normalised pixels, shape `[B, 3, S, S]`.
    pub images: Tensor<4>,
    /// Encoded answers, shape `[B, Q]`, where the model reads them.
    pub answers: Option<Tensor<2>>,
    /// Tokens of the texts, shape `[B, T]`, where the model reads them.
    pub tokens: Option<BatchTokens>,
    /// The labels: one class a record, shape `[B]`, or one distribution, shape `[B, C]`.
    pub targets: Targets,
    /// The further tasks that any of the records is labelled for.
    pub tasks: Vec<BatchTask>,
    /// Index of each record in the dataset.
    pub indices: Vec<usize>,
    /// How each picture lies.
    pub orientations: Vec<Orientation>,
}

impl Batch {
    /// The same batch on another device.
    #[must_use]
    pub fn on(&self, device: &Device) -> Self {
        let task = |task: &BatchTask| BatchTask {
            name: task.name.clone(),
            rows: task.rows.clone().to_device(device),
            targets: task.targets.on(device),
        };
        Self {
            images: self.images.clone().to_device(device),
            answers: self.answers.clone().map(|answers| answers.to_device(device)),
            tokens: self.tokens.as_ref().map(|tokens| tokens.on(device)),
            targets: self.targets.on(device),
            tasks: self.tasks.iter().map(task).collect(),
            indices: self.indices.clone(),
            orientations: self.orientations.clone(),
        }
    }

    /// Moves a batch to a device.
    ///
    /// # Errors
    /// [`Error::Value`] for an empty batch, a target that is no class or a row that is no distribution.
    pub fn to_device(host: HostBatch, device: &Device) -> Result<Self, Error> {
        let (count, size) = (host.len(), host.image_size);
        let targets = on_device(&host.targets, host.num_classes, device)?;
        let mut tasks = Vec::new();
        for task in host.tasks.into_iter().filter(|task| !task.rows.is_empty()) {
            let rows: Vec<i32> = task.rows.iter().map(|&row| row as i32).collect();
            let shape = [rows.len()];
            tasks.push(BatchTask {
                rows: Tensor::from_data(TensorData::new(rows, shape), device),
                targets: on_device(&task.targets, task.num_classes, device)?,
                name: task.name,
            });
        }
        let images = Tensor::from_data(TensorData::new(host.images, [count, 3, size, size]), device);
        let answers = host
            .answers
            .map(|rows| Tensor::from_data(TensorData::new(rows, [count, host.answer_width]), device));
        let tokens = host.tokens.map(|tokens| tokens.to_device(device));
        Ok(Self {
            images,
            answers,
            tokens,
            targets,
            tasks,
            indices: host.indices,
            orientations: host.orientations,
        })
    }

    /// The labels for the further task `name`; none where no record has one.
    pub fn task(&self, name: &str) -> Option<&BatchTask> {
        self.tasks.iter().find(|task| task.name == name)
    }
}

/// Checked labels on a device.
fn on_device(targets: &HostTargets, num_classes: usize, device: &Device) -> Result<Targets, Error> {
    Ok(match targets {
        HostTargets::Classes(classes) => Targets::from_indices(classes, num_classes, device)?,
        HostTargets::Distributions(rows) => {
            let count = rows.len().checked_div(num_classes).unwrap_or_default();
            let distribution = |(row, class)| f64::from(rows[row * num_classes + class]);
            let rows = Array2::from_shape_fn((count, num_classes), distribution);
            Targets::from_probabilities(&Probabilities::new(rows)?, device)
        }
    })
}
