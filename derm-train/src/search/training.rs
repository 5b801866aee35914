//! A trial is a training that is measured on the validation rows and on nothing else.

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;

use burn::tensor::Device;
use derm_core::{FileError, atomic};

use super::space::in_words;
use super::{RunningTrial, Search, SearchResults, Trial, TrialEnd, search_trials};
use crate::architecture::Named;
use crate::run::train;
use crate::run_folder::{binding, lock, to_yaml};
use crate::{Devices, EpochLog, Error, FinalWeights, Progress, Recipe, TrainingRecipe, ValidationMetric};

/// Makes the trials of a search that are left, and writes `search.json`, `search.csv`, `search.html` and the best recipe,
/// `best.yaml`, into its folder.
///
/// Each trial trains its recipe in `trials/<number>` and is measured on the validation rows after each epoch; no network
/// of a search sees a row of the calibration or the test split. Its value is that of the weights that the recipe's
/// `training.final_weights` would keep. What it trained is removed when it is over; `best.yaml` is trained anew by
/// [`run`](crate::run), which opens the test split once.
///
/// The value of the best trial is the largest of many on the same rows and therefore better than what the recipe gives on
/// others.
///
/// A search that was stopped goes on, with the trial that was interrupted from its last checkpoint. A trial whose loss
/// is lost, or whose keys do not go together, has failed, and the others go on; what any trial would meet, such as data
/// that cannot be read or a full disk, ends the search.
///
/// # Errors
/// [`Error::OtherSearch`] where the folder holds another search, [`Error::SearchFile`] where its file is damaged,
/// [`Error::Busy`], and what ends a training but for the trial's own fault.
pub fn run_search(search: &Search, device: &Device, progress: Progress) -> Result<SearchResults, Error> {
    let output = &search.output;
    fs::create_dir_all(output).map_err(FileError::at(output, "create"))?;
    let _lock = lock(output)?;
    let device = &device.clone().without_autodiff();
    let subject = binding(&search.shared_recipe()?);
    let total = search.config.trials;
    let trials = search_trials(&search.config, output.join("search.jsonl"), &subject, |trial| {
        let number = trial.number();
        (0..number).try_for_each(|before| tidy(search, before))?;
        progress.stage(&format!("[{}/{total}] {}", number + 1, in_words(trial.parameters())));
        let end = try_out(search, trial, device, progress)?;
        progress.line(&format!("trial {number}: {end}"));
        Ok(end)
    })?;
    trials.iter().try_for_each(|trial| tidy(search, trial.number))?;
    let results = SearchResults::new(search, trials);
    if let Some(best) = results.best() {
        write_best(search, best)?;
    }
    results.write(output)?;
    Ok(results)
}

fn try_out(
    search: &Search,
    trial: &mut RunningTrial<'_>,
    device: &Device,
    progress: Progress,
) -> Result<TrialEnd, Error> {
    let recipe = match search.recipe_of_trial(trial.number(), trial.parameters()) {
        Ok(recipe) => recipe,
        Err(error) => return Ok(TrialEnd::Failed(error.to_string())),
    };
    let (metric, training) = (search.config.metric, &recipe.training);
    let trial = RefCell::new(trial);
    let observer = |log: &EpochLog| {
        let is_last = log.epoch == training.epochs;
        trial.borrow_mut().report(value_of(log, metric, training.final_weights), is_last)
    };
    let trained = train::<Named>(&recipe, &Devices::from(device), progress, Some(&observer));
    if trained.is_ok() && trial.borrow().is_pruned() {
        return Ok(TrialEnd::Pruned);
    }
    let history = match trained {
        Ok(done) => done.trained.history,
        Err(error) if is_of_the_trial(&error) => return Ok(TrialEnd::Failed(error.to_string())),
        Err(error) => return Err(error),
    };
    Ok(match final_value(&history, metric, training) {
        Some(value) => TrialEnd::Complete(value),
        None => TrialEnd::Failed(format!("`{}` is undefined on the validation rows", metric.name())),
    })
}

/// The metric of the weights that might be kept after this epoch.
fn value_of(log: &EpochLog, metric: ValidationMetric, weights: FinalWeights) -> Option<f64> {
    let metrics = if weights == FinalWeights::Last { &log.validation } else { log.judged() };
    metrics.get(&metric.name()).copied()
}

/// The metric of the weights that are kept.
fn final_value(history: &[EpochLog], metric: ValidationMetric, training: &TrainingRecipe) -> Option<f64> {
    let kept = if training.final_weights == FinalWeights::Best {
        let by = training.checkpoints.metric;
        let value = |log: &EpochLog| log.judged().get(&by.name()).copied().filter(|value| value.is_finite());
        let judged = history.iter().filter_map(|log| Some((log, value(log)?)));
        // Ties go to the earlier epoch, as where the weights are kept.
        judged.reduce(|best, log| if by.gain(log.1, best.1) > 0.0 { log } else { best }).map(|(log, _)| log)
    } else {
        history.last()
    };
    value_of(kept?, metric, training.final_weights)
}

/// Whether the values of the trial are to blame: another trial may do.
fn is_of_the_trial(error: &Error) -> bool {
    match error {
        Error::Backbone(error) => !matches!(error, derm_backbones::Error::File(_)),
        Error::NotFinite { .. }
        | Error::WeightNotFinite { .. }
        | Error::GradientNotFinite { .. }
        | Error::NoBestEpoch { .. }
        | Error::NoBatch { .. }
        | Error::AllFrozen { .. }
        | Error::NoRecomputation
        | Error::Precision { .. }
        | Error::Value { .. }
        | Error::Section { .. }
        | Error::Loss(_)
        | Error::Distillation(_)
        | Error::DistillationTerm { .. }
        | Error::TeacherInput { .. }
        | Error::Tap(_) => true,
        _ => false,
    }
}

/// Removes what a trial that is over trained: its checkpoints and its best epochs.
fn tidy(search: &Search, number: usize) -> Result<(), Error> {
    for name in ["checkpoints", "best"] {
        let folder = search.folder_of_trial(number).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(FileError::at(&folder, "remove"))?;
        }
    }
    Ok(())
}

/// Writes the recipe of the best trial, as a run of its own.
fn write_best(search: &Search, best: &Trial) -> Result<(), Error> {
    let recipe = search.recipe(&best.parameters)?;
    let name = format!("{}_best", search.name);
    let recipe = Recipe { name, output: Some(search.output.join("best")), ..recipe };
    let path = search.output.join("best.yaml");
    let text = to_yaml(&recipe, &path)?;
    let value = best.value().unwrap_or(f64::NAN);
    let heading = format!(
        "# Trial {} of the search {}: {} {value} on the validation rows, the best of many and therefore too good.\n",
        best.number,
        search.name,
        search.config.metric.name(),
    );
    Ok(atomic::write_file(&path, |file| {
        file.write_all(heading.as_bytes())?;
        file.write_all(text.as_bytes())
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckpointsRecipe;

    fn log(epoch: usize, f1: f64, nll: f64, ema: Option<(f64, f64)>) -> EpochLog {
        let metrics = |f1: f64, nll: f64| [("macro_f1".to_owned(), f1), ("nll".to_owned(), nll)].into();
        EpochLog {
            epoch,
            step: epoch,
            train_loss: 1.0,
            validation: metrics(f1, nll),
            ema_validation: ema.map(|(f1, nll)| metrics(f1, nll)),
            learning_rate: 0.1,
            train_seconds: 0.0,
            validation_seconds: 0.0,
            peak_memory_bytes: None,
            device_memory_bytes: None,
        }
    }

    #[test]
    fn the_value_is_that_of_the_weights_that_are_kept() {
        let history = [
            log(1, 0.3, 0.9, Some((0.1, 1.1))),
            log(2, 0.4, 0.5, Some((0.2, 0.7))),
            log(3, 0.6, 0.8, Some((0.5, 0.7))),
        ];
        let value = |weights: FinalWeights, by: ValidationMetric| {
            let checkpoints = CheckpointsRecipe { metric: by, ..CheckpointsRecipe::default() };
            let training =
                TrainingRecipe { final_weights: weights, checkpoints, ..TrainingRecipe::default() };
            final_value(&history, ValidationMetric::MacroF1, &training)
        };
        assert_eq!(value(FinalWeights::Last, ValidationMetric::Nll), Some(0.6));
        assert_eq!(value(FinalWeights::Ema, ValidationMetric::Nll), Some(0.5));
        // The average is best in its second epoch, which comes before the third.
        assert_eq!(value(FinalWeights::Best, ValidationMetric::Nll), Some(0.2));
        assert_eq!(value(FinalWeights::Best, ValidationMetric::MacroF1), Some(0.5));
        assert_eq!(value(FinalWeights::Best, ValidationMetric::Accuracy), None);
        assert_eq!(final_value(&[], ValidationMetric::Nll, &TrainingRecipe::default()), None);
    }
}
