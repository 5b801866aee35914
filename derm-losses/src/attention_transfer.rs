use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;
use serde::{Deserialize, Serialize};

use crate::log_probability::widened;

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
    /// Mean over samples of `‖q_S − q_T‖₂`: equation 2 of the paper.
    L2,
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
/// differ; where height or width differ see [`AttentionPool`]. Several layers add up.
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
        let [batch, _, student_height, student_width] = student.dims();
        let [teacher_batch, _, teacher_height, teacher_width] = teacher.dims();
        assert_eq!(batch, teacher_batch, "student and teacher maps differ in batch size");
        let size = [student_height.min(teacher_height), student_width.min(teacher_width)];
        let difference = self.attention(student, size) - self.attention(teacher, size);
        let squares = difference.square();
        match self.mode {
            AttentionMode::MeanSquared => squares.mean_dim(1).squeeze_dim(1),
            AttentionMode::L2 => norm(squares.sum_dim(1)).squeeze_dim(1),
        }
    }

    /// The mean over the samples → `[1]`.
    ///
    /// # Panics
    /// As [`AttentionTransferLoss::per_sample`].
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }

    /// The sum over several layers, each a pair (student, teacher) → `[1]`.
    ///
    /// # Panics
    /// Without any pair, and as [`AttentionTransferLoss::per_sample`].
    pub fn forward_layers(&self, pairs: impl IntoIterator<Item = (Tensor<4>, Tensor<4>)>) -> Tensor<1> {
        let mut losses = pairs.into_iter().map(|(student, teacher)| self.forward(student, teacher));
        let first = losses.next();
        assert!(first.is_some(), "attention transfer needs at least one pair of layers");
        first.into_iter().chain(losses).reduce(|sum, loss| sum + loss).unwrap_or_else(|| unreachable!())
    }

    /// The normalised attention map [B, H·W] of activations [B, C, h, w] at `size` = [H, W].
    fn attention(self, activations: Tensor<4>, size: [usize; 2]) -> Tensor<2> {
        let map = match self.pool {
            AttentionPool::Features => pooled(activations, size).square().mean_dim(1),
            AttentionPool::Attention => pooled(activations.square().mean_dim(1), size),
        };
        let [batch, _, height, width] = map.dims();
        let flat: Tensor<2> = map.reshape([batch, height * width]);
        let squared_norm = flat.clone().square().sum_dim(1);
        flat / squared_norm.clamp_min(NORM_EPSILON * NORM_EPSILON).sqrt()
    }
}

/// Adaptive average pooling to `size`, where the map is not of that size.
fn pooled(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = map.dims();
    if [height, width] == size { map } else { adaptive_avg_pool2d(map, size) }
}

/// The square root, with gradient 0 at 0 as torch's `norm`.
fn norm(squares: Tensor<2>) -> Tensor<2> {
    let zero = squares.clone().equal_scalar(0.0);
    squares.mask_fill(zero.clone(), 1.0).sqrt().mask_fill(zero, 0.0)
}
