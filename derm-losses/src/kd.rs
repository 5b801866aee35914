use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_range;
use crate::log_probability::samples;

/// The factor before the divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KdScale {
    /// T², which keeps the gradient's size when T changes (Hinton et al. 2015).
    #[default]
    TemperatureSquared,
    /// 1.
    One,
}

/// Configuration of [`KdLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `temperature` | 4 (usual in the literature after Hinton et al. 2015) | divides both logits | finite, > 0 |
/// | `scale` | `temperature_squared` | factor before the divergence | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KdLossConfig {
    /// Temperature T > 0.
    pub temperature: f64,
    /// Factor before the divergence.
    pub scale: KdScale,
}

impl Default for KdLossConfig {
    fn default() -> Self {
        Self { temperature: 4.0, scale: KdScale::TemperatureSquared }
    }
}

impl KdLossConfig {
    /// Checks the temperature.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a temperature that is not a finite number above 0.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("temperature", self.temperature, "a finite number > 0", |v| v > 0.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`KdLossConfig::validate`].
    pub fn init(&self) -> Result<KdLoss, Error> {
        self.validate()?;
        Ok(KdLoss { config: *self })
    }
}

/// Distillation on logits: `T² · (1/N) Σ_n KL(p_T ‖ p_S)`, where `p_T` and `p_S` are the softmax of the
/// teacher's and the student's logits divided by the temperature T.
///
/// The teacher is a constant: no gradient flows into it, whether its logits carry a graph or not.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::KdLossConfig;
///
/// let device = Device::default();
/// let kd = KdLossConfig { temperature: 2.0, ..Default::default() }.init()?;
/// let teacher = Tensor::<2>::from_floats([[2.0, 0.0]], &device);
/// let student = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// // p_T = softmax(1, 0); KL to (1/2, 1/2), times 4
/// let p = 1.0 / (1.0 + (-1.0_f64).exp());
/// let expected = 4.0 * (p * (2.0 * p).ln() + (1.0 - p) * (2.0 * (1.0 - p)).ln());
/// let value = f64::from(kd.forward(student, teacher).into_scalar::<f32>());
/// assert!((value - expected).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Hinton et al. 2015, "Distilling the knowledge in a neural network"; torch `kl_div(log_target=True)` with
/// `batchmean`. Code that divides by N·C (`reduction="mean"`) is C times smaller.
#[derive(Debug, Clone, Copy)]
pub struct KdLoss {
    config: KdLossConfig,
}

impl KdLoss {
    /// The temperature T.
    pub fn temperature(&self) -> f64 {
        self.config.temperature
    }

    /// The loss of each sample: student and teacher logits [.., C] → `[N]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn per_sample<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        let temperature = self.config.temperature;
        let student = samples(student);
        let teacher = samples(teacher.without_autodiff()).cast(student.dtype());
        assert_eq!(student.dims(), teacher.dims(), "student and teacher logits differ in shape");
        let log_student = log_softmax(student / temperature, 1);
        let log_teacher = log_softmax(teacher / temperature, 1);
        let divergence = (log_teacher.clone().exp() * (log_teacher - log_student)).sum_dim(1).squeeze_dim(1);
        match self.config.scale {
            KdScale::TemperatureSquared => divergence * (temperature * temperature),
            KdScale::One => divergence,
        }
    }

    /// The mean over the samples: student and teacher logits [.., C] → `[1]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn forward<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }
}
