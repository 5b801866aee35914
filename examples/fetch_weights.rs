//! Published weights into a folder: `cargo run --release --example fetch_weights --features examples/download -- NAME`
//!
//! Without a name it lists what is known: licence, size and source of each. Nothing else in the workspace needs a network.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_backbones::{download, known_weights, registry};

#[derive(Parser)]
#[command(
    about = "List known weights, or fetch some: resumed where a connection broke, verified, whole or not at all"
)]
struct Arguments {
    /// Names of the registry; none lists them
    names: Vec<String>,
    /// Where the files go
    #[arg(long, default_value = "weights")]
    folder: PathBuf,
}

#[allow(clippy::print_stdout, reason = "the list and the paths are what the program is for")]
fn main() -> ExitCode {
    let Arguments { names, folder } = Arguments::parse();
    if names.is_empty() {
        for weights in registry() {
            let millions = weights.parameters as f64 / 1e6;
            println!(
                "{:<45} {millions:>6.1} M  {:<28} {}",
                weights.name,
                weights.license,
                weights.source.url()
            );
        }
        return ExitCode::SUCCESS;
    }
    for name in names {
        let Some(weights) = known_weights(&name) else {
            eprintln!("error: no weights `{name}` in the registry; without a name, all are listed");
            return ExitCode::FAILURE;
        };
        let mut reported = 0;
        let fetched = download::fetch_weights(weights, &folder, |progress| {
            if progress.received >= reported + (1 << 24) || Some(progress.received) == progress.total {
                reported = progress.received;
                eprintln!("{name}: {} of {} MB", progress.received >> 20, progress.total.unwrap_or(0) >> 20);
            }
        });
        match fetched {
            Ok(path) => println!("{}  ({})", path.display(), weights.license),
            Err(error) => return examples::finish(Err(error)),
        }
    }
    ExitCode::SUCCESS
}
