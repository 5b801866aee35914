use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_not_all_zero, check_range};
use crate::unit_vectors::{flattened, norm, unit_vectors};

/// The smallest length, or mean of lengths, by which a difference is divided, as torch's `normalize`.
const NORM_EPSILON: f64 = 1e-12;

/// Relational distillation of distances: how far the samples of a batch lie from each other.
///
/// With d the Euclidean distances of all pairs, divided by the mean of the positive ones (the gradient flows
/// through the mean), the mean over B² of the smooth L1 (β = 1) of `d_S − d_T`. The widths of student and teacher
/// may differ. The teacher is a constant.
///
/// Coincident samples have distance and gradient 0. Where all coincide, or B = 1, there is no mean: distances
/// stay 0. A mean below 1e-12 counts as 1e-12. Memory O(B² D).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::RkdDistanceLoss;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_floats([[0.0, 0.0], [3.0, 4.0]], &device);
/// let teacher = Tensor::<2>::from_floats([[7.0], [9.0]], &device);
/// // two points: one distance, 1 after normalisation in both
/// assert!(RkdDistanceLoss.forward(student, teacher).into_scalar::<f32>() < 1e-12);
/// ```
///
/// # Source
/// Park et al. 2019, "Relational knowledge distillation", equations 5 to 8. Their code takes distances from the
/// Gram matrix, which cancels for points that lie close; here from the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RkdDistanceLoss;

impl RkdDistanceLoss {
    /// Student [B, ..], teacher [B, ..] → `[1]`.
    ///
    /// # Panics
    /// When the batch sizes differ.
    pub fn forward<const DS: usize, const DT: usize>(
        &self,
        student: Tensor<DS>,
        teacher: Tensor<DT>,
    ) -> Tensor<1> {
        let (student, teacher) = differences_of(student, teacher);
        smooth_l1(normalized_distances(student) - normalized_distances(teacher)).mean()
    }
}

/// Relational distillation of angles: how the samples of a batch see each other.
///
/// With `e_ij = (x_j − x_i) / ‖x_j − x_i‖`, the mean over B³ of the smooth L1 (β = 1) of the differences of
/// `⟨e_ij, e_ik⟩`. The widths of student and teacher may differ. The teacher is a constant.
///
/// `e_ij` is 0, with gradient 0, where the samples coincide or i = j; for B = 1 the loss is 0. Memory
/// O(B² D + B³).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::RkdAngleLoss;
///
/// let device = Device::default();
/// // a right angle at the first sample, and a straight line
/// let student = Tensor::<2>::from_floats([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], &device);
/// let teacher = Tensor::<2>::from_floats([[0.0], [1.0], [-1.0]], &device);
/// // cosines 0 for −1 and twice √½ for 1, each in two orders, of 27
/// let expected = 2.0 * (0.5 + (1.0 - 0.5_f32.sqrt()).powi(2)) / 27.0;
/// let value = RkdAngleLoss.forward(student, teacher).into_scalar::<f32>();
/// assert!((value - expected).abs() < 1e-6);
/// ```
///
/// # Source
/// Park et al. 2019, "Relational knowledge distillation", equations 9 and 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RkdAngleLoss;

impl RkdAngleLoss {
    /// Student [B, ..], teacher [B, ..] → `[1]`.
    ///
    /// # Panics
    /// When the batch sizes differ.
    pub fn forward<const DS: usize, const DT: usize>(
        &self,
        student: Tensor<DS>,
        teacher: Tensor<DT>,
    ) -> Tensor<1> {
        let (student, teacher) = differences_of(student, teacher);
        smooth_l1(cosines(student) - cosines(teacher)).mean()
    }
}

/// Configuration of [`RkdLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `distance_weight` | 25 (Tian et al. 2020, code) | weighs [`RkdDistanceLoss`] | finite, ≥ 0 |
/// | `angle_weight` | 50 (Tian et al. 2020, code) | weighs [`RkdAngleLoss`] | finite, ≥ 0, not 0 with the other |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RkdLossConfig {
    /// Weight of the distances.
    pub distance_weight: f64,
    /// Weight of the angles.
    pub angle_weight: f64,
}

impl Default for RkdLossConfig {
    fn default() -> Self {
        Self { distance_weight: 25.0, angle_weight: 50.0 }
    }
}

impl RkdLossConfig {
    /// Checks the weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::ZeroWeights`].
    pub fn validate(&self) -> Result<(), Error> {
        let weights = [("distance_weight", self.distance_weight), ("angle_weight", self.angle_weight)];
        for (parameter, weight) in weights {
            check_range(parameter, weight, "a finite number >= 0", |v| v >= 0.0)?;
        }
        check_not_all_zero("distance_weight and angle_weight", &weights.map(|(_, weight)| weight))
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`RkdLossConfig::validate`].
    pub fn init(&self) -> Result<RkdLoss, Error> {
        self.validate()?;
        Ok(RkdLoss { config: *self })
    }
}

/// Relational distillation: the weighted sum of [`RkdDistanceLoss`] and [`RkdAngleLoss`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::RkdLossConfig;
///
/// let device = Device::default();
/// let loss = RkdLossConfig { distance_weight: 1.0, angle_weight: 2.0 }.init()?;
/// let teacher = Tensor::<2>::from_floats([[0.0, 1.0], [2.0, 0.0], [3.0, 5.0]], &device);
/// // neither the scale nor the place matters
/// let student = teacher.clone() * 3.0 - 1.0;
/// assert!(loss.forward(student, teacher).into_scalar::<f32>() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Park et al. 2019, "Relational knowledge distillation"; weights 25 and 50 from the code of Tian et al. 2020,
/// "Contrastive representation distillation". Park et al. use 1 and 2.
#[derive(Debug, Clone, Copy)]
pub struct RkdLoss {
    config: RkdLossConfig,
}

impl RkdLoss {
    /// Student [B, ..], teacher [B, ..] → `[1]`.
    ///
    /// # Panics
    /// When the batch sizes differ.
    pub fn forward<const DS: usize, const DT: usize>(
        &self,
        student: Tensor<DS>,
        teacher: Tensor<DT>,
    ) -> Tensor<1> {
        let RkdLossConfig { distance_weight, angle_weight } = self.config;
        let (student, teacher) = differences_of(student, teacher);
        let distance = normalized_distances(student.clone()) - normalized_distances(teacher.clone());
        let angle = cosines(student) - cosines(teacher);
        smooth_l1(distance).mean() * distance_weight + smooth_l1(angle).mean() * angle_weight
    }
}

/// `x_j − x_i` of the student and of the teacher, a constant, each [B, B, D] with i first.
fn differences_of<const DS: usize, const DT: usize>(
    student: Tensor<DS>,
    teacher: Tensor<DT>,
) -> (Tensor<3>, Tensor<3>) {
    let student = flattened(student);
    let teacher = flattened(teacher.without_autodiff()).cast(student.dtype());
    let (batch, teacher_batch) = (student.dims()[0], teacher.dims()[0]);
    assert_eq!(batch, teacher_batch, "student and teacher features differ in batch size");
    let differences = |x: Tensor<2>| x.clone().unsqueeze_dim::<3>(0) - x.unsqueeze_dim::<3>(1);
    (differences(student), differences(teacher))
}

/// The lengths of the differences, divided by the mean of the positive ones: [B, B, D] → [B, B].
fn normalized_distances(differences: Tensor<3>) -> Tensor<2> {
    let distances: Tensor<2> = norm(differences.square().sum_dim(2)).squeeze_dim(2);
    let dtype = distances.dtype();
    let positive = distances.clone().without_autodiff().greater_scalar(0.0).float().cast(dtype).sum();
    // where none is positive all are 0, and so they stay
    let mean = distances.clone().sum() / positive.clamp_min(1.0);
    distances / mean.clamp_min(NORM_EPSILON).unsqueeze()
}

/// `⟨e_ij, e_ik⟩` for the unit vectors e of the differences: [B, B, D] → [B, B, B].
fn cosines(differences: Tensor<3>) -> Tensor<3> {
    let directions = unit_vectors(differences, 2, NORM_EPSILON);
    directions.clone().matmul(directions.transpose())
}

/// `x² / 2` up to |x| = 1, beyond it `|x| − 1/2`.
fn smooth_l1<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let size = x.abs();
    let inner = size.clone().clamp_max(1.0);
    inner.clone() * (size - inner * 0.5)
}
