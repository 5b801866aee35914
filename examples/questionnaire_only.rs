//! What a questionnaire alone tells, without any image:
//! `cargo run --release --example questionnaire_only -- --root DIR [--dataset ham10000]`
//!
//! On UCI dermatology: accuracy over five folds with all 34 attributes, with the 12 clinical ones and with the 22
//! histopathological ones; accuracy as answers are taken away; importance of blocks and questions by permutation; what
//! missing answers alone tell. On HAM10000: balanced accuracy of age, sex and site on the test role of the split that
//! image runs use.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::questionnaire_only::{Options, Table, run};

#[derive(Parser)]
#[command(about = "Train and study classifiers that read a questionnaire and no image")]
struct Arguments {
    /// Which table
    #[arg(long, value_enum, default_value = "uci_dermatology")]
    dataset: Table,
    /// The dataset's folder
    #[arg(long)]
    root: PathBuf,
    /// Passes over the training records
    #[arg(long, default_value_t = Options::default().epochs)]
    epochs: usize,
    /// Probability that an answer is taken away in training
    #[arg(long, default_value_t = Options::default().answer_dropout)]
    answer_dropout: f64,
    /// Seed of weights, order, folds and studies
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { dataset, root, epochs, answer_dropout, seed } = Arguments::parse();
    let options = Options { epochs, answer_dropout, seed, ..Options::default() };
    match examples::device() {
        Ok(device) => examples::finish(run(dataset, &root, &options, &device).map(|text| {
            #[allow(clippy::print_stdout, reason = "the tables are what the program is for")]
            {
                println!("{text}");
            }
        })),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
