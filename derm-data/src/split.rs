//! Train, validation, calibration and test, so that no lesion or patient is in two of them.

mod balance;
mod deal;
mod folds;
mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use derm_core::{FileError, SplitRole, atomic, sha256_hex};
use serde::{Deserialize, Serialize};

pub use balance::{PartBalance, SplitBalance};
use deal::deal;
pub use folds::{FoldConfig, Folds, RestFractions};
pub use published::PublishedSplit;

use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Dataset, Error};

/// Version of the split file that this crate writes and reads.
const VERSION: u64 = 1;

/// How far the shares' sum may be from 1: decimal fractions are not exact in binary.
const SUM_TOLERANCE: f64 = 1e-6;

/// Number of roles.
const ROLES: usize = SplitRole::ALL.len();

/// The share of the records that each part should get.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFractions {
    /// Share of the training part.
    pub train: f64,
    /// Share of the validation part.
    pub validation: f64,
    /// Share of the calibration part.
    pub calibration: f64,
    /// Share of the test part.
    pub test: f64,
}

impl Default for SplitFractions {
    fn default() -> Self {
        Self { train: 0.65, validation: 0.075, calibration: 0.075, test: 0.20 }
    }
}

impl SplitFractions {
    /// The shares in the order of [`SplitRole::ALL`].
    fn shares(self) -> [f64; ROLES] {
        [self.train, self.validation, self.calibration, self.test]
    }
}

/// Whether a class may be absent from a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyClassPolicy {
    /// Every class of the label map is in every part, or there is no split.
    #[default]
    Refuse,
    /// A class may be absent; every part still has a record.
    Allow,
}

/// How a dataset is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Seed of the order in which groups of one size are dealt out.
    pub seed: u64,
    /// Shares of the parts.
    pub fractions: SplitFractions,
    /// Whether a class may be absent from a part.
    pub empty_class: EmptyClassPolicy,
}

/// Which record is in which part. A file (JSON), with a hash that predictions and bundles carry.
///
/// Groups ([`Record::group`](crate::Record::group): patient, or lesion) are dealt out whole, class by class from the
/// rarest to the commonest and within a class from the largest group to the smallest, each to the part that is
/// furthest below its share of that class.
///
/// # Source
/// Sechidis, Tsoumakas, Vlahavas: On the stratification of multi-label data, ECML PKDD 2011 (iterative
/// stratification), on groups in place of samples. Deviation: the last groups of a class go to parts that have none of
/// it yet.
///
/// ```
/// use derm_core::SplitRole;
/// use derm_data::{Split, SplitConfig, SyntheticConfig};
/// let dataset = SyntheticConfig { num_lesions: 80, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let split = Split::stratified(&dataset, &SplitConfig::default())?;
/// let train = split.indices(&dataset, SplitRole::Train)?;
/// let test = split.indices(&dataset, SplitRole::Test)?;
/// assert!(train.len() > 2 * test.len());
/// let group = |&index: &usize| dataset.records()[index].group();
/// assert!(train.iter().all(|a| test.iter().all(|b| group(a) != group(b))));
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    dataset: String,
    seed: u64,
    ids: [Vec<String>; ROLES],
}

/// The split file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitFile {
    version: u64,
    dataset: String,
    seed: u64,
    train: Vec<String>,
    validation: Vec<String>,
    calibration: Vec<String>,
    test: Vec<String>,
}

impl Split {
    /// Divides a dataset.
    ///
    /// # Errors
    /// [`Error::Setting`] for shares that are not positive or do not sum to 1; [`Error::TooFewGroups`] for a class with
    /// fewer groups than parts and [`Error::EmptyClass`] for one that is absent from a part (unless allowed);
    /// [`Error::EmptyRole`] for a part without a record.
    pub fn stratified(dataset: &Dataset, config: &SplitConfig) -> Result<Self, Error> {
        let shares = config.fractions.shares();
        check_shares(&SplitRole::ALL, &shares)?;
        let all: Vec<usize> = (0..dataset.records().len()).collect();
        let rng = PortableRng::new(config.seed, Purpose::Split, 0, 0);
        let parts = deal(dataset, &all, &shares, rng, config.empty_class)?;
        let mut ids: [Vec<String>; ROLES] = Default::default();
        for (ids, part) in ids.iter_mut().zip(parts) {
            *ids = part.into_iter().map(|index| dataset.records()[index].id.clone()).collect();
        }
        Self::checked(dataset, config.seed, ids, config.empty_class)
    }

    /// A split of these ids that fits the dataset.
    fn checked(
        dataset: &Dataset,
        seed: u64,
        mut ids: [Vec<String>; ROLES],
        empty_class: EmptyClassPolicy,
    ) -> Result<Self, Error> {
        for part in &mut ids {
            part.sort_unstable();
        }
        let split = Self { dataset: dataset.name().to_owned(), seed, ids };
        split.check(dataset, empty_class)?;
        Ok(split)
    }

    /// Checks that the split belongs to the dataset: both have the same records, no group is in two parts, no part is
    /// empty, and no class is absent from a part unless that is allowed. A split that was read from a file is checked
    /// with this before it is used.
    ///
    /// # Errors
    /// [`Error::SplitMismatch`], [`Error::Leak`], [`Error::EmptyRole`] or [`Error::EmptyClass`].
    pub fn check(&self, dataset: &Dataset, empty_class: EmptyClassPolicy) -> Result<(), Error> {
        let role_of = self.roles_by_id();
        let mut role_of_group: BTreeMap<&str, SplitRole> = BTreeMap::new();
        let mut counts = [(); ROLES].map(|()| vec![0usize; dataset.labels().num_classes()]);
        for record in dataset.records() {
            let Some(&role) = role_of.get(record.id.as_str()) else {
                return Err(Error::SplitMismatch {
                    id: record.id.clone(),
                    present: "dataset",
                    absent: "split",
                });
            };
            let first = *role_of_group.entry(record.group()).or_insert(role);
            if first != role {
                return Err(Error::Leak { group: record.group().to_owned(), first, second: role });
            }
            counts[position(role)][record.class.get()] += 1;
        }
        for role in SplitRole::ALL {
            self.indices(dataset, role)?;
            let counts = &counts[position(role)];
            if counts.iter().all(|&count| count == 0) {
                return Err(Error::EmptyRole { role });
            }
            let absent = counts.iter().position(|&count| count == 0);
            if let (Some(class), EmptyClassPolicy::Refuse) = (absent, empty_class) {
                return Err(Error::EmptyClass { class: dataset.labels().names()[class].clone(), role });
            }
        }
        Ok(())
    }

    /// Ids of the records in a part, in alphabetical order.
    pub fn ids(&self, role: SplitRole) -> &[String] {
        &self.ids[position(role)]
    }

    /// Indices of the records in a part, in the dataset's order.
    ///
    /// # Errors
    /// [`Error::SplitMismatch`] where the part names a record that the dataset does not have.
    pub fn indices(&self, dataset: &Dataset, role: SplitRole) -> Result<Vec<usize>, Error> {
        let mut wanted: BTreeSet<&str> = self.ids(role).iter().map(String::as_str).collect();
        let records = dataset.records().iter().enumerate();
        let indices =
            records.filter(|(_, record)| wanted.remove(record.id.as_str())).map(|(index, _)| index).collect();
        match wanted.first() {
            Some(id) => {
                Err(Error::SplitMismatch { id: (*id).to_owned(), present: "split", absent: "dataset" })
            }
            None => Ok(indices),
        }
    }

    /// The role of every record, by id.
    pub fn roles_by_id(&self) -> BTreeMap<&str, SplitRole> {
        let pairs = SplitRole::ALL
            .into_iter()
            .flat_map(|role| self.ids(role).iter().map(move |id| (id.as_str(), role)));
        pairs.collect()
    }

    /// Name of the dataset that it was made from.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The seed that it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// SHA-256, in hexadecimal, of what the split says: for each role in the order of [`SplitRole::ALL`] a line with
    /// its name, then a line for each of its sorted ids: its length in bytes, a blank, the id. The seed and the dataset's name do not enter, so equal
    /// divisions have equal hashes.
    pub fn hash(&self) -> String {
        let mut text = String::new();
        for role in SplitRole::ALL {
            push_part(&mut text, role.name(), self.ids(role));
        }
        sha256_hex(text.as_bytes())
    }

    /// Reads a split file. [`Split::check`] then tells whether it fits a dataset.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Format`], [`Error::Version`], or [`Error::SplitDuplicate`] for a record that stands twice.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
        let format =
            |error: serde_json::Error| Error::Format { path: path.to_owned(), reason: error.to_string() };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(format)?;
        if let Some(got) = value.get("version").and_then(serde_json::Value::as_u64)
            && got != VERSION
        {
            return Err(Error::Version { path: path.to_owned(), got, expected: VERSION });
        }
        let file: SplitFile = serde_json::from_str(&text).map_err(format)?;
        let mut ids = [file.train, file.validation, file.calibration, file.test];
        let mut roles: BTreeMap<&str, SplitRole> = BTreeMap::new();
        for (role, part) in SplitRole::ALL.into_iter().zip(&ids) {
            for id in part {
                if let Some(first) = roles.insert(id, role) {
                    return Err(Error::SplitDuplicate { id: id.clone(), first, second: role });
                }
            }
        }
        for part in &mut ids {
            part.sort_unstable();
        }
        Ok(Self { dataset: file.dataset, seed: file.seed, ids })
    }

    /// Writes the split file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let [train, validation, calibration, test] = self.ids.clone();
        let (dataset, seed) = (self.dataset.clone(), self.seed);
        let file = SplitFile { version: VERSION, dataset, seed, train, validation, calibration, test };
        let text = serde_json::to_string_pretty(&file)
            .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })?;
        Ok(atomic::write_file(path, |file| file.write_all(format!("{text}\n").as_bytes()))?)
    }
}

/// That every share is a part of a whole.
fn check_shares(roles: &[SplitRole], shares: &[f64]) -> Result<(), Error> {
    for (role, &share) in roles.iter().zip(shares) {
        if !(share > 0.0 && share < 1.0) {
            return Err(setting("split fraction", format!("{share} ({role})"), "between 0 and 1"));
        }
    }
    let total: f64 = shares.iter().sum();
    if !(1.0 - SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(&total) {
        return Err(setting("sum of the split fractions", total, "1"));
    }
    Ok(())
}

/// One part in the text that is hashed.
fn push_part(text: &mut String, name: &str, ids: &[String]) {
    *text += name;
    text.push('\n');
    for id in ids {
        *text += &id.len().to_string();
        text.push(' ');
        *text += id;
        text.push('\n');
    }
}

fn position(role: SplitRole) -> usize {
    role as usize
}
