use serde::{Deserialize, Serialize};

/// By what the loss is multiplied before a backward pass in f16, so that small gradients are not lost: as large as
/// they bear it.
///
/// It begins at 65536. A step whose gradients are not finite is left out and halves it; 2000 steps in a row that are
/// double it, up to 2²⁴.
///
/// # Source
/// Micikevicius et al. 2018, "Mixed precision training", 3.2; torch `GradScaler` with its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossScale {
    /// The factor.
    pub factor: f64,
    /// Finite steps since it last changed.
    pub finite_steps: usize,
    /// Steps that were left out.
    pub skipped_steps: usize,
}

const FIRST: f64 = 65536.0;
const LARGEST: f64 = 16_777_216.0;
const PATIENCE: usize = 2000;

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: FIRST, finite_steps: 0, skipped_steps: 0 }
    }
}

impl LossScale {
    /// What follows a step. A factor below 1 says that the gradients themselves are not finite.
    pub(crate) fn after(self, finite: bool) -> Self {
        let Self { factor, finite_steps, skipped_steps } = self;
        match finite {
            false => Self { factor: factor / 2.0, finite_steps: 0, skipped_steps: skipped_steps + 1 },
            true if finite_steps + 1 == PATIENCE => {
                Self { factor: (factor * 2.0).min(LARGEST), finite_steps: 0, skipped_steps }
            }
            true => Self { finite_steps: finite_steps + 1, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_doubles_late() {
        let halved = LossScale::default().after(false);
        assert_eq!((halved.factor, halved.skipped_steps), (FIRST / 2.0, 1));
        let waiting = (1..PATIENCE).fold(halved, |scale, _| scale.after(true));
        assert_eq!(waiting.factor, FIRST / 2.0);
        let doubled = waiting.after(true);
        assert_eq!((doubled.factor, doubled.finite_steps), (FIRST, 0));
        assert_eq!(waiting.after(false).after(true).finite_steps, 1);
        let long = (0..20 * PATIENCE).fold(LossScale::default(), |scale, _| scale.after(true));
        assert_eq!(long.factor, LARGEST);
    }
}
