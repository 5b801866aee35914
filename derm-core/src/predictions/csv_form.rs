//! One line a row, with a JSON sidecar `<path>.json` for what holds for all rows.
//!
//! Columns: `id, group, case, target`, then `subgroup:<name>` for each subgroup, `score:<label>` for each
//! class, and `soft_target:<label>` for each class where labels are soft. `target` is the label. Scores are
//! the shortest decimals that read back to the same f32.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::{Header, PredictionColumns, Predictions, Scores};
use crate::{FileError, PredictionsError, Role, atomic};

pub(super) fn write<R: Role>(predictions: &Predictions<R>, path: &Path) -> Result<(), PredictionsError> {
    let header = Header::of(predictions);
    // The sidecar goes first: rows without it would say nothing about their role.
    let sidecar = sidecar(path);
    atomic::write_file(&sidecar, |file| {
        serde_json::to_writer_pretty(&mut *file, &header).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;
    atomic::write_file(path, |file| write_rows(predictions, &header, file))?;
    Ok(())
}

fn write_rows<R: Role>(
    predictions: &Predictions<R>,
    header: &Header,
    file: &mut impl io::Write,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(column_names(header))?;
    let columns = &predictions.columns;
    for row in 0..predictions.len() {
        let target = &header.labels.names()[columns.targets[row]];
        let mut cells = vec![&columns.ids[row], &columns.groups[row], &columns.cases[row], target]
            .into_iter()
            .cloned()
            .collect::<Vec<String>>();
        cells.extend(columns.subgroups.values().map(|values| values[row].clone()));
        cells.extend(predictions.scores.values.row(row).iter().map(f32::to_string));
        if let Some(soft) = &columns.soft_targets {
            cells.extend(soft.row(row).iter().map(f32::to_string));
        }
        writer.write_record(&cells)?;
    }
    writer.flush()
}

pub(super) fn read<R: Role>(path: &Path) -> Result<Predictions<R>, PredictionsError> {
    let sidecar = sidecar(path);
    let text = fs::read_to_string(&sidecar).map_err(FileError::at(&sidecar, "read"))?;
    let header = Header::parse::<R>(&text, &sidecar)?;
    let rows = fs::File::open(path).map_err(FileError::at(path, "read"))?;
    let mut reader = csv::Reader::from_reader(rows);
    let malformed = |error: csv::Error| PredictionsError::Format {
        path: path.to_owned(),
        reason: format!("malformed CSV: {error}"),
    };
    let expected = column_names(&header);
    let got: Vec<String> = reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
    if got != expected {
        let reason = format!("columns are {got:?}: expected {expected:?}");
        return Err(PredictionsError::Format { path: path.to_owned(), reason });
    }
    let num_classes = header.labels.num_classes();
    let mut columns = PredictionColumns::default();
    let mut subgroups = vec![Vec::new(); header.subgroups.len()];
    let (mut scores, mut soft) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let wrong = |column: usize, reason: String| PredictionsError::Cell {
            path: path.to_owned(),
            line,
            column: expected[column].clone(),
            reason,
        };
        columns.ids.push(cell(0).to_owned());
        columns.groups.push(cell(1).to_owned());
        columns.cases.push(cell(2).to_owned());
        let target = header.labels.class_index(cell(3)).map_err(|error| wrong(3, error.to_string()))?;
        columns.targets.push(target.get());
        for (offset, values) in subgroups.iter_mut().enumerate() {
            values.push(cell(4 + offset).to_owned());
        }
        let numbers = 4 + subgroups.len();
        for column in numbers..expected.len() {
            let value: f32 = cell(column)
                .parse()
                .map_err(|_| wrong(column, format!("{:?}: expected a decimal number", cell(column))))?;
            let of_scores = column < numbers + num_classes;
            if of_scores { &mut scores } else { &mut soft }.push(value);
        }
    }
    let shape = (columns.ids.len(), num_classes);
    let reshape = |values: Vec<f32>| {
        Array2::from_shape_vec(shape, values)
            .map_err(|error| PredictionsError::Format { path: path.to_owned(), reason: error.to_string() })
    };
    columns.soft_targets = if header.soft_targets { Some(reshape(soft)?) } else { None };
    columns.subgroups = header.subgroups.iter().cloned().zip(subgroups).collect::<BTreeMap<_, _>>();
    let scores = Scores { kind: header.score_kind, values: reshape(scores)? };
    Predictions::new(header.metadata(), columns, scores)
}

fn column_names(header: &Header) -> Vec<String> {
    let mut names: Vec<String> = ["id", "group", "case", "target"].map(str::to_owned).to_vec();
    names.extend(header.subgroups.iter().map(|name| format!("subgroup:{name}")));
    names.extend(header.labels.names().iter().map(|label| format!("score:{label}")));
    if header.soft_targets {
        names.extend(header.labels.names().iter().map(|label| format!("soft_target:{label}")));
    }
    names
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".json");
    PathBuf::from(name)
}
