//! Sets of classes that hold the true one with a promised frequency.

mod aps;
mod clusters;
mod conditioning;
mod coverage;
mod lac;
mod prediction_sets;
mod predictor;
mod quantile;
mod raps;
mod row_uniform;
mod rule;
mod saps;
mod score;
mod top_k;

pub use clusters::ClusterConfig;
pub use conditioning::{Conditioning, Partition};
pub use coverage::{ConformalTable, SetCoverage, SizeStratum};
pub use prediction_sets::{EmptySets, PredictionSets};
pub use predictor::{ConformalConfig, ConformalPredictor};
pub use quantile::ConformalQuantile;
pub use row_uniform::row_uniforms;
pub use rule::ConformalRule;
pub use score::{ConformalScore, Randomization};
