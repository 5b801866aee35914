use std::f64::consts::PI;

use burn::tensor::{Device, Tensor};
use derm_core::Targets;
use serde::Serialize;

use crate::Error;
use crate::error::{check_per_class, check_range};
use crate::progress::share;
use crate::target_expectation::{class_row, constant_weights, target_weights};

/// FLSD-53: γ of a sample whose probability is below [`FLSD_BOUNDARY`], and of one that is not.
const FLSD_GAMMAS: [f64; 2] = [5.0, 3.0];
const FLSD_BOUNDARY: f64 = 0.2;

/// The focusing exponent γ of the focal loss: `2.0`, `[2.0, 0.5, 1.0]`, `linear: {from: 4.0, to: 1.0}`,
/// `cosine: {from: 4.0, to: 1.0}` or `flsd53` in a file.
///
/// ```
/// use derm_losses::Gamma;
///
/// let read = |text| serde_json::from_str::<Gamma>(text).unwrap();
/// assert_eq!(read("2.0"), Gamma::Constant(2.0));
/// assert_eq!(read("[2, 0.5]"), Gamma::PerClass(vec![2.0, 0.5]));
/// assert_eq!(read(r#"{"cosine": {"from": 4, "to": 1}}"#), Gamma::Cosine { from: 4.0, to: 1.0 });
/// assert_eq!(read(r#""flsd53""#), Gamma::Flsd53);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gamma {
    /// From `from` to `to` in a straight line over training: `from + (to − from) t` at progress t.
    Linear {
        /// γ at the start of training.
        from: f64,
        /// γ at its end.
        to: f64,
    },
    /// From `from` to `to` along half a cosine: `to + (from − to) (1 + cos πt) / 2` at progress t.
    Cosine {
        /// γ at the start of training.
        from: f64,
        /// γ at its end.
        to: f64,
    },
    /// 5 where the probability is below 0.2, else 3 (Mukhoti et al. 2020). The choice is a constant: no gradient
    /// flows through it, and the loss jumps down at 0.2. The paper has it for hard targets without smoothing;
    /// [`FocalLoss`](crate::FocalLoss) says which probability decides elsewhere.
    Flsd53,
    /// The same for all samples.
    #[serde(untagged)]
    Constant(f64),
    /// One a class: the γ of the class whose probability is modulated.
    #[serde(untagged)]
    PerClass(Vec<f64>),
}

impl From<f64> for Gamma {
    fn from(gamma: f64) -> Self {
        Self::Constant(gamma)
    }
}

impl Gamma {
    pub(crate) fn validate(&self, num_classes: usize) -> Result<(), Error> {
        let check = |parameter, gamma| check_range(parameter, gamma, "a finite number >= 0", |v| v >= 0.0);
        match self {
            Self::Linear { from, to } | Self::Cosine { from, to } => {
                check("gamma.from", *from)?;
                check("gamma.to", *to)
            }
            Self::Flsd53 => Ok(()),
            Self::Constant(gamma) => check("gamma", *gamma),
            Self::PerClass(gammas) => check_per_class("gamma", gammas, num_classes),
        }
    }
}

/// γ at a point of training.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a loss holds one")]
pub(crate) enum Focusing {
    Constant(f64),
    PerClass(Tensor<1>),
    Flsd53,
}

impl Focusing {
    /// `gamma` at the start of training, on `device`.
    pub(crate) fn new(gamma: &Gamma, device: &Device) -> Self {
        match gamma {
            Gamma::Linear { from: gamma, .. }
            | Gamma::Cosine { from: gamma, .. }
            | Gamma::Constant(gamma) => Self::Constant(*gamma),
            Gamma::PerClass(gammas) => {
                let gammas: Vec<f32> = gammas.iter().map(|&gamma| gamma as f32).collect();
                Self::PerClass(constant_weights(&gammas, device))
            }
            Gamma::Flsd53 => Self::Flsd53,
        }
    }

    /// `gamma` at `progress`.
    pub(crate) fn at(&self, gamma: &Gamma, progress: f64) -> Self {
        let t = share(progress);
        match *gamma {
            Gamma::Linear { from, to } => Self::Constant(from * (1.0 - t) + to * t),
            Gamma::Cosine { from, to } => Self::Constant(to + (from - to) * 0.5 * (1.0 + (PI * t).cos())),
            Gamma::Constant(_) | Gamma::PerClass(_) | Gamma::Flsd53 => self.clone(),
        }
    }

    /// `(1 − p)^γ` of class terms [N, C], from `log(1 − p)` and `log p`.
    pub(crate) fn of_classes(&self, log_complement: Tensor<2>, log_p: &Tensor<2>) -> Tensor<2> {
        let exponent = match self {
            Self::Constant(gamma) => log_complement * *gamma,
            Self::PerClass(gammas) => {
                let gammas = class_row(gammas, &log_complement);
                log_complement * gammas
            }
            Self::Flsd53 => log_complement * flsd(log_p),
        };
        exponent.exp()
    }

    /// `(1 − p)^γ` of samples `[N]`, from `log(1 − p)` and `log p`. The γ of a soft target is `Σ_c q_c γ_c`.
    pub(crate) fn of_samples(
        &self,
        log_complement: Tensor<1>,
        log_p: &Tensor<1>,
        targets: &Targets,
    ) -> Tensor<1> {
        let exponent = match self {
            Self::Constant(gamma) => log_complement * *gamma,
            Self::PerClass(gammas) => {
                let gammas = target_weights(gammas, targets).cast(log_complement.dtype());
                log_complement * gammas
            }
            Self::Flsd53 => log_complement * flsd(log_p),
        };
        exponent.exp()
    }
}

/// γ of FLSD-53 for each entry, as a constant.
fn flsd<const D: usize>(log_p: &Tensor<D>) -> Tensor<D> {
    let [hard, easy] = FLSD_GAMMAS;
    let is_hard = log_p.clone().without_autodiff().lower_scalar(FLSD_BOUNDARY.ln());
    (is_hard.float() * (hard - easy) + easy).cast(log_p.dtype())
}
