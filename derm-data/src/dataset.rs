//! Records with their labels and questionnaire.

use std::collections::{BTreeMap, BTreeSet};

use derm_core::{ClassIndex, LabelMap};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Answers, Error, FeatureSchema, ImageSource, LeakReport, PixelCache, Record, Resize, StoredPixels,
    decode_file,
};

/// A record that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The record's id.
    pub key: String,
    /// Why it was left out.
    pub reason: String,
}

/// What to do about an image that is missing, unreadable or not an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadablePolicy {
    /// Stop with an error that names it.
    #[default]
    Fail,
    /// Leave it out and name it in [`Dataset::skipped`].
    Skip,
}

/// A dataset: records, the classes they are labelled with and the questionnaire that their answers follow.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    labels: LabelMap,
    records: Vec<Record>,
    schema: FeatureSchema,
    skipped: Vec<Skipped>,
    tasks: BTreeMap<String, LabelMap>,
}

impl Dataset {
    /// Puts a dataset together and checks it: ids are unique, classes are in the label map, soft labels are
    /// distributions whose likeliest class is the record's, answers fit the schema, and no lesion or case is shared by
    /// two groups.
    ///
    /// # Errors
    /// [`Error::EmptyDataset`], [`Error::DuplicateId`], [`Error::SoftLabel`], [`Error::SharedUnit`], or
    /// [`Error::Record`] naming the record.
    pub fn new(
        name: impl Into<String>,
        labels: LabelMap,
        records: Vec<Record>,
        schema: FeatureSchema,
        skipped: Vec<Skipped>,
    ) -> Result<Self, Error> {
        let name = name.into();
        if records.is_empty() {
            return Err(Error::EmptyDataset { dataset: name });
        }
        let mut ids = BTreeSet::new();
        let (mut group_of_lesion, mut group_of_case) = (BTreeMap::new(), BTreeMap::new());
        for record in &records {
            if !ids.insert(record.id.as_str()) {
                return Err(Error::DuplicateId { dataset: name, id: record.id.clone() });
            }
            let fits = labels
                .class_at(record.class.get())
                .map_err(Error::from)
                .and_then(|_| schema.encode(&record.answers).map(|_| ()));
            fits.map_err(|source| Error::Record { id: record.id.clone(), source: Box::new(source) })?;
            check_soft_label(record, labels.num_classes())?;
            let group = record.group();
            for (unit, name, groups) in [
                ("lesion", record.lesion.as_str(), &mut group_of_lesion),
                ("case", record.case.as_str(), &mut group_of_case),
            ] {
                let first = *groups.entry(name).or_insert(group);
                if first != group {
                    return Err(Error::SharedUnit {
                        id: record.id.clone(),
                        unit,
                        name: name.to_owned(),
                        first: first.to_owned(),
                        second: group.to_owned(),
                    });
                }
            }
        }
        Ok(Self { name, labels, records, schema, skipped, tasks: BTreeMap::new() })
    }

    /// The same records with the further tasks that they are labelled for, each with its classes. A label of a task
    /// that is not named here is not read.
    ///
    /// # Errors
    /// [`Error::Record`] naming a record whose class a task does not have.
    pub fn with_tasks(self, tasks: BTreeMap<String, LabelMap>) -> Result<Self, Error> {
        for record in &self.records {
            for (task, labels) in &tasks {
                let fits = record.tasks.get(task).map(|class| labels.class_at(class.get())).transpose();
                fits.map_err(|error| Error::Record {
                    id: record.id.clone(),
                    source: Box::new(error.into()),
                })?;
            }
        }
        Ok(Self { tasks, ..self })
    }

    /// The same records with these classes of a task, one a record.
    pub(crate) fn set_task(mut self, task: &str, labels: LabelMap, classes: Vec<Option<ClassIndex>>) -> Self {
        for (record, class) in self.records.iter_mut().zip(classes) {
            match class {
                Some(class) => record.tasks.insert(task.to_owned(), class),
                None => record.tasks.remove(task),
            };
        }
        self.tasks.insert(task.to_owned(), labels);
        self
    }

    /// The further tasks by name, with their classes. [`Record::tasks`] has the class of each record that is labelled.
    pub fn tasks(&self) -> &BTreeMap<String, LabelMap> {
        &self.tasks
    }

    /// The same records with another questionnaire, such as a shorter one: answers to questions that it does not ask are
    /// left out, so that a full survey and a reduced one train from the same data.
    ///
    /// # Errors
    /// [`Error::Record`] for answers that the other questionnaire does not allow.
    pub fn with_schema(mut self, schema: FeatureSchema) -> Result<Self, Error> {
        for record in &mut self.records {
            record.answers = schema.select(&record.answers);
            schema
                .encode(&record.answers)
                .map_err(|source| Error::Record { id: record.id.clone(), source: Box::new(source) })?;
        }
        self.schema = schema;
        Ok(self)
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The classes.
    pub fn labels(&self) -> &LabelMap {
        &self.labels
    }

    /// The records. Everywhere in this crate a record is named by its index here.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The questionnaire.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// What was left out.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Number of records of each class, in the label map's order.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.labels.num_classes()];
        for record in &self.records {
            counts[record.class.get()] += 1;
        }
        counts
    }

    /// Number of records of each class among those at `indices`.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`].
    pub fn class_counts_of(&self, indices: &[usize]) -> Result<Vec<usize>, Error> {
        let mut counts = vec![0; self.labels.num_classes()];
        for &index in indices {
            counts[self.record(index)?.class.get()] += 1;
        }
        Ok(counts)
    }

    /// The record at an index.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`].
    pub fn record(&self, index: usize) -> Result<&Record, Error> {
        let num_records = self.records.len();
        self.records.get(index).ok_or(Error::RecordOutOfRange { index, num_records })
    }

    /// The class of each record at `indices`.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`].
    pub fn classes(&self, indices: &[usize]) -> Result<Vec<ClassIndex>, Error> {
        indices.iter().map(|&index| self.record(index).map(|record| record.class)).collect()
    }

    /// Fits the scaling of the numeric features on the records at `indices`: the training records, never others. Comes
    /// with a report on what the missing answers of these records tell of their class.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`], [`Error::EmptyDataset`] for no indices, or as [`FeatureSchema::fit_scaling`].
    pub fn fit_schema(&mut self, indices: &[usize]) -> Result<LeakReport, Error> {
        let answers: Result<Vec<&Answers>, Error> =
            indices.iter().map(|&index| self.record(index).map(|record| &record.answers)).collect();
        self.schema = self.schema.fit_scaling(&answers?)?;
        LeakReport::of(self, indices)
    }

    /// Decodes and resizes every image, on all cores, before anything else happens: a run then fails at its start,
    /// with one error, or leaves out what cannot be read ([`Dataset::skipped`] names it). Do this before the split.
    ///
    /// Pixels are kept in memory up to `budget` bytes; images past it are checked here and decoded again when needed.
    ///
    /// # Errors
    /// The error of the first record, in order, whose image cannot be read; [`Error::EmptyDataset`] where none can.
    pub fn load_pixels(
        &mut self,
        resize: Resize,
        stored: StoredPixels,
        policy: UnreadablePolicy,
        budget: usize,
    ) -> Result<PixelCache, Error> {
        let cache = PixelCache::new(self, resize, stored, budget);
        let outcomes: Vec<Option<Error>> =
            (0..self.records.len()).into_par_iter().map(|index| cache.check(index).err()).collect();
        let keep = self.drop_unreadable(outcomes, policy)?;
        Ok(cache.retain(&keep))
    }

    /// Decodes every image once, on all cores, and keeps none of them: [`Dataset::load_pixels`] without the pixels.
    ///
    /// # Errors
    /// As [`Dataset::load_pixels`].
    pub fn verify_images(&mut self, policy: UnreadablePolicy) -> Result<(), Error> {
        let outcomes: Vec<Option<Error>> = self
            .records
            .par_iter()
            .map(|record| match &record.image {
                ImageSource::File(path) => decode_file(path).err(),
                ImageSource::Rgb(_) => None,
                ImageSource::Absent => Some(Error::NoImage { id: record.id.clone() }),
            })
            .collect();
        self.drop_unreadable(outcomes, policy).map(|_| ())
    }

    /// Removes the records that have an error, or fails with the first; says which records stayed.
    fn drop_unreadable(
        &mut self,
        outcomes: Vec<Option<Error>>,
        policy: UnreadablePolicy,
    ) -> Result<Vec<bool>, Error> {
        let mut keep = vec![true; self.records.len()];
        let mut skipped = Vec::new();
        for (index, error) in outcomes.into_iter().enumerate() {
            let Some(error) = error else { continue };
            if policy == UnreadablePolicy::Fail {
                return Err(error);
            }
            keep[index] = false;
            skipped.push(Skipped { key: self.records[index].id.clone(), reason: error.to_string() });
        }
        if skipped.len() == self.records.len() {
            return Err(Error::EmptyDataset { dataset: self.name.clone() });
        }
        self.skipped.extend(skipped);
        let mut kept = keep.iter();
        self.records.retain(|_| kept.next().copied().unwrap_or(true));
        Ok(keep)
    }
}

/// How far a soft label's sum may be from 1: published weights have two decimals.
const SUM_TOLERANCE: f64 = 1e-4;

fn check_soft_label(record: &Record, num_classes: usize) -> Result<(), Error> {
    let Some(label) = &record.soft_label else { return Ok(()) };
    let wrong = |reason: String| Err(Error::SoftLabel { id: record.id.clone(), reason });
    if label.len() != num_classes {
        return wrong(format!("has {} numbers: expected {num_classes}, one a class", label.len()));
    }
    if let Some(weight) = label.iter().find(|weight| !(0.0..=1.0).contains(*weight)) {
        return wrong(format!("has the weight {weight}: expected 0 to 1"));
    }
    let sum: f64 = label.iter().map(|&weight| f64::from(weight)).sum();
    if !(1.0 - SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(&sum) {
        return wrong(format!("sums to {sum}: expected 1"));
    }
    let of_class = label[record.class.get()];
    if label.iter().any(|&weight| weight > of_class) {
        return wrong(format!("gives the record's class {of_class}, less than another's"));
    }
    Ok(())
}
