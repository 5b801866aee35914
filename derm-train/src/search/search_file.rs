//! `search.jsonl`: one line an event, from which a search that was stopped goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use derm_core::FileError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Parameters, SearchConfig, Trial, TrialEnd};
use crate::Error;
use crate::run_folder::differing_key;

/// Version of the file's form.
const VERSION: u32 = 1;

/// What happened: one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Event {
    /// The first line: what is searched.
    Search { version: u32, settings: Value },
    /// A trial begins.
    Begun { trial: usize, parameters: Parameters },
    /// It has come to the end of an epoch, from 1.
    Epoch { trial: usize, epoch: usize, value: Option<f64> },
    /// It is over.
    Ended { trial: usize, end: TrialEnd },
}

/// The file, open for further lines.
#[derive(Debug)]
pub(super) struct SearchFile {
    path: PathBuf,
    file: File,
}

impl SearchFile {
    /// Opens the file of this search, or begins it, and gives the trials that it tells of. A last line that was cut short
    /// is taken away: what it told of happens again.
    ///
    /// `subject` is what the trials are made of beside the config.
    pub(super) fn open(
        path: &Path,
        config: &SearchConfig,
        subject: &Value,
    ) -> Result<(Self, Vec<Trial>), Error> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true).open(path);
        let mut file = opened.map_err(FileError::at(path, "open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(FileError::at(path, "read"))?;
        let (events, kept) = events(&bytes, path)?;
        if kept < bytes.len() {
            file.set_len(kept as u64).map_err(FileError::at(path, "truncate"))?;
        }
        let mut opened = Self { path: path.to_owned(), file };
        let settings = settings(config, subject)?;
        let mut events = events.into_iter();
        match events.next() {
            None => opened.append(&Event::Search { version: VERSION, settings })?,
            Some((_, Event::Search { version: VERSION, settings: before })) => {
                if let Some(key) = difference(&before, &settings) {
                    return Err(Error::OtherSearch { path: path.to_owned(), key });
                }
            }
            Some((line, Event::Search { version, .. })) => {
                let reason = format!("version {version}: expected {VERSION}");
                return Err(opened.wrong(line, reason));
            }
            Some((line, _)) => {
                return Err(opened.wrong(line, "expected the settings of the search".to_owned()));
            }
        }
        let mut trials = Vec::new();
        for (line, event) in events {
            take(&mut trials, event, config).map_err(|reason| opened.wrong(line, reason))?;
        }
        Ok((opened, trials))
    }

    /// Adds a line in one piece and waits until it lies on the disk.
    pub(super) fn append(&mut self, event: &Event) -> Result<(), Error> {
        let mut line = serde_json::to_vec(event).map_err(|error| self.failed(error.into()))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        FileError::new(&self.path, "write", error).into()
    }

    fn wrong(&self, line: usize, reason: String) -> Error {
        Error::SearchFile { path: self.path.clone(), line, reason }
    }
}

/// The events with their lines, from 1, and how many bytes they take. A last line that is no JSON, or has no end, is left
/// out.
fn events(bytes: &[u8], path: &Path) -> Result<(Vec<(usize, Event)>, usize), Error> {
    let (mut events, mut kept) = (Vec::new(), 0);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let last = kept + line.len() == bytes.len();
        let value = match line.strip_suffix(b"\n").map(serde_json::from_slice::<Value>) {
            Some(Ok(value)) => value,
            _ if last => break,
            Some(Err(error)) => {
                let (path, line, reason) = (path.to_owned(), index + 1, error.to_string());
                return Err(Error::SearchFile { path, line, reason });
            }
            None => break,
        };
        let event = Event::deserialize(value).map_err(|error| Error::SearchFile {
            path: path.to_owned(),
            line: index + 1,
            reason: error.to_string(),
        })?;
        events.push((index + 1, event));
        kept += line.len();
    }
    Ok((events, kept))
}

/// Enters an event into the trials, or says why it cannot have happened.
fn take(trials: &mut Vec<Trial>, event: Event, config: &SearchConfig) -> Result<(), String> {
    let number = trials.len();
    let running = trials.last_mut().filter(|trial| trial.end.is_none());
    match (event, running) {
        (Event::Begun { trial, parameters }, None) if trial == number => {
            if !config.space.holds(&parameters) {
                return Err("the parameters lie outside the space".to_owned());
            }
            trials.push(Trial { number, parameters, epochs: Vec::new(), end: None });
        }
        (Event::Epoch { trial, epoch, value }, Some(running))
            if trial == running.number && epoch == running.epochs.len() + 1 =>
        {
            running.epochs.push(value);
        }
        (Event::Ended { trial, end }, Some(running)) if trial == running.number => running.end = Some(end),
        (event, _) => return Err(format!("unexpected here: {event:?}")),
    }
    Ok(())
}

/// What a search that goes on must agree in: all but the number of trials.
fn settings(config: &SearchConfig, subject: &Value) -> Result<Value, Error> {
    let config = serde_json::to_value(config);
    let mut settings =
        config.map_err(|error| super::space::fault("", &format!("cannot be written: {error}")))?;
    if let Value::Object(keys) = &mut settings {
        keys.remove("trials");
        keys.insert("recipe".to_owned(), subject.clone());
    }
    Ok(settings)
}

fn difference(before: &Value, now: &Value) -> Option<String> {
    ["metric", "sampler", "pruner", "space", "recipe"]
        .iter()
        .find_map(|key| differing_key(key, &before[*key], &now[*key]))
}
