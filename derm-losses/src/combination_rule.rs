use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_not_all_zero, check_range};

/// How a loss on the targets and a distillation loss are combined. The literature calls every weight α; the
/// variant says what it weighs.
///
/// ```
/// use derm_losses::CombinationRule;
///
/// assert_eq!(CombinationRule::Convex { alpha: 0.25 }.weights()?, [0.25, 0.75]);
/// assert_eq!(CombinationRule::Weighted { alpha: 1.0, beta: 0.8 }.weights()?, [1.0, 0.8]);
/// # Ok::<(), derm_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CombinationRule {
    /// `α hard + (1 − α) soft`, α in [0, 1]. Some papers give α to the soft loss: theirs is 1 − α here.
    Convex {
        /// Weight of the loss on the targets.
        alpha: f64,
    },
    /// `α hard + β soft`, both finite, ≥ 0 and not both 0.
    Weighted {
        /// Weight of the loss on the targets.
        alpha: f64,
        /// Weight of the distillation loss.
        beta: f64,
    },
}

impl CombinationRule {
    /// The weights of the loss on the targets and of the distillation loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::ZeroWeights`].
    pub fn weights(&self) -> Result<[f64; 2], Error> {
        match *self {
            Self::Convex { alpha } => {
                check_range("alpha", alpha, "a number in [0, 1]", |v| (0.0..=1.0).contains(&v))?;
                Ok([alpha, 1.0 - alpha])
            }
            Self::Weighted { alpha, beta } => {
                for (parameter, weight) in [("alpha", alpha), ("beta", beta)] {
                    check_range(parameter, weight, "a finite number >= 0", |v| v >= 0.0)?;
                }
                check_not_all_zero("alpha and beta", &[alpha, beta])?;
                Ok([alpha, beta])
            }
        }
    }
}
