//! Stores a run's weights smaller: `cargo run --release --example quantize -- RUN --weights int8 --output DIR`
//!
//! RUN is the folder of a finished run. Its network with rounded weights is calibrated and measured anew on the run's own
//! split and written as a bundle; bytes, latency and accuracy stand beside those of f32.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use derm_predict::WeightFormat;
use derm_train::Error;
use examples::quantize::{Options, run};

#[derive(Parser)]
#[command(about = "Store the weights of a finished run in fewer bits and measure what that costs")]
struct Arguments {
    /// Folder of the finished run
    run: PathBuf,
    /// How the weights are stored
    #[arg(long, value_enum, default_value_t = Weights::Int8)]
    weights: Weights,
    /// The new bundle; it must not be there yet
    #[arg(long)]
    output: PathBuf,
    /// Also compute in half precision, where the device can, and measure that
    #[arg(long)]
    half: bool,
    /// Sets a key of the run's recipe, such as `dataset.root`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Also write the table as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Weights {
    F16,
    Int8,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match examples::device() {
        Ok(device) => examples::finish(quantize(&arguments, &device)),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn quantize(arguments: &Arguments, device: &Device) -> Result<(), Error> {
    let format = match arguments.weights {
        Weights::F16 => WeightFormat::F16,
        Weights::Int8 => WeightFormat::Int8,
    };
    let options = Options { format, half: arguments.half };
    let table = run(&arguments.run, &arguments.overrides, &arguments.output, &options, device)?;
    if let Some(path) = &arguments.json {
        table.write(path)?;
    }
    println!("{table}");
    Ok(())
}
