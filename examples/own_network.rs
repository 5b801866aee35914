//! A network of one's own through training to a bundle: `cargo run --release --example own_network`
//!
//! The network stands in `examples/src/own_network.rs` and is built of Burn's layers. It implements `Backbone`, so that
//! training, distillation, calibration, reports and the predictor take it as they take the workspace's own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_train::Progress;
use examples::own_network::{recipe, train_and_serve};

#[derive(Parser)]
#[command(about = "Train a network that the workspace does not know, and serve its bundle")]
struct Arguments {
    /// Run folder
    #[arg(long, default_value = "runs/own_network")]
    output: PathBuf,
    /// A few hundred small images and one epoch
    #[arg(long)]
    tiny: bool,
}

fn main() -> ExitCode {
    let Arguments { output, tiny } = Arguments::parse();
    match examples::device() {
        Ok(device) => {
            examples::finish(train_and_serve(&recipe(output, tiny), &device, Progress::Terminal).map(
                |(finished, decision)| {
                    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
                    {
                        println!("{finished}");
                        if let Some(decision) = decision {
                            let first = &decision.ranking[0];
                            let (label, probability) = (&first.label, first.probability);
                            println!(
                                "the bundle on a first test image: {:?}, {label} {probability:.3}",
                                decision.tier
                            );
                        }
                    }
                },
            ))
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
