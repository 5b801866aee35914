use std::collections::BTreeMap;

use derm_core::{Predictions, Validation};
use derm_metrics::{NLL_CLIP, nll};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::check_open_unit;
use crate::{Calibrate, Calibrator, CalibratorConfig, Error, FitCalibrator};

/// How far two mean log-likelihoods may differ and count as equal, in nats.
const TIE: f64 = 1e-9;

/// Which candidate wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionRule {
    /// The smallest mean negative log-likelihood; of equal ones (1e-9) the fewest parameters, then the first.
    #[default]
    Smallest,
    /// The fewest parameters among those within one standard error (over the folds) of the smallest (Breiman
    /// et al. 1984): a candidate must earn its parameters.
    OneStandardError,
}

/// How [`select_calibrator`] compares candidates.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `folds` | 5 | folds, 2 to the number of groups |
/// | `seed` | 0 | of the shuffle of the groups |
/// | `clip` | 1e-12 | smaller probabilities of the target count as this, in (0, 1) |
/// | `rule` | `smallest` | which candidate wins |
///
/// The clip is what an impossible outcome costs, 27.6 nats by default: isotonic regression and histogram
/// binning can give 0 to what then happens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionConfig {
    /// Number of folds.
    pub folds: usize,
    /// Seed of the shuffle of the groups.
    pub seed: u64,
    /// Smaller probabilities of the target count as this.
    pub clip: f64,
    /// Which candidate wins.
    pub rule: SelectionRule,
}

impl Default for SelectionConfig {
    fn default() -> Self {
        Self { folds: 5, seed: 0, clip: NLL_CLIP, rule: SelectionRule::Smallest }
    }
}

/// What cross-validation found of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateScore {
    /// The candidate.
    pub candidate: CalibratorConfig,
    /// Its number of free parameters.
    pub parameters: usize,
    /// Mean negative log-likelihood of each fold's held-out rows, in nats; as far as it came where it failed.
    pub fold_nll: Vec<f64>,
    /// The mean over all rows, each held out once; `None` where some fit failed.
    pub mean_nll: Option<f64>,
    /// Standard deviation of the folds over the square root of their number.
    pub standard_error: Option<f64>,
    /// Why a fit failed; such a candidate is not chosen.
    pub failure: Option<String>,
}

/// The comparison of candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibratorSelection {
    /// How they were compared.
    pub config: SelectionConfig,
    /// The candidates in their order.
    pub candidates: Vec<CandidateScore>,
    /// Position of the chosen one.
    pub chosen: usize,
    /// Number of rows in each fold.
    pub fold_samples: Vec<usize>,
}

/// Chooses among calibrators by the cross-validated negative log-likelihood of validation rows and fits the
/// chosen one to all of them.
///
/// Folds are made of whole groups, so that photographs of one lesion never stand on both sides; the groups of
/// each class (that of the row whose id sorts first) are shuffled and dealt round the folds, so that every
/// class is spread as evenly as its number of groups allows. Which row comes first in the table changes
/// nothing.
///
/// # Errors
/// [`Error::TooMany`] unless `folds` is 2 to the number of groups, [`Error::Range`] for a clip outside (0, 1),
/// [`Error::Count`] for no candidates, [`Error::NoCandidate`] where none can be fitted on every fold.
///
/// ```
/// use derm_calibration::{Calibrate, CalibratorConfig, SelectionConfig, select_calibrator};
/// # use derm_core::*;
/// # let names: Vec<String> = (0..300).map(|row| format!("{row:03}")).collect();
/// # let metadata = PredictionMetadata {
/// #     task: "diagnosis".into(),
/// #     view: View::Identity,
/// #     labels: LabelMap::new(["mel", "nv", "bcc"])?,
/// #     split_hash: "0f3a".into(),
/// # };
/// # let targets: Vec<usize> = (0..300).map(|row| (row * row + row / 7) % 3).collect();
/// # let values = ndarray::Array2::from_shape_fn((300, 3), |(row, class)| {
/// #     let wrong = row % 5 == 0;
/// #     if class == (targets[row] + usize::from(wrong)) % 3 { 6.0 } else { (row * class % 4) as f32 / 4.0 }
/// # });
/// # let columns = PredictionColumns {
/// #     ids: names.clone(), groups: names.clone(), cases: names, targets, ..PredictionColumns::default()
/// # };
/// # let scores = Scores { kind: ScoreKind::Logits, values };
/// # let validation = Predictions::<Validation>::new(metadata, columns, scores)?;
/// // Right four times of five, and far too certain: anything is better than the softmax as it is.
/// let (calibrator, selection) =
///     select_calibrator(&validation, &CalibratorConfig::all(), &SelectionConfig::default())?;
/// let mean_nll = |index: usize| selection.candidates[index].mean_nll;
/// assert!(mean_nll(selection.chosen) < mean_nll(0));
/// assert_eq!(calibrator.name(), selection.candidates[selection.chosen].candidate.name());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn select_calibrator(
    validation: &Predictions<Validation>,
    candidates: &[CalibratorConfig],
    config: &SelectionConfig,
) -> Result<(Calibrator, CalibratorSelection), Error> {
    if candidates.is_empty() {
        return Err(Error::Count { argument: "candidates", value: 0, minimum: 1 });
    }
    check_open_unit("clip", config.clip)?;
    let folds = folds(validation, config.folds, config.seed)?;
    let pairs: Vec<(Predictions<Validation>, Predictions<Validation>)> = (0..config.folds)
        .map(|fold| {
            let rows = |inside: bool| {
                let rows: Vec<usize> =
                    (0..folds.len()).filter(|&row| (folds[row] == fold) == inside).collect();
                validation.select(&rows)
            };
            Ok((rows(false)?, rows(true)?))
        })
        .collect::<Result<_, Error>>()?;
    let scores: Vec<CandidateScore> = candidates
        .iter()
        .map(|candidate| {
            let parameters = candidate.parameters(validation.num_classes(), validation.len());
            let mut score = CandidateScore {
                candidate: *candidate,
                parameters,
                fold_nll: Vec::new(),
                mean_nll: None,
                standard_error: None,
                failure: None,
            };
            for (fold, (fitted_on, held_out)) in pairs.iter().enumerate() {
                match held_out_nll(candidate, fitted_on, held_out, config.clip) {
                    Ok(nll) => score.fold_nll.push(nll),
                    Err(error) => {
                        score.failure = Some(format!("fold {fold}: {error}"));
                        return score;
                    }
                }
            }
            let weighted = score.fold_nll.iter().zip(&pairs).map(|(nll, (_, rows))| nll * rows.len() as f64);
            score.mean_nll = Some(weighted.sum::<f64>() / validation.len() as f64);
            score.standard_error = Some(standard_error(&score.fold_nll));
            score
        })
        .collect();
    let Some(chosen) = choose(&scores, config.rule) else {
        let first = scores.iter().find_map(|score| score.failure.clone()).unwrap_or_default();
        return Err(Error::NoCandidate { candidates: candidates.len(), first });
    };
    let calibrator = candidates[chosen].fit(validation)?;
    let fold_samples = pairs.iter().map(|(_, held_out)| held_out.len()).collect();
    Ok((calibrator, CalibratorSelection { config: *config, candidates: scores, chosen, fold_samples }))
}

fn held_out_nll(
    candidate: &impl FitCalibrator,
    fitted_on: &Predictions<Validation>,
    held_out: &Predictions<Validation>,
    clip: f64,
) -> Result<f64, Error> {
    let probabilities = candidate.fit(fitted_on)?.calibrate(held_out)?;
    Ok(nll(&probabilities, held_out.targets(), clip)?)
}

/// Standard deviation over the square root of the number; there are at least two folds.
fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (variance / n).sqrt()
}

fn choose(scores: &[CandidateScore], rule: SelectionRule) -> Option<usize> {
    let mean = |index: &usize| scores[*index].mean_nll;
    let ranked = || (0..scores.len()).filter_map(|index| Some((index, mean(&index)?)));
    let (best, smallest) = ranked().fold(None, |best: Option<(usize, f64)>, (index, nll)| match best {
        Some((_, smallest)) if smallest <= nll => best,
        _ => Some((index, nll)),
    })?;
    let slack = match rule {
        SelectionRule::Smallest => TIE,
        SelectionRule::OneStandardError => scores[best].standard_error.unwrap_or(0.0) + TIE,
    };
    // The first of equally many parameters.
    ranked()
        .filter(|&(_, nll)| nll <= smallest + slack)
        .map(|(index, _)| index)
        .min_by_key(|&index| scores[index].parameters)
}

/// The fold of each row.
fn folds(validation: &Predictions<Validation>, folds: usize, seed: u64) -> Result<Vec<usize>, Error> {
    let maximum = validation.num_groups();
    if !(2..=maximum).contains(&folds) {
        return Err(Error::TooMany { argument: "folds", value: folds, minimum: 2, maximum, of: "groups" });
    }
    // One row a group, in the order of the groups' names.
    let first = validation.one_row_per_group();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut fold_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut next = 0;
    for class in 0..validation.num_classes() {
        let mut groups: Vec<&str> = first
            .groups()
            .iter()
            .zip(first.targets())
            .filter(|&(_, &target)| target == class)
            .map(|(group, _)| group.as_str())
            .collect();
        for last in (1..groups.len()).rev() {
            groups.swap(last, below(&mut rng, last + 1));
        }
        for group in groups {
            fold_of.insert(group, next % folds);
            next += 1;
        }
    }
    Ok(validation.groups().iter().map(|group| fold_of[group.as_str()]).collect())
}

/// A number in 0..`bound`, uniform up to `bound`/2⁶⁴.
fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}
