use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use burn::tensor::Device;
use serde::Serialize;

use super::{Study, StudyResults, StudyTeacher, VariantFolders, compare_runs};
use crate::run_folder::RunFolder;
use crate::{Error, Progress, Recipe, run};

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedRun {
    /// `focal, seed 1`.
    pub run: String,
    /// What went wrong.
    pub reason: String,
}

impl fmt::Display for FailedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.run, self.reason)
    }
}

/// Makes the runs of a study that are not finished, compares them, and writes `study.json`, the tables and
/// `report.html` into its folder.
///
/// An interrupted run goes on from its last checkpoint. A finished one is not touched: its data are not looked at
/// again. A run that fails is named and the others go on.
///
/// # Errors
/// [`Error::StudyRuns`] with the failed runs, after the results of the others were written; otherwise what comparing
/// and writing gives.
pub fn run_study(study: &Study, device: &Device, progress: Progress) -> Result<StudyResults, Error> {
    let to_train = matches!(study.teacher, Some(StudyTeacher::Recipe(_)));
    let total = study.runs.len() + usize::from(to_train);
    let mut failed: Vec<FailedRun> = Vec::new();
    let mut made = 0;
    let mut make = |what: String, recipe: &Recipe, anew: bool| -> Made {
        made += 1;
        if !anew && RunFolder::is_finished(recipe) {
            progress.stage(&format!("[{made}/{total}] {what}: finished before"));
            return Made::Before;
        }
        progress.stage(&format!("[{made}/{total}] {what}"));
        match run(recipe, device, progress) {
            Ok(_) => Made::Now,
            Err(error) => {
                progress.line(&format!("{what} failed: {error}"));
                failed.push(FailedRun { run: what, reason: error.to_string() });
                Made::Failed
            }
        }
    };
    let teacher_made = match &study.teacher {
        Some(StudyTeacher::Recipe(recipe)) => make("teacher".to_owned(), recipe, false),
        _ => Made::Before,
    };
    let mut folders: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for planned in &study.runs {
        let recipe = &planned.recipe;
        // What learned from another teacher than this one is refused by the run itself.
        let anew = recipe.distillation.is_some() && teacher_made == Made::Now;
        let what = format!("{}, seed {}", planned.variant, recipe.seed);
        if make(what, recipe, anew) != Made::Failed {
            folders.entry(&planned.variant).or_default().push(recipe.output());
        }
    }
    progress.stage("comparing");
    let variants =
        folders.into_iter().map(|(name, folders)| VariantFolders { name: name.to_owned(), folders });
    let variants: Vec<VariantFolders> = variants.chain(study.compare.iter().cloned()).collect();
    if variants.is_empty() && !failed.is_empty() {
        return Err(Error::StudyRuns { failed });
    }
    let teacher = study.teacher.as_ref().filter(|_| teacher_made != Made::Failed).map(StudyTeacher::folder);
    let (name, baseline) = (&study.name, &study.baseline);
    let results = compare_runs(name, baseline, &variants, teacher.as_deref(), &study.comparison, device)?;
    let results = StudyResults { failed: failed.clone(), ..results };
    results.write(&study.output)?;
    if failed.is_empty() { Ok(results) } else { Err(Error::StudyRuns { failed }) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
    Failed,
}
