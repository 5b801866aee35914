//! Labels that are likely wrong, and what decisions on them change.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use burn::tensor::Device;
use derm_core::{FileError, Predictions, Test, atomic};
use derm_data::{FoldConfig, RestFractions};
use derm_train::{
    Error, LabelDecisions, LabelVetting, OutOfFold, Prepared, Progress, Recipe, RevisedEvaluation,
    VettingConfig, join_folds,
};

/// Suspects that are told in the terminal.
const TOLD: usize = 10;

/// What `find` does.
#[derive(Clone, Debug)]
pub struct Find {
    /// The recipe that gives the data and, without predictions, the networks.
    pub recipe: PathBuf,
    /// Test predictions of the folds; none trains networks.
    pub predictions: Vec<PathBuf>,
    /// Folds, where networks are trained.
    pub folds: usize,
    /// Suspects that the page shows.
    pub most: usize,
    /// Where everything goes.
    pub output: PathBuf,
    /// Keys of the recipe to set.
    pub overrides: Vec<String>,
}

/// What `apply` does.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Test predictions.
    pub predictions: PathBuf,
    /// The edited decisions.
    pub decisions: PathBuf,
    /// Where everything goes.
    pub output: PathBuf,
    /// Keys of the recipe to set.
    pub overrides: Vec<String>,
}

/// Ranks the labels and writes `out_of_fold.csv`, `ranking.csv`, `decisions.csv` and `suspects.html`.
///
/// # Errors
/// Where the data or predictions cannot be read, a network cannot be trained, or a file cannot be written.
pub fn find(options: &Find, device: &Device) -> Result<String, Error> {
    let Find { output, .. } = options;
    let mut recipe = Recipe::read(&options.recipe, &options.overrides)?;
    recipe.output = Some(output.join("folds"));
    fs::create_dir_all(output).map_err(FileError::at(output, "create"))?;
    let predictions = if options.predictions.is_empty() {
        let folds = FoldConfig { folds: options.folds, ..FoldConfig::default() };
        OutOfFold { folds, rest: RestFractions::default() }.run(&recipe, device, Progress::Terminal)?
    } else {
        let tables: Result<Vec<Predictions<Test>>, _> =
            options.predictions.iter().map(Predictions::load).collect();
        join_folds(&tables?)?
    };
    predictions.save(output.join("out_of_fold.csv"))?;
    let vetting = LabelVetting::new(&predictions, VettingConfig::default())?;
    vetting.write_ranking(output.join("ranking.csv"))?;
    vetting.write_decisions(output.join("decisions.csv"))?;
    let prepared = Prepared::new(&recipe, Progress::Silent)?;
    let page = output.join("suspects.html");
    vetting.gallery(&predictions, &prepared.dataset, options.most)?.write(&page)?;

    let mut text = format!(
        "{} of {} labels are flagged; estimated share of wrong labels {:.3}; the network gives {:.3} of the labels\n\n",
        vetting.suspects().count(),
        vetting.labels.len(),
        vetting.estimated_noise,
        vetting.agreement
    );
    for label in vetting.suspects().take(TOLD) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>5}  {:<24} given {:<16} suggested {:<16} quality {:.3}",
            label.rank, label.id, label.given, label.suggested, label.quality
        );
    }
    let _ = write!(text, "\npage       {}\n", page.display());
    let _ = write!(text, "decisions  {}", output.join("decisions.csv").display());
    Ok(text)
}

/// Measures the same predictions before and after the decisions; writes `metrics.json` and `report.html`.
///
/// # Errors
/// Where a file cannot be read or written, or a decision does not fit.
pub fn apply(options: &Apply) -> Result<String, Error> {
    let Apply { output, .. } = options;
    let recipe = Recipe::parse("name: labels", "the default recipe", &options.overrides)?;
    let predictions: Predictions<Test> = Predictions::load(&options.predictions)?;
    let decisions = LabelDecisions::read(&options.decisions, predictions.labels())?;
    let revised = RevisedEvaluation::new(&predictions, &decisions, &recipe.evaluation, recipe.seed)?;
    fs::create_dir_all(output).map_err(FileError::at(output, "create"))?;
    atomic::write_file(output.join("metrics.json"), |file| {
        serde_json::to_writer_pretty(&mut *file, &revised).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;
    let report = output.join("report.html");
    revised.report()?.write(&report)?;
    let mut text = format!("{} labels changed, {} records dropped\n", revised.relabelled, revised.dropped);
    for (before, after) in revised.before.metrics.iter().zip(&revised.after.metrics) {
        let number = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
        let _ = writeln!(text, "  {:<20} {} → {}", before.name, number(before.value), number(after.value));
    }
    let _ = write!(text, "report  {}", report.display());
    Ok(text)
}
