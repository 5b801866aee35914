//! Finds labels that are likely wrong and measures what a person's decisions on them change:
//! `cargo run --release --example vet_labels -- find --recipe CONFIG.yaml --output DIR`, then, with
//! `DIR/decisions.csv` edited, `… vet_labels -- apply --predictions DIR/out_of_fold.csv --decisions DIR/decisions.csv`
//!
//! `find` trains one network a fold, or takes the test predictions of the folds with `--predictions`; it writes
//! `out_of_fold.csv`, `ranking.csv`, `decisions.csv` and `suspects.html`. `apply` writes `metrics.json` and
//! `report.html`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use examples::vet_labels::{Apply, Find, apply, find};

#[derive(Parser)]
#[command(
    about = "Rank labels by confident learning, show the suspects, and measure what decisions on them change"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rank the labels of a dataset and show the most suspect ones
    Find {
        /// The recipe that gives the data and, without `--predictions`, the networks
        #[arg(long)]
        recipe: PathBuf,
        /// Test predictions of the folds, in place of training
        #[arg(long, num_args = 1..)]
        predictions: Vec<PathBuf>,
        /// Folds, where networks are trained
        #[arg(long, default_value_t = 5, conflicts_with = "predictions")]
        folds: usize,
        /// Suspects that the page shows
        #[arg(long, default_value_t = 60)]
        most: usize,
        /// Where everything goes
        #[arg(long)]
        output: PathBuf,
        /// Keys of the recipe to set
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        overrides: Vec<String>,
    },
    /// Measure the same predictions against the labels as decided
    Apply {
        /// Out-of-fold predictions, or any test predictions of the same records
        #[arg(long)]
        predictions: PathBuf,
        /// The edited decisions
        #[arg(long)]
        decisions: PathBuf,
        /// Where metrics.json and report.html go
        #[arg(long)]
        output: PathBuf,
        /// Keys of the recipe to set, such as `evaluation.bootstrap_replicates=200`
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        overrides: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Find { recipe, predictions, folds, most, output, overrides } => match examples::device() {
            Ok(device) => find(&Find { recipe, predictions, folds, most, output, overrides }, &device),
            Err(reason) => {
                eprintln!("error: {reason}");
                return ExitCode::FAILURE;
            }
        },
        Command::Apply { predictions, decisions, output, overrides } => {
            apply(&Apply { predictions, decisions, output, overrides })
        }
    };
    examples::finish(result.map(|text| {
        #[allow(clippy::print_stdout, reason = "what was found is what the program is for")]
        {
            println!("{text}");
        }
    }))
}
