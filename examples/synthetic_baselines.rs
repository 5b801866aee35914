//! How much of the synthetic task needs both image and answers:
//! `cargo run --release --example synthetic_baselines`
//!
//! Compares, on one split of the default synthetic dataset, the quickstart's teacher (image and answers) with the
//! same network on images alone, two models of the answers alone, and a linear model of colour histogram and lesion
//! area. Prints balanced accuracy on the test split with 95 % intervals from a bootstrap over patients, and what
//! the teacher is ahead by, resampled in pairs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Parser;
use derm_core::{Predictions, Probabilities, Test, atomic};
use derm_metrics::{ClassSet, Interval, Metric, Resamples, bootstrap, paired_bootstrap};
use derm_train::{Error, Progress, Recipe, run};
use examples::baselines::Baselines;
use examples::quickstart::{Options, teacher};

#[derive(Parser)]
#[command(
    about = "Compare image and answers with answers alone, colours alone and images alone, on made data"
)]
struct Arguments {
    /// Run folder; a study that was interrupted in it goes on
    #[arg(long, default_value = "runs/synthetic_baselines")]
    output: PathBuf,
    /// Seed of weights, sample order and augmentation
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Bootstrap resamples of patients
    #[arg(long, default_value_t = 2000)]
    replicates: usize,
    /// A few hundred small images and two epochs: shows that the program works, not how hard the task is
    #[arg(long)]
    tiny: bool,
}

/// Miscoverage of the intervals.
const ALPHA: f64 = 0.05;

const METRIC: Metric = Metric::BalancedAccuracy { classes: ClassSet::Present };

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match examples::device() {
        Ok(device) => examples::finish(study(&arguments, &device)),
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn study(arguments: &Arguments, device: &Device) -> Result<(), Error> {
    let &Arguments { seed, tiny, replicates, .. } = arguments;
    let output = arguments.output.clone();
    let recipe = |name: &str| Recipe {
        name: name.to_owned(),
        output: Some(output.join(name)),
        ..teacher(&Options { output: output.clone(), seed, tiny })
    };
    let both = recipe("image_and_answers");
    let mut image = recipe("image");
    image.model.use_answers = false;

    let both = run(&both, device, Progress::Terminal)?;
    let image = run(&image, device, Progress::Terminal)?;
    Progress::Terminal.stage("fitting the baselines");
    let baselines = Baselines::fit(&both.prepared, seed, device)?;
    let table = table(
        &both.test,
        &[
            ("answers, linear", &baselines.answers_linear),
            ("answers, network", &baselines.answers_network),
            ("colours and area, linear", &baselines.colours_linear),
            ("image", &image.test.probabilities()),
            ("image and answers", &both.test.probabilities()),
        ],
        replicates,
        seed,
    )?;
    let path = output.join("balanced_accuracy.txt");
    atomic::write_file(&path, |file| file.write_all(table.as_bytes()))?;
    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
    {
        println!("\n{table}\ntable   {}", path.display());
    }
    Ok(())
}

/// Balanced accuracy of each model, and the difference of the last to each.
fn table(
    test: &Predictions<Test>,
    models: &[(&str, &Probabilities)],
    replicates: usize,
    seed: u64,
) -> Result<String, Error> {
    let resamples = Resamples::groups(test.groups(), replicates, seed)?;
    let mut text = format!(
        "test split: {} images of {} patients; balanced accuracy with {} % intervals\n\n{:<26}{:<26}last row minus this\n",
        test.len(),
        test.num_groups(),
        100.0 * (1.0 - ALPHA),
        "model",
        "balanced accuracy",
    );
    let Some((_, last)) = models.last() else { return Ok(text) };
    for (name, probabilities) in models {
        let own = bootstrap(probabilities, test.targets(), &[METRIC], &resamples, ALPHA)?;
        let ahead = paired_bootstrap(last, probabilities, test.targets(), &[METRIC], &resamples, ALPHA)?;
        let own = own.first().map(|own| cell(own.estimate, own.interval.as_ref())).unwrap_or_default();
        let ahead =
            ahead.first().map(|ahead| cell(ahead.estimate, ahead.interval.as_ref())).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<26}{own:<26}{ahead}");
    }
    Ok(text)
}

fn cell(value: Option<f64>, interval: Option<&Interval>) -> String {
    let number = |value: f64| format!("{value:.3}");
    let interval = interval.map_or(String::new(), |i| format!(" [{:.3}, {:.3}]", i.low, i.high));
    value.map_or_else(|| "undefined".to_owned(), number) + &interval
}
