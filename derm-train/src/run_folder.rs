use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use derm_core::{FileError, atomic};
use serde_json::Value;

use crate::{Error, Recipe};

const CONFIG: &str = "config.yaml";

/// Sections that decide the weights: a run that goes on must agree in them.
const BINDING: [&str; 5] = ["seed", "dataset", "model", "training", "distillation"];

/// The folder of one run.
///
/// ```text
/// config.yaml             the resolved recipe: every key with its value
/// split.json              who is in which role
/// checkpoints/            the latest checkpoint
/// history.jsonl           one line an epoch
/// predictions/<role>.csv  logits of the network on every row of the role, each with its sidecar
/// metrics.json            metrics on the test split, before and after calibration, with intervals
/// bundle/                 what a program loads to predict
/// report.html             the report
/// ```
#[derive(Debug, Clone)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Opens the folder, or makes it, and writes the resolved recipe.
    pub(crate) fn open(recipe: &Recipe) -> Result<Self, Error> {
        let path = recipe.output();
        let config = path.join(CONFIG);
        if config.is_file() {
            let text = fs::read_to_string(&config).map_err(FileError::at(&config, "read"))?;
            let before = Recipe::parse(&text, &config.display().to_string(), &[])?;
            if let Some(key) = difference(&before, recipe) {
                return Err(Error::OtherRun { folder: path, key });
            }
        }
        let text = to_yaml(recipe, &config)?;
        atomic::write_file(&config, |file| file.write_all(text.as_bytes()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn to_yaml(recipe: &Recipe, path: &Path) -> Result<String, Error> {
    serde_saphyr::to_string(recipe)
        .map_err(|error| Error::Yaml { origin: path.display().to_string(), reason: error.to_string() })
}

/// The first key in which two recipes would train another network.
fn difference(before: &Recipe, now: &Recipe) -> Option<String> {
    let before = serde_json::to_value(before).unwrap_or_default();
    let now = serde_json::to_value(now).unwrap_or_default();
    BINDING.iter().find_map(|key| differing_key(key, &before[*key], &now[*key]))
}

/// How batches are prepared does not change them.
const FREE: [&str; 3] = ["workers", "prefetch", "cache_mib"];

fn differing_key(path: &str, before: &Value, now: &Value) -> Option<String> {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            let bound = keys.filter(|key| !FREE.contains(&key.as_str()));
            bound.into_iter().find_map(|key| {
                let null = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                differing_key(&format!("{path}.{key}"), a, b)
            })
        }
        _ => (before != now).then(|| format!("`{path}` was {before} and is {now}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_resolved_recipe_reads_back() {
        let recipe = Recipe::default();
        let text = to_yaml(&recipe, Path::new("config.yaml")).unwrap();
        assert_eq!(Recipe::parse(&text, "config.yaml", &[]).unwrap(), recipe);
    }

    #[test]
    fn another_recipe_is_not_taken_up() {
        let place = tempfile::tempdir().unwrap();
        let mut recipe = Recipe { output: Some(place.path().join("run")), ..Recipe::default() };
        RunFolder::open(&recipe).unwrap();
        recipe.dataset.workers += 1;
        recipe.evaluation.bootstrap_replicates += 1;
        RunFolder::open(&recipe).unwrap();
        recipe.training.learning_rate = 0.5;
        let error = RunFolder::open(&recipe).unwrap_err();
        assert!(error.to_string().contains("training.learning_rate"), "{error}");
    }
}
