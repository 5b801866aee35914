use derm_core::Probabilities;

use crate::Error;
use crate::error::{check_finite, check_length, check_not_empty};

/// Rows in rising order of a score, ranked once and used for every resample.
#[derive(Debug, Clone)]
pub(crate) struct RankedRows {
    /// `row << 2 | last of its tie << 1 | positive`, the negatives of a tie before its positives: one word a row
    /// keeps the sweep in the cache.
    packed: Vec<u64>,
}

impl RankedRows {
    /// The ranking by a class's probability, with the rows of the class as positives.
    pub(crate) fn of_class(probabilities: &Probabilities, targets: &[usize], class: usize) -> Self {
        let scores = probabilities.view();
        let keys = scores.column(class).iter().map(|&p| probability_key(p)).collect();
        Self::from_keys(keys, |row| targets[row] == class)
    }

    /// The ranking by any finite score.
    pub(crate) fn of_scores(scores: &[f64], labels: &[bool]) -> Self {
        Self::from_keys(scores.iter().map(|&score| key(score)).collect(), |row| labels[row])
    }

    fn from_keys(keys: Vec<u64>, positive: impl Fn(usize) -> bool) -> Self {
        let rows = keys.into_iter().enumerate();
        let mut order: Vec<(u64, bool, usize)> = rows.map(|(row, key)| (key, positive(row), row)).collect();
        order.sort_unstable();
        let pack = |(rank, &(key, positive, row)): (usize, &(u64, bool, usize))| {
            let tie_ends = order.get(rank + 1).is_none_or(|next| next.0 != key);
            (row as u64) << 2 | u64::from(tie_ends) << 1 | u64::from(positive)
        };
        Self { packed: order.iter().enumerate().map(pack).collect() }
    }

    /// The rows in rising order of the score, with whether each is the last of its tie.
    pub(crate) fn rising(&self) -> impl Iterator<Item = (usize, bool)> {
        self.packed.iter().map(|word| ((word >> 2) as usize, word & 2 != 0))
    }

    /// Area under the ROC curve where row `i` stands `weight(i)` times; `None` without both labels.
    pub(crate) fn area(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        let mut area = PairCount::default();
        for &word in &self.packed {
            area.add(weight((word >> 2) as usize), word & 1 != 0, word & 2 != 0);
        }
        area.share()
    }

    /// Visits the distinct scores from the highest, each with a row of it and the weighted number of positives
    /// and negatives that have it.
    pub(crate) fn falling(&self, weight: impl Fn(usize) -> u64, mut visit: impl FnMut(usize, u64, u64)) {
        let mut tie: Option<(usize, u64, u64)> = None;
        for &word in self.packed.iter().rev() {
            let row = (word >> 2) as usize;
            if word & 2 != 0
                && let Some((row, positives, negatives)) = tie.replace((row, 0, 0))
            {
                visit(row, positives, negatives);
            }
            if let Some((_, positives, negatives)) = &mut tie {
                *(if word & 1 != 0 { positives } else { negatives }) += weight(row);
            }
        }
        if let Some((row, positives, negatives)) = tie {
            visit(row, positives, negatives);
        }
    }

    /// `Σ (R_n − R_{n−1}) P_n` where row `i` stands `weight(i)` times; `None` without positives.
    pub(crate) fn average_precision(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        let (mut positives, mut predicted, mut sum) = (0_u64, 0_u64, 0.0);
        self.falling(weight, |_, tied_positives, tied_negatives| {
            positives += tied_positives;
            predicted += tied_positives + tied_negatives;
            if tied_positives > 0 {
                sum += tied_positives as f64 * (positives as f64 / predicted as f64);
            }
        });
        (positives > 0).then(|| sum / positives as f64)
    }
}

/// Twice the number of pairs in which the positive scores higher, so that a tie's half is whole. Rows come in
/// rising order, within a tie the negatives first. Nothing branches: which rows are positive is not predictable.
#[derive(Debug, Default)]
pub(crate) struct PairCount {
    doubled: u64,
    positives: u64,
    negatives: u64,
    /// Negatives below the current tie.
    below: u64,
}

impl PairCount {
    pub(crate) fn add(&mut self, weight: u64, positive: bool, tie_ends: bool) {
        let positive = weight * u64::from(positive);
        self.negatives += weight - positive;
        self.positives += positive;
        // Below the tie a negative counts twice, in it once.
        self.doubled += positive * (self.below + self.negatives);
        self.below = if tie_ends { self.negatives } else { self.below };
    }

    pub(crate) fn share(&self) -> Option<f64> {
        let pairs = self.positives as f64 * self.negatives as f64;
        (pairs > 0.0).then(|| self.doubled as f64 / 2.0 / pairs)
    }
}

/// The area without resampling: the label rides in the last bit of the sorted word, so no row is looked up.
pub(crate) fn class_area(probabilities: &Probabilities, targets: &[usize], class: usize) -> Option<f64> {
    let scores = probabilities.view();
    let rows = scores.column(class).into_iter().zip(targets);
    // A probability is below 2, so the two highest bits of its key are free.
    let word = |(&p, &target): (&f64, &usize)| probability_key(p) << 1 | u64::from(target == class);
    let mut words: Vec<u64> = rows.map(word).collect();
    words.sort_unstable();
    let mut area = PairCount::default();
    for (rank, &word) in words.iter().enumerate() {
        let tie_ends = words.get(rank + 1).is_none_or(|next| next >> 1 != word >> 1);
        area.add(1, word & 1 != 0, tie_ends);
    }
    area.share()
}

/// Whole numbers in the order of probabilities, equal where those are (−0 is 0).
fn probability_key(p: f64) -> u64 {
    (p + 0.0).to_bits()
}

/// Whole numbers in the order of finite numbers, equal where those are (−0 is 0).
fn key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Scores that can be ranked: at least one, finite, with as many labels.
pub(crate) fn check_scores(scores: &[f64], labels: &[bool]) -> Result<(), Error> {
    check_not_empty("scores", scores.len())?;
    check_length("labels", labels.len(), scores.len())?;
    check_finite("scores", scores)
}

/// A class's probabilities and whether each row is of the class.
pub(crate) fn class_scores(
    probabilities: &Probabilities,
    targets: &[usize],
    class: usize,
) -> Result<(Vec<f64>, Vec<bool>), Error> {
    probabilities.check_targets(targets)?;
    check_class(class, probabilities.num_classes())?;
    let scores = probabilities.view().column(class).to_vec();
    Ok((scores, targets.iter().map(|&target| target == class).collect()))
}

pub(crate) fn check_class(class: usize, num_classes: usize) -> Result<(), Error> {
    let maximum = num_classes - 1;
    if class <= maximum {
        Ok(())
    } else {
        Err(Error::Count { argument: "class", value: class, minimum: 0, maximum })
    }
}
