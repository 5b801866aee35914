//! The weights of the best epochs, each in a folder `best/epoch-<n>` of its own that appears whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use derm_core::{FileError, atomic, sha256_file};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{read_json, write_json, wrong};
use crate::{CheckpointsRecipe, Error};

const PREFIX: &str = "epoch-";
const MODEL: &str = "model.bpk";
const EPOCH: &str = "epoch.json";

/// An epoch whose weights are kept. Part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BestEpoch {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Its metric.
    pub value: f64,
}

/// What stands beside the weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    epoch: usize,
    metric: String,
    value: f64,
    /// SHA-256 of the weights.
    model: String,
}

/// The best epochs of one training.
#[derive(Debug, Clone)]
pub(crate) struct BestCheckpoints {
    folder: PathBuf,
    recipe: CheckpointsRecipe,
}

impl BestCheckpoints {
    pub(crate) fn new(folder: PathBuf, recipe: CheckpointsRecipe) -> Self {
        Self { folder, recipe }
    }

    /// Writes the weights of an epoch that is among the best, and enters it into `best`, from the best on. Ties go to
    /// the earlier epoch; an epoch without the metric is not kept.
    ///
    /// Nothing is removed here: the folders that the last checkpoint names stay until the next one is written.
    pub(crate) fn offer<M: Module>(
        &self,
        best: &mut Vec<BestEpoch>,
        epoch: usize,
        metrics: &BTreeMap<String, f64>,
        model: &M,
    ) -> Result<(), Error> {
        let metric = self.recipe.metric;
        let Some(value) = metrics.get(&metric.name()).copied().filter(|value| value.is_finite()) else {
            return Ok(());
        };
        let rank = best.iter().take_while(|other| metric.gain(value, other.value) <= 0.0).count();
        if rank >= self.recipe.keep_best {
            return Ok(());
        }
        self.write(epoch, value, model)?;
        best.insert(rank, BestEpoch { epoch, value });
        best.truncate(self.recipe.keep_best);
        Ok(())
    }

    /// Checks the weights of the epoch at `path`; false where it is none.
    pub(crate) fn check(path: &Path) -> Result<bool, Error> {
        let description = path.join(EPOCH);
        if !description.is_file() {
            return Ok(false);
        }
        let Description { model, .. } = read_json(&description)?;
        let weights = path.join(MODEL);
        if sha256_file(&weights)?.0 == model {
            return Ok(true);
        }
        let reason = format!("was changed or cut short: its SHA-256 is not the one in {EPOCH}");
        Err(wrong(&weights, reason))
    }

    fn write<M: Module>(&self, epoch: usize, value: f64, model: &M) -> Result<(), Error> {
        let target = self.place(epoch);
        if target.exists() {
            // A process that was killed before its next checkpoint left this very epoch behind.
            fs::remove_dir_all(&target).map_err(FileError::at(&target, "remove"))?;
        }
        let folder = atomic::Folder::new(&target)?;
        let weights = folder.path().join(MODEL);
        let record = |error: RecordError| wrong(&target.join(MODEL), error.to_string());
        model.clone().into_record().save(&weights).map_err(record)?;
        let model = sha256_file(&weights)?.0;
        let metric = self.recipe.metric.name();
        write_json(&folder.path().join(EPOCH), &Description { epoch, metric, value, model })?;
        folder.commit()?;
        Ok(())
    }

    /// Removes the folders that are not among `best`.
    pub(crate) fn tidy(&self, best: &[BestEpoch]) -> Result<(), Error> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        let kept: Vec<PathBuf> = best.iter().map(|best| self.place(best.epoch)).collect();
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() && !kept.contains(&entry.path()) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        Ok(remove().map_err(FileError::at(&self.folder, "tidy"))?)
    }

    /// The best epoch's weights.
    ///
    /// # Errors
    /// [`Error::NoBestEpoch`] where no epoch had the metric, [`Error::Checkpoint`] for a folder that was changed.
    pub(crate) fn load<M: Module>(&self, best: &[BestEpoch], model: M) -> Result<M, Error> {
        let Some(BestEpoch { epoch, .. }) = best.first() else {
            return Err(Error::NoBestEpoch { metric: self.recipe.metric.name() });
        };
        let folder = self.place(*epoch);
        let Description { model: digest, .. } = read_json(&folder.join(EPOCH))?;
        let weights = folder.join(MODEL);
        if sha256_file(&weights)?.0 != digest {
            let reason = format!("was changed or cut short: its SHA-256 is not the one in {EPOCH}");
            return Err(wrong(&weights, reason));
        }
        let record = |error: RecordError| wrong(&weights, error.to_string());
        model.try_load_record(ModuleRecord::load(&weights).map_err(record)?).map_err(record)
    }

    fn place(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("{PREFIX}{epoch:04}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::ValidationMetric;

    fn layer() -> Linear {
        LinearConfig::new(3, 2).init(&Device::default())
    }

    fn weights(model: &Linear) -> Vec<f32> {
        model.weight.val().into_data().iter::<f32>().collect()
    }

    /// The epochs kept after these values, best first, and the folders that are there.
    fn kept(metric: ValidationMetric, keep_best: usize, values: &[f64]) -> (Vec<usize>, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        let checkpoints =
            BestCheckpoints::new(place.path().join("best"), CheckpointsRecipe { metric, keep_best });
        let (mut best, mut models) = (Vec::new(), Vec::new());
        for (index, &value) in values.iter().enumerate() {
            models.push(layer());
            let metrics = BTreeMap::from([(metric.name(), value)]);
            checkpoints.offer(&mut best, index + 1, &metrics, &models[index]).unwrap();
            checkpoints.tidy(&best).unwrap();
        }
        if let Some(first) = best.first() {
            let read = checkpoints.load(&best, layer()).unwrap();
            assert_eq!(weights(&read), weights(&models[first.epoch - 1]));
        }
        let mut folders: Vec<String> = fs::read_dir(&checkpoints.folder)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        folders.sort();
        (best.iter().map(|best| best.epoch).collect(), folders)
    }

    #[test]
    fn the_best_epochs_are_kept_in_the_metrics_direction() {
        let values = [0.5, 0.7, 0.5, 0.4, f64::NAN, 0.6];
        let (best, folders) = kept(ValidationMetric::Nll, 2, &values);
        assert_eq!((best, folders), (vec![4, 1], vec!["epoch-0001".to_owned(), "epoch-0004".to_owned()]));
        let (best, folders) = kept(ValidationMetric::MacroF1, 2, &values);
        assert_eq!((best, folders), (vec![2, 6], vec!["epoch-0002".to_owned(), "epoch-0006".to_owned()]));
        assert_eq!(kept(ValidationMetric::Nll, 0, &values), (vec![], vec![]));
    }

    #[test]
    fn a_damaged_folder_is_named_and_a_half_written_one_replaced() {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = BestCheckpoints::new(place.path().join("best"), CheckpointsRecipe::default());
        let metrics = BTreeMap::from([("nll".to_owned(), 1.0)]);
        // As a killed process leaves it: the folder of an epoch that no checkpoint knows.
        fs::create_dir_all(checkpoints.place(1)).unwrap();
        fs::write(checkpoints.place(1).join(MODEL), "of another life").unwrap();
        let (mut best, model) = (Vec::new(), layer());
        let error = checkpoints.load(&best, layer()).unwrap_err();
        assert!(matches!(error, Error::NoBestEpoch { .. }), "{error}");
        checkpoints.offer(&mut best, 1, &metrics, &model).unwrap();
        assert_eq!(weights(&checkpoints.load(&best, layer()).unwrap()), weights(&model));
        for name in [MODEL, EPOCH] {
            let path = checkpoints.place(1).join(name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let error = checkpoints.load(&best, layer()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            fs::write(&path, whole).unwrap();
        }
    }
}
