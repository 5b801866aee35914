//! A checkpoint is a folder `step-<n>` that holds the network, its moving average and the optimizer in Burn's own
//! record format
//! (optimizer state is keyed by parameter ids, which other formats lose), the rest as JSON, and the SHA-256 of
//! each. It appears whole; after that a one-line file `latest` is renamed over its predecessor, and older folders
//! go.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use derm_core::{Backbone, FileError, atomic, sha256_file};
use derm_distill::Projectors;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::best_checkpoints::BestEpoch;
use crate::early_stopping::EarlyStopping;
use crate::history::EpochLog;
use crate::learner::Learner;
use crate::loss_scale::LossScale;

const LATEST: &str = "latest";
const PREFIX: &str = "step-";
pub(crate) const MODEL: &str = "model.bpk";
const EMA: &str = "ema.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";
const PROJECTORS: &str = "projectors.bpk";
pub(crate) const DIGESTS: &str = "digests.json";

/// SHA-256 of each file of a checkpoint: Burn's reader takes changed bytes for weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ema: Option<String>,
    /// Absent where nothing learns beside the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    projectors: Option<String>,
    optimizer: String,
    state: String,
}

impl Digests {
    fn of(folder: &Path) -> Result<Self, FileError> {
        let digest = |name| Ok(sha256_file(folder.join(name))?.0);
        let where_there = |name| folder.join(name).exists().then(|| digest(name)).transpose();
        Ok(Self {
            model: digest(MODEL)?,
            ema: where_there(EMA)?,
            projectors: where_there(PROJECTORS)?,
            optimizer: digest(OPTIMIZER)?,
            state: digest(STATE)?,
        })
    }

    fn check(folder: &Path) -> Result<(), Error> {
        let expected: Self = read_json(&folder.join(DIGESTS))?;
        let got = Self::of(folder)?;
        let files = [
            (MODEL, got.model == expected.model),
            (EMA, got.ema == expected.ema),
            (PROJECTORS, got.projectors == expected.projectors),
            (OPTIMIZER, got.optimizer == expected.optimizer),
            (STATE, got.state == expected.state),
        ];
        match files.into_iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((name, _)) => {
                let reason = format!("was changed or cut short: its SHA-256 is not the one in {DIGESTS}");
                Err(Error::Checkpoint { path: folder.join(name), reason })
            }
        }
    }
}

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
    /// Sum of the step losses of that epoch so far.
    pub loss_sum: f64,
    /// Seconds of training in that epoch so far, over all processes.
    pub seconds: f64,
    /// The epochs that are done.
    pub history: Vec<EpochLog>,
    /// How long the training has gone without an improvement.
    pub stopping: EarlyStopping,
    /// The epochs whose weights are kept, from the best on.
    pub best: Vec<BestEpoch>,
    /// Tensors of the optimizer's state.
    pub optimizer_tensors: usize,
    /// The loss scale of mixed precision in f16; the first one otherwise.
    pub loss_scale: LossScale,
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
        ema: Option<&M>,
        projectors: &Projectors,
        optimizer: &ModuleOptimizer,
        state: &State,
    ) -> Result<(), Error> {
        let name = format!("{PREFIX}{:08}", state.step);
        let target = self.folder.join(&name);
        if target.exists() {
            // A process that was killed between the folder and `latest` left this very step behind.
            fs::remove_dir_all(&target).map_err(FileError::at(&target, "remove"))?;
        }
        let folder = atomic::Folder::new(&target)?;
        let path = folder.path();
        let record = |name| {
            let file = target.join(name);
            move |error: RecordError| wrong(&file, error.to_string())
        };
        model.clone().into_record().save(path.join(MODEL)).map_err(record(MODEL))?;
        if let Some(ema) = ema {
            ema.clone().into_record().save(path.join(EMA)).map_err(record(EMA))?;
        }
        if !projectors.is_empty() {
            let written = projectors.clone().into_record().save(path.join(PROJECTORS));
            written.map_err(record(PROJECTORS))?;
        }
        let states = optimizer.to_record();
        let state = State { optimizer_tensors: states.len(), ..state.clone() };
        states.save(path.join(OPTIMIZER)).map_err(record(OPTIMIZER))?;
        write_json(&path.join(STATE), &state)?;
        write_json(&path.join(DIGESTS), &Digests::of(path)?)?;
        folder.commit()?;
        atomic::write_file(self.folder.join(LATEST), |file| writeln!(file, "{name}"))?;
        self.remove_all_but(&name)
    }

    /// The latest checkpoint, if there is one, with its files checked.
    pub(crate) fn latest(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.folder.join(LATEST);
        let name = match fs::read_to_string(&path) {
            Ok(text) => text.trim_end().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new(path, "read", error).into()),
        };
        let number = name.strip_prefix(PREFIX).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(&path, format!("names {name:?}: expected {PREFIX}<number>")));
        }
        let folder = self.folder.join(name);
        Digests::check(&folder)?;
        Ok(Some(folder))
    }

    /// Checks the files of the checkpoint at `path`.
    pub(crate) fn check(path: &Path) -> Result<(), Error> {
        Digests::check(path)
    }

    /// Reads what is not weights.
    pub(crate) fn state(path: &Path) -> Result<State, Error> {
        read_json(&path.join(STATE))
    }

    /// Reads the network and what learns beside it, with their parameter ids.
    pub(crate) fn learner<B: Backbone>(path: &Path, learner: Learner<B>) -> Result<Learner<B>, Error> {
        let Learner { model, projectors } = learner;
        let model = Self::model(path, model)?;
        if projectors.is_empty() {
            return Ok(Learner { model, projectors });
        }
        let file = path.join(PROJECTORS);
        if !file.is_file() {
            return Err(wrong(&file, "is not there: expected the projectors of the distillation".to_owned()));
        }
        Ok(Learner { model, projectors: Self::weights(&file, projectors)? })
    }

    /// Reads the network, with its parameter ids.
    pub(crate) fn model<M: Module>(path: &Path, model: M) -> Result<M, Error> {
        Self::weights(&path.join(MODEL), model)
    }

    /// Reads the moving average, into a network in inference mode.
    pub(crate) fn ema<M: Module>(path: &Path, model: M) -> Result<M, Error> {
        Self::weights(&path.join(EMA), model)
    }

    fn weights<M: Module>(file: &Path, model: M) -> Result<M, Error> {
        let record = |error: RecordError| wrong(file, error.to_string());
        model.try_load_record(ModuleRecord::load(file).map_err(record)?).map_err(record)
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
        let record = OptimizerRecord::load(&file).map_err(|error| wrong(&file, error.to_string()))?;
        let optimizer = optimizer.load_record(record);
        let (got, expected) = (optimizer.to_record().len(), state.optimizer_tensors);
        if got == expected {
            Ok(optimizer)
        } else {
            Err(wrong(&file, format!("{got} tensors of optimizer state could be read: expected {expected}")))
        }
    }

    fn remove_all_but(&self, name: &str) -> Result<(), Error> {
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                let other = entry.file_name();
                if entry.file_type()?.is_dir() && other != *name {
                    fs::remove_dir_all(entry.path())?;
                } else if other.to_string_lossy().starts_with(".tmp-") {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        Ok(remove().map_err(FileError::at(&self.folder, "tidy"))?)
    }
}

pub(crate) fn wrong(path: &Path, reason: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason }
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
    serde_json::from_str(&text).map_err(|error| wrong(path, error.to_string()))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    atomic::write_file(path, |file| serde_json::to_writer_pretty(file, value).map_err(io::Error::from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor};

    use super::*;

    fn adamw() -> ModuleOptimizer {
        AdamWConfig::new().build().into()
    }

    /// A network after one step, and its optimizer.
    fn trained() -> (Linear, ModuleOptimizer) {
        let device = Device::default().autodiff();
        let model = LinearConfig::new(3, 2).init(&device);
        let mut optimizer = adamw();
        let loss = model.forward(Tensor::<2>::ones([4, 3], &device)).square().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let model = optimizer.step(0.1, model, gradients);
        (model, optimizer)
    }

    fn saved(step: usize) -> (tempfile::TempDir, Checkpoints, Linear) {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(place.path().join("checkpoints"));
        let (model, optimizer) = trained();
        let state = State { step, ..State::default() };
        checkpoints.save(&model, Some(&model), &Projectors::default(), &optimizer, &state).unwrap();
        (place, checkpoints, model)
    }

    fn weights(model: &Linear) -> Vec<f32> {
        model.weight.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let (_place, checkpoints, model) = saved(7);
        let path = checkpoints.latest().unwrap().unwrap();
        let state = Checkpoints::state(&path).unwrap();
        // Two moments of a weight and of a bias.
        assert_eq!((state.step, state.optimizer_tensors), (7, 4));
        let fresh = LinearConfig::new(3, 2).init(&Device::default().autodiff());
        assert_ne!(weights(&fresh), weights(&model));
        let read = Checkpoints::model(&path, fresh).unwrap();
        assert_eq!(weights(&read), weights(&model));
        assert_eq!(read.weight.id, model.weight.id);
        let ema = Checkpoints::ema(&path, LinearConfig::new(3, 2).init(&Device::default())).unwrap();
        assert_eq!(weights(&ema), weights(&model));
        Checkpoints::optimizer(&path, adamw(), &state).unwrap();
    }

    #[test]
    fn states_that_the_optimizer_lost_are_an_error() {
        let (_place, checkpoints, _) = saved(7);
        let path = checkpoints.latest().unwrap().unwrap();
        let state = State { optimizer_tensors: 6, ..Checkpoints::state(&path).unwrap() };
        let error = Checkpoints::optimizer(&path, adamw(), &state).err().unwrap();
        assert!(matches!(&error, Error::Checkpoint { path, .. } if path.ends_with(OPTIMIZER)), "{error}");
        assert!(error.to_string().contains("4 tensors"), "{error}");
    }

    #[test]
    fn a_killed_write_leaves_the_one_before() {
        let (_place, checkpoints, model) = saved(7);
        // Killed while the folder was filled, between folder and `latest`, and while `latest` was written.
        for left in [".tmp-abc", "step-00000008"] {
            fs::create_dir(checkpoints.folder.join(left)).unwrap();
            fs::write(checkpoints.folder.join(left).join(MODEL), "half").unwrap();
        }
        fs::write(checkpoints.folder.join(".tmp-xyz"), "step-0000").unwrap();
        let path = checkpoints.latest().unwrap().unwrap();
        assert!(path.ends_with("step-00000007"));
        // The next write of that step goes through and tidies up.
        let (_, optimizer) = trained();
        let state = State { step: 8, ..State::default() };
        checkpoints.save(&model, None, &Projectors::default(), &optimizer, &state).unwrap();
        assert!(checkpoints.latest().unwrap().unwrap().ends_with("step-00000008"));
        let mut left: Vec<_> =
            fs::read_dir(&checkpoints.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["latest", "step-00000008"]);
    }

    #[test]
    fn every_damaged_file_is_named() {
        let (_place, checkpoints, _) = saved(7);
        let folder = checkpoints.latest().unwrap().unwrap();
        for name in [MODEL, EMA, OPTIMIZER, STATE, DIGESTS] {
            let path = folder.join(name);
            let whole = fs::read(&path).unwrap();
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            for damaged in [flipped, whole[..whole.len() / 2].to_vec(), Vec::new()] {
                fs::write(&path, damaged).unwrap();
                let error = checkpoints.latest().unwrap_err();
                assert!(matches!(error, Error::Checkpoint { .. }), "{name}: {error}");
                assert!(name == DIGESTS || error.to_string().contains(name), "{name}: {error}");
            }
            fs::remove_file(&path).unwrap();
            let error = checkpoints.latest().unwrap_err();
            assert!(error.to_string().contains(name), "{name}: {error}");
            fs::write(&path, whole).unwrap();
        }
        assert!(checkpoints.latest().is_ok());
        for text in ["", "step-", "../step-00000007", "step-00000007/.."] {
            fs::write(checkpoints.folder.join(LATEST), text).unwrap();
            let error = checkpoints.latest().unwrap_err();
            assert!(error.to_string().contains(LATEST), "{error}");
        }
    }

    #[test]
    fn another_network_is_refused() {
        let (_place, checkpoints, _) = saved(7);
        let path = checkpoints.latest().unwrap().unwrap();
        let other = LinearConfig::new(3, 5).init(&Device::default().autodiff());
        let error = Checkpoints::model(&path, other).unwrap_err();
        assert!(error.to_string().contains(MODEL), "{error}");
    }
}
