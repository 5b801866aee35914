//! Cross-validation: stratified folds that keep lesions and patients whole.

use std::collections::BTreeSet;

use derm_core::{SplitRole, sha256_hex};
use serde::{Deserialize, Serialize};

use super::{EmptyClassPolicy, Split, check_shares, deal, push_part};
use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Dataset, Error};

/// How a dataset is divided into folds.
///
/// | field | default | range |
/// |---|---|---|
/// | `folds` | 5 | 2 to the number of groups |
/// | `seed` | 0 | any |
/// | `empty_class` | `refuse` | whether a class may be absent from a fold |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FoldConfig {
    /// Number of folds k.
    pub folds: usize,
    /// Seed of the order in which groups of one size are dealt out.
    pub seed: u64,
    /// Whether a class may be absent from a fold.
    pub empty_class: EmptyClassPolicy,
}

impl Default for FoldConfig {
    fn default() -> Self {
        Self { folds: 5, seed: 0, empty_class: EmptyClassPolicy::Refuse }
    }
}

/// How what is outside a fold is divided: shares of the rest, which sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestFractions {
    /// Share of the training part.
    pub train: f64,
    /// Share of the validation part.
    pub validation: f64,
    /// Share of the calibration part.
    pub calibration: f64,
}

impl Default for RestFractions {
    fn default() -> Self {
        Self { train: 0.8, validation: 0.1, calibration: 0.1 }
    }
}

/// k parts of a dataset, each the test part once. Groups are dealt out as by [`Split::stratified`], to equal shares.
///
/// ```
/// use derm_data::{FoldConfig, Folds, SyntheticConfig};
/// let dataset = SyntheticConfig { num_lesions: 120, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let folds = Folds::stratified(&dataset, FoldConfig::default())?;
/// let tested: usize = (0..5).map(|fold| folds.test(&dataset, fold).map(|rows| rows.len())).sum::<Result<_, _>>()?;
/// assert_eq!(tested, dataset.records().len());
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    dataset: String,
    config: FoldConfig,
    repeat: u64,
    /// Sorted ids of each fold.
    ids: Vec<Vec<String>>,
}

impl Folds {
    /// Divides a dataset into k folds.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer than 2 folds or more folds than groups; [`Error::TooFewGroups`] for a class with fewer
    /// groups than folds and [`Error::AbsentFromFold`] for one that is absent from a fold (unless allowed);
    /// [`Error::EmptyFold`] for a fold without a record.
    pub fn stratified(dataset: &Dataset, config: FoldConfig) -> Result<Self, Error> {
        Self::repeat(dataset, config, 0)
    }

    /// Repeated k-fold: `repeats` divisions that differ in the order in which groups are dealt out. The first is that of
    /// [`Folds::stratified`].
    ///
    /// # Errors
    /// As [`Folds::stratified`].
    pub fn repeated(dataset: &Dataset, config: FoldConfig, repeats: usize) -> Result<Vec<Self>, Error> {
        (0..repeats as u64).map(|repeat| Self::repeat(dataset, config, repeat)).collect()
    }

    fn repeat(dataset: &Dataset, config: FoldConfig, repeat: u64) -> Result<Self, Error> {
        let groups: BTreeSet<&str> = dataset.records().iter().map(crate::Record::group).collect();
        if !(2..=groups.len()).contains(&config.folds) {
            return Err(setting("folds", config.folds, "2 to the number of groups (lesions or patients)"));
        }
        let all: Vec<usize> = (0..dataset.records().len()).collect();
        let shares = vec![1.0 / config.folds as f64; config.folds];
        let rng = PortableRng::new(config.seed, Purpose::Folds, repeat, 0);
        let parts = deal(dataset, &all, &shares, rng, config.empty_class)?;
        if let Some(fold) = parts.iter().position(Vec::is_empty) {
            return Err(Error::EmptyFold { fold: fold + 1 });
        }
        if config.empty_class == EmptyClassPolicy::Refuse {
            // Groups of several classes may leave a class with groups enough in one fold.
            for (fold, part) in (1..).zip(&parts) {
                if let Some(class) = dataset.class_counts_of(part)?.iter().position(|&count| count == 0) {
                    return Err(Error::AbsentFromFold {
                        class: dataset.labels().names()[class].clone(),
                        fold,
                    });
                }
            }
        }
        let ids = parts.into_iter().map(|part| {
            let mut ids: Vec<String> =
                part.into_iter().map(|index| dataset.records()[index].id.clone()).collect();
            ids.sort_unstable();
            ids
        });
        Ok(Self { dataset: dataset.name().to_owned(), config, repeat, ids: ids.collect() })
    }

    /// Number of folds k.
    pub fn num_folds(&self) -> usize {
        self.ids.len()
    }

    /// Ids of the records of a fold, from 0, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Setting`] for a fold that is not there.
    pub fn ids(&self, fold: usize) -> Result<&[String], Error> {
        let ids = self.ids.get(fold).map(Vec::as_slice);
        ids.ok_or_else(|| setting("fold", fold, "0 to one less than the number of folds"))
    }

    /// Indices of the records of a fold, in the dataset's order.
    ///
    /// # Errors
    /// [`Error::Setting`] for a fold that is not there, [`Error::SplitMismatch`] where the folds are of other data.
    pub fn test(&self, dataset: &Dataset, fold: usize) -> Result<Vec<usize>, Error> {
        let wanted = self.ids(fold)?;
        let all = self.ids.iter().map(Vec::len).sum::<usize>();
        let place = |id: &String| self.ids.iter().any(|ids| ids.binary_search(id).is_ok());
        if let Some(record) = dataset.records().iter().find(|record| !place(&record.id)) {
            let id = record.id.clone();
            return Err(Error::SplitMismatch { id, present: "dataset", absent: "split" });
        }
        if dataset.records().len() != all {
            let known: BTreeSet<&str> = dataset.records().iter().map(|record| record.id.as_str()).collect();
            let lost = self.ids.iter().flatten().find(|id| !known.contains(id.as_str()));
            let id = lost.cloned().unwrap_or_default();
            return Err(Error::SplitMismatch { id, present: "split", absent: "dataset" });
        }
        let records = dataset.records().iter().enumerate();
        Ok(records
            .filter(|(_, record)| wanted.binary_search(&record.id).is_ok())
            .map(|(index, _)| index)
            .collect())
    }

    /// Indices of the records outside a fold, in the dataset's order.
    ///
    /// # Errors
    /// As [`Folds::test`].
    pub fn train(&self, dataset: &Dataset, fold: usize) -> Result<Vec<usize>, Error> {
        let test: BTreeSet<usize> = self.test(dataset, fold)?.into_iter().collect();
        Ok((0..dataset.records().len()).filter(|index| !test.contains(index)).collect())
    }

    /// The split whose test part is a fold; the rest is divided by `rest`, stratified, with groups whole.
    ///
    /// # Errors
    /// As [`Folds::test`], and as [`Split::stratified`] for the rest.
    pub fn split(&self, dataset: &Dataset, fold: usize, rest: RestFractions) -> Result<Split, Error> {
        let shares = [rest.train, rest.validation, rest.calibration];
        check_shares(&SplitRole::ALL[..3], &shares)?;
        let id = |index: usize| dataset.records()[index].id.clone();
        let stream = self.repeat * self.num_folds() as u64 + fold as u64;
        let rng = PortableRng::new(self.config.seed, Purpose::FoldRest, stream, 0);
        let outside = self.train(dataset, fold)?;
        let parts = deal(dataset, &outside, &shares, rng, self.config.empty_class)?;
        let mut ids: [Vec<String>; 4] = Default::default();
        for (ids, part) in ids.iter_mut().zip(parts) {
            *ids = part.into_iter().map(id).collect();
        }
        ids[3] = self.ids(fold)?.to_vec();
        Split::checked(dataset, self.config.seed, ids, self.config.empty_class)
    }

    /// Name of the dataset that they were made from.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// SHA-256, in hexadecimal, of what the folds say, written as [`Split::hash`] writes its roles, under `fold 1` and so
    /// on.
    pub fn hash(&self) -> String {
        let mut text = String::new();
        for (fold, ids) in self.ids.iter().enumerate() {
            push_part(&mut text, &format!("fold {}", fold + 1), ids);
        }
        sha256_hex(text.as_bytes())
    }
}
