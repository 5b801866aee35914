use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use derm_backbones::weights::to_safetensors;
use derm_backbones::{Classifier, PublishedKeys, TextTokenizer};
use derm_calibration::CalibrationRecord;
use derm_core::{Backbone, FileError, LabelMap, atomic};
use derm_data::FeatureSchema;
use serde::Serialize;

use crate::manifest::{Manifest, Provenance};
use crate::{BundleConfig, BundleTask, Error, task};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const FEATURE_SCHEMA: &str = "feature_schema.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const CALIBRATION: &str = "calibration.json";
const METRICS: &str = "metrics.json";
const MODEL_CARD: &str = "MODEL_CARD.md";

/// Where the classes of a task stand; none for a name that is no file's.
pub(crate) fn labels_file(task: &str) -> Option<String> {
    let plain = !task.is_empty() && !task.starts_with('.') && !task.contains(['/', '\\', ':', '\0']);
    plain.then(|| format!("labels/{task}.txt"))
}

pub(crate) fn no_labels_file(config: PathBuf, task: &str) -> Error {
    let reason = format!(
        "the task {task:?} has no labels file: expected the name of one below `labels`, without `.txt`"
    );
    Error::Mismatch { path: config, reason }
}

/// Everything that a prediction depends on, ready to be written as one folder.
///
/// ```text
/// manifest.json         sizes and SHA-256 of all the others, and of itself
/// config.json           network, image size, standardisation, resize rule, view
/// labels/<task>.txt     one class a line, in logit order
/// tasks.json            the tasks beside the first one with their calibrators; absent where there is none
/// feature_schema.json   the questionnaire; absent for a model that reads none
/// tokenizer.json        words to tokens; absent for a model that reads no text
/// model.safetensors     weights under their published names, as `config.json` says
/// calibration.json      calibrator, abstain policy and conformal predictor, with what each was fitted on
/// metrics.json          test metrics with their intervals
/// MODEL_CARD.md         purpose, data, classes, limits
/// ```
#[derive(Debug)]
pub struct Bundle<'a, B: Backbone, M: Serialize> {
    /// The network.
    pub model: &'a Classifier<B>,
    /// How an image becomes logits.
    pub config: BundleConfig<M>,
    /// The classes.
    pub labels: &'a LabelMap,
    /// The questionnaire, where the model reads one.
    pub schema: Option<&'a FeatureSchema>,
    /// The tokenizer, where the model reads texts.
    pub tokenizer: Option<&'a TextTokenizer>,
    /// The further tasks, in the order of the network's heads; most models have none.
    pub tasks: &'a [BundleTask],
    /// Calibrator, abstain policy and, where there is one, conformal predictor.
    pub calibration: &'a CalibrationRecord,
    /// Test metrics, any JSON.
    pub metrics: serde_json::Value,
    /// The model card, Markdown.
    pub model_card: String,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl<B: Backbone + PublishedKeys, M: Serialize> Bundle<'_, B, M> {
    /// Writes the bundle as `folder`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] where `folder` exists already or cannot be written, [`Error::Mismatch`] for a task whose name
    /// cannot be a file's and for tasks that are not the network's heads, [`Error::Backbone`] where the weights cannot be saved, [`Error::Weight`] where one cannot be
    /// kept in the format that the configuration names.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Manifest, Error> {
        let target = atomic::Folder::new(folder)?;
        let path = target.path();
        let config = path.join(CONFIG);
        write_json(&config, &self.config)?;
        let task = &self.config.task;
        let labels = path.join(labels_file(task).ok_or_else(|| no_labels_file(config, task))?);
        let wrong = |source| Error::Labels { path: labels.clone(), source };
        self.labels.write(&labels).map_err(wrong)?;
        if let Some(schema) = self.schema {
            schema.write(path.join(FEATURE_SCHEMA))?;
        }
        if let Some(tokenizer) = self.tokenizer {
            tokenizer.save(path.join(TOKENIZER))?;
        }
        task::write(path, self.tasks, self.model)?;
        let weights = path.join(WEIGHTS);
        let bytes = to_safetensors(self.model)?;
        let bytes = match self.model.devices().first() {
            Some(device) => self.config.weights.store(bytes, device)?,
            None => bytes,
        };
        fs::write(&weights, bytes).map_err(FileError::at(&weights, "write"))?;
        write_findings(path, self.calibration, &self.metrics, &self.model_card)?;
        let manifest = Manifest::seal(path, self.provenance.clone())?;
        target.commit()?;
        Ok(manifest)
    }
}

/// The files that say what was found out about a model, single or ensemble.
pub(crate) fn write_findings(
    folder: &Path,
    calibration: &CalibrationRecord,
    metrics: &serde_json::Value,
    model_card: &str,
) -> Result<(), Error> {
    write_json(&folder.join(CALIBRATION), calibration)?;
    write_json(&folder.join(METRICS), metrics)?;
    let card = folder.join(MODEL_CARD);
    Ok(fs::write(&card, model_card).map_err(FileError::at(&card, "write"))?)
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let json = |error: serde_json::Error| Error::Json { path: path.to_owned(), reason: error.to_string() };
    let text = serde_json::to_string_pretty(value).map_err(json)? + "\n";
    Ok(fs::write(path, text).map_err(FileError::at(path, "write"))?)
}
