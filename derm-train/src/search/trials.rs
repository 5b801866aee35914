use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::search_file::{Event, SearchFile};
use super::{Parameters, SearchConfig, Trial, TrialEnd};
use crate::Error;

/// A trial under way, as what is tried sees it.
#[derive(Debug)]
pub struct RunningTrial<'a> {
    config: &'a SearchConfig,
    file: &'a mut SearchFile,
    /// The trials before it, all of which have ended.
    before: &'a [Trial],
    trial: &'a mut Trial,
    /// Epochs that were reported since it was begun or taken up.
    reported: usize,
    pruned: bool,
}

impl RunningTrial<'_> {
    /// Its number, from 0.
    pub fn number(&self) -> usize {
        self.trial.number
    }

    /// The value of every key.
    pub fn parameters(&self) -> &Parameters {
        &self.trial.parameters
    }

    /// Whether it was told to end.
    pub fn is_pruned(&self) -> bool {
        self.pruned
    }

    /// Takes in the metric after an epoch, `None` where it is undefined, and answers whether the trial goes on. `is_last`
    /// says that it ends with this epoch anyhow; then it is not pruned.
    ///
    /// All epochs are reported in their order. A trial that is taken up reports from its first epoch again; what the file
    /// has of them stays as it is.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn report(&mut self, value: Option<f64>, is_last: bool) -> Result<ControlFlow<()>, Error> {
        self.reported += 1;
        if self.reported > self.trial.epochs.len() {
            let value = value.filter(|value| value.is_finite());
            let (trial, epoch) = (self.trial.number, self.reported);
            self.file.append(&Event::Epoch { trial, epoch, value })?;
            self.trial.epochs.push(value);
        }
        if is_last {
            return Ok(ControlFlow::Continue(()));
        }
        let complete: Vec<&[Option<f64>]> = self
            .before
            .iter()
            .filter(|trial| matches!(trial.end, Some(TrialEnd::Complete(_))))
            .map(|trial| trial.epochs.as_slice())
            .collect();
        let epochs = self.trial.epochs.get(..self.reported).unwrap_or(&self.trial.epochs);
        let higher = self.config.higher_is_better();
        self.pruned =
            self.config.pruner.as_ref().is_some_and(|pruner| pruner.prunes(epochs, &complete, higher));
        Ok(if self.pruned { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// Makes the trials of a search one after the other: draws a point, lets `objective` try it, and writes all of it into
/// the file at `path`, line by line. A search that was stopped goes on from there, with the trial that was running.
///
/// Which points are tried depends on the config and on how the trials before ended. Where an objective gives equal values
/// for equal points, a search that was killed at any time and taken up makes the trials of one that was not.
///
/// `subject` is what the trials are made of beside the config; a search that goes on must find it again. An error of the
/// objective ends the search, and its trial is taken up by the next one; a trial that failed for its own reasons is told
/// by [`TrialEnd::Failed`]. A [`TrialEnd::Complete`] whose value is not finite counts as failed.
///
/// Ends before `config.trials` where the space has no point that was not tried.
///
/// # Errors
/// [`Error::Value`] and [`Error::SearchSpace`] for a config that cannot be, [`Error::OtherSearch`] where the file is of
/// another search, [`Error::SearchFile`] for one that is damaged elsewhere than in its last line, and what `objective`
/// gives.
///
/// ```
/// use derm_train::{Dimension, SearchConfig, SearchSpace, TrialEnd, ValidationMetric, search_trials};
///
/// let place = tempfile::tempdir()?;
/// let space = SearchSpace { dimensions: [("x".to_owned(), Dimension::Uniform([-1.0, 1.0]))].into() };
/// let config = SearchConfig { metric: ValidationMetric::Nll, trials: 15, space, ..SearchConfig::default() };
/// let trials = search_trials(&config, place.path().join("search.jsonl"), &"x squared".into(), |trial| {
///     let x = trial.parameters()["x"].as_f64().unwrap_or(f64::NAN);
///     Ok(TrialEnd::Complete(x * x))
/// })?;
/// assert_eq!(trials.len(), 15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn search_trials(
    config: &SearchConfig,
    path: impl AsRef<Path>,
    subject: &Value,
    mut objective: impl FnMut(&mut RunningTrial<'_>) -> Result<TrialEnd, Error>,
) -> Result<Vec<Trial>, Error> {
    config.validate()?;
    let (mut file, mut trials) = SearchFile::open(path.as_ref(), config, subject)?;
    loop {
        if trials.last().is_none_or(|trial| trial.end.is_some()) {
            if trials.len() >= config.trials {
                break;
            }
            let suggested = config.sampler.suggest(&config.space, &trials, config.higher_is_better())?;
            let Some(parameters) = suggested else { break };
            let number = trials.len();
            file.append(&Event::Begun { trial: number, parameters: parameters.clone() })?;
            trials.push(Trial { number, parameters, epochs: Vec::new(), end: None });
        }
        let Some((trial, before)) = trials.split_last_mut() else { break };
        let mut running = RunningTrial { config, file: &mut file, before, trial, reported: 0, pruned: false };
        let end = match objective(&mut running)? {
            TrialEnd::Complete(value) if !value.is_finite() => {
                TrialEnd::Failed(format!("its value is {value}"))
            }
            end => end,
        };
        file.append(&Event::Ended { trial: trial.number, end: end.clone() })?;
        trial.end = Some(end);
    }
    Ok(trials)
}
