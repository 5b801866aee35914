//! An ensemble of runs: their probabilities averaged, calibrated and measured anew, and put into one folder.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use derm_core::{Calibration, FileError, Predictions, Probabilities, Role, Test, Validation, View, atomic};
use derm_metrics::{ClassSet, NLL_CLIP, balanced_accuracy, nll, top_k_hits};
use derm_predict::{EnsembleBundle, Manifest, Provenance};
use derm_train::{Assessment, Error, Recipe};

use crate::load_predictions;

/// An ensemble that was written.
#[derive(Debug)]
pub struct Summary {
    /// The ensemble, as `derm_predict::Ensemble` loads it.
    pub bundle: PathBuf,
    /// All numbers of the average.
    pub assessment: Assessment,
    /// Accuracy, balanced accuracy and negative log-likelihood on the test split of each member and of the average, before
    /// calibration.
    pub rows: Vec<(String, [f64; 3])>,
}

/// Makes an ensemble of finished runs in `output`: `bundle/`, `predictions/` (the averages, as `evaluate` reads them) and
/// `metrics.json`. The sections `abstention`, `conformal` and `evaluation` are those of the first run's recipe, with
/// `overrides`.
///
/// # Errors
/// Where a folder is no finished run, the runs differ in rows or classes, or `output` is there already.
pub fn run(runs: &[PathBuf], output: &Path, overrides: &[String]) -> Result<Summary, Error> {
    let first = runs.first().map_or(Path::new("."), PathBuf::as_path);
    let recipe = Recipe::read(first.join("config.yaml"), overrides)?;
    let (validation, _) = mean::<Validation>(runs)?;
    let (calibration, _) = mean::<Calibration>(runs)?;
    let (test, members) = mean::<Test>(runs)?;
    let Recipe { abstention, conformal, evaluation, .. } = &recipe;
    let assessment =
        Assessment::new(&validation, &calibration, &test, abstention, conformal, evaluation, recipe.seed)?;
    let names = names(runs);
    let mut rows = Vec::new();
    for (name, member) in names.iter().zip(&members) {
        rows.push((name.clone(), measures(&member.probabilities(), member.targets())?));
    }
    rows.push(("ensemble".to_owned(), measures(&test.probabilities(), test.targets())?));

    let target = atomic::Folder::new(output)?;
    let place = target.path();
    validation.save(in_folder(place, "predictions/validation.csv")?)?;
    calibration.save(in_folder(place, "predictions/calibration.csv")?)?;
    test.save(in_folder(place, "predictions/test.csv")?)?;
    let path = place.join("metrics.json");
    let metrics = serde_json::to_value(&assessment)
        .map_err(|error| FileError::new(&path, "write", io::Error::from(error)))?;
    atomic::write_file(&path, |file| {
        serde_json::to_writer_pretty(&mut *file, &metrics).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;
    let members: Vec<(String, PathBuf)> =
        names.into_iter().zip(runs).map(|(name, run)| (name, run.join("bundle"))).collect();
    let bundle = EnsembleBundle {
        members: &members,
        calibration: &assessment.calibration,
        metrics,
        model_card: model_card(&members, &assessment),
        provenance: provenance(&recipe, test.split_hash()),
    };
    let _: Manifest = bundle.write(place.join("bundle"))?;
    target.commit()?;
    Ok(Summary { bundle: output.join("bundle"), assessment, rows })
}

/// A file's path below a folder, whose own folder is made.
fn in_folder(folder: &Path, name: &str) -> Result<PathBuf, FileError> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(FileError::at(parent, "create"))?;
    }
    Ok(path)
}

/// The average of the runs' predictions on the rows of a role, and those themselves.
fn mean<R: Role>(runs: &[PathBuf]) -> Result<(Predictions<R>, Vec<Predictions<R>>), Error> {
    let tables = runs.iter().map(|run| load_predictions::<R>(&run.join("predictions")));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    Ok((Predictions::mean_of(&tables, View::Mean)?, tables))
}

/// The folders' names; one that stands before already is numbered.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let name = run.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let taken = name.is_empty() || names.contains(&name);
        names.push(if taken { format!("{name}_{index}") } else { name });
    }
    names
}

/// Accuracy, balanced accuracy and mean negative log-likelihood.
pub(crate) fn measures(probabilities: &Probabilities, targets: &[usize]) -> Result<[f64; 3], Error> {
    let hits = top_k_hits(probabilities, targets, 1)?;
    let accuracy = hits.iter().filter(|&&hit| hit).count() as f64 / hits.len() as f64;
    let balanced = balanced_accuracy(probabilities, targets, ClassSet::Present)?;
    Ok([accuracy, balanced, nll(probabilities, targets, NLL_CLIP)?])
}

fn model_card(members: &[(String, PathBuf)], assessment: &Assessment) -> String {
    let names: Vec<String> = members.iter().map(|(name, _)| format!("- `members/{name}`\n")).collect();
    format!(
        "# Ensemble\n\nA research model. It is not a medical device and must not guide the care of anyone.\n\n\
         The mean of the probabilities of these bundles, each with a card of its own:\n\n{}\n\
         Calibrated on the mean. On the test split:\n\n```text\n{assessment}\n```\n\n\
         What limits the members limits their mean; the weights inherit the licence of the data.\n",
        names.concat()
    )
}

fn provenance(recipe: &Recipe, split_hash: &str) -> Provenance {
    Provenance {
        seed: recipe.seed,
        split_hash: split_hash.to_owned(),
        source_revision: option_env!("DERM_SOURCE_REVISION").map(str::to_owned),
        crate_versions: BTreeMap::from([("examples".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "test split, uncalibrated{:>15}{:>12}{:>9}", "accuracy", "balanced", "NLL")?;
        for (name, measures) in &self.rows {
            let [accuracy, balanced, nll] = measures;
            writeln!(f, "  {name:<24}{accuracy:>13.4}{balanced:>12.4}{nll:>9.4}")?;
        }
        writeln!(f, "{}", self.assessment)?;
        write!(f, "bundle  {}", self.bundle.display())
    }
}
