//! The files of a search: `search.json`, `search.csv`, the report.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use derm_core::{FileError, atomic};
use derm_report::four_digits;
use serde::Serialize;

use super::space::{in_words, shown};
use super::{Search, SearchConfig, Trial, TrialEnd};
use crate::Error;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchResults {
    /// The search.
    pub name: String,
    /// Its folder.
    pub output: PathBuf,
    /// What was looked for, and how.
    pub config: SearchConfig,
    /// Number of the trial with the best value; `None` where no trial came to its end.
    pub best: Option<usize>,
    /// The trials in their order.
    pub trials: Vec<Trial>,
}

impl SearchResults {
    pub(super) fn new(search: &Search, trials: Vec<Trial>) -> Self {
        let metric = search.config.metric;
        let complete = trials.iter().filter_map(|trial| Some((trial.number, trial.value()?)));
        // Ties go to the earlier trial.
        let best =
            complete.reduce(|best, trial| if metric.gain(trial.1, best.1) > 0.0 { trial } else { best });
        Self {
            name: search.name.clone(),
            output: search.output.clone(),
            config: search.config.clone(),
            best: best.map(|(number, _)| number),
            trials,
        }
    }

    /// The trial with the best value, the earlier one of equal ones.
    pub fn best(&self) -> Option<&Trial> {
        self.trials.get(self.best?)
    }

    /// Writes `search.json`, `search.csv` (a row a trial) and `search.html`, each whole or not at all.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        atomic::write_file(folder.join("search.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, self).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
        let path = folder.join("search.csv");
        let text = self.csv().map_err(FileError::at(&path, "write"))?;
        atomic::write_file(&path, |file| file.write_all(&text))?;
        Ok(self.report()?.write(folder.join("search.html"))?)
    }

    fn csv(&self) -> io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let keys = || self.config.space.dimensions.keys();
        let metric = self.config.metric.name();
        let columns = ["trial".to_owned(), "state".to_owned(), metric, "epochs".to_owned()];
        writer.write_record(columns.into_iter().chain(keys().cloned()).chain(["reason".to_owned()]))?;
        for trial in &self.trials {
            let value = trial.value().map_or_else(String::new, |value| value.to_string());
            let reason = match &trial.end {
                Some(TrialEnd::Failed(reason)) => reason.clone(),
                _ => String::new(),
            };
            // Every digit of a number; text without quotes.
            let parameters = keys().map(|key| match trial.parameters.get(key) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            });
            let first =
                [trial.number.to_string(), trial.state().to_owned(), value, trial.epochs.len().to_string()];
            writer.write_record(first.into_iter().chain(parameters).chain([reason]))?;
        }
        writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

impl fmt::Display for SearchResults {
    /// What programs print: a line a trial, then the best one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.config.metric.name();
        let keys: Vec<&String> = self.config.space.dimensions.keys().collect();
        let header = ["trial".to_owned(), metric.clone(), "state".to_owned(), "epochs".to_owned()];
        let mut rows: Vec<Vec<String>> =
            vec![header.into_iter().chain(keys.iter().map(|k| (*k).clone())).collect()];
        for trial in &self.trials {
            let mark = if self.best == Some(trial.number) { "*" } else { "" };
            let first = [
                format!("{}{mark}", trial.number),
                trial.value().map_or_else(|| "–".to_owned(), four_digits),
                trial.state().to_owned(),
                trial.epochs.len().to_string(),
            ];
            let values = keys.iter().map(|key| trial.parameters.get(*key).map_or_else(String::new, shown));
            rows.push(first.into_iter().chain(values).collect());
        }
        let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(wide).collect();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        match self.best() {
            None => writeln!(f, "no trial came to its end"),
            Some(best) => {
                let value = best.value().map_or_else(String::new, four_digits);
                writeln!(f, "best: trial {}, {metric} {value}; {}", best.number, in_words(&best.parameters))?;
                writeln!(f, "that value is the best of many on the same validation rows, and so too good;")?;
                write!(
                    f,
                    "train {} to measure the recipe on the test rows",
                    self.output.join("best.yaml").display()
                )
            }
        }
    }
}
