//! Measures a model and writes `metrics.json`, CSV tables and a report:
//! `cargo run --release --example evaluate -- FOLDER [--set key.path=value …]`
//!
//! FOLDER is a run folder of `train`, whose bundle is measured on the run's own data; or a folder of predictions, of this
//! workspace or of another framework: `validation`, `calibration` and `test` (CSV with sidecar, or safetensors). In its
//! place go `--bundle` with `--recipe`, or the three predictions files by name. The calibrator is fitted on the first,
//! the abstain policy and the conformal sets on the second, and the numbers come from the third.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_data::CorruptionKind;
use examples::evaluate::{Options, run};

#[derive(Parser)]
#[command(about = "Calibrate and measure: a bundle on its data, or predictions files of any framework")]
struct Arguments {
    /// A run folder, or a folder with the three predictions files
    #[arg(conflicts_with_all = ["bundle", "recipe", "validation", "calibration", "test"])]
    folder: Option<PathBuf>,
    /// A bundle
    #[arg(long, requires = "recipe")]
    bundle: Option<PathBuf>,
    /// The recipe that gives the bundle's data, such as `config.yaml` of its run
    #[arg(long, requires = "bundle")]
    recipe: Option<PathBuf>,
    /// Validation predictions
    #[arg(long, requires_all = ["calibration", "test"], conflicts_with = "bundle")]
    validation: Option<PathBuf>,
    /// Calibration predictions
    #[arg(long, requires = "validation")]
    calibration: Option<PathBuf>,
    /// Test predictions
    #[arg(long, requires = "validation")]
    test: Option<PathBuf>,
    /// Where metrics.json, tables/ and report.html go; by default `evaluation` in FOLDER, or here
    #[arg(long)]
    output: Option<PathBuf>,
    /// Test predictions of a teacher, or its bundle where a bundle is measured
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Corruptions of the test images, by name or `all`; for a bundle
    #[arg(long, value_delimiter = ',', value_parser = kinds)]
    corruptions: Vec<Kinds>,
    /// Passes that latency is taken from; for a bundle, 50 where it is absent, 0 leaves costs out
    #[arg(long)]
    repeats: Option<usize>,
    /// Keys of the recipe to set, such as `--set dataset.root=DIR` or `--set evaluation.positive_classes=[mel,bcc]`
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

/// One kind, or all of them.
#[derive(Clone, Debug)]
enum Kinds {
    All,
    One(CorruptionKind),
}

fn kinds(name: &str) -> Result<Kinds, String> {
    if name == "all" {
        return Ok(Kinds::All);
    }
    let known = || CorruptionKind::ALL.map(CorruptionKind::name).join(", ");
    let found = CorruptionKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.map(Kinds::One).ok_or_else(|| format!("expected `all` or one of {}", known()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let corruptions = arguments.corruptions.iter().flat_map(|kinds| match kinds {
        Kinds::All => CorruptionKind::ALL.to_vec(),
        Kinds::One(kind) => vec![*kind],
    });
    let options = Options {
        folder: arguments.folder,
        bundle: arguments.bundle.zip(arguments.recipe),
        predictions: match (arguments.validation, arguments.calibration, arguments.test) {
            (Some(validation), Some(calibration), Some(test)) => Some([validation, calibration, test]),
            _ => None,
        },
        corruptions: corruptions.collect(),
        output: arguments.output,
        teacher: arguments.teacher,
        repeats: arguments.repeats,
        overrides: arguments.overrides,
    };
    match examples::device() {
        Ok(device) => examples::finish(run(&options, &device).map(|text| {
            #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
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
