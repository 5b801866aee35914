//! Runs a recipe: `cargo run --release --example train -- CONFIG.yaml [key.path=value …]`
//!
//! Trains, calibrates, chooses abstain thresholds, measures, writes a bundle and a report. A run that was
//! killed goes on from its last checkpoint when the same command is given again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::{Named, Progress, Recipe, run_on};

#[derive(Parser)]
#[command(about = "Train by a recipe; an interrupted run goes on from its last checkpoint")]
struct Arguments {
    /// The recipe
    config: PathBuf,
    /// Keys to set over the recipe's, such as dataset.root=DIR training.epochs=4
    #[arg(value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// CUDA cards that share the micro-batches of each step, such as 0,1
    #[arg(long, value_delimiter = ',', value_name = "CARD,CARD,…")]
    cards: Vec<usize>,
}

fn main() -> ExitCode {
    let Arguments { config, overrides, cards } = Arguments::parse();
    let devices = match examples::devices(&cards) {
        Ok(devices) => devices,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let result = Recipe::read(config, &overrides)
        .and_then(|recipe| run_on::<Named>(&recipe, &devices, Progress::Terminal));
    examples::finish(result.map(|finished| {
        #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
        {
            println!("{finished}");
        }
    }))
}
