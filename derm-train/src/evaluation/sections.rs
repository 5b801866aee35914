//! The parts of a report, of a run's and of an evaluation's.

use std::collections::BTreeMap;

use derm_calibration::RiskCoverage;
use derm_metrics::{Evaluation, Interval};
use derm_report::{
    Align, Section, Table, agreement_table, class_table, class_thresholds, conformal_coverage,
    conformal_table, confusion_heat_map, confusion_pair_table, corruption_heat_map, metric_table,
    operating_point_table, policy_notes, recall_comparison, reliability_diagram, risk_coverage_plot,
    subgroup_comparison, subgroup_table, tier_coverage, tier_summary,
};

use crate::evaluation::{
    Efficiency, OperatingResult, PromisedSets, Robustness, SubgroupBreakdown, TeacherComparison,
    ViewComparison,
};
use crate::peak_memory::megabytes;
use crate::{Assessment, Error, TaskAssessment};

/// Confusions that are shown; all of them stand in the tables.
const MOST_PAIRS: usize = 10;

/// The metric that is drawn by subgroup.
const OF_SUBGROUPS: &str = "balanced_accuracy";

pub(crate) fn metrics(assessment: &Assessment) -> Result<Section, Error> {
    let mut section = Section::new("Test metrics")
        .text("Intervals come from a bootstrap over groups: lesions, or patients where they are known.");
    for warning in assessment.warnings() {
        section = section.note(format!("Warning: {warning}."));
    }
    let models = [("uncalibrated", &assessment.uncalibrated), ("calibrated", &assessment.calibrated)];
    Ok(section.table(metric_table(&models)?))
}

/// The tasks beside the diagnosis; none where there is none.
pub(crate) fn tasks(tasks: &BTreeMap<String, TaskAssessment>) -> Result<Option<Section>, Error> {
    if tasks.is_empty() {
        return Ok(None);
    }
    let mut section = Section::new("Further tasks").text(
        "Heads of the same network. Each is calibrated on the validation images that are labelled for it and measured on \
         those of the test split; decisions go by the diagnosis alone.",
    );
    for (name, TaskAssessment { calibrator, uncalibrated, calibrated }) in tasks {
        section = section
            .text(format!(
                "{name}: {} test images of {} lesions or patients; calibrator: {}.",
                calibrated.samples,
                calibrated.groups,
                calibrator.name()
            ))
            .table(metric_table(&[("uncalibrated", uncalibrated), ("calibrated", calibrated)])?)
            .table(class_table(calibrated));
    }
    Ok(Some(section))
}

/// `models` end with the one that the report is about.
pub(crate) fn classes(models: &[(&str, &Evaluation)], labels: &[String]) -> Result<Section, Error> {
    let section = Section::new("Classes");
    let Some((_, own)) = models.last() else { return Ok(section) };
    Ok(section
        .figures([recall_comparison(models)?, confusion_heat_map(&own.confusion, labels)?])
        .table(class_table(own))
        .text("What is taken for what, most frequent first.")
        .table(confusion_pair_table(&own.confusion, labels, MOST_PAIRS)?))
}

pub(crate) fn calibration(assessment: &Assessment) -> Result<Section, Error> {
    let series = [
        ("uncalibrated", &assessment.uncalibrated.reliability),
        ("calibrated", &assessment.calibrated.reliability),
    ];
    let name = assessment.calibration.calibrator.name();
    Ok(Section::new("Calibration")
        .text(format!(
            "The calibrator ({name}) was fitted on the validation split; the figure is of the test split."
        ))
        .figure(reliability_diagram(&series)?))
}

pub(crate) fn prediction_sets(sets: &[PromisedSets], labels: &[String]) -> Result<Section, Error> {
    let series: Vec<_> = sets.iter().map(|of| (of.promise, &of.table)).collect();
    Ok(Section::new("Prediction sets")
        .text(
            "A conformal set holds the true class with the promised frequency. It was fitted on the calibration split, one \
             image a group (lesion or patient). Promised for all together, rare classes may be covered far less often; \
             promised for each class, sets are larger.",
        )
        .table(conformal_table(&series)?)
        .figure(conformal_coverage(&series, labels)?))
}

pub(crate) fn decisions(assessment: &Assessment, risks: &[(&str, &RiskCoverage)]) -> Result<Section, Error> {
    let policy = &assessment.calibration.abstain;
    let mut section = Section::new("When it answers, and when it refers");
    for note in policy_notes(policy) {
        section = section.text(note);
    }
    let mut figures =
        vec![risk_coverage_plot(risks, Some(policy.config.answer_risk))?, tier_coverage(&assessment.tiers)?];
    figures.extend(class_thresholds(policy));
    Ok(section.table(tier_summary(policy, &assessment.tiers)).figures(figures))
}

pub(crate) fn operating_points(points: &[OperatingResult]) -> Result<Section, Error> {
    let names: Vec<String> = points.iter().map(|point| point.positive.join(", ")).collect();
    let rows: Vec<_> = names
        .iter()
        .zip(points)
        .map(|(name, point)| (name.as_str(), &point.choice, point.test.as_ref()))
        .collect();
    Ok(Section::new("Operating points").table(operating_point_table(&rows)?))
}

pub(crate) fn subgroups(columns: &[SubgroupBreakdown]) -> Result<Option<Section>, Error> {
    if columns.is_empty() {
        return Ok(None);
    }
    let mut figures = Vec::new();
    for SubgroupBreakdown { column, table } in columns {
        figures.push(subgroup_comparison(column, table, OF_SUBGROUPS)?);
    }
    let mut section = Section::new("Subgroups").figures(figures);
    for SubgroupBreakdown { column, table } in columns {
        section = section.table(subgroup_table(column, table));
    }
    Ok(Some(section))
}

pub(crate) fn views(comparison: &ViewComparison) -> Result<Section, Error> {
    let mut table = Table::new([
        ("View", Align::Left),
        ("Metric", Align::Left),
        ("Value", Align::Right),
        ("Minus the picture as it is", Align::Right),
    ]);
    for result in &comparison.results {
        table.push([
            result.view.clone(),
            result.metric.clone(),
            with_interval(result.value, result.interval.as_ref()),
            with_interval(result.difference, result.difference_interval.as_ref()),
        ])?;
    }
    Ok(Section::new("Views at test time")
        .text(
            "Uncalibrated probabilities; differences are paired over the same groups (lesions or patients).",
        )
        .table(table))
}

pub(crate) fn robustness(robustness: &Robustness) -> Result<Section, Error> {
    let metric = robustness.metric.replace('_', " ");
    Ok(Section::new("Worse pictures")
        .text("The picture as it is, corrupted at the network's size; views are not averaged here.")
        .figure(corruption_heat_map(&metric, robustness.clean, &robustness.series())?))
}

pub(crate) fn efficiency(efficiency: &Efficiency) -> Result<Section, Error> {
    let unknown = || "not told by this system".to_owned();
    let machine = &efficiency.machine;
    let threads = machine.threads.map_or_else(unknown, |threads| threads.to_string());
    let facts = [
        ("processor", machine.cpu.clone().unwrap_or_else(unknown)),
        ("threads", threads),
        ("device", machine.device.clone()),
        ("parameters", efficiency.parameters.to_string()),
        ("buffers beside them", efficiency.buffers.to_string()),
        ("MACs, convolutions and linear layers", efficiency.macs_conv_and_linear.to_string()),
        ("MACs, products of attention", efficiency.macs_attention.to_string()),
        ("weights' file", megabytes(efficiency.weights_bytes)),
        ("bundle", megabytes(efficiency.bundle_bytes)),
        ("peak memory of this process", efficiency.peak_memory_bytes.map_or_else(unknown, megabytes)),
    ];
    let mut table = Table::new([
        ("Batch", Align::Right),
        ("Passes", Align::Right),
        ("Mean ms", Align::Right),
        ("SD ms", Align::Right),
        ("p50 ms", Align::Right),
        ("p90 ms", Align::Right),
        ("p99 ms", Align::Right),
        ("Images per second", Align::Right),
    ]);
    for of in &efficiency.latency {
        let mut cells = vec![of.batch_size.to_string(), of.repeats.to_string()];
        let times = [of.mean_ms, of.std_ms, of.p50_ms, of.p90_ms, of.p99_ms];
        cells.extend(times.map(|time| format!("{time:.2}")));
        cells.push(format!("{:.1}", of.images_per_second));
        table.push(cells)?;
    }
    Ok(Section::new("What it costs").facts(facts).table(table.caption(
        "Standardised images in host memory to logits in host memory, after warm-up; decoding and resizing are not in it. \
         The peak memory is that of the whole process, with the data that it had loaded.",
    )))
}

pub(crate) fn teacher(
    comparison: &TeacherComparison,
    student: &str,
    labels: &[String],
) -> Result<Section, Error> {
    let mut table = Table::new([
        ("Metric".to_owned(), Align::Left),
        (comparison.teacher.clone(), Align::Right),
        (student.to_owned(), Align::Right),
        ("Student minus teacher".to_owned(), Align::Right),
        ("p".to_owned(), Align::Right),
    ]);
    for of in &comparison.differences {
        table.push([
            of.metric.replace('_', " "),
            with_interval(of.teacher, None),
            with_interval(of.student, None),
            with_interval(of.difference, of.interval.as_ref()),
            with_interval(of.p_value, None),
        ])?;
    }
    let test = &comparison.mcnemar;
    let text = format!(
        "On one image a group ({} lesions or patients) only the teacher is right in {}, only the student in {}; McNemar's \
         exact p is {:.3}, mid-p {:.3}.",
        comparison.groups, test.only_first, test.only_second, test.p_exact, test.p_mid
    );
    Ok(Section::new("Teacher and student")
        .table(table.caption(
            "Uncalibrated probabilities of both on the same images; differences and p-values by a bootstrap paired over \
             groups (lesions or patients).",
        ))
        .text(text)
        .table(agreement_table(("teacher", "student"), &comparison.agreement, labels)?))
}

/// `value (low to high)`.
pub(crate) fn with_interval(value: Option<f64>, interval: Option<&Interval>) -> String {
    match (value, interval) {
        (None, _) => "undefined".to_owned(),
        (Some(value), None) => format!("{value:.3}"),
        (Some(value), Some(i)) => format!("{value:.3} ({:.3} to {:.3})", i.low, i.high),
    }
}
