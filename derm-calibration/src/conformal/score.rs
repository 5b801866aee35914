use derm_core::Probabilities;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::{aps, lac, raps, saps, top_k};
use crate::Error;
use crate::error::{check_length, check_not_negative};
use crate::no_fields::no_fields;

/// How much of a class's own probability (or rank) its score holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Randomization {
    /// All of it, u = 1: the same row always has the same set, and coverage is at least what was promised.
    #[default]
    Off,
    /// A share u, uniform on [0, 1), one a row: coverage is what was promised and sets are smaller. The u of a
    /// row comes from the seed and the row's id, so it does not change from run to run.
    PerRow,
}

/// How strange a class is for a row: small for classes that belong into the set.
///
/// The classes of a row are ranked by falling probability, equal ones by index.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ConformalScore {
    /// `1 − p_c` (Sadinle et al. 2019). Smallest sets on average; may be empty.
    #[serde(deserialize_with = "no_fields")]
    Lac,
    /// Mass of the classes ranked before c, plus `u p_c` (Romano et al. 2020). Sets grow with the row's
    /// difficulty.
    Aps {
        /// What u is.
        randomization: Randomization,
    },
    /// [`ConformalScore::Aps`] `+ λ max(0, rank_c − k_reg)` (Angelopoulos et al. 2021). As APS without its very
    /// large sets.
    Raps {
        /// What u is.
        randomization: Randomization,
        /// Penalty λ ≥ 0 of each rank beyond `k_reg`.
        lambda: f64,
        /// Number of ranks without a penalty.
        k_reg: usize,
    },
    /// `u p_max` for the most probable class, `p_max + (rank_c − 2 + u) λ` for the others (Huang et al. 2024):
    /// for networks whose small probabilities cannot be believed.
    Saps {
        /// What u is.
        randomization: Randomization,
        /// Weight λ ≥ 0 of a rank.
        lambda: f64,
    },
    /// `rank_c − 1 + u`: the same number of classes for every row, up to the randomisation.
    TopK {
        /// What u is.
        randomization: Randomization,
    },
}

impl ConformalScore {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Range`] unless λ is finite and at least 0.
    pub fn validate(self) -> Result<(), Error> {
        match self {
            Self::Raps { lambda, .. } | Self::Saps { lambda, .. } => check_not_negative("lambda", lambda),
            Self::Lac | Self::Aps { .. } | Self::TopK { .. } => Ok(()),
        }
    }

    /// The name in files: `lac`, `aps`, `raps`, `saps`, `top_k`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lac => "lac",
            Self::Aps { .. } => "aps",
            Self::Raps { .. } => "raps",
            Self::Saps { .. } => "saps",
            Self::TopK { .. } => "top_k",
        }
    }

    /// What u is; [`ConformalScore::Lac`] has none.
    pub fn randomization(self) -> Randomization {
        match self {
            Self::Lac => Randomization::Off,
            Self::Aps { randomization }
            | Self::Raps { randomization, .. }
            | Self::Saps { randomization, .. }
            | Self::TopK { randomization } => randomization,
        }
    }

    /// The score of every class of every row, shape [N, C]. `uniforms` `[N]` holds one number in [0, 1] a row
    /// ([`row_uniforms`](crate::row_uniforms)), and is read where the score is randomised.
    ///
    /// ```
    /// use derm_calibration::{ConformalScore, Randomization};
    /// use derm_core::Probabilities;
    /// use ndarray::array;
    /// let probabilities = Probabilities::new(array![[0.25, 0.5, 0.25]])?;
    /// let aps = ConformalScore::Aps { randomization: Randomization::PerRow };
    /// assert_eq!(aps.scores(&probabilities, &[0.5])?, array![[0.625, 0.25, 0.875]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`ConformalScore::validate`]; [`Error::Value`] where `uniforms` is of another length,
    /// [`Error::Entry`] where one is outside [0, 1].
    pub fn scores(self, probabilities: &Probabilities, uniforms: &[f64]) -> Result<Array2<f64>, Error> {
        self.validate()?;
        check_length("uniforms", uniforms.len(), probabilities.num_samples())?;
        if let Some(position) = uniforms.iter().position(|u| !(0.0..=1.0).contains(u)) {
            let (value, expected) = (uniforms[position], "a number from 0 to 1");
            return Err(Error::Entry { argument: "uniforms", position, value, expected });
        }
        let mut scores = Array2::zeros(probabilities.view().dim());
        for (index, mut line) in scores.rows_mut().into_iter().enumerate() {
            let u = match self.randomization() {
                Randomization::Off => 1.0,
                Randomization::PerRow => uniforms[index],
            };
            let row = probabilities.row(index).to_vec();
            let ranking = || probabilities.ranking(index);
            line.assign(&Array1::from_vec(match self {
                Self::Lac => lac::scores(&row),
                Self::Aps { .. } => aps::scores(&row, &ranking(), u),
                Self::Raps { lambda, k_reg, .. } => raps::scores(&row, &ranking(), u, lambda, k_reg),
                Self::Saps { lambda, .. } => saps::scores(&row, &ranking(), u, lambda),
                Self::TopK { .. } => top_k::scores(&ranking(), u),
            }));
        }
        Ok(scores)
    }
}
