use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{Probabilities, ValueError};

/// What a criterion compares logits with, on a device. N is the number of samples, C of classes.
///
/// The values are checked here, where they enter, because a check inside a loss would have to wait for the
/// device.
#[derive(Debug, Clone)]
pub enum Targets {
    /// One class a sample, shape `[N]`, values in 0..C.
    Hard(Tensor<1, Int>),
    /// One distribution a sample, shape [N, C], rows that sum to 1 (mixup, differential diagnoses).
    Soft(Tensor<2>),
}

impl Targets {
    /// Hard targets from class indices.
    ///
    /// # Errors
    /// [`ValueError::Empty`] for no index, [`ValueError::ClassOutOfRange`] for an index that is not below
    /// `num_classes`.
    pub fn from_indices(indices: &[usize], num_classes: usize, device: &Device) -> Result<Self, ValueError> {
        crate::probabilities::check_targets(indices, num_classes)?;
        let values: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
        let shape = [values.len()];
        Ok(Self::Hard(Tensor::from_data(TensorData::new(values, shape), device)))
    }

    /// Soft targets from one distribution a sample.
    pub fn from_probabilities(probabilities: &Probabilities, device: &Device) -> Self {
        let shape = [probabilities.num_samples(), probabilities.num_classes()];
        let values: Vec<f32> = probabilities.view().iter().map(|&p| p as f32).collect();
        Self::Soft(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The same targets on another device.
    #[must_use]
    pub fn on(&self, device: &Device) -> Self {
        match self {
            Self::Hard(indices) => Self::Hard(indices.clone().to_device(device)),
            Self::Soft(distributions) => Self::Soft(distributions.clone().to_device(device)),
        }
    }

    /// Number of samples N.
    pub fn num_samples(&self) -> usize {
        match self {
            Self::Hard(indices) => indices.dims()[0],
            Self::Soft(distributions) => distributions.dims()[0],
        }
    }

    /// The share of these samples in a larger batch, `N / Σ N`, shape `[1]`. `parts` are the targets of all its
    /// parts, these included.
    ///
    /// A mean over a part times its share is what the part adds to the mean over the whole.
    pub fn share_of(&self, parts: &[Self]) -> Tensor<1> {
        let samples: usize = parts.iter().map(Self::num_samples).sum();
        let device = match self {
            Self::Hard(indices) => indices.device(),
            Self::Soft(distributions) => distributions.device(),
        };
        let share = self.num_samples() as f64 / samples as f64;
        Tensor::from_data(TensorData::new(vec![share as f32], [1]), &device.without_autodiff())
    }

    /// The targets as distributions, shape [N, C]: hard ones become one-hot rows.
    pub fn to_distributions(&self, num_classes: usize) -> Tensor<2> {
        match self {
            Self::Hard(indices) => indices.clone().one_hot::<2>(num_classes).float(),
            Self::Soft(distributions) => distributions.clone(),
        }
    }
}
