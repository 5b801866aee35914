//! Batches on the host and on a device.

use burn::tensor::{Device, Tensor, TensorData};
use derm_core::Targets;

use crate::Error;

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
    /// Class of each record.
    pub targets: Vec<usize>,
    /// Number of classes.
    pub num_classes: usize,
    /// Index of each record in the dataset.
    pub indices: Vec<usize>,
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
    /// One class a record, shape `[B]`.
    pub targets: Targets,
    /// Index of each record in the dataset.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Moves a batch to a device.
    ///
    /// # Errors
    /// [`Error::Value`] for an empty batch or a target that is no class.
    pub fn to_device(host: HostBatch, device: &Device) -> Result<Self, Error> {
        let (count, size) = (host.len(), host.image_size);
        let targets = Targets::from_indices(&host.targets, host.num_classes, device)?;
        let images = Tensor::from_data(TensorData::new(host.images, [count, 3, size, size]), device);
        let answers = host
            .answers
            .map(|rows| Tensor::from_data(TensorData::new(rows, [count, host.answer_width]), device));
        Ok(Self { images, answers, targets, indices: host.indices })
    }
}
