use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::history::EpochLog;

/// Where a run tells how far it is.
///
/// A terminal gets a bar for each epoch; a file or pipe gets plain lines, at the end of each epoch and stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Nothing is told.
    Silent,
    /// Standard error: a bar on a terminal, lines elsewhere.
    #[default]
    Terminal,
}

impl Progress {
    /// Tells that a stage of the run begins.
    pub fn stage(self, text: &str) {
        self.line(text);
    }

    /// Tells one line.
    pub fn line(self, text: &str) {
        if self == Self::Terminal {
            eprintln!("{text}");
        }
    }

    pub(crate) fn bar(self, label: &str, total: usize, done: usize) -> Bar {
        let visible = self == Self::Terminal && std::io::stderr().is_terminal();
        let bar = if visible { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        // The template is a constant that the tests render.
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len} {msg} {eta}") {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_owned());
        bar.set_position(done as u64);
        if visible {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Bar { bar }
    }

    pub(crate) fn epoch(self, label: &str, epochs: usize, log: &EpochLog) {
        let ema = log.ema_validation.as_ref().map(|metrics| format!("  average: {}", shown(metrics)));
        self.line(&format!(
            "{label} epoch {}/{epochs}  loss {:.4}  validation: {}{}  ({:.1} s)",
            log.epoch,
            log.train_loss,
            shown(&log.validation),
            ema.unwrap_or_default(),
            log.train_seconds + log.validation_seconds,
        ));
    }
}

/// The metrics that an epoch's line has room for.
fn shown(metrics: &BTreeMap<String, f64>) -> String {
    let value = |name| metrics.get(name).copied().unwrap_or(f64::NAN);
    let (accuracy, balanced) = (value("accuracy"), value("balanced_accuracy"));
    format!("NLL {:.4}, accuracy {accuracy:.3}, balanced accuracy {balanced:.3}", value("nll"))
}

/// A bar of one epoch.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn advance(&self, batches: usize, loss: f64) {
        self.bar.set_message(format!("loss {loss:.4}"));
        self.bar.inc(batches as u64);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
