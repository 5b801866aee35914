#![doc = include_str!("../README.md")]

mod abstain;
mod calibrator;
mod error;
mod fitted_on;
mod fixed_sequence;
mod record;
mod risk_coverage;
mod temperature;
mod threshold_grid;
mod tier;
mod tier_table;

pub use abstain::{AbstainConfig, AbstainPolicy, SelectionMethod};
pub use calibrator::Calibrator;
pub use error::Error;
pub use fitted_on::FittedOn;
pub use fixed_sequence::{TestedThreshold, TierFit};
pub use record::CalibrationRecord;
pub use risk_coverage::{Aurc, RiskCoverage};
pub use temperature::{TemperatureBound, TemperatureConfig, TemperatureScaling};
pub use threshold_grid::{AnswerCandidate, GridPoint, ThresholdGrid};
pub use tier::{SuggestScore, Tier, TierThresholds, top3_mass};
pub use tier_table::{ClassTiers, TierOutcome, TierTable};
