use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_range;
use crate::unit_vectors::{flattened, unit_vectors};

/// Configuration of [`CosineFeatureLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `norm_epsilon` | 1e-8 (torch `cosine_similarity`) | the least that a vector's length counts as | finite, > 0 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineFeatureLossConfig {
    /// The least that a vector's length counts as.
    pub norm_epsilon: f64,
}

impl Default for CosineFeatureLossConfig {
    fn default() -> Self {
        Self { norm_epsilon: 1e-8 }
    }
}

impl CosineFeatureLossConfig {
    /// Checks the ε.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for one that is not a finite number above 0.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("norm_epsilon", self.norm_epsilon, "a finite number > 0", |v| v > 0.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`CosineFeatureLossConfig::validate`].
    pub fn init(&self) -> Result<CosineFeatureLoss, Error> {
        self.validate()?;
        Ok(CosineFeatureLoss { config: *self })
    }
}

/// The angle between the student's and the teacher's features: `1 − cos(f_S, f_T)`, in [0, 2].
///
/// The teacher is a constant. A vector of all zeros has cosine 0, and gradient 0 where it is the student's.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::CosineFeatureLossConfig;
///
/// let device = Device::default();
/// let loss = CosineFeatureLossConfig::default().init()?;
/// let student = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let teacher = Tensor::<2>::from_floats([[2.0, 0.0]], &device);
/// assert!((loss.forward(student, teacher).into_scalar::<f32>() - 0.4).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// torch `cosine_similarity`, which the tests compare with.
#[derive(Debug, Clone, Copy)]
pub struct CosineFeatureLoss {
    config: CosineFeatureLossConfig,
}

impl CosineFeatureLoss {
    /// The loss of each sample: student and teacher features [B, ..] of one shape, flattened → `[B]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn per_sample<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        let student = flattened(student);
        let teacher = flattened(teacher.without_autodiff()).cast(student.dtype());
        assert_eq!(student.dims(), teacher.dims(), "student and teacher features differ in shape");
        let unit = |x| unit_vectors(x, 1, self.config.norm_epsilon);
        let cosine: Tensor<1> = (unit(student) * unit(teacher)).sum_dim(1).squeeze_dim(1);
        cosine.neg() + 1.0
    }

    /// The mean over the samples → `[1]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn forward<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }
}
