//! The whole job on made data: `cargo run --release --example quickstart`
//!
//! Draws a synthetic dataset, trains a teacher that sees image and answers, distils a student a quarter of its
//! size, calibrates it, chooses abstain thresholds, measures it on the test split, writes a bundle, loads the
//! bundle back and decides on three test images. Everything goes to one run folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::Progress;
use examples::quickstart::{Options, run_all};

#[derive(Parser)]
#[command(about = "Train, distil, calibrate, decide, report and serve, on made data")]
struct Arguments {
    /// Run folder; a quickstart that was interrupted in it goes on
    #[arg(long, default_value = "runs/quickstart")]
    output: PathBuf,
    /// Seed of weights, sample order and augmentation
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A few hundred small images and two epochs: shows that every part works, not how well
    #[arg(long)]
    tiny: bool,
}

fn main() -> ExitCode {
    let Arguments { output, seed, tiny } = Arguments::parse();
    match examples::device() {
        Ok(device) => examples::finish(
            run_all(&Options { output, seed, tiny }, &device, Progress::Terminal).map(|summary| {
                #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
                {
                    println!("{summary}");
                }
            }),
        ),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
