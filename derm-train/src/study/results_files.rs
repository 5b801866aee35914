//! The files of a study: `study.json`, three tables, the report.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use derm_core::{FileError, atomic};
use derm_metrics::Interval;

use super::{CountedNoise, Difference, StudyResults, VariantResult};
use crate::{Efficiency, Error};

impl StudyResults {
    /// Writes `study.json`, `runs.csv` (a row a run), `variants.csv` (a row a variant), `comparisons.csv` (a row a
    /// variant and metric) and `report.html`, each whole or not at all.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        atomic::write_file(folder.join("study.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, self).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
        for (name, rows) in [
            ("runs.csv", self.run_rows()),
            ("variants.csv", self.variant_rows()),
            ("comparisons.csv", self.comparison_rows()),
        ] {
            let path = folder.join(name);
            let text = to_csv(&rows).map_err(FileError::at(&path, "write"))?;
            atomic::write_file(&path, |file| file.write_all(&text))?;
        }
        Ok(self.report()?.write(folder.join("report.html"))?)
    }

    fn run_rows(&self) -> Vec<Vec<String>> {
        let names = self.variants.iter().take(1).flat_map(VariantResult::names);
        let mut rows = vec![header(["variant", "seed", "folder", "temperature"], names)];
        for variant in &self.variants {
            for (place, run) in variant.runs.iter().enumerate() {
                let estimates = variant.metrics.iter().chain(&variant.recall);
                let values = estimates.map(|named| text(named.estimate.runs[place]));
                let seed = run.seed.map_or_else(String::new, |seed| seed.to_string());
                let of_run =
                    [variant.name.clone(), seed, run.folder.display().to_string(), text(run.temperature)];
                rows.push(of_run.into_iter().chain(values).collect());
            }
        }
        rows
    }

    fn variant_rows(&self) -> Vec<Vec<String>> {
        let names = self.variants.iter().take(1).flat_map(VariantResult::names);
        let with_spread =
            names.flat_map(|name| ["", "_std", "_low", "_high"].map(|suffix| format!("{name}{suffix}")));
        let retained = self.variants.iter().take(1).flat_map(|variant| &variant.retention);
        let retained = retained
            .flat_map(|named| ["", "_low", "_high"].map(|suffix| format!("retained_{}{suffix}", named.name)));
        let cost = ["parameters", "macs", "latency_ms"].map(str::to_owned);
        let mut rows = vec![header(["variant", "runs"], with_spread.chain(retained).chain(cost))];
        for variant in &self.variants {
            let mut row = vec![variant.name.clone(), variant.runs.len().to_string()];
            for named in variant.metrics.iter().chain(&variant.recall) {
                let estimate = &named.estimate;
                row.extend([text(estimate.estimate), text(estimate.std)]);
                row.extend(ends(estimate.interval));
            }
            for named in &variant.retention {
                row.push(text(named.estimate.estimate));
                row.extend(ends(named.estimate.interval));
            }
            let cost = variant.cost.as_ref();
            row.push(text(cost.map(|cost| cost.parameters)));
            row.push(text(cost.map(total_macs)));
            row.push(text(cost.and_then(|cost| cost.latency.first()).map(|latency| latency.p50_ms)));
            rows.push(row);
        }
        rows
    }

    fn comparison_rows(&self) -> Vec<Vec<String>> {
        let columns = ["variant", "baseline", "metric", "difference", "low", "high", "p_value"];
        let more = ["run_error", "lesion_error", "counts", "adjusted_p_value", "verdict"].map(str::to_owned);
        let mut rows = vec![header(columns, more)];
        for variant in &self.variants {
            let recall = variant.recall_differences.iter().map(|difference| (true, difference));
            for (of_class, difference) in
                variant.differences.iter().map(|difference| (false, difference)).chain(recall)
            {
                let Difference { name, estimate, interval, p_value, counts, run_error, lesion_error } =
                    difference;
                let decides = !of_class && *name == self.comparison.metric;
                let name = if of_class { format!("recall_{name}") } else { name.clone() };
                let mut row = vec![variant.name.clone(), self.baseline.clone(), name, text(*estimate)];
                row.extend(ends(*interval));
                row.extend([*p_value, *run_error, *lesion_error].map(text));
                row.push(counts.to_string());
                row.push(text(variant.adjusted_p_value.filter(|_| decides)));
                row.push(text(variant.verdict.filter(|_| decides)));
                rows.push(row);
            }
        }
        rows
    }
}

impl VariantResult {
    /// The names of its metrics and recalls as columns.
    fn names(&self) -> impl Iterator<Item = String> {
        let recall = self.recall.iter().map(|named| format!("recall_{}", named.name));
        self.metrics.iter().map(|named| named.name.clone()).chain(recall)
    }
}

impl fmt::Display for CountedNoise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RunsAndLesions => "runs and lesions",
            Self::Lesions => "lesions",
        })
    }
}

impl fmt::Display for StudyResults {
    /// What programs print: a line a variant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = &self.comparison.metric;
        writeln!(f, "{}: {metric} on {} test images of {} lesions", self.name, self.images, self.lesions)?;
        for variant in &self.variants {
            let value =
                variant.metrics.iter().find(|named| named.name == *metric).map(|named| &named.estimate);
            let mean =
                value.and_then(|value| value.estimate).map_or("–".to_owned(), |mean| format!("{mean:.3}"));
            let spread =
                value.and_then(|value| value.std).map_or(String::new(), |std| format!(" ± {std:.3}"));
            write!(f, "  {:<24} {mean}{spread} of {}", variant.name, runs(variant.runs.len()))?;
            if let Some(sentence) = self.sentence(variant) {
                write!(f, "; {sentence}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Multiply-accumulates of convolutions, linear layers and attention.
pub(super) fn total_macs(cost: &Efficiency) -> u64 {
    cost.macs_conv_and_linear + cost.macs_attention
}

/// `1 run`, `3 runs`.
pub(super) fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn header<const N: usize>(first: [&str; N], more: impl IntoIterator<Item = String>) -> Vec<String> {
    first.into_iter().map(str::to_owned).chain(more).collect()
}

/// Every digit; empty where there is no value.
fn text<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [text(interval.map(|interval| interval.low)), text(interval.map(|interval| interval.high))]
}

fn to_csv(rows: &[Vec<String>]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
