use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use derm_calibration::{Calibrate, FitCalibrator, TemperatureConfig};
use derm_core::{FileError, Predictions, Probabilities, Role, Test, Validation};
use serde::Deserialize;

use crate::{Error, recipe_file};

/// What a comparison needs of a run: its test predictions, as they are and calibrated.
#[derive(Debug)]
pub(super) struct RunTable {
    pub(super) folder: PathBuf,
    /// The seed that its recipe names, where there is a recipe.
    pub(super) seed: Option<u64>,
    pub(super) predictions: Predictions<Test>,
    pub(super) uncalibrated: Probabilities,
    /// After temperature scaling fitted on the run's validation rows; as they are where there are no such rows, or
    /// no logits.
    pub(super) calibrated: Probabilities,
    pub(super) temperature: Option<f64>,
}

impl RunTable {
    /// Reads the folder of a run, or one with predictions files alone.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let predictions: Predictions<Test> = load(folder)?;
        let uncalibrated = predictions.probabilities();
        let has_validation = predictions_file::<Validation>(folder).is_file();
        let (calibrated, temperature) = if predictions.logits().is_some() && has_validation {
            let validation: Predictions<Validation> = load(folder)?;
            let scaling = TemperatureConfig { n_bins: 1, ..TemperatureConfig::default() }.fit(&validation)?;
            (scaling.calibrate(&predictions)?, Some(scaling.temperature))
        } else {
            (uncalibrated.clone(), None)
        };
        let seed = seed(&folder.join("config.yaml"))?;
        Ok(Self { folder: folder.to_owned(), seed, predictions, uncalibrated, calibrated, temperature })
    }

    /// The same with its rows in the order of `first`.
    ///
    /// # Errors
    /// [`Error::StudyTables`] unless both hold the same rows of the same split, with the same labels.
    pub(super) fn in_order_of(self, first: &Predictions<Test>) -> Result<Self, Error> {
        let own = &self.predictions;
        let differs = |what, got: String, expected: String| {
            Err(Error::StudyTables { folder: self.folder.clone(), what, got, expected })
        };
        if own.labels() != first.labels() {
            let names = |table: &Predictions<Test>| table.labels().names().join(", ");
            return differs("classes", names(own), names(first));
        }
        if own.split_hash() != first.split_hash() {
            return differs("split", own.split_hash().to_owned(), first.split_hash().to_owned());
        }
        if own.len() != first.len() {
            return differs("number of test rows", own.len().to_string(), first.len().to_string());
        }
        let rows: BTreeMap<&str, usize> =
            own.ids().iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let mut order = Vec::with_capacity(own.len());
        for (place, id) in first.ids().iter().enumerate() {
            let Some(&row) = rows.get(id.as_str()) else {
                return differs("test rows", "no such row".to_owned(), id.clone());
            };
            if own.targets()[row] != first.targets()[place] || own.groups()[row] != first.groups()[place] {
                let name = |table: &Predictions<Test>, row: usize| {
                    let class = &table.labels().names()[table.targets()[row]];
                    format!("{class} of {}", table.groups()[row])
                };
                return differs("label or lesion of a test row", name(own, row), name(first, place));
            }
            order.push(row);
        }
        let (calibrated, uncalibrated) = (self.calibrated.select(&order)?, self.uncalibrated.select(&order)?);
        Ok(Self { calibrated, uncalibrated, predictions: first.clone(), ..self })
    }
}

/// `predictions/<role>` of a run folder, or `<role>` of a folder with predictions alone; safetensors before CSV.
fn predictions_file<R: Role>(folder: &Path) -> PathBuf {
    let of_run = folder.join("predictions");
    let folder = if of_run.is_dir() { of_run.as_path() } else { folder };
    let binary = folder.join(format!("{}.safetensors", R::ROLE));
    if binary.is_file() { binary } else { folder.join(format!("{}.csv", R::ROLE)) }
}

fn load<R: Role>(folder: &Path) -> Result<Predictions<R>, Error> {
    Ok(Predictions::load(predictions_file::<R>(folder))?)
}

/// The seed of a resolved recipe, of this version or another one.
fn seed(config: &Path) -> Result<Option<u64>, Error> {
    #[derive(Deserialize)]
    struct Seed {
        seed: Option<u64>,
    }
    if !config.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(config).map_err(FileError::at(config, "read"))?;
    Ok(recipe_file::parse::<Seed>(&text, &config.display().to_string(), &[])?.seed)
}
