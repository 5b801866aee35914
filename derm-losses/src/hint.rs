use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_range;
use crate::log_probability::widened;
use crate::spatial_match::{common_size, pooled};

/// How the squares of a hint are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintReduction {
    /// The mean of `(r − t)²` over all elements: torch's `mse_loss`.
    #[default]
    Mean,
    /// The mean over the samples of `½ Σ (r − t)²`: equation 3 of the paper. It grows with the size of the map.
    HalfBatchSum,
}

/// Configuration of [`HintLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `student_channels` | | channels of the student's map | ≥ 1 |
/// | `teacher_channels` | | channels of the teacher's map | ≥ 1 |
/// | `reduction` | `mean` | how the squares are averaged | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HintLossConfig {
    /// Channels of the student's map.
    pub student_channels: usize,
    /// Channels of the teacher's map.
    pub teacher_channels: usize,
    /// How the squares are averaged.
    #[serde(default)]
    pub reduction: HintReduction,
}

impl HintLossConfig {
    /// Checks the numbers of channels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no channels.
    pub fn validate(&self) -> Result<(), Error> {
        let channels =
            [("student_channels", self.student_channels), ("teacher_channels", self.teacher_channels)];
        for (parameter, channels) in channels {
            check_range(parameter, channels as f64, "at least 1", |v| v >= 1.0)?;
        }
        Ok(())
    }

    /// The loss with a new regressor on `device`, drawn from the device's generator: `device.seed(…)` before it
    /// makes the draw repeatable.
    ///
    /// # Errors
    /// As [`HintLossConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<HintLoss, Error> {
        self.validate()?;
        Ok(HintLoss {
            regressor: Conv2dConfig::new([self.student_channels, self.teacher_channels], [1, 1]).init(device),
            reduction: self.reduction,
        })
    }
}

/// The hint: a 1×1 convolution, the regressor, guesses the teacher's map from the student's, and the loss is the
/// squared error of the guess.
///
/// The regressor learns with the student: give the optimizer both, and drop this module after training. Where
/// height or width differ, the larger one is brought to the smaller by adaptive average pooling, as in
/// [`AttentionTransferLoss`](crate::AttentionTransferLoss). The teacher is a constant.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use derm_losses::{HintLossConfig, HintReduction};
///
/// let device = Device::default();
/// let config = HintLossConfig { student_channels: 3, teacher_channels: 5, reduction: HintReduction::Mean };
/// let hint = config.init(&device)?;
/// let student = Tensor::random([2, 3, 4, 4], Distribution::Default, &device);
/// let teacher = Tensor::random([2, 5, 8, 8], Distribution::Default, &device);
/// assert!(hint.forward(student, teacher).into_scalar::<f32>() > 0.0);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Romero et al. 2015, "`FitNets`: hints for thin deep nets", equation 3. Their regressor has a kernel that makes
/// up for the difference in size; here pooling does.
#[derive(Module, Debug)]
pub struct HintLoss {
    /// The 1×1 convolution from the student's channels to the teacher's.
    pub regressor: Conv2d,
    #[module(skip)]
    reduction: HintReduction,
}

impl HintLoss {
    /// The loss of each sample: student [B, Cs, Hs, Ws], teacher [B, Ct, Ht, Wt] → `[B]`. The student's map is
    /// taken in the regressor's precision.
    ///
    /// # Panics
    /// When batch sizes or channels differ from what they should be.
    pub fn per_sample(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let teacher = teacher.without_autodiff();
        let size = common_size(&student, &teacher);
        // pooling and a 1×1 convolution commute, and the smaller map is the cheaper one
        let student = pooled(widened(student), size).cast(self.regressor.weight.val().dtype());
        let guess = widened(self.regressor.forward(student));
        let teacher = pooled(widened(teacher), size).cast(guess.dtype());
        assert_eq!(guess.dims(), teacher.dims(), "regressed student and teacher maps differ in shape");
        let squares: Tensor<2> = (guess - teacher).square().flatten(1, 3);
        match self.reduction {
            HintReduction::Mean => squares.mean_dim(1).squeeze_dim(1),
            HintReduction::HalfBatchSum => squares.sum_dim(1).squeeze_dim(1) * 0.5,
        }
    }

    /// The mean over the samples → `[1]`.
    ///
    /// # Panics
    /// As [`HintLoss::per_sample`].
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        self.per_sample(student, teacher).mean()
    }
}
