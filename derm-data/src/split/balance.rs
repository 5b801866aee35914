//! How well a division kept to its shares.

use std::collections::BTreeSet;
use std::fmt;

use derm_core::SplitRole;
use serde::Serialize;

use super::{Folds, Split, SplitFractions};
use crate::{Dataset, Error};

/// One part of a division.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartBalance {
    /// Its name: a role, or `fold 1`.
    pub name: String,
    /// Its records.
    pub records: usize,
    /// Its groups (patients or lesions).
    pub groups: usize,
    /// The share of all records that it should have.
    pub wanted: f64,
    /// The share that it has.
    pub share: f64,
    /// Its records of each class, in the label map's order.
    pub class_counts: Vec<usize>,
    /// The share of each class's records that it has; `None` for a class without records.
    pub class_shares: Vec<Option<f64>>,
}

/// The imbalance that a division reached: groups are whole, so shares are met only nearly.
///
/// ```
/// use derm_data::{Split, SplitConfig, SyntheticConfig};
/// let dataset = SyntheticConfig { num_lesions: 300, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let config = SplitConfig::default();
/// let balance = Split::stratified(&dataset, &config)?.balance(&dataset, config.fractions)?;
/// assert!(balance.largest_deviation() < 0.2);
/// println!("{balance}");
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitBalance {
    labels: Vec<String>,
    parts: Vec<PartBalance>,
}

impl SplitBalance {
    fn new(dataset: &Dataset, parts: &[(String, f64, Vec<usize>)]) -> Result<Self, Error> {
        let all = dataset.class_counts();
        let balance = |(name, wanted, indices): &(String, f64, Vec<usize>)| {
            let class_counts = dataset.class_counts_of(indices)?;
            let groups: BTreeSet<&str> =
                indices.iter().map(|&index| dataset.records()[index].group()).collect();
            let class_shares = class_counts.iter().zip(&all);
            let class_shares = class_shares.map(|(&n, &all)| (all > 0).then(|| n as f64 / all as f64));
            Ok(PartBalance {
                name: name.clone(),
                records: indices.len(),
                groups: groups.len(),
                wanted: *wanted,
                share: indices.len() as f64 / dataset.records().len() as f64,
                class_shares: class_shares.collect(),
                class_counts,
            })
        };
        let parts: Result<Vec<PartBalance>, Error> = parts.iter().map(balance).collect();
        Ok(Self { labels: dataset.labels().names().to_vec(), parts: parts? })
    }

    /// The parts in order.
    pub fn parts(&self) -> &[PartBalance] {
        &self.parts
    }

    /// The largest difference between the share of a class that a part has and the one that it should have, in [0, 1].
    pub fn largest_deviation(&self) -> f64 {
        self.worst().map_or(0.0, |(_, _, deviation)| deviation)
    }

    /// The part and class (indices) that are furthest from their share, and by how much.
    pub fn worst(&self) -> Option<(usize, usize, f64)> {
        let deviations = self.parts.iter().enumerate().flat_map(|(place, part)| {
            let of_class = move |(class, share): (usize, &Option<f64>)| {
                share.map(|share| (place, class, (share - part.wanted).abs()))
            };
            part.class_shares.iter().enumerate().filter_map(of_class)
        });
        deviations.max_by(|a, b| a.2.total_cmp(&b.2))
    }
}

impl fmt::Display for SplitBalance {
    /// A table: a line a part, with the share that was wanted and reached and the records of each class.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {:>8} {:>8} {:>7} {:>7}", "part", "records", "groups", "wanted", "share")?;
        let width = |label: &str| label.chars().count().max(6);
        for label in &self.labels {
            write!(f, " {label:>width$}", width = width(label))?;
        }
        for part in &self.parts {
            write!(
                f,
                "\n{:<12} {:>8} {:>8} {:>7.3} {:>7.3}",
                part.name, part.records, part.groups, part.wanted, part.share
            )?;
            for (label, count) in self.labels.iter().zip(&part.class_counts) {
                write!(f, " {count:>width$}", width = width(label))?;
            }
        }
        if let Some((part, class, deviation)) = self.worst() {
            write!(
                f,
                "\nfurthest from its share: {} in {}, by {deviation:.3}",
                self.labels[class], self.parts[part].name
            )?;
        }
        Ok(())
    }
}

impl Split {
    /// How well the split kept to `fractions`.
    ///
    /// # Errors
    /// [`Error::SplitMismatch`] where the split is of other data.
    pub fn balance(&self, dataset: &Dataset, fractions: SplitFractions) -> Result<SplitBalance, Error> {
        let part = |(role, share): (SplitRole, f64)| {
            Ok((role.name().to_owned(), share, self.indices(dataset, role)?))
        };
        let parts: Result<Vec<_>, Error> =
            SplitRole::ALL.into_iter().zip(fractions.shares()).map(part).collect();
        SplitBalance::new(dataset, &parts?)
    }
}

impl Folds {
    /// How equal the folds are.
    ///
    /// # Errors
    /// [`Error::SplitMismatch`] where the folds are of other data.
    pub fn balance(&self, dataset: &Dataset) -> Result<SplitBalance, Error> {
        let share = 1.0 / self.num_folds() as f64;
        let part = |fold: usize| Ok((format!("fold {}", fold + 1), share, self.test(dataset, fold)?));
        let parts: Result<Vec<_>, Error> = (0..self.num_folds()).map(part).collect();
        SplitBalance::new(dataset, &parts?)
    }
}
