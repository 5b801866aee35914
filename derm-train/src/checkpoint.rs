//! A checkpoint is a folder `step-<n>` that holds the network and the optimizer in Burn's own record format
//! (optimizer state is keyed by parameter ids, which other formats lose) and the rest as JSON. It appears
//! whole; after that a one-line file `latest` is renamed over its predecessor, and older folders go.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::history::EpochLog;

const LATEST: &str = "latest";
const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// Where a run stands, beside its weights. Everything else that a step depends on follows from the seed and
/// the step: sample order, augmentation, dropout masks and the learning rate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Optimizer steps done.
    pub step: usize,
    /// Epoch under way, from 0.
    pub epoch: usize,
    /// Batches of that epoch that are done.
    pub batches_done: usize,
    /// Sum of the batch losses of that epoch so far.
    pub loss_sum: f64,
    /// Seconds of training in that epoch so far, over all processes.
    pub seconds: f64,
    /// The epochs that are done.
    pub history: Vec<EpochLog>,
    /// Parameters for which the optimizer keeps a state.
    pub optimizer_states: usize,
}

/// The checkpoints of one training.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a checkpoint and makes it the latest.
    pub(crate) fn save<M: Module>(
        &self,
        model: &M,
        optimizer: &ModuleOptimizer,
        state: &State,
    ) -> Result<(), Error> {
        let name = format!("step-{:08}", state.step);
        let target = self.folder.join(&name);
        if target.exists() {
            // A process that was killed between the folder and `latest` left this very step behind.
            fs::remove_dir_all(&target).map_err(FileError::at(&target, "remove"))?;
        }
        let folder = atomic::Folder::new(&target)?;
        let record = |error: burn::store::RecordError| Error::Checkpoint {
            path: target.clone(),
            reason: error.to_string(),
        };
        model.clone().into_record().save(folder.path().join(MODEL)).map_err(record)?;
        optimizer.save(folder.path().join(OPTIMIZER)).map_err(record)?;
        atomic::write_file(folder.path().join(STATE), |file| {
            serde_json::to_writer_pretty(file, state).map_err(io::Error::from)
        })?;
        folder.commit()?;
        atomic::write_file(self.folder.join(LATEST), |file| writeln!(file, "{name}"))?;
        self.remove_all_but(&name)
    }

    /// The latest checkpoint, if there is one.
    pub(crate) fn latest(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.folder.join(LATEST);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(self.folder.join(name.trim_end()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::new(path, "read", error).into()),
        }
    }

    /// Reads what is not weights.
    pub(crate) fn state(path: &Path) -> Result<State, Error> {
        let file = path.join(STATE);
        let text = fs::read_to_string(&file).map_err(FileError::at(&file, "read"))?;
        serde_json::from_str(&text).map_err(|error| Error::Checkpoint {
            path: file,
            reason: format!("not a training state: {error}"),
        })
    }

    /// Reads the network, with its parameter ids.
    pub(crate) fn model<M: Module>(path: &Path, model: M) -> Result<M, Error> {
        let file = path.join(MODEL);
        let wrong = |error: burn::store::RecordError| Error::Checkpoint {
            path: file.clone(),
            reason: error.to_string(),
        };
        model.try_load_record(ModuleRecord::load(&file).map_err(wrong)?).map_err(wrong)
    }

    /// Reads the optimizer's state into an optimizer that was built for the loaded network.
    ///
    /// Burn drops states that it cannot read without a word, so they are counted.
    pub(crate) fn optimizer(
        path: &Path,
        optimizer: ModuleOptimizer,
        state: &State,
    ) -> Result<ModuleOptimizer, Error> {
        let file = path.join(OPTIMIZER);
        let wrong = |reason: String| Error::Checkpoint { path: file.clone(), reason };
        let optimizer = optimizer.load(&file).map_err(|error| wrong(error.to_string()))?;
        let (got, expected) = (optimizer_states(&optimizer), state.optimizer_states);
        if got == expected {
            Ok(optimizer)
        } else {
            Err(wrong(format!("{got} optimizer states could be read: expected {expected}")))
        }
    }

    fn remove_all_but(&self, name: &str) -> Result<(), Error> {
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                let other = entry.file_name();
                if entry.file_type()?.is_dir() && other != *name {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        Ok(remove().map_err(FileError::at(&self.folder, "tidy"))?)
    }
}

/// Parameters for which the optimizer keeps a state.
pub(crate) fn optimizer_states(optimizer: &ModuleOptimizer) -> usize {
    optimizer.to_record().len() / MOMENTS
}

/// Tensors that AdamW keeps for each parameter.
const MOMENTS: usize = 2;
