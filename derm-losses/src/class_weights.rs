use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_classes, check_counts, check_range};

/// How class counts `n_c` become class weights, before normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WeightScheme {
    /// `1 / n_c`.
    InverseFrequency,
    /// `n_c^{−1/2}`.
    SqrtInverseFrequency,
    /// `(1 − β) / (1 − β^{n_c})`, the inverse of the effective number of samples; β in [0, 1).
    ClassBalanced {
        /// β; 0 weighs all classes alike, near 1 it is the inverse frequency.
        beta: f64,
    },
    /// `(1 − β^{n_c}) / (1 − β)`, the effective number of samples itself; β in [0, 1).
    EffectiveNumber {
        /// β; 0 makes every number 1, near 1 it is the count.
        beta: f64,
    },
}

/// The scale of class weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightNormalization {
    /// As the scheme gives them.
    None,
    /// `Σ_c w_c = C`: the mean over the classes is 1 (Cui et al. 2019).
    SumToClasses,
    /// `Σ_c n_c w_c = Σ_c n_c`: the mean over the samples is 1. With the inverse frequency this is
    /// `Σ n / (C n_c)`, scikit-learn's `balanced`.
    Balanced,
}

/// What happens to a class without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroCounts {
    /// It is an error that names the class: a training split that lacks a class is mostly a mistake.
    #[default]
    Refuse,
    /// It counts as one sample, in the scheme and in the normalisation, so that its weight is finite.
    CountAsOne,
}

/// One weight a class from the class counts of the training split.
///
/// ```
/// use derm_losses::{WeightNormalization, WeightScheme, ZeroCounts, class_weights};
///
/// let weights = class_weights(
///     &[30, 10],
///     WeightScheme::InverseFrequency,
///     WeightNormalization::Balanced,
///     ZeroCounts::Refuse,
/// )?;
/// assert!((weights[0] - 40.0 / 60.0).abs() < 1e-12);
/// assert!((weights[1] - 40.0 / 20.0).abs() < 1e-12);
/// # Ok::<(), derm_losses::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoSamples`] for counts that are empty or all 0; [`Error::TooFewClasses`] for a single count;
/// [`Error::ZeroCount`] for a class without samples under [`ZeroCounts::Refuse`]; [`Error::OutOfRange`] for β
/// outside [0, 1).
///
/// # Source
/// Cui et al. 2019, "Class-balanced loss based on effective number of samples"; scikit-learn
/// `compute_class_weight("balanced")`.
pub fn class_weights(
    counts: &[usize],
    scheme: WeightScheme,
    normalization: WeightNormalization,
    zero_counts: ZeroCounts,
) -> Result<Vec<f64>, Error> {
    if counts.iter().all(|&count| count == 0) {
        return Err(Error::NoSamples { num_classes: counts.len() });
    }
    check_classes(counts.len())?;
    if zero_counts == ZeroCounts::Refuse {
        check_counts(counts, counts.len())?;
    }
    if let WeightScheme::ClassBalanced { beta } | WeightScheme::EffectiveNumber { beta } = scheme {
        check_range("beta", beta, "a number in [0, 1)", |v| (0.0..1.0).contains(&v))?;
    }
    let counts: Vec<f64> = counts.iter().map(|&count| count.max(1) as f64).collect();
    let raw: Vec<f64> = counts
        .iter()
        .map(|&count| match scheme {
            WeightScheme::InverseFrequency => 1.0 / count,
            WeightScheme::SqrtInverseFrequency => 1.0 / count.sqrt(),
            WeightScheme::ClassBalanced { beta } => 1.0 / effective_number(count, beta),
            WeightScheme::EffectiveNumber { beta } => effective_number(count, beta),
        })
        .collect();
    let scale = match normalization {
        WeightNormalization::None => 1.0,
        WeightNormalization::SumToClasses => raw.len() as f64 / raw.iter().sum::<f64>(),
        WeightNormalization::Balanced => {
            let weighted: f64 = counts.iter().zip(&raw).map(|(count, weight)| count * weight).sum();
            counts.iter().sum::<f64>() / weighted
        }
    };
    Ok(raw.into_iter().map(|weight| weight * scale).collect())
}

/// `(1 − β^n) / (1 − β)`, without cancellation for β near 1.
fn effective_number(count: f64, beta: f64) -> f64 {
    if beta == 0.0 { 1.0 } else { -(count * beta.ln()).exp_m1() / (1.0 - beta) }
}
