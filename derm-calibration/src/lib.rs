#![doc = include_str!("../README.md")]

mod abstain;
mod affine_map;
mod beta;
mod bonferroni;
mod calibrate;
mod calibration_error;
mod calibrator;
mod calibrator_config;
mod calibrator_selection;
mod conformal;
mod dirichlet;
mod error;
mod fitted_on;
mod fixed_sequence;
mod histogram_binning;
mod isotonic;
mod kde_ece;
mod logistic_likelihood;
mod matrix_scaling;
mod newton;
mod no_fields;
mod odir;
mod one_vs_rest;
mod platt;
mod record;
mod referral_reason;
mod reject_threshold;
mod risk_coverage;
mod selective_score;
mod smooth_ece;
mod softmax_likelihood;
mod temperature;
mod threshold_grid;
mod tier;
mod tier_table;
mod vector_scaling;

pub use abstain::{AbstainConfig, AbstainPolicy, ClassPolicy, SelectionMethod, ThresholdScope};
pub use affine_map::AffineMap;
pub use beta::{BetaCalibration, BetaConfig, BetaMap, BetaVariant};
pub use calibrate::{Calibrate, CalibratorInput, FitCalibrator};
pub use calibration_error::{
    CalibrationError, CalibrationErrorEstimate, CalibrationNotion, ClassReliability, ErrorNorm,
    calibration_errors, reliability,
};
pub use calibrator::Calibrator;
pub use calibrator_config::CalibratorConfig;
pub use calibrator_selection::{
    CalibratorSelection, CandidateScore, SelectionConfig, SelectionRule, select_calibrator,
};
pub use conformal::{
    ClusterConfig, Conditioning, ConformalConfig, ConformalPredictor, ConformalQuantile, ConformalRule,
    ConformalScore, ConformalTable, EmptySets, Partition, PredictionSets, Randomization, SetCoverage,
    SizeStratum, row_uniforms,
};
pub use dirichlet::{DirichletCalibration, DirichletConfig};
pub use error::Error;
pub use fitted_on::FittedOn;
pub use fixed_sequence::{TestedThreshold, TierFit};
pub use histogram_binning::{HistogramBinning, HistogramConfig, HistogramMap};
pub use isotonic::{IsotonicCalibration, IsotonicConfig};
pub use kde_ece::{Bandwidth, KdeEce, MIN_BANDWIDTH, kde_ece};
pub use matrix_scaling::{MatrixConfig, MatrixScaling};
pub use newton::{Convergence, StoppingRule};
pub use odir::Odir;
pub use one_vs_rest::{BinaryMap, Odds, OneVsRest};
pub use platt::{PlattConfig, PlattMap, PlattScaling, PlattTargets};
pub use record::CalibrationRecord;
pub use referral_reason::ReferralReason;
pub use reject_threshold::{ReferredRows, RejectOutcome, RejectThreshold, RejectThresholdConfig};
pub use risk_coverage::{Aurc, RiskCoverage};
pub use selective_score::{SelectiveScore, energy, margin, negative_entropy};
pub use smooth_ece::{MIN_SIGMA, SmoothEce, SmoothReliabilityPoint, smooth_ece, smooth_reliability};
pub use temperature::{TemperatureBound, TemperatureConfig, TemperatureScaling};
pub use threshold_grid::{AnswerCandidate, GridPoint, ThresholdGrid};
pub use tier::{SuggestScore, Tier, TierThresholds, top3_mass};
pub use tier_table::{ClassTiers, SubgroupTiers, TierOutcome, TierTable};
pub use vector_scaling::{VectorConfig, VectorScaling};
