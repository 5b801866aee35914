//! Searches for the hyper-parameters of a recipe:
//! `cargo run --release --example search -- SEARCH.yaml [key.path=value …]`
//!
//! Trains one trial after the other, measures them on the validation rows, gives hopeless ones up, and writes the best
//! recipe, a table and a report. A search that was killed goes on when the same command is given again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::{Progress, Search, run_search};

#[derive(Parser)]
#[command(about = "Search for the hyper-parameters of a recipe; an interrupted search goes on")]
struct Arguments {
    /// The search file
    config: PathBuf,
    /// Keys to set: those of the search there, all others in its recipe, such as trials=50 dataset.root=DIR
    #[arg(value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { config, overrides } = Arguments::parse();
    let device = match examples::device() {
        Ok(device) => device,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let results =
        Search::read(config, &overrides).and_then(|search| run_search(&search, &device, Progress::Terminal));
    examples::finish(results.map(|results| {
        #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
        {
            println!("{results}");
        }
    }))
}
