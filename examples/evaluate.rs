//! Measures predictions files, of this workspace or of another framework:
//! `cargo run --release --example evaluate -- FOLDER`
//!
//! FOLDER holds `validation`, `calibration` and `test` predictions (CSV with sidecar, or safetensors), as a run
//! writes them to `predictions/`. The calibrator is fitted on the first, the abstain policy on the second, and
//! the numbers come from the third.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::{AbstentionRecipe, Assessment, Error, EvaluationRecipe};
use examples::load_predictions;

#[derive(Parser)]
#[command(about = "Calibrate, choose abstain thresholds and measure, from predictions files")]
struct Arguments {
    /// Folder with the three predictions files
    predictions: PathBuf,
    /// Target risk of the answered lesions
    #[arg(long, default_value_t = 0.1)]
    answer_risk: f64,
    /// Target risk of the lesions that are offered three classes
    #[arg(long, default_value_t = 0.1)]
    suggest_risk: f64,
    /// Probability with which each bound may fail
    #[arg(long, default_value_t = 0.1)]
    delta: f64,
    /// Bins of the calibration error, at most the number of validation rows
    #[arg(long, default_value_t = 15)]
    calibration_bins: usize,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also write everything as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    examples::finish(evaluate(&Arguments::parse()))
}

fn evaluate(arguments: &Arguments) -> Result<(), Error> {
    let folder = &arguments.predictions;
    let &Arguments { answer_risk, suggest_risk, delta, calibration_bins, seed, .. } = arguments;
    let assessment = Assessment::new(
        &load_predictions(folder)?,
        &load_predictions(folder)?,
        &load_predictions(folder)?,
        &AbstentionRecipe { answer_risk, suggest_risk, delta },
        &EvaluationRecipe { calibration_bins, ..EvaluationRecipe::default() },
        seed,
    )?;
    if let Some(path) = &arguments.json {
        derm_core::atomic::write_file(path, |file| {
            serde_json::to_writer_pretty(&mut *file, &assessment).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
    }
    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
    {
        println!("{assessment}");
    }
    Ok(())
}
