//! From one set of labels to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use derm_core::{ClassIndex, FileError, LabelMap, sha256_hex};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Dataset, Error, Record, Skipped};

/// Version of the mapping file that this crate reads.
const VERSION: u64 = 1;

/// What becomes of a label that a mapping does not map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Unmapped {
    /// An error.
    #[default]
    Refuse,
    /// Its records are left out, each named in [`Dataset::skipped`].
    Drop,
    /// It becomes one of the target's labels.
    Other {
        /// That label.
        label: String,
        /// The most records of that label that stay; all unless given. Groups (patients or lesions) are drawn in an
        /// order that follows from `seed` and their names alone; a group's records of the label stay together or go
        /// together, and one that does not fit any more is passed over. Its records of other labels are not touched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sample: Option<usize>,
        /// Seed of the draw.
        #[serde(default)]
        seed: u64,
    },
}

/// A map from one set of labels to another, as data in a file (JSON, version 1):
///
/// ```json
/// {
///   "version": 1,
///   "name": "isic2019_to_ham10000",
///   "note": "why it is as it is, and what it must not be used for",
///   "one_way": true,
///   "unmapped": "refuse",
///   "from": ["MEL", "NV", "…"],
///   "to": ["akiec", "bcc", "…"],
///   "map": {"MEL": "mel", "NV": "nv", "…": "…"}
/// }
/// ```
///
/// `unmapped` is `"refuse"`, `"drop"` or `{"other": {"label": "other", "sample": 500, "seed": 0}}` ([`Unmapped`]). Without
/// `from` any label that is not in `map` is unmapped; with it, a label that is neither in `map` nor in `from` is an error.
/// `one_way` may be false only where every label has one of its own, so that the map could be turned round. A map that
/// merges or drops labels is one-way: a model of the target's labels says nothing about the source's.
///
/// ```
/// use derm_data::{LabelMapping, SyntheticConfig};
/// let mapping = LabelMapping::ready("ham10000_to_malignant")?;
/// assert_eq!(mapping.labels().names(), ["benign", "malignant"]);
/// assert!(mapping.one_way());
/// let dataset = SyntheticConfig { num_lesions: 80, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let error = mapping.apply(&dataset).unwrap_err().to_string();
/// assert!(error.starts_with("label mapping `ham10000_to_malignant` does not know the label"), "{error}");
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMapping {
    name: String,
    note: String,
    one_way: bool,
    unmapped: Unmapped,
    from: Option<Vec<String>>,
    to: LabelMap,
    map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    version: u64,
    name: String,
    note: String,
    one_way: bool,
    #[serde(default)]
    unmapped: Unmapped,
    #[serde(default)]
    from: Option<Vec<String>>,
    to: LabelMap,
    #[serde(deserialize_with = "keys_once")]
    map: BTreeMap<String, String>,
}

macro_rules! ready_mappings {
    ($($name:literal),* $(,)?) => {
        /// The mappings of the crate's folder `mappings`: name and file.
        const READY: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../mappings/", $name, ".json")))),*];
    };
}

ready_mappings!(
    "derm7pt_to_five",
    "fitzpatrick17k_to_nine",
    "fitzpatrick17k_to_three",
    "ham10000_to_malignant",
    "isic2019_to_ham10000",
    "isic2019_to_malignant",
    "pad_ufes_20_to_cancer",
    "pad_ufes_20_to_ham10000",
    "pad_ufes_20_to_malignant",
    "scin_to_25_and_other",
);

impl LabelMapping {
    /// Names of the ready mappings, which are the files of the crate's folder `mappings`.
    pub fn ready_names() -> impl Iterator<Item = &'static str> {
        READY.iter().map(|&(name, _)| name)
    }

    /// A ready mapping.
    ///
    /// # Errors
    /// [`Error::UnknownMapping`] with the names that there are.
    pub fn ready(name: &str) -> Result<Self, Error> {
        let Some((_, text)) = READY.iter().find(|(known, _)| *known == name) else {
            let known = Self::ready_names().map(str::to_owned).collect();
            return Err(Error::UnknownMapping { name: name.to_owned(), known });
        };
        Self::parse(text, &Path::new("mappings").join(format!("{name}.json")))
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is no mapping; [`Error::Version`]; [`Error::Mapping`] for a map
    /// to a label that is not in `to` or from one that is not in `from`, for a label of `from` that is not mapped under
    /// `refuse`, and for `one_way` false where labels merge.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let format =
            |error: serde_json::Error| Error::Format { path: path.to_owned(), reason: error.to_string() };
        let value: serde_json::Value = serde_json::from_str(text).map_err(format)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        if let Some(got) = version.filter(|version| *version != VERSION) {
            return Err(Error::Version { path: path.to_owned(), got, expected: VERSION });
        }
        // From the text: a value has already lost the keys that stand twice.
        let file: MappingFile = serde_json::from_str(text).map_err(format)?;
        if file.version != VERSION {
            return Err(Error::Version { path: path.to_owned(), got: file.version, expected: VERSION });
        }
        let MappingFile { name, note, one_way, unmapped, from, to, map, .. } = file;
        Self { name, note, one_way, unmapped, from, to, map }.validated()
    }

    fn wrong(&self, reason: String) -> Error {
        Error::Mapping { mapping: self.name.clone(), reason }
    }

    fn validated(self) -> Result<Self, Error> {
        for (label, target) in &self.map {
            if self.to.class_index(target).is_err() {
                return Err(self.wrong(format!("{label:?} becomes {target:?}, which is not in `to`")));
            }
        }
        if let Some(from) = &self.from {
            // The labels of a dataset: at least one, each once.
            LabelMap::new(from.clone())?;
            if let Some(label) = self.map.keys().find(|label| !from.contains(label)) {
                return Err(self.wrong(format!("{label:?} is mapped and is not in `from`")));
            }
            let left = from.iter().find(|label| !self.map.contains_key(*label));
            if let (Some(label), Unmapped::Refuse) = (left, &self.unmapped) {
                return Err(self.wrong(format!("{label:?} is in `from` and is not mapped")));
            }
        }
        if let Unmapped::Other { label, .. } = &self.unmapped
            && self.to.class_index(label).is_err()
        {
            return Err(self.wrong(format!("unmapped labels become {label:?}, which is not in `to`")));
        }
        let targets: BTreeSet<&String> = self.map.values().collect();
        let renames = targets.len() == self.map.len() && self.unmapped == Unmapped::Refuse;
        if !self.one_way && !renames {
            return Err(self.wrong("`one_way` is false, and labels merge or are left out".to_owned()));
        }
        Ok(self)
    }

    /// The mapping's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is as it is, and what it must not be used for.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether it cannot be turned round.
    pub fn one_way(&self) -> bool {
        self.one_way
    }

    /// What becomes of labels that are not mapped.
    pub fn unmapped(&self) -> &Unmapped {
        &self.unmapped
    }

    /// The labels that it gives, in their order.
    pub fn labels(&self) -> &LabelMap {
        &self.to
    }

    /// What a label becomes; `None` where its records are left out.
    ///
    /// # Errors
    /// [`Error::UnmappedLabel`] for a label that the mapping does not know, in the name of `dataset`.
    pub fn target(&self, dataset: &str, label: &str) -> Result<Option<&str>, Error> {
        let unknown = || Error::UnmappedLabel {
            mapping: self.name.clone(),
            dataset: dataset.to_owned(),
            label: label.to_owned(),
        };
        if let Some(target) = self.map.get(label) {
            return Ok(Some(target));
        }
        if self.from.as_ref().is_some_and(|from| !from.iter().any(|known| known == label)) {
            return Err(unknown());
        }
        match &self.unmapped {
            Unmapped::Refuse => Err(unknown()),
            Unmapped::Drop => Ok(None),
            Unmapped::Other { label, .. } => Ok(Some(label)),
        }
    }

    /// The dataset with the target's labels. Groups, published parts, answers and everything else stay; what is left out
    /// is added to [`Dataset::skipped`].
    ///
    /// A soft label's weights add up by target, and the class is the heaviest target, of equal ones the first. Where
    /// unmapped labels are dropped, a record goes if they outweigh every target together; else their weight is taken away
    /// and the rest divided by its sum.
    ///
    /// # Errors
    /// [`Error::UnmappedLabel`] for a label of the dataset, with or without records, that the mapping does not know;
    /// [`Error::EmptyDataset`] where no record is left.
    pub fn apply(&self, dataset: &Dataset) -> Result<Dataset, Error> {
        let targets = dataset.labels().names().iter().map(|label| {
            let target = self.target(dataset.name(), label)?;
            Ok(target.map(|target| self.to.class_index(target)).transpose()?.map(ClassIndex::get))
        });
        let targets: Vec<Option<usize>> = targets.collect::<Result<_, Error>>()?;
        let mut skipped = dataset.skipped().to_vec();
        let mut records = Vec::with_capacity(dataset.records().len());
        for record in dataset.records() {
            match self.mapped(record, &targets)? {
                Some(record) => records.push(record),
                None => skipped.push(Skipped {
                    key: record.id.clone(),
                    reason: format!("label mapping `{}` leaves its label out", self.name),
                }),
            }
        }
        self.sample(&mut records, &mut skipped)?;
        let name = format!("{}, {}", dataset.name(), self.name);
        Dataset::new(name, self.to.clone(), records, dataset.schema().clone(), skipped)?
            .with_tasks(dataset.tasks().clone())
    }

    /// The record with the target's label; `None` where it is left out.
    fn mapped(&self, record: &Record, targets: &[Option<usize>]) -> Result<Option<Record>, Error> {
        let (class, soft_label) = match &record.soft_label {
            None => (targets.get(record.class.get()).copied().flatten(), None),
            Some(label) => {
                let mut weights = vec![0.0_f64; self.to.num_classes()];
                let mut dropped = 0.0;
                for (&weight, target) in label.iter().zip(targets) {
                    *target.map_or(&mut dropped, |target| &mut weights[target]) += f64::from(weight);
                }
                let mut heaviest = 0;
                for (class, weight) in weights.iter().enumerate() {
                    if *weight > weights[heaviest] {
                        heaviest = class;
                    }
                }
                if dropped > weights[heaviest] {
                    (None, None)
                } else {
                    let total: f64 = weights.iter().sum();
                    let shares = weights.iter().map(|weight| (weight / total) as f32).collect();
                    (Some(heaviest), Some(shares))
                }
            }
        };
        let class = class.map(|class| self.to.class_at(class)).transpose()?;
        Ok(class.map(|class| Record { class, soft_label, ..record.clone() }))
    }

    /// Leaves out records of the label of unmapped ones past the number that is to stay, by whole groups.
    fn sample(&self, records: &mut Vec<Record>, skipped: &mut Vec<Skipped>) -> Result<(), Error> {
        let Unmapped::Other { label, sample: Some(most), seed } = &self.unmapped else { return Ok(()) };
        let other = self.to.class_index(label)?;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for record in records.iter().filter(|record| record.class == other) {
            *sizes.entry(record.group()).or_default() += 1;
        }
        // By a hash of seed and name: a group that is added or removed does not change the order of the others.
        let mut drawn: Vec<(String, &str, usize)> = sizes
            .into_iter()
            .map(|(group, size)| (sha256_hex(format!("{seed}\n{group}").as_bytes()), group, size))
            .collect();
        drawn.sort_unstable();
        let mut left = *most;
        let mut stay = BTreeSet::new();
        for (_, group, size) in drawn {
            if size <= left {
                left -= size;
                stay.insert(group.to_owned());
            }
        }
        records.retain(|record| {
            let stays = record.class != other || stay.contains(record.group());
            if !stays {
                let reason =
                    format!("label mapping `{}` keeps at most {most} records of {label:?}", self.name);
                skipped.push(Skipped { key: record.id.clone(), reason });
            }
            stays
        });
        Ok(())
    }
}

/// A map in which no key stands twice: JSON's readers keep the last one without a word.
fn keys_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct KeysOnce;

    impl<'de> Visitor<'de> for KeysOnce {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map from label to label")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((from, to)) = entries.next_entry::<String, String>()? {
                if map.insert(from.clone(), to).is_some() {
                    return Err(de::Error::custom(format!("{from:?} is mapped twice")));
                }
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(KeysOnce)
}
