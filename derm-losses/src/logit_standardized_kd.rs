use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::check_range;
use crate::log_probability::samples;
use crate::unit_vectors::norm;
use crate::{Error, KdLoss, KdLossConfig, KdScale};

/// The divisor of a row's variance over C classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DegreesOfFreedom {
    /// C − 1, torch's default and so the authors' code (`ddof` 1).
    #[default]
    Sample,
    /// C, the paper's formula (`ddof` 0).
    Population,
}

/// Configuration of [`LogitStandardizedKdLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `temperature` | 2 (Sun et al. 2024) | divides the standardised logits | finite, > 0 |
/// | `scale` | `temperature_squared` | factor before the divergence | |
/// | `degrees_of_freedom` | `sample` (Sun et al. 2024, code) | divisor of the variance | |
/// | `std_epsilon` | 1e-7 (Sun et al. 2024, code) | added to the standard deviation | finite, > 0 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogitStandardizedKdLossConfig {
    /// Temperature T > 0.
    pub temperature: f64,
    /// Factor before the divergence.
    pub scale: KdScale,
    /// Divisor of the variance.
    pub degrees_of_freedom: DegreesOfFreedom,
    /// Added to the standard deviation of a row.
    pub std_epsilon: f64,
}

impl Default for LogitStandardizedKdLossConfig {
    fn default() -> Self {
        Self {
            temperature: 2.0,
            scale: KdScale::TemperatureSquared,
            degrees_of_freedom: DegreesOfFreedom::Sample,
            std_epsilon: 1e-7,
        }
    }
}

impl LogitStandardizedKdLossConfig {
    fn kd(&self) -> KdLossConfig {
        KdLossConfig { temperature: self.temperature, scale: self.scale }
    }

    /// Checks the temperature and the ε.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for one that is not a finite number above 0.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("std_epsilon", self.std_epsilon, "a finite number > 0", |v| v > 0.0)?;
        self.kd().validate()
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`LogitStandardizedKdLossConfig::validate`].
    pub fn init(&self) -> Result<LogitStandardizedKdLoss, Error> {
        self.validate()?;
        Ok(LogitStandardizedKdLoss { kd: self.kd().init()?, config: *self })
    }
}

/// Distillation on standardised logits: [`KdLoss`] of `(x − mean) / (std + ε)`, each row by its own mean and
/// standard deviation, so that the student need not copy the teacher's range.
///
/// The teacher is a constant. A row of equal logits becomes zeros; its gradient is finite, but as large as 1/ε.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_losses::LogitStandardizedKdLossConfig;
///
/// let device = Device::default();
/// let kd = LogitStandardizedKdLossConfig::default().init()?;
/// let teacher = Tensor::<2>::from_floats([[4.0, 0.0, -1.0]], &device);
/// let student = teacher.clone() * 0.25 + 3.0; // another range, the same shape
/// assert!(kd.forward(student, teacher).into_scalar::<f32>().abs() < 1e-5);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Sun et al. 2024, "Logit standardization in knowledge distillation", and their code.
#[derive(Debug, Clone, Copy)]
pub struct LogitStandardizedKdLoss {
    kd: KdLoss,
    config: LogitStandardizedKdLossConfig,
}

impl LogitStandardizedKdLoss {
    fn standardized(&self, logits: Tensor<2>) -> Tensor<2> {
        let num_classes = logits.dims()[1];
        assert!(num_classes > 1, "one class has no standard deviation");
        let divisor = match self.config.degrees_of_freedom {
            DegreesOfFreedom::Sample => num_classes - 1,
            DegreesOfFreedom::Population => num_classes,
        };
        let centred = logits.clone() - logits.mean_dim(1);
        let deviation = norm(centred.clone().square().sum_dim(1) / divisor as f64);
        centred / (deviation + self.config.std_epsilon)
    }

    /// The loss of each sample: student and teacher logits `[.., C]` → `[N]`.
    ///
    /// # Panics
    /// When the shapes differ, or for one class.
    pub fn per_sample<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        let teacher = samples(teacher.without_autodiff());
        self.kd.per_sample(self.standardized(samples(student)), self.standardized(teacher))
    }

    /// The mean over the samples: student and teacher logits `[.., C]` → `[1]`.
    ///
    /// # Panics
    /// As [`LogitStandardizedKdLoss::per_sample`].
    pub fn forward<const D: usize>(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }
}
