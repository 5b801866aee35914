use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_not_all_zero, check_range};
use crate::log_probability::{log_complements, samples};
use crate::target_expectation::class_mask;

/// Configuration of [`DkdLoss`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `alpha` | 1 (Zhao et al. 2022) | weighs TCKD, the target against the rest | finite, ≥ 0 |
/// | `beta` | 8 (Zhao et al. 2022, CIFAR-100) | weighs NCKD, among the other classes | finite, ≥ 0, not 0 with `alpha` |
/// | `temperature` | 4 (Zhao et al. 2022, CIFAR-100) | divides both logits | finite, > 0 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DkdLossConfig {
    /// Weight α of TCKD.
    pub alpha: f64,
    /// Weight β of NCKD.
    pub beta: f64,
    /// Temperature T > 0.
    pub temperature: f64,
}

impl Default for DkdLossConfig {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 8.0, temperature: 4.0 }
    }
}

impl DkdLossConfig {
    /// Checks every value against a task of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error::DecoupledClasses`] for two classes, where NCKD is 0 and β would be without effect;
    /// [`Error::OutOfRange`] and [`Error::ZeroWeights`] for the numbers.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        check_classes(num_classes)?;
        if num_classes == 2 {
            return Err(Error::DecoupledClasses { found: num_classes });
        }
        for (parameter, weight) in [("alpha", self.alpha), ("beta", self.beta)] {
            check_range(parameter, weight, "a finite number >= 0", |v| v >= 0.0)?;
        }
        check_not_all_zero("alpha and beta", &[self.alpha, self.beta])?;
        check_range("temperature", self.temperature, "a finite number > 0", |v| v > 0.0)
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`DkdLossConfig::validate`].
    pub fn init(&self, num_classes: usize) -> Result<DkdLoss, Error> {
        self.validate(num_classes)?;
        Ok(DkdLoss { config: *self })
    }
}

/// Decoupled distillation on logits: `T² (α TCKD + β NCKD)`, mean over the samples.
///
/// With y the target, TCKD is the divergence of the student's `(p_y, 1 − p_y)` from the teacher's, and NCKD that
/// of the softmax over the other classes, both at temperature T. With `α = 1` and `β = 1 − p_y` of the teacher it
/// would be [`KdLoss`](crate::KdLoss).
///
/// It splits the classes by the one target, so it takes the class indices of
/// [`Targets::Hard`](derm_core::Targets::Hard): soft targets are no value of its argument. The indices are in 0..C,
/// checked as all labels where they enter, by [`Targets::from_indices`](derm_core::Targets::from_indices). Computed
/// in log space: finite in value and gradient for logits up to ±10¹⁵. The teacher is a constant.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::Targets;
/// use derm_losses::DkdLossConfig;
///
/// let device = Device::default();
/// let loss = DkdLossConfig { alpha: 1.0, beta: 2.0, temperature: 1.0 }.init(3)?;
/// // equal among the others: only the target's part is left
/// let teacher = Tensor::<2>::from_floats([[2.0_f32.ln(), 0.0, 0.0]], &device);
/// let student = Tensor::<2>::from_floats([[0.0, 0.0, 0.0]], &device);
/// let Targets::Hard(indices) = Targets::from_indices(&[0], 3, &device).unwrap() else { unreachable!() };
/// let expected = 0.5 * (0.5_f32 * 3.0).ln() + 0.5 * (0.5_f32 * 1.5).ln();
/// let value = loss.forward(student, teacher, &indices).into_scalar::<f32>();
/// assert!((value - expected).abs() < 1e-6);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Source
/// Zhao et al. 2022, "Decoupled knowledge distillation", equation 7 with the T² of their code.
#[derive(Debug, Clone, Copy)]
pub struct DkdLoss {
    config: DkdLossConfig,
}

impl DkdLoss {
    /// The loss of each sample: student and teacher logits `[.., C]`, class indices `[N]` → `[N]`.
    ///
    /// # Panics
    /// When the shapes differ. An index outside 0..C panics or is undefined, as the device's `gather` has it.
    pub fn per_sample<const D: usize>(
        &self,
        student: Tensor<D>,
        teacher: Tensor<D>,
        targets: &Tensor<1, Int>,
    ) -> Tensor<1> {
        let DkdLossConfig { alpha, beta, temperature } = self.config;
        let student = samples(student);
        let teacher = samples(teacher.without_autodiff()).cast(student.dtype());
        assert_eq!(student.dims(), teacher.dims(), "student and teacher logits differ in shape");
        let [num_samples, num_classes] = student.dims();
        assert_eq!(targets.dims(), [num_samples], "logits and targets differ in the number of samples");
        let is_target = class_mask(targets.clone(), num_classes);

        // [log p_y, log(1 − p_y)] and log p̂ over the other classes; the target's entry is no number
        let parts = |logits: Tensor<2>| {
            let logits = logits / temperature;
            let log_p = log_softmax(logits.clone(), 1);
            let picked = |terms: Tensor<2>| terms.gather(1, targets.clone().reshape([num_samples, 1]));
            let binary = Tensor::cat(vec![picked(log_p.clone()), picked(log_complements(log_p))], 1);
            (binary, log_softmax(logits.mask_fill(is_target.clone(), f32::NEG_INFINITY), 1))
        };
        let (student_binary, student_others) = parts(student);
        let (teacher_binary, teacher_others) = parts(teacher);

        let target_part = (teacher_binary.clone().exp() * (teacher_binary - student_binary)).sum_dim(1);
        let ratio = (teacher_others.clone() - student_others).mask_fill(is_target, 0.0);
        let other_part = (teacher_others.exp() * ratio).sum_dim(1);
        let squared = temperature * temperature;
        (target_part * (alpha * squared) + other_part * (beta * squared)).squeeze_dim(1)
    }

    /// The mean over the samples: student and teacher logits `[.., C]`, class indices `[N]` → `[1]`.
    ///
    /// # Panics
    /// As [`DkdLoss::per_sample`].
    pub fn forward<const D: usize>(
        &self,
        student: Tensor<D>,
        teacher: Tensor<D>,
        targets: &Tensor<1, Int>,
    ) -> Tensor<1> {
        self.per_sample(student, teacher, targets).mean()
    }
}
