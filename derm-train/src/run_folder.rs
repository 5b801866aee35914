use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Recipe};

pub(crate) const CONFIG: &str = "config.yaml";
const INPUTS: &str = "inputs.json";
/// The classes, one a line in logit order.
pub(crate) const LABELS: &str = "labels.txt";
/// Where the classes of a further task stand.
pub(crate) fn task_labels(task: &str) -> String {
    format!("labels.{task}.txt")
}

/// The questionnaire, where the network reads it.
pub(crate) const SCHEMA: &str = "feature_schema.json";

/// Sections that decide the weights: a run that goes on must agree in them.
const BINDING: [&str; 6] = ["seed", "dataset", "model", "training", "tasks", "distillation"];

/// What a recipe only points to, by content: a run that goes on must find the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    /// Hash of the split: who was learned from.
    pub split: String,
    /// Hash of the records: which labels, answers and texts were learned.
    pub records: String,
    /// SHA-256 of the teacher's weights.
    pub teacher: Option<String>,
    /// SHA-256 of the file of weights that the network began with.
    pub weights: Option<String>,
    /// SHA-256 of the file of weights that the text encoder began with.
    #[serde(default)]
    pub text_weights: Option<String>,
    /// SHA-256 of the file of the tokenizer.
    #[serde(default)]
    pub tokenizer: Option<String>,
}

/// The folder of one run.
///
/// ```text
/// config.yaml             the resolved recipe: every key with its value
/// inputs.json             hashes of the split, of labels, answers and texts, of the teacher's and of published weights,
///                         of the tokenizer
/// split.json              who is in which role
/// versions.json           what each build that wrote here was made of
/// labels.txt              the classes, in logit order
/// labels.<task>.txt       those of each task beside the diagnosis
/// feature_schema.json     the questionnaire, where the network reads it
/// tokenizer.json          words to tokens, where the network reads texts
/// checkpoints/            the latest checkpoint
/// best/                   the weights of the best epochs
/// history.jsonl           one line an epoch
/// steps.jsonl             one line every `training.log_steps` steps
/// tensorboard/            event files, where they are asked for
/// predictions/<role>.csv  logits of the network on every row of the role, each with its sidecar
/// predictions/<role>.<task>.csv  the same of each task beside the diagnosis, on the rows labelled for it
/// metrics.json            metrics on the test split, before and after calibration, with intervals
/// bundle/                 what a program loads to predict
/// report.html             the report
/// ```
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Held as long as the run writes; the system frees it when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Refuses a folder in which the run of another recipe was begun. Writes nothing.
    pub(crate) fn check(recipe: &Recipe) -> Result<(), Error> {
        let folder = recipe.output();
        let config = folder.join(CONFIG);
        if !was_begun(&folder) || !config.is_file() {
            return Ok(());
        }
        let text = fs::read_to_string(&config).map_err(FileError::at(&config, "read"))?;
        let before = Recipe::parse(&text, &config.display().to_string(), &[])?;
        match difference(&before, recipe) {
            None => Ok(()),
            Some(key) => Err(Error::OtherRun { folder, key }),
        }
    }

    /// Whether the folder holds a run of this recipe that came to its end: the report is what a run writes last.
    pub(crate) fn is_finished(recipe: &Recipe) -> bool {
        let folder = recipe.output();
        let written =
            ["bundle/manifest.json", "predictions/validation.csv", "predictions/test.csv", "report.html"];
        written.iter().all(|file| folder.join(file).is_file()) && Self::check(recipe).is_ok()
    }

    /// Opens the folder, or makes it, for this process alone, removes what a killed process left half-written, and
    /// writes the resolved recipe.
    pub(crate) fn begin(recipe: &Recipe, inputs: &Inputs) -> Result<Self, Error> {
        let path = recipe.output();
        fs::create_dir_all(&path).map_err(FileError::at(&path, "create"))?;
        let lock = lock(&path)?;
        Self::check(recipe)?;
        check_inputs(&path, inputs)?;
        for folder in [path.clone(), path.join("checkpoints"), path.join("best"), path.join("predictions")] {
            remove_temporary(&folder).map_err(FileError::at(&folder, "tidy"))?;
        }
        let config = path.join(CONFIG);
        let text = to_yaml(recipe, &config)?;
        atomic::write_file(&config, |file| file.write_all(text.as_bytes()))?;
        atomic::write_file(path.join(INPUTS), |file| {
            serde_json::to_writer_pretty(&mut *file, inputs).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder `name` by `write`, which is given a place beside it, and then puts it in the place of the
    /// one that is there.
    pub(crate) fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let (target, fresh) = (self.join(name), self.join(&format!("{TEMPORARY}{name}")));
        write(&fresh)?;
        let replace = || -> io::Result<()> {
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            fs::rename(&fresh, &target)
        };
        replace().map_err(FileError::at(&target, "replace"))?;
        Ok(target)
    }
}

/// Whether there are weights: before that, a folder may be begun again with another recipe.
fn was_begun(folder: &Path) -> bool {
    folder.join("checkpoints").join("latest").exists() || folder.join("bundle").exists()
}

/// Keeps other processes out of a folder for as long as the file is held.
pub(crate) fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(FileError::at(&path, "create"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { folder: folder.to_owned() }),
        // A file system without locks: then nobody else is kept out, as without this.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(FileError::new(path, "lock", error).into()),
    }
}

fn check_inputs(folder: &Path, now: &Inputs) -> Result<(), Error> {
    let path = folder.join(INPUTS);
    if !was_begun(folder) || !path.is_file() {
        return Ok(());
    }
    let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
    let before: Inputs = serde_json::from_str(&text).map_err(|error| {
        let origin = path.display().to_string();
        Error::Key { origin, key: ".".to_owned(), reason: error.to_string() }
    })?;
    let Inputs { split, records, teacher, weights, text_weights, tokenizer } = &before;
    let digests = |before: &Option<String>, now: &Option<String>| {
        let digest = |one: &Option<String>| one.clone().unwrap_or("none".to_owned());
        format!("was {} and is {}", digest(before), digest(now))
    };
    let key = if *split != now.split {
        format!("the split of the data was {split} and is {}", now.split)
    } else if *records != now.records {
        format!("the hash of the records' labels, answers and texts was {records} and is {}", now.records)
    } else if *teacher != now.teacher {
        format!("the SHA-256 of the teacher's weights {}", digests(teacher, &now.teacher))
    } else if *weights != now.weights {
        format!("the SHA-256 of `model.weights` {}", digests(weights, &now.weights))
    } else if *text_weights != now.text_weights {
        format!("the SHA-256 of `model.text.weights` {}", digests(text_weights, &now.text_weights))
    } else if *tokenizer != now.tokenizer {
        format!("the SHA-256 of `model.text.tokenizer` {}", digests(tokenizer, &now.tokenizer))
    } else {
        return Ok(());
    };
    Err(Error::OtherRun { folder: folder.to_owned(), key })
}

/// How temporary files and folders begin, here and in [`derm_core::atomic`].
const TEMPORARY: &str = ".tmp-";

fn remove_temporary(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Every key of a recipe with its value.
pub(crate) fn to_yaml(recipe: &Recipe, path: &Path) -> Result<String, Error> {
    serde_saphyr::to_string(recipe)
        .map_err(|error| Error::Yaml { origin: path.display().to_string(), reason: error.to_string() })
}

/// What of a recipe decides the weights.
pub(crate) fn binding(recipe: &Recipe) -> Value {
    let mut whole = serde_json::to_value(recipe).unwrap_or_default();
    let mut binding = serde_json::Map::new();
    for key in BINDING {
        binding.insert(key.to_owned(), without_free(key, whole[key].take()));
    }
    Value::Object(binding)
}

fn without_free(path: &str, value: Value) -> Value {
    let Value::Object(keys) = value else { return value };
    let bound = keys.into_iter().map(|(key, value)| (format!("{path}.{key}"), key, value));
    let bound = bound.filter(|(path, ..)| !FREE.contains(&path.as_str()));
    Value::Object(bound.map(|(path, key, value)| (key, without_free(&path, value))).collect())
}

/// The first key in which two recipes would train another network.
fn difference(before: &Recipe, now: &Recipe) -> Option<String> {
    let before = serde_json::to_value(before).unwrap_or_default();
    let now = serde_json::to_value(now).unwrap_or_default();
    BINDING.iter().find_map(|key| differing_key(key, &before[*key], &now[*key]))
}

/// Keys in those sections that change no weight: how batches are prepared, how often a checkpoint is written, what is
/// logged, where teacher, published weights and tokenizer lie, because their digests are compared, and where its logits are kept.
const FREE: [&str; 11] = [
    "dataset.workers",
    "dataset.prefetch",
    "dataset.cache_mib",
    "training.checkpoint_steps",
    "training.log_steps",
    "training.tensorboard",
    "model.weights",
    "model.text.weights",
    "model.text.tokenizer",
    "distillation.teacher",
    "distillation.cache",
];

/// The first key in which two values differ, and how; keys that change no weight aside.
pub(crate) fn differing_key(path: &str, before: &Value, now: &Value) -> Option<String> {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.map(|key| (key, format!("{path}.{key}"))).find_map(|(key, path)| {
                let null = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                if FREE.contains(&path.as_str()) { None } else { differing_key(&path, a, b) }
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

    fn inputs() -> Inputs {
        let (split, records) = ("0f3a".to_owned(), "5c".to_owned());
        let [teacher, weights, text_weights, tokenizer] =
            ["77", "88", "99", "aa"].map(|text| Some(text.to_owned()));
        Inputs { split, records, teacher, weights, text_weights, tokenizer }
    }

    /// A folder with a checkpoint, and its recipe.
    fn begun() -> (tempfile::TempDir, Recipe) {
        let place = tempfile::tempdir().unwrap();
        let recipe = Recipe { output: Some(place.path().join("run")), ..Recipe::default() };
        let folder = RunFolder::begin(&recipe, &inputs()).unwrap();
        fs::create_dir(folder.join("checkpoints")).unwrap();
        fs::write(folder.join("checkpoints/latest"), "step-00000001\n").unwrap();
        (place, recipe)
    }

    #[test]
    fn another_recipe_is_not_taken_up() {
        let (_place, mut recipe) = begun();
        recipe.dataset.workers += 1;
        recipe.training.checkpoint_steps += 1;
        recipe.training.log_steps += 1;
        recipe.training.tensorboard = true;
        recipe.dataset.prefetch += 1;
        recipe.dataset.cache_mib += 1;
        recipe.evaluation.bootstrap_replicates += 1;
        RunFolder::begin(&recipe, &inputs()).unwrap();
        recipe.training.epochs += 1;
        let error = RunFolder::begin(&recipe, &inputs()).unwrap_err();
        assert!(matches!(error, Error::OtherRun { .. }), "{error}");
        assert!(error.to_string().contains("`training.epochs` was 10 and is 11"), "{error}");
        let error = RunFolder::check(&recipe).unwrap_err();
        assert!(matches!(error, Error::OtherRun { .. }), "{error}");
    }

    #[test]
    fn other_data_and_another_teacher_are_not_taken_up() {
        let (_place, recipe) = begun();
        for (other, word) in [
            (Inputs { split: "ffff".to_owned(), ..inputs() }, "split"),
            (Inputs { records: "5d".to_owned(), ..inputs() }, "labels, answers and texts"),
            (Inputs { teacher: None, ..inputs() }, "teacher"),
            (Inputs { weights: None, ..inputs() }, "model.weights"),
            (Inputs { text_weights: None, ..inputs() }, "model.text.weights"),
            (Inputs { tokenizer: None, ..inputs() }, "model.text.tokenizer"),
        ] {
            let error = RunFolder::begin(&recipe, &other).unwrap_err();
            assert!(matches!(error, Error::OtherRun { .. }), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        RunFolder::begin(&recipe, &inputs()).unwrap();
    }

    #[test]
    fn a_run_without_weights_may_be_begun_anew() {
        let place = tempfile::tempdir().unwrap();
        let mut recipe = Recipe { output: Some(place.path().join("run")), ..Recipe::default() };
        RunFolder::begin(&recipe, &inputs()).unwrap();
        recipe.training.learning_rate = 0.5;
        RunFolder::begin(&recipe, &inputs()).unwrap();
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let recipe = Recipe { output: Some(place.path().join("run")), ..Recipe::default() };
        let first = RunFolder::begin(&recipe, &inputs()).unwrap();
        let error = RunFolder::begin(&recipe, &inputs()).unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        drop(first);
        RunFolder::begin(&recipe, &inputs()).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_goes() {
        let (_place, recipe) = begun();
        let path = recipe.output();
        fs::create_dir(path.join(".tmp-bundle")).unwrap();
        fs::write(path.join(".tmp-bundle/config.json"), "half").unwrap();
        fs::write(path.join("checkpoints/.tmp-abc"), "half").unwrap();
        RunFolder::begin(&recipe, &inputs()).unwrap();
        assert!(!path.join(".tmp-bundle").exists() && !path.join("checkpoints/.tmp-abc").exists());
        assert!(path.join("checkpoints/latest").exists());
    }
}
