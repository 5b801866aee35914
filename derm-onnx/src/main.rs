//! Writes the network of a bundle as an ONNX file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use derm_core::atomic;
use derm_onnx::{BatchAxis, Error, export};

/// Writes the network of a bundle as an ONNX file: standardised images and encoded answers in, logits out
#[derive(Parser)]
#[command(name = "export_onnx")]
struct Arguments {
    /// The bundle
    #[arg(long)]
    bundle: PathBuf,
    /// The ONNX file
    #[arg(long)]
    output: PathBuf,
    /// Images of a batch; any number where it is left out
    #[arg(long)]
    batch: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.bundle, &arguments.output, arguments.batch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bundle: &Path, output: &Path, batch: Option<usize>) -> Result<(), Error> {
    let model = export(bundle, batch.map_or(BatchAxis::Dynamic, BatchAxis::Fixed))?;
    atomic::write_file(output, |file| file.write_all(model.as_bytes()))?;
    eprintln!("{}: {} bytes", output.display(), model.as_bytes().len());
    Ok(())
}
