use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::unit_vectors::{flattened, unit_vectors};

/// The smallest length by which a row is divided, as torch's `normalize`.
const NORM_EPSILON: f64 = 1e-12;

/// Similarity preserving: samples that are alike to the teacher should be alike to the student.
///
/// With F the features of a batch, one flattened row a sample, and `G = F Fᵀ` with L2-normalised rows:
/// `‖G_S − G_T‖²_F / B²`. Student and teacher may differ in rank and width. The teacher is a constant. A sample of
/// all zeros has a zero row, with gradient 0; for B = 1 the loss is 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::SimilarityPreservingLoss;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_floats([[1.0], [1.0]], &device);
/// // rows (1, 0), (0, 1) and (1, 1)/√2, (1, 1)/√2
/// let expected = 2.0 * ((1.0 - 0.5_f32.sqrt()).powi(2) + 0.5) / 4.0;
/// let value = SimilarityPreservingLoss.forward(student, teacher).into_scalar::<f32>();
/// assert!((value - expected).abs() < 1e-6);
/// ```
///
/// # Source
/// Tung and Mori 2019, "Similarity-preserving knowledge distillation", equations 1 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SimilarityPreservingLoss;

impl SimilarityPreservingLoss {
    /// Student [B, ..], teacher [B, ..] → `[1]`.
    ///
    /// # Panics
    /// When the batch sizes differ.
    pub fn forward<const DS: usize, const DT: usize>(
        &self,
        student: Tensor<DS>,
        teacher: Tensor<DT>,
    ) -> Tensor<1> {
        let student = flattened(student);
        let teacher = flattened(teacher.without_autodiff()).cast(student.dtype());
        let (batch, teacher_batch) = (student.dims()[0], teacher.dims()[0]);
        assert_eq!(batch, teacher_batch, "student and teacher features differ in batch size");
        let similarities = |x: Tensor<2>| unit_vectors(x.clone().matmul(x.transpose()), 1, NORM_EPSILON);
        (similarities(student) - similarities(teacher)).square().mean()
    }
}
