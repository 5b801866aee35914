//! The page as a whole: what is in it, and what must not be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod sample;

use std::path::Path;

use derm_calibration::{
    Conditioning, ConformalConfig, ConformalPredictor, ConformalTable, RiskCoverage, Tier,
};
use derm_core::Test;
use derm_metrics::{Interval, IntervalMethod, SubgroupConfig, SubgroupTable, model_agreement};
use derm_report::{
    Align, CorruptionLevel, CorruptionSeries, Error, GalleryItem, IntervalMark, LearningCurve, ParetoPoint,
    Report, Section, SuspectItem, Table, agreement_table, class_table, class_thresholds, conformal_coverage,
    conformal_table, confusion_heat_map, confusion_pair_table, corruption_heat_map, interval_plot,
    learning_curves, metric_table, operating_point_table, pareto_front, pareto_plot, policy_notes,
    recall_comparison, reliability_diagram, risk_coverage_plot, subgroup_comparison, subgroup_table,
    tier_summary,
};

/// Tags that need no end.
const VOID: [&str; 3] = ["meta", "img", "!doctype"];

/// Walks the tags and fails where one is closed that is not open. Text between tags must not hold a bare `<`.
fn check_nesting(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name: &str = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "in {tag}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let run = sample::run();
    // Kept where a person can look at it: target/tmp/sample_report.html.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_report.html");
    sample::report(&run).write(&path).unwrap();
    let html = std::fs::read_to_string(&path).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    check_nesting(&html);
    for figure in sample::figures(&run) {
        assert!(html.contains(&format!("<h3>{}</h3>", figure.title())), "{}", figure.title());
        assert!(html.contains(figure.svg()), "{}", figure.title());
    }
    assert_eq!(html.matches("<figure>").count(), 7);
    // Every figure has its numbers.
    assert_eq!(html.matches("<details><summary>Data</summary>").count(), 7);
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 6);
    for forbidden in ["<script", "http://", "https://", "@import", "url(", "javascript:", "NaN"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn names_cannot_break_out() {
    let run = sample::run();
    let html = sample::report(&run).to_html().unwrap();
    assert!(!html.contains(sample::HOSTILE));
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;nevus&quot;"));
    // As title, lead, heading, fact, text, note, table and caption too.
    let mut table = Table::new([(sample::HOSTILE, Align::Left)]).caption(sample::HOSTILE);
    table.push([sample::HOSTILE]).unwrap();
    let item = GalleryItem {
        image: sample::png(4, 0),
        caption: sample::HOSTILE.into(),
        truth: sample::HOSTILE.into(),
        ranking: vec![(sample::HOSTILE.into(), 0.5)],
        tier: Tier::Answer,
    };
    let section = Section::new(sample::HOSTILE)
        .text(sample::HOSTILE)
        .note(sample::HOSTILE)
        .table(table)
        .gallery([item]);
    let html = Report::new(sample::HOSTILE).lead(sample::HOSTILE).section(section).to_html().unwrap();
    assert!(!html.contains("<script") && !html.contains("\"nevus\""));
    check_nesting(&html);
    let control = Report::new("a\u{0}b\u{1b}[31m").to_html().unwrap();
    assert!(control.contains("a\u{fffd}b\u{fffd}[31m"));
}

#[test]
fn numbers_in_the_page_are_those_of_the_evaluation() {
    let run = sample::run();
    let html = sample::report(&run).to_html().unwrap();
    let accuracy = run.student.metric("accuracy").unwrap();
    let interval = accuracy.interval.unwrap();
    let cell = format!("{:.3} ({:.3} to {:.3})", accuracy.value.unwrap(), interval.low, interval.high);
    assert!(html.contains(&cell), "{cell}");
    for count in run.student.confusion.counts() {
        assert!(html.contains(&format!("<td class=\"num\">{count}</td>")));
    }
    let tiers = run.record.evaluate(&run.test, 0.05).unwrap();
    assert!(html.contains(&format!("{:.3}", tiers.tier(Tier::Answer).risk.unwrap())));
}

#[test]
fn what_is_undefined_says_so() {
    // Two rows of one class: six classes have no recall, and no class an AUROC.
    let rows = sample::predictions::<Test>(900, 66, 3);
    let nevi: Vec<usize> = (0..900).filter(|&row| rows.targets()[row] == 1).take(2).collect();
    let rows = rows.select(&nevi).unwrap();
    let config =
        derm_metrics::EvaluationConfig { replicates: 10, ..derm_metrics::EvaluationConfig::default() };
    let evaluation = derm_metrics::Evaluation::new(&rows, &rows.probabilities(), &config).unwrap();
    let section = Section::new("Few")
        .table(metric_table(&[("few", &evaluation)]).unwrap())
        .table(class_table(&evaluation));
    let section = section.figure(recall_comparison(&[("few", &evaluation)]).unwrap());
    let html = Report::new("Few").section(section).to_html().unwrap();
    assert!(html.contains("<td>macro AUROC ↑</td><td class=\"num\">undefined</td>"));
    check_nesting(&html);
}

#[test]
fn figures_without_anything_to_draw() {
    assert!(matches!(reliability_diagram(&[]), Err(Error::Empty { .. })));
    assert!(matches!(risk_coverage_plot(&[], None), Err(Error::Empty { .. })));
    assert!(matches!(recall_comparison(&[]), Err(Error::Empty { .. })));
    assert!(matches!(metric_table(&[]), Err(Error::Empty { .. })));
    assert!(matches!(learning_curves(&[]), Err(Error::Empty { .. })));
    assert!(matches!(learning_curves(&[LearningCurve::default()]), Err(Error::Empty { .. })));
    assert!(matches!(interval_plot("", "", "", &[], None), Err(Error::Empty { .. })));
    let nowhere = ParetoPoint { name: "a".into(), cost: f64::NAN, value: 0.5, interval: None };
    assert!(matches!(pareto_plot(&[nowhere], "cost", "value"), Err(Error::Empty { .. })));
}

#[test]
fn labels_of_another_number_of_classes() {
    let run = sample::run();
    let names = vec!["mel".to_owned()];
    let wrong = confusion_heat_map(&run.student.confusion, &names).unwrap_err();
    assert!(matches!(wrong, Error::Length { got: 1, expected: 7, .. }), "{wrong}");
    let mut fewer = run.teacher.clone();
    fewer.classes.pop();
    let wrong = recall_comparison(&[("student", &run.student), ("teacher", &fewer)]).unwrap_err();
    assert_eq!(wrong.to_string(), "classes of teacher has 6 entries: expected 7");
}

#[test]
fn extremes_are_drawn_inside() {
    let all_wrong = RiskCoverage::new(&[0.9; 5], &[false; 5]).unwrap();
    let one = RiskCoverage::new(&[0.9], &[true]).unwrap();
    let gaps = LearningCurve {
        name: "diverged".into(),
        training_loss: vec![1.0, f64::NAN, 2.0, f64::INFINITY],
        ..LearningCurve::default()
    };
    let mut figures = vec![risk_coverage_plot(&[("wrong", &all_wrong), ("one", &one)], None).unwrap()];
    let single = LearningCurve {
        name: "one epoch".into(),
        training_loss: vec![0.5],
        balanced_accuracy: vec![0.5],
        ..LearningCurve::default()
    };
    assert_eq!(learning_curves(std::slice::from_ref(&gaps)).unwrap().len(), 1, "no accuracy to draw");
    figures.extend(learning_curves(&[gaps, single]).unwrap());
    for figure in figures {
        assert!(!figure.svg().contains("NaN") && !figure.svg().contains("inf"), "{}", figure.title());
    }
}

#[test]
fn an_image_of_another_kind() {
    let item = GalleryItem {
        image: b"GIF89a".to_vec(),
        caption: "ISIC_1".into(),
        truth: "mel".into(),
        ranking: vec![],
        tier: Tier::Refer,
    };
    let report = Report::new("r").section(Section::new("s").gallery([item]));
    let wrong = report.to_html().unwrap_err();
    assert_eq!(wrong.to_string(), "image 0 (\"ISIC_1\") is neither PNG nor JPEG");
    let folder = tempfile::tempdir().unwrap();
    assert!(report.write(folder.path().join("report.html")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing half-written");
}

#[test]
fn a_place_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let wrong = Report::new("r").write(file.join("report.html")).unwrap_err();
    assert!(matches!(wrong, Error::File(_)), "{wrong}");
}

#[test]
fn rows_of_another_length() {
    let mut table = Table::new([("a", Align::Left), ("b", Align::Right)]);
    assert!(matches!(table.push(["1"]), Err(Error::Length { got: 1, expected: 2, .. })));
    assert!(table.push(["1", "2"]).is_ok());
}

#[test]
fn intervals_and_fronts_show_their_numbers() {
    let interval = |low, high| Some(Interval { low, high, alpha: 0.05, method: IntervalMethod::StudentT });
    let mark = |row: &str, series: &str, value, interval| IntervalMark {
        row: row.to_owned(),
        series: series.to_owned(),
        value,
        interval,
    };
    let marks = [
        mark("mel", "focal", Some(0.02), interval(-0.01, 0.05)),
        mark("mel", "<b>", Some(-0.125), interval(f64::NEG_INFINITY, 0.0)),
        mark("nv", "focal", None, None),
    ];
    let figure = interval_plot("Difference", "difference", "Caption.", &marks, Some(0.0)).unwrap();
    let point = |name: &str, cost, value| ParetoPoint { name: name.to_owned(), cost, value, interval: None };
    let points = [point("small", 1.5, 0.5), point("large", 30.0, 0.625), point("worse", 30.0, 0.25)];
    let front = pareto_plot(&points, "cost", "macro F1").unwrap();
    assert_eq!(pareto_front(&points), [true, true, false]);
    let twins = [point("a", 1.0, 0.5), point("b", 1.0, 0.5)];
    assert_eq!(pareto_front(&twins), [true, true], "neither beats the other");
    for figure in [&figure, &front] {
        for number in ["=\"NaN", "=\"inf", "=\"-inf"] {
            assert!(!figure.svg().contains(number), "{}", figure.title());
        }
    }
    let report = Report::new("A study").section(Section::new("Figures").figures([figure, front]));
    let html = report.to_html().unwrap();
    check_nesting(&html);
    for words in ["-0.125", "-0.010 to 0.050", "undefined", "&lt;b&gt;", "0.625", "30.000"] {
        assert!(html.contains(words), "{words}");
    }
    assert!(!html.contains("<b>"));
}

/// Calibration, validation and test rows with thresholds by predicted class and a subgroup column.
mod by_class {
    use derm_calibration::{AbstainConfig, CalibrationRecord, TemperatureConfig, ThresholdScope};
    use derm_core::{Calibration, Validation};

    pub fn record() -> CalibrationRecord {
        let config = AbstainConfig {
            scope: ThresholdScope::PredictedClass,
            answer_risk: 0.3,
            suggest_risk: 0.3,
            ..AbstainConfig::default()
        };
        CalibrationRecord::fit(
            &crate::sample::predictions::<Validation>(400, 80, 1),
            &crate::sample::predictions::<Calibration>(900, 80, 2),
            &TemperatureConfig::default(),
            &config,
        )
        .unwrap()
    }
}

#[test]
fn a_policy_by_class_is_drawn() {
    let (record, shared) = (by_class::record(), sample::run().record);
    assert!(class_thresholds(&shared.abstain).is_none());
    let figure = class_thresholds(&record.abstain).unwrap();
    let certified = record.abstain.by_class.as_ref().unwrap();
    let certified = certified.iter().flat_map(|class| [&class.answer, &class.suggest]);
    let certified = certified.filter(|fit| fit.threshold.is_some()).count();
    assert!(certified > 0);
    assert_eq!(figure.svg().matches("<circle").count(), certified, "a dot a threshold");
    // One line a class and tier.
    let html = Report::new("r").section(Section::new("s").figure(figure)).to_html().unwrap();
    assert_eq!(html.matches("<td>suggest three</td>").count(), 7);
    check_nesting(&html);
    let test = sample::predictions::<Test>(900, 80, 3);
    let tiers = record.evaluate(&test, 0.05).unwrap();
    let table = Report::new("r").section(Section::new("s").table(tier_summary(&record.abstain, &tiers)));
    assert!(table.to_html().unwrap().contains("by predicted class ("));
    let empty =
        record.abstain.by_class.as_ref().unwrap().iter().any(|class| class.answer.threshold.is_none());
    assert_eq!(policy_notes(&record.abstain).iter().any(|note| note.starts_with("The first tier")), empty);
}

#[test]
fn sets_subgroups_points_and_corruptions_are_drawn_with_their_numbers() {
    let run = sample::run();
    let labels = sample::labels().names().to_vec();
    let calibration = sample::predictions::<derm_core::Calibration>(500, 66, 2);
    let sets = |conditioning| {
        let config = ConformalConfig { conditioning, ..ConformalConfig::default() };
        let calibrator = run.record.calibrator.clone();
        let predictor = ConformalPredictor::conformalize(calibrator, &calibration, &config).unwrap();
        ConformalTable::evaluate(&predictor, &run.test, 0.05).unwrap()
    };
    let (marginal, class) = (sets(Conditioning::Marginal), sets(Conditioning::Class));
    let series = [("all together", &marginal), ("each class", &class)];
    let coverage = conformal_coverage(&series, &labels).unwrap();
    assert_eq!(coverage.svg().matches("<circle").count(), 16, "all and seven classes, twice");

    let probabilities = run.test.probabilities();
    let values: Vec<String> =
        (0..900).map(|row| if row < 890 { format!("type {}", row % 3) } else { String::new() }).collect();
    let config = SubgroupConfig { replicates: 20, ..SubgroupConfig::default() };
    let table =
        SubgroupTable::new(&values, run.test.groups(), &probabilities, run.test.targets(), &config).unwrap();
    let subgroups = subgroup_comparison("skin", &table, "accuracy").unwrap();
    assert_eq!(subgroups.svg().matches("<circle").count(), 3, "ten unknown rows have no number");
    assert!(matches!(subgroup_comparison("skin", &table, "speed"), Err(Error::Empty { .. })));

    let level = |level: f64, value: f64| CorruptionLevel {
        level,
        value: Some(value),
        difference: Some(value - 0.7),
        interval: None,
    };
    let kinds = ["blur", sample::HOSTILE].map(|kind| CorruptionSeries {
        kind: kind.to_owned(),
        levels: vec![level(1.0, 0.7), level(2.0, 0.6), level(3.0, 0.35)],
    });
    let corrupted = corruption_heat_map("balanced accuracy", Some(0.7), &kinds).unwrap();
    // Nothing lost is no shade, half of it lost is half a shade.
    assert_eq!(corrupted.svg().matches("class=\"f1\" fill-opacity=\"0.000\"").count(), 2);
    assert_eq!(corrupted.svg().matches("class=\"f1\" fill-opacity=\"0.500\"").count(), 2);
    assert!(matches!(corruption_heat_map("m", None, &[]), Err(Error::Empty { .. })));
    let hollow = CorruptionSeries { kind: "blur".into(), levels: vec![] };
    assert!(matches!(corruption_heat_map("m", None, &[hollow]), Err(Error::Empty { .. })));

    let agreement = model_agreement(
        &probabilities,
        &sample::predictions::<Test>(900, 72, 3).probabilities(),
        run.test.targets(),
    )
    .unwrap();
    let item = SuspectItem {
        image: Some(sample::png(24, 1)),
        caption: sample::HOSTILE.into(),
        rank: 1,
        given: sample::HOSTILE.into(),
        suggested: "nevus".into(),
        quality: 0.125,
        ranking: vec![(sample::HOSTILE.into(), 0.5)],
    };
    let blind = SuspectItem { image: None, ..item.clone() };
    let page = Report::new("Everything else")
        .section(Section::new("Sets").table(conformal_table(&series).unwrap()).figure(coverage))
        .section(Section::new("Subgroups").figure(subgroups).table(subgroup_table("skin", &table)))
        .section(Section::new("Corruptions").figure(corrupted))
        .section(
            Section::new("Models")
                .table(agreement_table(("teacher", "student"), &agreement, &labels).unwrap())
                .table(confusion_pair_table(&run.student.confusion, &labels, 5).unwrap()),
        )
        .section(Section::new("Suspects").suspects([item, blind]));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_evaluation.html");
    page.write(&path).unwrap();
    let html = std::fs::read_to_string(path).unwrap();
    check_nesting(&html);
    assert_eq!(html.matches("<figure>").count(), html.matches("<summary>Data</summary>").count());
    assert_eq!(html.matches("<figure>").count(), 3);
    assert!(html.contains("label quality 0.125") && html.contains("fewer than 20 groups"));
    assert!(!html.contains("<script") && !html.contains("NaN"));
    assert!(matches!(agreement_table(("a", "b"), &agreement, &labels[1..]), Err(Error::Length { .. })));
    assert!(matches!(
        confusion_pair_table(&run.student.confusion, &labels[1..], 5),
        Err(Error::Length { .. })
    ));
    assert!(matches!(conformal_coverage(&series, &labels[1..]), Err(Error::Length { .. })));
    assert!(matches!(conformal_coverage(&[], &labels), Err(Error::Empty { .. })));
    assert!(matches!(conformal_table(&[]), Err(Error::Empty { .. })));
    assert!(matches!(operating_point_table(&[]), Err(Error::Empty { .. })));
}
