use std::collections::BTreeMap;

use derm_core::ValueError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::check_at_least_one;
use crate::{Error, Units};

/// Which rows the bootstrap draws, replicate by replicate.
///
/// Intervals must count independent units: several photographs of one lesion are not, so
/// [`Resamples::groups`] draws whole lesions (or patients), and [`Resamples::rows`] serves where every row is
/// its own unit. [`Resamples::stratified`] and [`Resamples::stratified_groups`] keep the class counts.
///
/// Replicate `b` draws from its own stream `b` of `ChaCha8` under one seed, so the replicates are the same
/// for any number of threads and on any machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Resamples {
    num_samples: usize,
    replicates: usize,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// Of each stratum the units that are drawn, of each unit its rows.
    Units { strata: Vec<Vec<Vec<usize>>>, seed: u64 },
    /// The drawn rows of each replicate.
    Given(Vec<Vec<usize>>),
}

impl Resamples {
    /// Draws of `num_samples` rows with replacement.
    ///
    /// # Errors
    /// [`Error::Count`] for no rows or no replicates.
    pub fn rows(num_samples: usize, replicates: usize, seed: u64) -> Result<Self, Error> {
        check_at_least_one("num_samples", num_samples)?;
        Self::units(vec![(0..num_samples).map(|row| vec![row]).collect()], replicates, seed)
    }

    /// Draws of as many groups as there are, with replacement, each with all its rows (the cluster
    /// bootstrap). `groups` `[N]` names the group of each row. The draw depends on the names and not on the
    /// order of the rows.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows, [`Error::Count`] for no replicates.
    ///
    /// # Source
    /// Davison and Hinkley 1997, section 3.8, strategy 1 (clusters drawn, their members kept).
    pub fn groups<S: AsRef<str>>(groups: &[S], replicates: usize, seed: u64) -> Result<Self, Error> {
        let units = Units::new(groups)?;
        Self::units(vec![units.rows().to_vec()], replicates, seed)
    }

    /// Draws of rows with replacement within each class, so that every replicate has the class counts of the
    /// data. The interval then holds for a test set of just these counts.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows, [`Error::Count`] for no replicates.
    ///
    /// # Source
    /// Davison and Hinkley 1997, section 3.2.
    pub fn stratified(targets: &[usize], replicates: usize, seed: u64) -> Result<Self, Error> {
        if targets.is_empty() {
            return Err(ValueError::Empty { argument: "targets" }.into());
        }
        let mut strata: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
        for (row, &target) in targets.iter().enumerate() {
            strata.entry(target).or_default().push(vec![row]);
        }
        Self::units(strata.into_values().collect(), replicates, seed)
    }

    /// Draws of whole groups with replacement within each class: every replicate has as many groups of each
    /// class as the data. A group belongs to the class of its rows; it is not defined for groups whose rows
    /// are of several classes (patients with several lesions), which are refused.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::MixedUnit`] for a group of two classes,
    /// [`Error::Count`] for no replicates.
    pub fn stratified_groups<S: AsRef<str>>(
        targets: &[usize],
        groups: &[S],
        replicates: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        let units = Units::new(groups)?;
        let mut strata: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
        for (target, rows) in units.targets(targets)?.into_iter().zip(units.rows()) {
            strata.entry(target).or_default().push(rows.clone());
        }
        Self::units(strata.into_values().collect(), replicates, seed)
    }

    /// Draws that are given: for each replicate its rows.
    ///
    /// # Errors
    /// [`Error::Value`] for no replicate or an empty one, [`Error::ResampleRow`] for a row past
    /// `num_samples`.
    pub fn given(num_samples: usize, draws: Vec<Vec<usize>>) -> Result<Self, Error> {
        if draws.is_empty() || draws.iter().any(Vec::is_empty) {
            return Err(ValueError::Empty { argument: "resamples" }.into());
        }
        for (resample, rows) in draws.iter().enumerate() {
            if let Some(position) = rows.iter().position(|&row| row >= num_samples) {
                return Err(Error::ResampleRow { resample, position, row: rows[position], num_samples });
            }
        }
        Ok(Self { num_samples, replicates: draws.len(), source: Source::Given(draws) })
    }

    fn units(strata: Vec<Vec<Vec<usize>>>, replicates: usize, seed: u64) -> Result<Self, Error> {
        check_at_least_one("replicates", replicates)?;
        let num_samples = strata.iter().flatten().map(Vec::len).sum();
        Ok(Self { num_samples, replicates, source: Source::Units { strata, seed } })
    }

    /// Number of replicates B.
    pub fn replicates(&self) -> usize {
        self.replicates
    }

    /// Number of rows N that are drawn from.
    pub fn num_samples(&self) -> usize {
        self.num_samples
    }

    /// How often each row stands in a replicate, shape `[N]`.
    ///
    /// # Panics
    /// Where there is no such replicate.
    pub fn multiplicities(&self, replicate: usize) -> Vec<u32> {
        assert!(replicate < self.replicates, "replicate {replicate} of {}", self.replicates);
        let mut counts = vec![0; self.num_samples];
        match &self.source {
            Source::Given(draws) => draws[replicate].iter().for_each(|&row| counts[row] += 1),
            Source::Units { strata, seed } => {
                let mut rng = ChaCha8Rng::seed_from_u64(*seed);
                rng.set_stream(replicate as u64);
                for units in strata {
                    for _ in 0..units.len() {
                        for &row in &units[below(&mut rng, units.len())] {
                            counts[row] += 1;
                        }
                    }
                }
            }
        }
        counts
    }

    /// Number of units less one of each stratum: 0 where every replicate is the data itself.
    pub(crate) fn freedom(&self) -> usize {
        match &self.source {
            Source::Units { strata, .. } => strata.iter().map(|units| units.len() - 1).sum(),
            Source::Given(_) => self.num_samples - 1,
        }
    }

    /// Of each stratum the units, of each unit its rows; of given draws the rows are the units.
    pub(crate) fn strata(&self) -> Vec<Vec<Vec<usize>>> {
        match &self.source {
            Source::Units { strata, .. } => strata.clone(),
            Source::Given(_) => vec![(0..self.num_samples).map(|row| vec![row]).collect()],
        }
    }
}

/// A number in 0..`bound`, uniform up to `bound`/2⁶⁴.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}
