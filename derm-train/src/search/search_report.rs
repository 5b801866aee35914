use derm_report::{
    Align, Report, ScatterAxis, ScatterPoint, ScatterSeries, Section, Table, four_digits, scatter_plot,
};
use serde_json::Value;

use super::space::shown;
use super::{Dimension, PrunerConfig, SearchResults, Trial, TrialEnd};
use crate::Error;

impl SearchResults {
    /// The report: the best trial, the value over the trials, the value against each key, all trials, and how it was
    /// searched.
    ///
    /// # Errors
    /// Where a figure cannot be drawn.
    pub fn report(&self) -> Result<Report, Error> {
        let metric = self.config.metric.name();
        let direction = if self.config.higher_is_better() { "largest" } else { "smallest" };
        let lead = format!(
            "{} for the {direction} {metric} of the validation rows over {}.",
            plural(self.trials.len(), "trial"),
            plural(self.config.space.dimensions.len(), "key"),
        );
        let mut report = Report::new(self.name.clone()).lead(lead).section(self.best_section()?);
        if self.trials.iter().any(|trial| trial.value().is_some()) {
            report = report.section(self.course()?).section(self.keys()?);
        }
        Ok(report.section(self.all_trials()?).section(self.method()))
    }

    fn best_section(&self) -> Result<Section, Error> {
        let section = Section::new("Best trial");
        let Some(best) = self.best() else {
            return Ok(section.note("No trial came to its end."));
        };
        let mut table = Table::new([("Key", Align::Left), ("Value", Align::Right)]);
        for (key, value) in &best.parameters {
            table.push([key.clone(), shown(value)])?;
        }
        let value = best.value().map_or_else(String::new, four_digits);
        Ok(section
            .text(format!("Trial {}: {} {value}.", best.number, self.config.metric.name()))
            .note(
                "That value is the best of many on the same validation rows and therefore better than the recipe is. Its \
                 value on the test rows is measured once, by training best.yaml.",
            )
            .table(table))
    }

    /// The value of each complete trial, and the best one so far.
    fn course(&self) -> Result<Section, Error> {
        let metric = self.config.metric;
        let complete = || self.trials.iter().filter_map(|trial| Some((trial, trial.value()?)));
        let mut best: Option<f64> = None;
        let mut so_far = Vec::new();
        for (trial, value) in complete() {
            best = Some(best.filter(|best| metric.gain(value, *best) <= 0.0).unwrap_or(value));
            so_far.push(point(trial, trial.number as f64, best.unwrap_or(value)));
        }
        let values = complete().map(|(trial, value)| point(trial, trial.number as f64, value)).collect();
        let series = [
            ScatterSeries { name: "best so far".to_owned(), points: so_far, joined: true },
            ScatterSeries { name: "complete trials".to_owned(), points: values, joined: false },
        ];
        let caption = "Each complete trial, and the best one so far. Pruned and failed trials have no value.";
        let title = format!("{} over the trials", metric.name());
        let figure = scatter_plot(&title, ("trial", &ScatterAxis::Linear), &metric.name(), caption, &series)?;
        Ok(Section::new("Course of the search").figure(figure))
    }

    /// The value against each key.
    fn keys(&self) -> Result<Section, Error> {
        let metric = self.config.metric.name();
        let higher = self.config.higher_is_better();
        let mut figures = Vec::new();
        for (key, dimension) in &self.config.space.dimensions {
            let axis = match dimension {
                Dimension::Uniform(_) | Dimension::Integers { .. } => ScatterAxis::Linear,
                Dimension::LogUniform(_) => ScatterAxis::Log,
                Dimension::Choices(choices) => ScatterAxis::Categories(choices.iter().map(shown).collect()),
            };
            let place = |trial: &Trial| position(dimension, trial.parameters.get(key)?);
            let complete =
                self.trials.iter().filter_map(|trial| Some(point(trial, place(trial)?, trial.value()?)));
            let pruned = self.trials.iter().filter(|trial| trial.end == Some(TrialEnd::Pruned));
            let pruned =
                pruned.filter_map(|trial| Some(point(trial, place(trial)?, trial.best_epoch_value(higher)?)));
            let series = [
                ScatterSeries { name: "complete".to_owned(), points: complete.collect(), joined: false },
                ScatterSeries { name: "pruned".to_owned(), points: pruned.collect(), joined: false },
            ];
            let caption =
                "A pruned trial stands at the best of its epochs. The other keys differ from trial to trial.";
            figures.push(scatter_plot(key, (key, &axis), &metric, caption, &series)?);
        }
        Ok(Section::new("Value against each key").figures(figures))
    }

    fn all_trials(&self) -> Result<Section, Error> {
        let metric = self.config.metric.name();
        let keys: Vec<&String> = self.config.space.dimensions.keys().collect();
        let first = [
            ("Trial", Align::Right),
            ("State", Align::Left),
            (&metric, Align::Right),
            ("Epochs", Align::Right),
        ];
        let first = first.map(|(name, align)| (name.to_owned(), align));
        let columns = first.into_iter().chain(keys.iter().map(|key| ((*key).clone(), Align::Right)));
        let mut table = Table::new(columns);
        let mut section = Section::new("Trials");
        for trial in &self.trials {
            let value = trial.value().map_or_else(|| "–".to_owned(), four_digits);
            let cells =
                [trial.number.to_string(), trial.state().to_owned(), value, trial.epochs.len().to_string()];
            let values = keys.iter().map(|key| trial.parameters.get(*key).map_or_else(String::new, shown));
            table.push(cells.into_iter().chain(values))?;
            if let Some(TrialEnd::Failed(reason)) = &trial.end {
                section = section.note(format!("Trial {} failed: {reason}", trial.number));
            }
        }
        Ok(section.table(table))
    }

    fn method(&self) -> Section {
        let sampler = &self.config.sampler;
        let pruner = match &self.config.pruner {
            None => "No trial was given up early.".to_owned(),
            Some(PrunerConfig::Median { startup_trials, warmup_epochs }) => format!(
                "A trial was given up after an epoch at which its best value so far was worse than the median of the \
                 complete trials at that epoch, from {startup_trials} complete trials and past {warmup_epochs} epochs on."
            ),
        };
        Section::new("How it was searched")
            .text(format!(
                "The first {} trials were drawn at random, the others by tree-structured Parzen estimators, each key by \
                 itself: the best {} of the trials against the rest, {} candidates, seed {}.",
                sampler.startup_trials, sampler.gamma, sampler.candidates, sampler.seed,
            ))
            .text(pruner)
            .text(
                "All trials have the seed of the recipe. Runs of one recipe differ from seed to seed: whether the best \
                 recipe is better than another one is for a study to say.",
            )
    }
}

fn point(trial: &Trial, x: f64, y: f64) -> ScatterPoint {
    ScatterPoint { name: format!("trial {}", trial.number), x, y }
}

/// Where a value stands on the axis of its key.
fn position(dimension: &Dimension, value: &Value) -> Option<f64> {
    match dimension {
        Dimension::Choices(choices) => {
            choices.iter().position(|choice| choice == value).map(|place| place as f64)
        }
        _ => value.as_f64(),
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
