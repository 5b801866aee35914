//! Batches on the host and on a device.

use burn::tensor::{Device, Tensor, TensorData};
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
    /// Index of each record in the dataset.
    pub indices: Vec<usize>,
    /// How each picture lies.
    pub orientations: Vec<Orientation>,
}

impl Batch {
    /// Moves a batch to a device.
    ///
    /// # Errors
    /// [`Error::Value`] for an empty batch, a target that is no class or a row that is no distribution.
    pub fn to_device(host: HostBatch, device: &Device) -> Result<Self, Error> {
        let (count, size) = (host.len(), host.image_size);
        let targets = match &host.targets {
            HostTargets::Classes(classes) => Targets::from_indices(classes, host.num_classes, device)?,
            HostTargets::Distributions(rows) => {
                let distribution = |(row, class)| f64::from(rows[row * host.num_classes + class]);
                let rows = Array2::from_shape_fn((count, host.num_classes), distribution);
                Targets::from_probabilities(&Probabilities::new(rows)?, device)
            }
        };
        let images = Tensor::from_data(TensorData::new(host.images, [count, 3, size, size]), device);
        let answers = host
            .answers
            .map(|rows| Tensor::from_data(TensorData::new(rows, [count, host.answer_width]), device));
        let tokens = host.tokens.map(|tokens| tokens.to_device(device));
        Ok(Self { images, answers, tokens, targets, indices: host.indices, orientations: host.orientations })
    }
}
