use std::collections::BTreeMap;
use std::path::Path;

use crate::step_log::StepLog;
use crate::tensorboard::TensorBoard;
use crate::{EpochLog, Error, StepEntry, TrainingRecipe};

/// The logs of a training that are appended to while it goes on: `steps.jsonl` and `TensorBoard`'s event files.
#[derive(Debug)]
pub(crate) struct TrainingLog {
    every: usize,
    steps: Option<StepLog>,
    tensorboard: Option<TensorBoard>,
}

impl TrainingLog {
    /// The logs of a training of which `steps` optimizer steps are done.
    pub(crate) fn open(recipe: &TrainingRecipe, folder: &Path, steps: usize) -> Result<Self, Error> {
        let every = recipe.log_steps;
        Ok(Self {
            every,
            steps: (every > 0).then(|| StepLog::open(folder, steps)).transpose()?,
            tensorboard: recipe.tensorboard.then(|| TensorBoard::open(folder, steps)).transpose()?,
        })
    }

    /// Whether the step, from 1, is logged.
    pub(crate) fn wants(&self, step: usize) -> bool {
        self.every > 0 && step.is_multiple_of(self.every)
    }

    pub(crate) fn step(&mut self, entry: &StepEntry) -> Result<(), Error> {
        if let Some(log) = &mut self.steps {
            log.write(entry)?;
        }
        let Some(board) = &mut self.tensorboard else { return Ok(()) };
        let scalars = [
            ("train/loss", Some(entry.loss)),
            ("train/learning_rate", Some(entry.learning_rate)),
            ("train/gradient_norm", entry.gradient_norm),
            ("train/images_per_second", Some(entry.images_per_second)),
        ];
        let known = scalars.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?)));
        let terms = entry.terms.iter().map(|(name, term)| (format!("train/terms/{name}"), term.value));
        board.scalars(entry.step, known.chain(terms))
    }

    pub(crate) fn epoch(&mut self, log: &EpochLog) -> Result<(), Error> {
        let Some(board) = &mut self.tensorboard else { return Ok(()) };
        let tagged = |of: &'static str, metrics: &BTreeMap<String, f64>| {
            metrics.iter().map(|(name, value)| (format!("{of}/{name}"), *value)).collect::<Vec<_>>()
        };
        let mut scalars = tagged("validation", &log.validation);
        scalars.extend(log.ema_validation.iter().flat_map(|metrics| tagged("ema_validation", metrics)));
        scalars.push(("train/epoch_loss".to_owned(), log.train_loss));
        board.scalars(log.step, scalars)
    }
}
