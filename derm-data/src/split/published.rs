//! The division that the publishers of a dataset gave.

use derm_core::SplitRole;
use serde::{Deserialize, Serialize};

use super::{EmptyClassPolicy, ROLES, Split, deal};
use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Dataset, Error};

/// How a published division becomes one of four parts. Publishers give train and test, often validation, and never a
/// calibration part: what they do not give is taken from their training part, stratified, with groups whole.
///
/// | field | default | range |
/// |---|---|---|
/// | `validation` | 0.1 | share of the published training part; read where no record has that role |
/// | `calibration` | 0.1 | share of the published training part; read where no record has that role |
/// | `seed` | 0 | any |
/// | `empty_class` | `refuse` | whether a class may be absent from a part |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishedSplit {
    /// Share of the published training part that becomes the validation part.
    pub validation: f64,
    /// Share of the published training part that becomes the calibration part.
    pub calibration: f64,
    /// Seed of what is taken from the training part.
    pub seed: u64,
    /// Whether a class may be absent from a part.
    pub empty_class: EmptyClassPolicy,
}

impl Default for PublishedSplit {
    fn default() -> Self {
        Self { validation: 0.1, calibration: 0.1, seed: 0, empty_class: EmptyClassPolicy::Refuse }
    }
}

impl Split {
    /// The division that the publishers gave ([`Record::published_role`](crate::Record::published_role)).
    ///
    /// # Errors
    /// [`Error::NoPublishedRole`] for a record without one; [`Error::Leak`] where the publishers put one lesion or patient
    /// into two parts; [`Error::Setting`] for shares that leave nothing to train on; else as [`Split::stratified`].
    pub fn published(dataset: &Dataset, config: &PublishedSplit) -> Result<Self, Error> {
        let mut parts: [Vec<usize>; ROLES] = Default::default();
        for (index, record) in dataset.records().iter().enumerate() {
            let role = record.published_role;
            let role = role.ok_or_else(|| Error::NoPublishedRole { id: record.id.clone() })?;
            parts[role as usize].push(index);
        }
        let wanted = [
            (SplitRole::Validation, config.validation, "published validation share"),
            (SplitRole::Calibration, config.calibration, "published calibration share"),
        ];
        let taken: Vec<(SplitRole, f64, &str)> =
            wanted.into_iter().filter(|(role, ..)| parts[*role as usize].is_empty()).collect();
        for &(_, share, name) in &taken {
            if !(share > 0.0 && share < 1.0) {
                return Err(setting(name, share, "between 0 and 1"));
            }
        }
        let left = 1.0 - taken.iter().map(|(_, share, _)| share).sum::<f64>();
        if !taken.is_empty() {
            if left <= 0.0 {
                return Err(setting("published shares", 1.0 - left, "a sum below 1"));
            }
            let shares: Vec<f64> =
                std::iter::once(left).chain(taken.iter().map(|&(_, share, _)| share)).collect();
            let train = std::mem::take(&mut parts[SplitRole::Train as usize]);
            let rng = PortableRng::new(config.seed, Purpose::PublishedSplit, 0, 0);
            let roles = std::iter::once(SplitRole::Train).chain(taken.iter().map(|&(role, ..)| role));
            for (role, part) in roles.zip(deal(dataset, &train, &shares, rng, config.empty_class)?) {
                parts[role as usize] = part;
            }
        }
        let id = |index: usize| dataset.records()[index].id.clone();
        let ids = parts.map(|part| part.into_iter().map(id).collect());
        Self::checked(dataset, config.seed, ids, config.empty_class)
    }
}
