//! What the recipe's section `dataset` gives: records and their split.

use std::collections::BTreeMap;

use derm_data::readers::ReadPolicy;
use derm_data::{Dataset, FeatureSchema, LabelMapping, NearDuplicateConfig, NearDuplicates, Split};

use crate::progress::Progress;
use crate::recipe::NearDuplicatePolicy;
use crate::{DatasetRecipe, DatasetSource, Error, TaskRecipe};

impl DatasetRecipe {
    /// Reads the records, with the labels, those of further tasks too, and the questionnaire that the recipe wants.
    ///
    /// # Errors
    /// What reading gives: a file, row, class or image that is missing or wrong.
    pub(crate) fn read(&self, tasks: &BTreeMap<String, TaskRecipe>) -> Result<Dataset, Error> {
        let mut dataset = match (&self.source, &self.root) {
            (DatasetSource::Synthetic, _) => self.synthetic.generate()?,
            (DatasetSource::Read(source), Some(root)) => {
                source.read(root, ReadPolicy::from(self.unreadable))?
            }
            (DatasetSource::Read(_), None) => {
                let (key, expected) = ("dataset.root", "the dataset's folder");
                return Err(Error::Value { key, value: "absent".to_owned(), expected });
            }
        };
        if let Some(name) = &self.label_mapping {
            let is_file = name.to_ascii_lowercase().ends_with(".json");
            let mapping = if is_file { LabelMapping::read(name)? } else { LabelMapping::ready(name)? };
            dataset = mapping.apply(&dataset)?;
        }
        // Before another questionnaire takes answers away: a task may learn what the network is not told.
        for (name, task) in tasks {
            dataset = dataset.label_task(name, &task.labels)?;
        }
        if let Some(path) = &self.feature_schema_path {
            dataset = dataset.with_schema(FeatureSchema::read(path)?)?;
        }
        Ok(dataset)
    }

    /// Divides the records; first makes one group of those that share a picture, where the recipe wants that.
    ///
    /// # Errors
    /// What splitting gives: a class or role without rows, a split of other data, a lesion in two roles.
    pub(crate) fn divide(&self, dataset: Dataset, progress: Progress) -> Result<(Dataset, Split), Error> {
        let look = || {
            progress.stage("looking for nearly the same pictures");
            NearDuplicates::find(&dataset, NearDuplicateConfig::default())
        };
        match self.near_duplicates {
            NearDuplicatePolicy::Ignore => {
                let split = self.split(&dataset)?;
                Ok((dataset, split))
            }
            NearDuplicatePolicy::Report => {
                let near = look()?;
                let split = self.split(&dataset)?;
                progress.line(&near.across(&dataset, &split)?.to_string());
                Ok((dataset, split))
            }
            NearDuplicatePolicy::Merge => {
                let (merged, count) = look()?.merge_groups(&dataset)?;
                progress.line(&format!("{count} groups share a picture with another and went into it"));
                let split = self.split(&merged)?;
                Ok((merged, split))
            }
        }
    }

    fn split(&self, dataset: &Dataset) -> Result<Split, Error> {
        if let Some(path) = &self.split_path {
            let split = Split::read(path)?;
            split.check(dataset, self.split.empty_class)?;
            return Ok(split);
        }
        Ok(match &self.published_split {
            Some(published) => Split::published(dataset, published)?,
            None => Split::stratified(dataset, &self.split)?,
        })
    }
}
