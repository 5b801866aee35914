//! Labels for further tasks beside the diagnosis.

use std::collections::{BTreeMap, BTreeSet};

use derm_core::{ClassIndex, LabelMap};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Record};

/// What becomes of a record whose value no class of a task takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlistedValue {
    /// An error that names the value.
    #[default]
    Refuse,
    /// The record is not labelled for the task.
    Unlabelled,
}

/// Where the labels of a further task come from: a column of the records or their diagnosis, as it is or with values
/// merged into classes.
///
/// ```yaml
/// labels: { column: localization }                                            # every value is a class
/// labels: { column: sex, classes: [male, female] }                            # in this order
/// labels: { groups: { malignant: [mel, bcc, akiec], benign: [nv, bkl, df, vasc] } }   # of the diagnosis
/// labels: { column: localization, groups: { head: [face, scalp], trunk: [back, chest] }, unlisted: unlabelled }
/// ```
///
/// | field | default | meaning |
/// |---|---|---|
/// | `column` | the diagnosis | a subgroup column or, where there is none of the name, an answer |
/// | `groups` | none | each class with the values that it takes; needed for the diagnosis |
/// | `classes` | sorted by their bytes | the classes in their order: all groups, or the values that count |
/// | `unlisted` | `refuse` | what a value means that no group takes and `classes` does not name |
///
/// A record without a value, or whose value is `unknown` (unless a group or `classes` names that), is not labelled for
/// the task: training and measuring pass over it. Where diagnoses are distributions, the class is the group with the
/// largest weight, of equal ones the first; it is unlabelled where what no group takes outweighs it.
///
/// ```
/// use derm_data::{SyntheticConfig, TaskLabels};
/// let dataset = SyntheticConfig { num_lesions: 80, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let labels: TaskLabels = serde_json::from_str(r#"{"column": "sex"}"#).unwrap();
/// let dataset = dataset.label_task("sex", &labels)?;
/// assert_eq!(dataset.tasks()["sex"].names(), ["female", "male"]);
/// let all: Vec<usize> = (0..dataset.records().len()).collect();
/// assert_eq!(dataset.task_counts_of("sex", &all)?.iter().sum::<usize>(), all.len());
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskLabels {
    /// The column; the diagnosis unless given.
    pub column: Option<String>,
    /// Each class with the values that become it; the values themselves unless given.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The classes in their order; sorted unless given.
    pub classes: Vec<String>,
    /// What a value means that is in no group and in no class.
    pub unlisted: UnlistedValue,
}

/// What stands for no value in subgroup columns.
const UNKNOWN: &str = "unknown";

impl TaskLabels {
    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// [`Error::TaskLabels`] for the diagnosis without groups, a value in two groups, a group without values, a class
    /// that stands twice and, where there are groups, `classes` that are not their names; [`Error::TaskClasses`] for
    /// fewer than two groups or classes.
    pub fn validate(&self, task: &str) -> Result<(), Error> {
        let wrong = |reason: String| Err(Error::TaskLabels { task: task.to_owned(), reason });
        if self.column.is_none() && self.groups.is_empty() {
            return wrong("neither a column nor groups of diagnoses".to_owned());
        }
        let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
        for (group, values) in &self.groups {
            if values.is_empty() {
                return wrong(format!("the group {group:?} takes no value"));
            }
            for value in values {
                if let Some(other) = group_of.insert(value, group) {
                    return wrong(format!("{value:?} stands in {other:?} and again in {group:?}"));
                }
            }
        }
        let listed: BTreeSet<&String> = self.classes.iter().collect();
        if listed.len() != self.classes.len() {
            return wrong(format!("a class stands twice in {:?}", self.classes));
        }
        let (grouped, ordered) = (!self.groups.is_empty(), !self.classes.is_empty());
        if grouped && ordered && !self.groups.keys().eq(listed) {
            let groups: Vec<&String> = self.groups.keys().collect();
            return wrong(format!("`classes` are {:?}: expected the groups {groups:?}", self.classes));
        }
        let count = if grouped { self.groups.len() } else { self.classes.len() };
        if (grouped || ordered) && count < 2 {
            return Err(Error::TaskClasses { task: task.to_owned(), classes: count });
        }
        Ok(())
    }

    /// The class of a value by name; none where the record is not labelled.
    fn class<'a>(&'a self, task: &str, value: &'a str, record: &str) -> Result<Option<&'a str>, Error> {
        let class = if self.groups.is_empty() {
            let counts = self.classes.is_empty() || self.classes.iter().any(|class| class == value);
            counts.then_some(value)
        } else {
            let takes = |values: &&Vec<String>| values.iter().any(|one| one == value);
            let group = self.groups.iter().find(|(_, values)| takes(values));
            group.map(|(group, _)| group.as_str())
        };
        let listed = !self.groups.is_empty() || !self.classes.is_empty();
        match class {
            Some(class) if listed || class != UNKNOWN => Ok(Some(class)),
            None if value != UNKNOWN && self.unlisted == UnlistedValue::Refuse => {
                Err(Error::UnlistedTaskValue {
                    task: task.to_owned(),
                    value: value.to_owned(),
                    id: record.to_owned(),
                })
            }
            _ => Ok(None),
        }
    }

    /// The class of every record by name.
    fn of_column<'a>(
        &'a self,
        task: &str,
        column: &str,
        dataset: &'a Dataset,
    ) -> Result<Vec<Option<&'a str>>, Error> {
        let records = dataset.records();
        let is_subgroup = records.iter().any(|record| record.subgroups.contains_key(column));
        let columns = |record: &'a Record| if is_subgroup { &record.subgroups } else { &record.answers };
        if !records.iter().any(|record| columns(record).contains_key(column)) {
            let known: BTreeSet<&String> = records
                .iter()
                .flat_map(|record| record.subgroups.keys().chain(record.answers.keys()))
                .collect();
            let known = known.into_iter().cloned().collect();
            return Err(Error::UnknownTaskColumn { task: task.to_owned(), column: column.to_owned(), known });
        }
        let class = |record: &'a Record| match columns(record).get(column).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(value) => self.class(task, value, &record.id),
        };
        records.iter().map(class).collect()
    }

    /// The class of every record by name, from its diagnosis.
    fn of_diagnosis<'a>(&'a self, task: &str, dataset: &Dataset) -> Result<Vec<Option<&'a str>>, Error> {
        let diagnoses = dataset.labels().names();
        if let Some(value) = self.groups.values().flatten().find(|value| !diagnoses.contains(value)) {
            let (task, value) = (task.to_owned(), value.clone());
            return Err(Error::UnknownTaskValue { task, value, known: diagnoses.to_vec() });
        }
        let group_of = |diagnosis: &String| {
            let group = self.groups.iter().position(|(_, values)| values.contains(diagnosis));
            let refused = group.is_none() && self.unlisted == UnlistedValue::Refuse;
            if refused {
                return Err(Error::UnlistedDiagnosis { task: task.to_owned(), diagnosis: diagnosis.clone() });
            }
            Ok(group)
        };
        let groups: Vec<Option<usize>> = diagnoses.iter().map(group_of).collect::<Result<_, _>>()?;
        let names: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        let group = |record: &Record| match &record.soft_label {
            None => groups.get(record.class.get()).copied().flatten(),
            Some(label) => heaviest(label, &groups, names.len()),
        };
        Ok(dataset.records().iter().map(|record| group(record).map(|group| names[group])).collect())
    }
}

/// The group with the largest weight; none where what no group takes is heavier.
fn heaviest(label: &[f32], groups: &[Option<usize>], count: usize) -> Option<usize> {
    let mut weights = vec![0.0_f64; count];
    let mut left = 0.0;
    for (&weight, group) in label.iter().zip(groups) {
        *group.map_or(&mut left, |group| &mut weights[group]) += f64::from(weight);
    }
    let mut heaviest = 0;
    for (group, weight) in weights.iter().enumerate() {
        if *weight > weights[heaviest] {
            heaviest = group;
        }
    }
    (weights.get(heaviest).is_some_and(|weight| *weight > 0.0 && *weight >= left)).then_some(heaviest)
}

impl Dataset {
    /// The same records, labelled for a further task.
    ///
    /// # Errors
    /// As [`TaskLabels::validate`]; [`Error::UnknownTaskColumn`] for a column that no record has;
    /// [`Error::UnknownTaskValue`] for a group of a diagnosis that is none of the dataset's;
    /// [`Error::UnlistedDiagnosis`] and [`Error::UnlistedTaskValue`] for what no class takes, under
    /// [`UnlistedValue::Refuse`]; [`Error::TaskClasses`] for a column of fewer than two values.
    pub fn label_task(self, task: &str, labels: &TaskLabels) -> Result<Self, Error> {
        labels.validate(task)?;
        let classes = match &labels.column {
            Some(column) => labels.of_column(task, column, &self)?,
            None => labels.of_diagnosis(task, &self)?,
        };
        let map = if !labels.classes.is_empty() {
            LabelMap::new(labels.classes.clone())?
        } else if !labels.groups.is_empty() {
            LabelMap::new(labels.groups.keys().cloned())?
        } else {
            let found: BTreeSet<&str> = classes.iter().copied().flatten().collect();
            if found.len() < 2 {
                return Err(Error::TaskClasses { task: task.to_owned(), classes: found.len() });
            }
            LabelMap::new(found)?
        };
        let classes: Vec<Option<ClassIndex>> = classes
            .into_iter()
            .map(|class| class.map(|class| map.class_index(class)).transpose())
            .collect::<Result<_, _>>()?;
        Ok(self.set_task(task, map, classes))
    }

    /// Rows of each class of the task `task` among the records at `indices`; unlabelled ones are in none.
    ///
    /// # Errors
    /// [`Error::UnknownTask`], [`Error::RecordOutOfRange`].
    pub fn task_counts_of(&self, task: &str, indices: &[usize]) -> Result<Vec<usize>, Error> {
        let unknown =
            || Error::UnknownTask { task: task.to_owned(), known: self.tasks().keys().cloned().collect() };
        let mut counts = vec![0; self.tasks().get(task).ok_or_else(unknown)?.num_classes()];
        for &index in indices {
            if let Some(class) = self.record(index)?.tasks.get(task) {
                counts[class.get()] += 1;
            }
        }
        Ok(counts)
    }
}
