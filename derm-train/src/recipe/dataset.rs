use std::path::PathBuf;

use derm_data::{PublishedSplit, SplitConfig, SplitFractions, SyntheticConfig, UnreadablePolicy};
use serde::{Deserialize, Serialize};

use crate::recipe::check::{check, open_unit, section};
use crate::{DatasetSource, Error};

/// Where images and answers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetRecipe {
    /// The reader: `synthetic` (default), which needs no file, or one of [`derm_data::readers::Source`].
    pub source: DatasetSource,
    /// Folder of the dataset, as published; for every source but `synthetic`.
    pub root: Option<PathBuf>,
    /// The questionnaire (`feature_schema.json`) in place of the source's own.
    pub feature_schema_path: Option<PathBuf>,
    /// What an image that cannot be decoded means: `fail` (default) or `skip`, which counts and names it.
    pub unreadable: UnreadablePolicy,
    /// Turns the source's classes into others: the name of a ready mapping, such as `isic2019_to_ham10000`, or a
    /// mapping file ending in `.json`. Default: the classes as they are.
    pub label_mapping: Option<String>,
    /// What is done about nearly the same picture in two groups. Default `ignore`.
    pub near_duplicates: NearDuplicatePolicy,
    /// Settings of the synthetic dataset. Its seed is apart from the run's, so that several seeds see one set.
    pub synthetic: SyntheticConfig,
    /// Shares of the groups in each role. Its seed is apart from the run's, so that several seeds share one
    /// test set.
    pub split: SplitConfig,
    /// The publishers' split in place of a new one; absent for a new one.
    pub published_split: Option<PublishedSplit>,
    /// A split file, of an earlier run say, in place of a new split.
    pub split_path: Option<PathBuf>,
    /// Threads that prepare batches; 0 prepares them in line. The batches do not depend on it. Default 2.
    pub workers: usize,
    /// Batches that wait, at most. Default 4.
    pub prefetch: usize,
    /// Memory for decoded pixels in MiB; images beyond it are decoded again each epoch. Default 1024.
    pub cache_mib: usize,
}

/// What is done about nearly the same picture in two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearDuplicatePolicy {
    /// Not looked for.
    #[default]
    Ignore,
    /// Pairs that the split puts into two roles are named.
    Report,
    /// Groups that share a picture are one group, before the split is made.
    Merge,
}

impl Default for DatasetRecipe {
    fn default() -> Self {
        Self {
            source: DatasetSource::default(),
            root: None,
            feature_schema_path: None,
            unreadable: UnreadablePolicy::default(),
            label_mapping: None,
            near_duplicates: NearDuplicatePolicy::default(),
            synthetic: SyntheticConfig::default(),
            split: SplitConfig::default(),
            published_split: None,
            split_path: None,
            workers: 2,
            prefetch: 4,
            cache_mib: 1024,
        }
    }
}

impl DatasetRecipe {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let root = self.root.as_ref().map_or("absent".to_owned(), |root| root.display().to_string());
        match &self.source {
            DatasetSource::Synthetic => {
                check("dataset.root", &root, "absent, because the synthetic dataset is drawn", |_| {
                    self.root.is_none()
                })?;
            }
            DatasetSource::Read(_) => {
                check("dataset.root", &root, "the dataset's folder", |_| self.root.is_some())?;
            }
        }
        self.synthetic.validate().map_err(section("dataset.synthetic"))?;
        let SplitFractions { train, validation, calibration, test } = self.split.fractions;
        for (key, share) in [
            ("dataset.split.fractions.train", train),
            ("dataset.split.fractions.validation", validation),
            ("dataset.split.fractions.calibration", calibration),
            ("dataset.split.fractions.test", test),
        ] {
            check(key, &share, "between 0 and 1", |v| open_unit(*v))?;
        }
        let sum = train + validation + calibration + test;
        check("dataset.split.fractions", &sum, "fractions that sum to 1", |v| {
            (v - 1.0).abs() <= SHARES_TOLERANCE
        })?;
        if let (Some(path), Some(_)) = (&self.split_path, &self.published_split) {
            let path = path.display();
            check("dataset.split_path", &path, "absent where dataset.published_split is there", |_| false)?;
        }
        check("dataset.workers", &self.workers, "0 to 64", |v| *v <= 64)?;
        check("dataset.prefetch", &self.prefetch, "1 to 1024", |v| (1..=1024).contains(v))?;
        check("dataset.cache_mib", &self.cache_mib, "0 to 16777216", |v| *v <= 1 << 24)
    }
}

/// How far the sum of the shares may be from 1: decimal fractions are not exact in binary.
const SHARES_TOLERANCE: f64 = 1e-6;
