//! Averages finished runs: `cargo run --release --example ensemble -- --output DIR RUN RUN … [--set KEY=VALUE …]`
//!
//! Each RUN is the folder of a finished run on the same split. The mean of their probabilities is calibrated and measured
//! anew; DIR gets `bundle/`, which `predict` serves, `predictions/`, which `evaluate` measures, and `metrics.json`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::Error;

#[derive(Parser)]
#[command(about = "Make an ensemble of finished runs")]
struct Arguments {
    /// Where the ensemble goes; it must not be there yet
    #[arg(long)]
    output: PathBuf,
    /// Sets a key of the first run's recipe, from the sections `abstention`, `conformal` and `evaluation`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folders of finished runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

fn main() -> ExitCode {
    examples::finish(ensemble(&Arguments::parse()))
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn ensemble(arguments: &Arguments) -> Result<(), Error> {
    println!("{}", examples::ensemble::run(&arguments.runs, &arguments.output, &arguments.overrides)?);
    Ok(())
}
