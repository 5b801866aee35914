use std::fs;
use std::path::PathBuf;

use burn::tensor::Device;
use derm_core::{
    FileError, PredictionColumns, PredictionMetadata, Predictions, Scores, Test, ValueError, sha256_hex,
};
use derm_data::{FoldConfig, Folds, RestFractions};
use ndarray::{Axis, concatenate};

use crate::{Error, Prepared, Progress, Recipe, run};

/// Cross-validation of a recipe: every record is predicted by a network that did not see its lesion or patient.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    /// The folds.
    pub folds: FoldConfig,
    /// How what is outside a fold is divided: a run needs rows to watch and to calibrate on.
    pub rest: RestFractions,
}

impl OutOfFold {
    /// Trains one network a fold, each in the run folder `fold_1`, `fold_2`, … below the recipe's output, and joins their
    /// test predictions. Runs that were finished are not trained again.
    ///
    /// The records are those that the recipe gives, near duplicates merged where it wants that.
    ///
    /// # Errors
    /// [`Error::Value`] where the recipe has a split of its own; what making folds, [`run`] and [`join_folds`] give.
    pub fn run(
        &self,
        recipe: &Recipe,
        device: &Device,
        progress: Progress,
    ) -> Result<Predictions<Test>, Error> {
        for (key, set) in [
            ("dataset.split_path", recipe.dataset.split_path.is_some()),
            ("dataset.published_split", recipe.dataset.published_split.is_some()),
        ] {
            if set {
                let expected = "absent, because each fold has a split of its own";
                return Err(Error::Value { key, value: "there".to_owned(), expected });
            }
        }
        let dataset = Prepared::new(recipe, Progress::Silent)?.dataset;
        let folds = Folds::stratified(&dataset, self.folds)?;
        let output = recipe.output();
        fs::create_dir_all(&output).map_err(FileError::at(&output, "create"))?;
        let mut tables = Vec::new();
        for fold in 0..folds.num_folds() {
            progress.stage(&format!("fold {} of {}", fold + 1, folds.num_folds()));
            let path: PathBuf = output.join(format!("fold_{}.json", fold + 1));
            folds.split(&dataset, fold, self.rest)?.write(&path)?;
            let mut of_fold = recipe.clone();
            of_fold.name = format!("{}_fold_{}", recipe.name, fold + 1);
            of_fold.output = Some(output.join(format!("fold_{}", fold + 1)));
            of_fold.dataset.split_path = Some(path);
            tables.push(run(&of_fold, device, progress)?.test);
        }
        join_folds(&tables)
    }
}

/// One table of the test predictions of all folds, in the order given. Its split hash is the SHA-256 of the folds' split
/// hashes, one a line.
///
/// # Errors
/// [`Error::Folds`] where tables differ in classes, task, view or kind of scores; [`Error::Predictions`] for a record that
/// stands in two folds; [`Error::Values`] for no table.
pub fn join_folds(tables: &[Predictions<Test>]) -> Result<Predictions<Test>, Error> {
    let Some(first) = tables.first() else {
        return Err(ValueError::Empty { argument: "folds" }.into());
    };
    let names = |table: &Predictions<Test>| table.labels().names().join(", ");
    let mut columns = PredictionColumns::default();
    let mut hashes = String::new();
    for (fold, table) in (1..).zip(tables) {
        let kind = |table: &Predictions<Test>| format!("{:?}", table.scores().kind);
        let (got, expected) = (table.metadata(), first.metadata());
        for (what, got, expected) in [
            ("classes", names(table), names(first)),
            ("task", got.task.clone(), expected.task.clone()),
            ("view", got.view.to_string(), expected.view.to_string()),
            ("kind of scores", kind(table), kind(first)),
        ] {
            if got != expected {
                return Err(Error::Folds { fold, what, got, expected });
            }
        }
        let filled = columns.ids.len();
        columns.ids.extend_from_slice(table.ids());
        columns.groups.extend_from_slice(table.groups());
        columns.cases.extend_from_slice(table.cases());
        columns.targets.extend_from_slice(table.targets());
        for (name, values) in table.subgroups() {
            // A column that earlier folds lack is unknown there.
            let column = columns.subgroups.entry(name.clone()).or_default();
            column.resize(filled, String::new());
            column.extend_from_slice(values);
        }
        for column in columns.subgroups.values_mut() {
            column.resize(columns.ids.len(), String::new());
        }
        hashes.push_str(table.split_hash());
        hashes.push('\n');
    }
    let views: Vec<_> = tables.iter().map(|table| table.scores().values.view()).collect();
    let expected = first.num_classes();
    let wrong = |_| ValueError::Length { argument: "classes of a fold", got: 0, expected };
    let values = concatenate(Axis(0), &views).map_err(wrong)?;
    let metadata =
        PredictionMetadata { split_hash: sha256_hex(hashes.as_bytes()), ..first.metadata().clone() };
    Ok(Predictions::new(metadata, columns, Scores { kind: first.scores().kind, values })?)
}
