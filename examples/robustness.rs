//! How a finished run holds when pictures or answers are worse than those it learned from:
//! `cargo run --release --example robustness -- runs/NAME`
//!
//! Test images under the fifteen corruptions of DermaMNIST-C and five plain series, views averaged at test time, and,
//! for a model that reads answers, answers taken away. The data, the split and the network are those of the run folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_data::CorruptionKind;
use examples::robustness::{Options, run};

#[derive(Parser)]
#[command(about = "Measure a finished run on corrupted test images, averaged views and missing answers")]
struct Arguments {
    /// Run folder of `train`
    folder: PathBuf,
    /// Kinds of corruption, by name; all of them by default
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    kinds: Vec<CorruptionKind>,
    /// Seed of the corruptions, of the missing answers and of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keys of the recipe set anew, such as `dataset.root=DIR`
    overrides: Vec<String>,
}

fn kind(name: &str) -> Result<CorruptionKind, String> {
    let known = || CorruptionKind::ALL.map(CorruptionKind::name).join(", ");
    let found = CorruptionKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("expected one of {}", known()))
}

fn main() -> ExitCode {
    let Arguments { folder, kinds, seed, overrides } = Arguments::parse();
    let kinds = if kinds.is_empty() { CorruptionKind::ALL.to_vec() } else { kinds };
    match examples::device() {
        Ok(device) => {
            examples::finish(run(&folder, &overrides, &Options { kinds, seed }, &device).map(|text| {
                #[allow(clippy::print_stdout, reason = "the tables are what the program is for")]
                {
                    println!("{text}");
                }
            }))
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
