//! Runs a study: `cargo run --release --example study -- STUDY.yaml [key.path=value …]`, or compares runs that are
//! there: `… --example study -- --output DIR --baseline NAME=RUN,RUN --variant NAME=RUN,… [--teacher RUN]`
//!
//! Trains every variant with every seed, compares them with the baseline by a bootstrap over seeds and lesions, and
//! writes `study.json`, tables and `report.html`. A study that was killed goes on when it is started again.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Parser;
use derm_train::{
    ComparisonConfig, Error, Progress, Study, StudyResults, VariantFolders, compare_runs, run_study,
};

#[derive(Parser)]
#[command(about = "Train the variants of a study, or compare runs that are there")]
struct Arguments {
    /// The study file
    #[arg(required_unless_present = "baseline", conflicts_with = "baseline")]
    config: Option<PathBuf>,
    /// Keys to set: those of the study there, all others in every recipe, such as dataset.root=DIR
    #[arg(value_name = "KEY.PATH=VALUE", requires = "config")]
    overrides: Vec<String>,
    /// Compare only: the baseline and its run folders
    #[arg(long, value_name = "NAME=RUN,RUN,…", value_parser = variant, requires = "output")]
    baseline: Option<VariantFolders>,
    /// Compare only: a variant and its run folders
    #[arg(long, value_name = "NAME=RUN,RUN,…", value_parser = variant, requires = "baseline")]
    variant: Vec<VariantFolders>,
    /// Compare only: the teacher's run folder
    #[arg(long, value_name = "RUN", requires = "baseline")]
    teacher: Option<PathBuf>,
    /// Compare only: where the results go
    #[arg(long, value_name = "DIR", requires = "baseline")]
    output: Option<PathBuf>,
    /// Compare only: the metric that decides
    #[arg(long, value_name = "METRIC", requires = "baseline", default_value = "macro_f1")]
    metric: String,
}

/// `NAME=RUN,RUN,…`.
fn variant(text: &str) -> Result<VariantFolders, String> {
    let (name, folders) = text.split_once('=').ok_or("expected NAME=RUN,RUN,…")?;
    Ok(VariantFolders { name: name.to_owned(), folders: folders.split(',').map(PathBuf::from).collect() })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match examples::device() {
        Ok(device) => examples::finish(study(arguments, &device).map(|results| {
            #[allow(clippy::print_stdout, reason = "the verdicts are what the program is for")]
            {
                println!("{results}");
            }
        })),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn study(arguments: Arguments, device: &Device) -> Result<StudyResults, Error> {
    let Arguments { config, overrides, baseline, variant, teacher, output, metric } = arguments;
    if let Some(config) = config {
        return run_study(&Study::read(config, &overrides)?, device, Progress::Terminal);
    }
    // The parser lets nobody come here without both.
    let (baseline, output) = (baseline.into_iter().collect::<Vec<_>>(), output.unwrap_or_default());
    let name = baseline.first().map_or(String::new(), |baseline| baseline.name.clone());
    let variants: Vec<VariantFolders> = baseline.into_iter().chain(variant).collect();
    let config = ComparisonConfig { metric, ..ComparisonConfig::default() };
    let results = compare_runs("comparison", &name, &variants, teacher.as_deref(), &config, device)?;
    results.write(&output)?;
    Ok(results)
}
