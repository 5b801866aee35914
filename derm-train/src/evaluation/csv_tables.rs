//! The tables of an evaluation as CSV, one file each, with every digit.

use std::io;
use std::path::Path;

use derm_calibration::SetCoverage;
use derm_core::atomic;
use derm_metrics::{
    Interval, MetricEstimate, OperatingChoice, OperatingTarget, RateEstimate, ReliabilityTable,
};

use crate::{Error, ModelEvaluation};

/// A table of text with the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvTable {
    name: &'static str,
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl CsvTable {
    /// Rows of one cell a column, which the tests count.
    pub(crate) fn new(
        name: &'static str,
        header: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Self { name, header, rows: rows.into_iter().collect() }
    }

    /// Writes `<folder>/<name>.csv`, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        Ok(atomic::write_file(folder.join(format!("{}.csv", self.name)), |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(self.header).map_err(io::Error::other)?;
            for row in &self.rows {
                writer.write_record(row).map_err(io::Error::other)?;
            }
            writer.flush()
        })?)
    }
}

/// Every table of which there is something.
pub(crate) fn all(evaluation: &ModelEvaluation) -> Vec<CsvTable> {
    let mut tables = vec![
        overall(evaluation),
        classes(evaluation),
        calibration(evaluation),
        conformal(evaluation),
        tiers(evaluation),
        operating_points(evaluation),
        confusion_pairs(evaluation),
    ];
    if !evaluation.breakdown.subgroups.is_empty() {
        tables.push(subgroups(evaluation));
    }
    tables.extend(views(evaluation));
    tables.extend(robustness(evaluation));
    tables.extend(efficiency(evaluation));
    tables.extend(teacher(evaluation));
    tables
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Lower and upper end.
fn ends(interval: Option<Interval>) -> [String; 2] {
    [cell(interval.map(|of| of.low)), cell(interval.map(|of| of.high))]
}

/// One row of several pieces.
#[allow(clippy::needless_pass_by_value, reason = "the pieces are made where they are given")]
fn row<const N: usize>(parts: [Vec<String>; N]) -> Vec<String> {
    parts.concat()
}

fn overall(evaluation: &ModelEvaluation) -> CsvTable {
    let series = [
        ("uncalibrated", &evaluation.assessment.uncalibrated),
        ("calibrated", &evaluation.assessment.calibrated),
    ];
    let of_metric = |name: &str, metric: &MetricEstimate| {
        row([
            vec![name.to_owned(), metric.name.clone(), cell(metric.value)],
            ends(metric.interval).to_vec(),
            vec![cell(metric.interval.map(|of| of.alpha)), convention(metric)],
            vec![metric.undefined_because.clone().unwrap_or_default()],
        ])
    };
    let rows = series.into_iter().flat_map(|(name, of)| of.metrics.iter().map(move |m| of_metric(name, m)));
    let header =
        &["probabilities", "metric", "value", "low", "high", "alpha", "convention", "undefined_because"];
    CsvTable::new("overall", header, rows)
}

/// How a metric is defined, as JSON.
fn convention(metric: &MetricEstimate) -> String {
    serde_json::to_string(&metric.metric).unwrap_or_default()
}

fn classes(evaluation: &ModelEvaluation) -> CsvTable {
    let header = &[
        "class",
        "images",
        "groups",
        "recall",
        "recall_low",
        "recall_high",
        "precision",
        "f1",
        "auroc",
        "predicted_over_true",
    ];
    let classes = &evaluation.assessment.calibrated.classes;
    CsvTable::new(
        "classes",
        header,
        classes.iter().map(|class| {
            row([
                vec![class.label.clone(), class.support.to_string(), class.groups.to_string()],
                vec![cell(class.recall)],
                ends(class.recall_interval).to_vec(),
                vec![cell(class.precision), cell(class.f1), cell(class.auroc), cell(class.over_prediction)],
            ])
        }),
    )
}

fn calibration(evaluation: &ModelEvaluation) -> CsvTable {
    let of_table = |name: &'static str, table: &ReliabilityTable| -> Vec<Vec<String>> {
        let bin = |bin: &derm_metrics::ReliabilityBin| {
            let (lower, upper, count) = (cell(bin.lower), cell(bin.upper), bin.count.to_string());
            vec![name.to_owned(), lower, upper, count, cell(bin.mean_confidence), cell(bin.accuracy)]
        };
        table.bins().iter().map(bin).collect()
    };
    let mut rows = of_table("uncalibrated", &evaluation.assessment.uncalibrated.reliability);
    rows.extend(of_table("calibrated", &evaluation.assessment.calibrated.reliability));
    let header = &["probabilities", "bin_low", "bin_high", "images", "mean_confidence", "accuracy"];
    CsvTable::new("calibration", header, rows)
}

fn conformal(evaluation: &ModelEvaluation) -> CsvTable {
    let labels: Vec<&str> =
        evaluation.assessment.calibrated.classes.iter().map(|class| class.label.as_str()).collect();
    let mut rows = Vec::new();
    for sets in &evaluation.breakdown.sets {
        let mut push = |class: &str, part: &SetCoverage| {
            rows.push(row([
                vec![sets.promise.to_owned(), class.to_owned(), (1.0 - sets.table.nominal_alpha).to_string()],
                vec![part.count.to_string(), part.covered.to_string(), cell(part.coverage)],
                ends(part.interval).to_vec(),
                vec![cell(part.mean_size)],
            ]));
        };
        push("", &sets.table.overall);
        for (label, part) in labels.iter().zip(&sets.table.by_class) {
            push(label, part);
        }
    }
    let header = &[
        "promise",
        "class",
        "promised",
        "groups",
        "covered",
        "coverage",
        "coverage_low",
        "coverage_high",
        "mean_size",
    ];
    CsvTable::new("conformal", header, rows)
}

fn tiers(evaluation: &ModelEvaluation) -> CsvTable {
    let table = &evaluation.assessment.tiers;
    let mut rows: Vec<Vec<String>> = table
        .tiers
        .iter()
        .map(|tier| {
            row([
                vec![tier.tier.to_string(), String::new(), tier.count.to_string(), tier.coverage.to_string()],
                ends(Some(tier.coverage_interval)).to_vec(),
                vec![cell(tier.risk)],
                ends(tier.risk_interval).to_vec(),
            ])
        })
        .collect();
    for class in &table.classes {
        for tier in &table.tiers {
            let index = table.tiers.iter().position(|other| other.tier == tier.tier).unwrap_or(0);
            let share = cell(class.coverage.map(|coverage| coverage[index]));
            rows.push(row([
                vec![tier.tier.to_string(), class.label.clone(), class.in_tier[index].to_string(), share],
                vec![String::new(); 5],
            ]));
        }
    }
    let header =
        &["tier", "class", "groups", "share", "share_low", "share_high", "risk", "risk_low", "risk_high"];
    CsvTable::new("tiers", header, rows)
}

fn operating_points(evaluation: &ModelEvaluation) -> CsvTable {
    let rows = evaluation.breakdown.operating_points.iter().map(|result| {
        let (target, threshold, outcome) = match &result.choice {
            OperatingChoice::Reached(point) => (point.target, point.threshold.to_string(), "reached"),
            OperatingChoice::OutOfReach { target, .. } => (*target, String::new(), "out_of_reach"),
            OperatingChoice::OneLabel { target } => (*target, String::new(), "one_label"),
        };
        let (kind, at_least) = match target {
            OperatingTarget::Sensitivity { at_least } => ("sensitivity", at_least.to_string()),
            OperatingTarget::Specificity { at_least } => ("specificity", at_least.to_string()),
            OperatingTarget::Ppv { at_least } => ("ppv", at_least.to_string()),
            OperatingTarget::Youden => ("youden", String::new()),
        };
        let rate = |rate: Option<RateEstimate>| {
            row([vec![cell(rate.and_then(|rate| rate.value))], ends(rate.and_then(|r| r.interval)).to_vec()])
        };
        let test = result.test.as_ref();
        row([
            vec![result.positive.join("; "), kind.to_owned(), at_least, outcome.to_owned(), threshold],
            vec![
                cell(test.map(|test| test.sensitivity.groups)),
                cell(test.map(|test| test.specificity.groups)),
            ],
            rate(test.map(|test| test.sensitivity)),
            rate(test.map(|test| test.specificity)),
            rate(test.map(|test| test.ppv)),
            rate(test.map(|test| test.npv)),
        ])
    });
    let header = &[
        "positive",
        "target",
        "at_least",
        "outcome",
        "threshold",
        "positive_groups",
        "negative_groups",
        "sensitivity",
        "sensitivity_low",
        "sensitivity_high",
        "specificity",
        "specificity_low",
        "specificity_high",
        "ppv",
        "ppv_low",
        "ppv_high",
        "npv",
        "npv_low",
        "npv_high",
    ];
    CsvTable::new("operating_points", header, rows)
}

fn confusion_pairs(evaluation: &ModelEvaluation) -> CsvTable {
    let classes = &evaluation.assessment.calibrated.classes;
    let label = |class: usize| classes.get(class).map_or_else(String::new, |class| class.label.clone());
    let rows = evaluation.breakdown.confusion_pairs.iter().map(|pair| {
        let shares = [pair.share_of_class.to_string(), pair.share_of_errors.to_string()];
        row([vec![label(pair.truth), label(pair.predicted), pair.count.to_string()], shares.to_vec()])
    });
    let header = &["class", "taken_for", "images", "share_of_class", "share_of_errors"];
    CsvTable::new("confusion_pairs", header, rows)
}

fn subgroups(evaluation: &ModelEvaluation) -> CsvTable {
    let mut rows = Vec::new();
    for subgroup in &evaluation.breakdown.subgroups {
        for of in &subgroup.table.rows {
            let start = |metric: &str, too_few: bool| {
                vec![
                    subgroup.column.clone(),
                    of.value.clone(),
                    of.samples.to_string(),
                    of.groups.to_string(),
                    too_few.to_string(),
                    metric.to_owned(),
                ]
            };
            match &of.metrics {
                None => rows.push(row([start("", true), vec![String::new(); 3]])),
                Some(metrics) => rows.extend(metrics.iter().map(|metric| {
                    let (start, value) = (start(&metric.name, false), vec![cell(metric.value)]);
                    row([start, value, ends(metric.interval).to_vec()])
                })),
            }
        }
    }
    let header =
        &["column", "value", "images", "groups", "too_few_groups", "metric", "estimate", "low", "high"];
    CsvTable::new("subgroups", header, rows)
}

fn views(evaluation: &ModelEvaluation) -> Option<CsvTable> {
    let rows = evaluation.views.as_ref()?.results.iter().map(|of| {
        row([
            vec![of.view.clone(), of.metric.clone(), cell(of.value)],
            ends(of.interval).to_vec(),
            vec![cell(of.difference)],
            ends(of.difference_interval).to_vec(),
        ])
    });
    let header =
        &["view", "metric", "value", "low", "high", "minus_plain", "minus_plain_low", "minus_plain_high"];
    Some(CsvTable::new("views", header, rows))
}

fn robustness(evaluation: &ModelEvaluation) -> Option<CsvTable> {
    let robustness = evaluation.robustness.as_ref()?;
    let rows = robustness.results.iter().map(|of| {
        row([
            vec![of.kind.clone(), of.level.to_string(), robustness.metric.clone(), cell(robustness.clean)],
            vec![cell(of.value), cell(of.difference)],
            ends(of.interval).to_vec(),
        ])
    });
    let header = &[
        "corruption",
        "level",
        "metric",
        "clean",
        "value",
        "minus_clean",
        "minus_clean_low",
        "minus_clean_high",
    ];
    Some(CsvTable::new("robustness", header, rows))
}

fn efficiency(evaluation: &ModelEvaluation) -> Option<CsvTable> {
    let of = evaluation.efficiency.as_ref()?;
    let mut rows = vec![
        vec!["parameters".to_owned(), of.parameters.to_string()],
        vec!["buffers".to_owned(), of.buffers.to_string()],
        vec!["macs_conv_and_linear".to_owned(), of.macs_conv_and_linear.to_string()],
        vec!["macs_attention".to_owned(), of.macs_attention.to_string()],
        vec!["weights_bytes".to_owned(), of.weights_bytes.to_string()],
        vec!["bundle_bytes".to_owned(), of.bundle_bytes.to_string()],
        vec!["peak_memory_bytes".to_owned(), cell(of.peak_memory_bytes)],
        vec!["cpu".to_owned(), of.machine.cpu.clone().unwrap_or_default()],
        vec!["threads".to_owned(), cell(of.machine.threads)],
        vec!["device".to_owned(), of.machine.device.clone()],
    ];
    for latency in &of.latency {
        let values = [
            ("repeats", latency.repeats as f64),
            ("mean_ms", latency.mean_ms),
            ("std_ms", latency.std_ms),
            ("p50_ms", latency.p50_ms),
            ("p90_ms", latency.p90_ms),
            ("p99_ms", latency.p99_ms),
            ("images_per_second", latency.images_per_second),
        ];
        let name = |what: &str| format!("batch_{}_{what}", latency.batch_size);
        rows.extend(values.map(|(what, value)| vec![name(what), value.to_string()]));
    }
    Some(CsvTable::new("efficiency", &["quantity", "value"], rows))
}

fn teacher(evaluation: &ModelEvaluation) -> Vec<CsvTable> {
    let Some(comparison) = &evaluation.teacher else { return Vec::new() };
    let differences = comparison.differences.iter().map(|of| {
        row([
            vec![of.metric.clone(), cell(of.teacher), cell(of.student), cell(of.difference)],
            ends(of.interval).to_vec(),
            vec![cell(of.p_value)],
        ])
    });
    let header = &["metric", "teacher", "student", "student_minus_teacher", "low", "high", "p_value"];
    let mut tables = vec![CsvTable::new("teacher", header, differences)];
    let classes = &evaluation.assessment.calibrated.classes;
    let names = std::iter::once("").chain(classes.iter().map(|class| class.label.as_str()));
    let counts = std::iter::once(&comparison.agreement.overall).chain(&comparison.agreement.by_class);
    let rows = names.zip(counts).map(|(name, of)| {
        let counts = [
            of.rows(),
            of.both_right,
            of.only_first_right,
            of.only_second_right,
            of.same_error,
            of.different_errors,
        ];
        row([
            vec![name.to_owned()],
            counts.map(|count| count.to_string()).to_vec(),
            vec![cell(of.agreement())],
        ])
    });
    let header = &[
        "class",
        "images",
        "both_right",
        "only_teacher_right",
        "only_student_right",
        "same_error",
        "different_errors",
        "agreement",
    ];
    tables.push(CsvTable::new("agreement", header, rows));
    tables
}
