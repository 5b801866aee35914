//! Decides on images: `cargo run --release --example predict -- --bundle DIR IMAGE … [--answer age=55 …]`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_data::Answers;
use derm_predict::{Error, Predictor};

#[derive(Parser)]
#[command(about = "Load a bundle and decide on images")]
struct Arguments {
    /// The bundle
    #[arg(long)]
    bundle: PathBuf,
    /// An answer of the questionnaire, for all images
    #[arg(long = "answer", value_name = "NAME=VALUE", value_parser = answer)]
    answers: Vec<(String, String)>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Image files
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

fn answer(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match examples::device() {
        Ok(device) => examples::finish(predict(&arguments, &device)),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the decisions are what the program is for")]
fn predict(arguments: &Arguments, device: &burn::tensor::Device) -> Result<(), Error> {
    let predictor = Predictor::load(&arguments.bundle, device)?;
    let answers: Answers = arguments.answers.iter().cloned().collect();
    for image in &arguments.images {
        let decision = predictor.predict_file(image, &answers)?;
        if arguments.json {
            println!("{}", serde_json::json!({ "image": image, "decision": decision }));
            continue;
        }
        let offered: Vec<String> = decision
            .offered()
            .iter()
            .map(|class| format!("{} {:.3}", class.label, class.probability))
            .collect();
        println!("{}: {} {}", image.display(), decision.tier, offered.join(", "));
        if !decision.missing_answers.is_empty() {
            println!("  not answered: {}", decision.missing_answers.join(", "));
        }
    }
    Ok(())
}
