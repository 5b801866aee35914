//! Decides on images: `cargo run --release --example predict -- --bundle DIR IMAGE … [--answer age=55 …]`
//!
//! With `--jsonl` it reads one request a line from the standard input and writes one response a line to the standard output,
//! for callers in other languages; derm-predict's README has the protocol.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Parser;
use derm_core::FileError;
use derm_data::Answers;
use derm_predict::{Decision, Error, ImageLimits, JsonlOptions, Request, load, serve_jsonl};

#[derive(Parser)]
#[command(about = "Load a bundle or an ensemble and decide on images")]
struct Arguments {
    /// The bundle, or the ensemble
    #[arg(long)]
    bundle: PathBuf,
    /// An answer of the questionnaire, for all images
    #[arg(long = "answer", value_name = "NAME=VALUE", value_parser = answer, conflicts_with = "jsonl")]
    answers: Vec<(String, String)>,
    /// A caption or history for a model that reads one, for all images
    #[arg(long, conflicts_with = "jsonl")]
    text: Option<String>,
    /// Most probable classes to show beside what is offered
    #[arg(long, default_value_t = 0, conflicts_with_all = ["json", "jsonl"])]
    top_k: usize,
    /// Print one JSON object a line, with every class
    #[arg(long, conflicts_with = "jsonl")]
    json: bool,
    /// Read requests from the standard input, one JSON object a line, and answer in the same order
    #[arg(long, conflicts_with = "images")]
    jsonl: bool,
    /// Requests that go through the network at once; a caller who waits for each answer needs 1
    #[arg(long, default_value_t = 1, requires = "jsonl")]
    batch: usize,
    /// Largest image file in bytes
    #[arg(long, default_value_t = ImageLimits::default().max_bytes)]
    max_bytes: u64,
    /// Largest image in pixels
    #[arg(long, default_value_t = ImageLimits::default().max_pixels)]
    max_pixels: u64,
    /// Image files
    #[arg(required_unless_present = "jsonl")]
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
fn predict(arguments: &Arguments, device: &Device) -> Result<(), Error> {
    let &Arguments { max_bytes, max_pixels, batch, top_k, .. } = arguments;
    let server = load(&arguments.bundle, device, ImageLimits { max_bytes, max_pixels })?;
    if arguments.jsonl {
        let options = JsonlOptions { batch, ..JsonlOptions::default() };
        let served = serve_jsonl(&*server, io::stdin().lock(), io::stdout().lock(), &options);
        let summary = served.map_err(FileError::at("standard input or output", "read or write"))?;
        eprintln!("{} decided, {} failed", summary.decided, summary.failed);
        return Ok(());
    }
    let answers: Answers = arguments.answers.iter().cloned().collect();
    for image in &arguments.images {
        // One image, one decision.
        let request = Request { text: arguments.text.as_deref(), ..Request::file(image, &answers) };
        let decided = server.predict_batch(&[request]);
        for decision in decided {
            let decision = decision?;
            if arguments.json {
                println!("{}", serde_json::json!({ "image": image, "decision": decision }));
            } else {
                println!("{}: {}", image.display(), words(&decision, top_k));
            }
        }
    }
    Ok(())
}

/// A decision for people.
fn words(decision: &Decision, top_k: usize) -> String {
    let classes = |classes: &[derm_predict::ClassProbability]| -> String {
        let each = classes.iter().map(|class| format!("{} {:.3}", class.label, class.probability));
        each.collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("{} {}", decision.tier, classes(decision.offered()))];
    lines.extend(decision.reasons.iter().map(|reason| format!("because {reason}")));
    if let Some(set) = &decision.conformal_set {
        let labels = if set.labels.is_empty() { "none".to_owned() } else { set.labels.join(", ") };
        lines.push(format!("conformal set (misses at most {}): {labels}", set.alpha));
    }
    if top_k > 0 {
        lines.push(format!("most probable: {}", classes(decision.top(top_k))));
    }
    for task in &decision.tasks {
        lines.push(format!("{}: {}", task.task, classes(&task.ranking)));
    }
    if !decision.missing_answers.is_empty() {
        lines.push(format!("not answered: {}", decision.missing_answers.join(", ")));
    }
    if decision.missing_text {
        lines.push("no text was given".to_owned());
    }
    lines.join("\n  ")
}
