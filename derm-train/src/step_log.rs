use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};

use crate::{Error, LossTerm};

/// What is known of an optimizer step. One line of `steps.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepEntry {
    /// The step, from 1.
    pub step: usize,
    /// Its epoch, from 1.
    pub epoch: usize,
    /// The loss of the step's rows.
    pub loss: f64,
    /// Each term of the loss by its name, where it has several. One that no row of the step has, as a task without a
    /// labelled row, is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, TermEntry>,
    /// Learning rate at the head.
    pub learning_rate: f64,
    /// Global L2 norm of the gradient before it was cut; absent where `training.clip_norm` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Images a second since the entry before, or since the process or epoch began.
    pub images_per_second: f64,
}

/// A term of the loss: `loss = Σ weight · value`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermEntry {
    /// What it weighs at this step.
    pub weight: f64,
    /// Its value over the step's rows, before the weight.
    pub value: f64,
}

impl TermEntry {
    /// Reads a term's value from the device.
    pub(crate) fn of(term: LossTerm) -> (String, Self) {
        let value = f64::from(term.value.into_scalar::<f32>());
        (term.name, Self { weight: term.weight, value })
    }
}

/// `steps.jsonl`: every `log_steps`-th step.
#[derive(Debug)]
pub(crate) struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens the log of a training of which `steps` optimizer steps are done: what a killed process wrote beyond them
    /// goes, because these steps come again.
    pub(crate) fn open(folder: &Path, steps: usize) -> Result<Self, Error> {
        let path = folder.join("steps.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(FileError::new(path, "read", error).into()),
        };
        let done = |line: &&str| serde_json::from_str(line).is_ok_and(|entry: StepEntry| entry.step <= steps);
        let kept: Vec<&str> = text.lines().take_while(done).collect();
        atomic::write_file(&path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}")))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(FileError::at(&path, "open"))?;
        Ok(Self { path, file })
    }

    /// Appends one line.
    pub(crate) fn write(&mut self, entry: &StepEntry) -> Result<(), Error> {
        let mut write = || -> io::Result<()> {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            self.file.write_all(&line)
        };
        Ok(write().map_err(FileError::at(&self.path, "write"))?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(step: usize) -> StepEntry {
        let (loss, terms, learning_rate) = (0.5, BTreeMap::new(), 1e-3);
        StepEntry { step, epoch: 1, loss, terms, learning_rate, gradient_norm: None, images_per_second: 7.0 }
    }

    #[test]
    fn steps_that_come_again_stand_once() {
        let place = tempfile::tempdir().unwrap();
        let mut log = StepLog::open(place.path(), 0).unwrap();
        for step in [2, 4, 6] {
            log.write(&entry(step)).unwrap();
        }
        // A line that a killed process did not finish.
        log.file.write_all(b"{\"step\": 8").unwrap();
        let mut log = StepLog::open(place.path(), 5).unwrap();
        log.write(&entry(6)).unwrap();
        let text = fs::read_to_string(place.path().join("steps.jsonl")).unwrap();
        let read: Vec<StepEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [2, 4, 6].map(entry));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let place = tempfile::tempdir().unwrap();
        let mut log = StepLog::open(place.path(), 0).unwrap();
        log.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = log.write(&entry(1)).unwrap_err();
        assert!(matches!(error, Error::File(_)) && error.to_string().contains("steps.jsonl"), "{error}");
    }
}
