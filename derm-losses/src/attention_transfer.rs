use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::LayerWeights;
use crate::log_probability::widened;
use crate::spatial_match::{common_size, pooled};
use crate::unit_vectors::{norm, unit_vectors};

/// The smallest norm by which an attention map is divided, as torch's `normalize`.
const NORM_EPSILON: f64 = 1e-12;

/// The distance between two normalised attention maps `q_S` and `q_T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionMode {
    /// Mean over samples and pixels of `(q_S − q_T)²`: the authors' code. It shrinks with the number of pixels,
    /// hence the weights around 1000 that go with it.
    #[default]
    MeanSquared,
    /// Mean over samples of `‖q_S − q_T‖₂`: equation 2 of the paper. In [0, √2], at any resolution; its gradient
    /// does not vanish as the maps come close.
    L2,
    /// Mean over samples of `‖q_S − q_T‖₂² = 2 (1 − ⟨q_S, q_T⟩)`, H·W times `mean_squared`. In [0, 2] at any
    /// resolution, so one weight serves layers and image sizes alike: where every pixel is repeated k times, q
    /// shrinks by √k and the sum over the pixels stays.
    SquaredL2,
}

/// What is averaged where the two maps differ in height or width: the larger one is brought to the smaller
/// height and width by adaptive average pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionPool {
    /// The activations, before they are squared.
    #[default]
    Features,
    /// The attention map `mean_c A²`.
    Attention,
}

/// Attention transfer between two feature maps.
///
/// The attention map of activations A [B, C, H, W] is `q = normalize(flatten(mean_c A²))`, of length 1 for each
/// sample. The loss is the distance of the student's from the teacher's, by [`AttentionMode`]. Channels may
/// differ; where height or width differ see [`AttentionPool`]. Several layers add up by their [`LayerWeights`].
///
/// The teacher is a constant. A student sample of all zeros has zero gradient.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::AttentionTransferLoss;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_floats([[[[1.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_floats([[[[0.0, 3.0]], [[0.0, 1.0]]]], &device);
/// // maps (1, 0) and (0, 1): mean of 1 and 1
/// let loss = AttentionTransferLoss::default();
/// assert_eq!(loss.forward(student, teacher).into_scalar::<f32>(), 1.0);
/// ```
///
/// # Source
/// Zagoruyko and Komodakis 2017, "Paying more attention to attention", and their code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionTransferLoss {
    /// The distance.
    pub mode: AttentionMode,
    /// What is pooled where the maps differ in size.
    pub pool: AttentionPool,
}

impl AttentionTransferLoss {
    /// The distance of each sample: student [B, Cs, Hs, Ws], teacher [B, Ct, Ht, Wt] → `[B]`. In the mode
    /// `mean_squared` it is the mean over the pixels.
    ///
    /// # Panics
    /// When the batch sizes differ.
    pub fn per_sample(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let student = widened(student);
        let teacher = widened(teacher.without_autodiff()).cast(student.dtype());
        let (batch, teacher_batch) = (student.dims()[0], teacher.dims()[0]);
        assert_eq!(batch, teacher_batch, "student and teacher maps differ in batch size");
        let size = common_size(&student, &teacher);
        let difference = self.attention(student, size) - self.attention(teacher, size);
        let squares = difference.square();
        match self.mode {
            AttentionMode::MeanSquared => squares.mean_dim(1).squeeze_dim(1),
            AttentionMode::L2 => norm(squares.sum_dim(1)).squeeze_dim(1),
            AttentionMode::SquaredL2 => squares.sum_dim(1).squeeze_dim(1),
        }
    }

    /// The mean over the samples → `[1]`.
    ///
    /// # Panics
    /// As [`AttentionTransferLoss::per_sample`].
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }

    /// The weighted sum over several layers for each sample: a pair (student, teacher) for each weight → `[B]`.
    ///
    /// # Panics
    /// When there are more pairs than weights or fewer, and as [`AttentionTransferLoss::per_sample`].
    pub fn per_sample_layers(
        &self,
        pairs: impl IntoIterator<Item = (Tensor<4>, Tensor<4>)>,
        weights: &LayerWeights,
    ) -> Tensor<1> {
        let pairs: Vec<(Tensor<4>, Tensor<4>)> = pairs.into_iter().collect();
        let weights = weights.as_slice();
        assert_eq!(pairs.len(), weights.len(), "pairs of layers and layer weights differ in number");
        let layers = pairs.into_iter().zip(weights);
        let losses = layers.map(|((student, teacher), &weight)| self.per_sample(student, teacher) * weight);
        losses.reduce(|sum, loss| sum + loss).unwrap_or_else(|| unreachable!("there is at least one weight"))
    }

    /// The mean over the samples of the weighted sum over several layers → `[1]`.
    ///
    /// # Panics
    /// As [`AttentionTransferLoss::per_sample_layers`].
    pub fn forward_layers(
        &self,
        pairs: impl IntoIterator<Item = (Tensor<4>, Tensor<4>)>,
        weights: &LayerWeights,
    ) -> Tensor<1> {
        self.per_sample_layers(pairs, weights).mean()
    }

    /// The normalised attention map [B, H·W] of activations [B, C, h, w] at `size` = [H, W].
    fn attention(self, activations: Tensor<4>, size: [usize; 2]) -> Tensor<2> {
        let map = match self.pool {
            AttentionPool::Features => pooled(activations, size).square().mean_dim(1),
            AttentionPool::Attention => pooled(activations.square().mean_dim(1), size),
        };
        let [batch, _, height, width] = map.dims();
        unit_vectors(map.reshape([batch, height * width]), 1, NORM_EPSILON)
    }
}
