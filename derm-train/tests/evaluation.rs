//! What one evaluation measures and writes, from predictions alone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use derm_core::{
    Calibration, LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Test,
    Validation, View,
};
use derm_data::CorruptionKind;
use derm_metrics::OperatingChoice;
use derm_train::{
    AbstentionRecipe, Assessment, Breakdown, ConformalRecipe, Error, EvaluationRecipe, ModelEvaluation,
    Robustness, TeacherComparison, ViewComparison,
};
use ndarray::Array2;

const CLASSES: [&str; 3] = ["mel", "nv", "bcc"];
const ROWS: usize = 90;

/// Ninety lesions with one image each; one in `wrong` is said to be the next class. The last three are of unknown skin,
/// the three before of a rare one.
fn predictions<R: Role>(wrong: usize) -> Predictions<R> {
    let names = || (0..ROWS).map(|row| format!("{}_{row:02}", R::ROLE)).collect::<Vec<_>>();
    let targets: Vec<usize> = (0..ROWS).map(|row| row % 3).collect();
    let values = Array2::from_shape_fn((ROWS, 3), |(row, class)| {
        let said = (targets[row] + usize::from(row % wrong == 0)) % 3;
        if class == said { 2.0 + (row % 5) as f32 / 4.0 } else { (row % 7) as f32 / 20.0 }
    });
    let skin = |row: usize| match row {
        0..50 => "light",
        50..84 => "dark",
        84..87 => "rare",
        _ => "",
    };
    let columns = PredictionColumns {
        ids: names(),
        groups: names(),
        cases: names(),
        targets,
        subgroups: BTreeMap::from([("skin".to_owned(), (0..ROWS).map(|row| skin(row).to_owned()).collect())]),
        ..PredictionColumns::default()
    };
    let metadata = PredictionMetadata {
        task: "diagnosis".to_owned(),
        view: View::Identity,
        labels: LabelMap::new(CLASSES).unwrap(),
        split_hash: "0f3a".to_owned(),
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

fn settings() -> EvaluationRecipe {
    EvaluationRecipe { bootstrap_replicates: 40, calibration_bins: 5, ..EvaluationRecipe::default() }
}

fn evaluate(settings: &EvaluationRecipe) -> Result<ModelEvaluation, Error> {
    let (validation, calibration) = (predictions::<Validation>(6), predictions::<Calibration>(6));
    let test = predictions::<Test>(6);
    let assessment = Assessment::new(
        &validation,
        &calibration,
        &test,
        &AbstentionRecipe::default(),
        &ConformalRecipe::default(),
        settings,
        1,
    )?;
    let breakdown = Breakdown::new(&validation, &calibration, &test, &assessment.calibration, settings, 1)?;
    Ok(ModelEvaluation::new("student", assessment, breakdown))
}

fn table(folder: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(folder.join(format!("tables/{name}.csv"))).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_folder_holds_what_was_measured() {
    let mut evaluation = evaluate(&settings()).unwrap();
    let (student, teacher) = (predictions::<Test>(6), predictions::<Test>(9));
    evaluation.teacher = Some(TeacherComparison::new("teacher", &teacher, &student, &settings(), 1).unwrap());
    evaluation.views = Some(ViewComparison::new(&student, &[("other", &teacher)], 40, 0.05, 1).unwrap());
    let mut asked = Vec::new();
    let robustness = Robustness::measure(&student, &[CorruptionKind::JpegQ], &settings(), 1, |corruption| {
        asked.push(corruption.level());
        Ok(predictions::<Test>(3))
    });
    evaluation.robustness = Some(robustness.unwrap());
    assert_eq!(asked, CorruptionKind::JpegQ.levels());

    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("evaluation");
    evaluation.write(&folder).unwrap();

    // Wrong are the rows 0, 6, 12, …: fifteen of the thirty of the first class, taken for the second.
    let pairs = table(&folder, "confusion_pairs");
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0]["class"].as_str(), pairs[0]["taken_for"].as_str()), ("mel", "nv"));
    assert_eq!((pairs[0]["images"].as_str(), pairs[0]["share_of_class"].as_str()), ("15", "0.5"));
    assert_eq!(pairs[0]["share_of_errors"], "1");
    let overall = table(&folder, "overall");
    let accuracy =
        overall.iter().find(|row| row["metric"] == "accuracy" && row["probabilities"] == "calibrated");
    assert_eq!(accuracy.unwrap()["value"].parse::<f64>().unwrap(), 75.0 / 90.0);
    let classes = table(&folder, "classes");
    let recall: Vec<&str> = classes.iter().map(|row| row["recall"].as_str()).collect();
    assert_eq!(recall, ["0.5", "1", "1"]);
    let subgroups = table(&folder, "subgroups");
    let few: Vec<(&str, &str)> = subgroups
        .iter()
        .filter(|row| row["too_few_groups"] == "true")
        .map(|row| (row["value"].as_str(), row["groups"].as_str()))
        .collect();
    assert_eq!(few, [("", "3"), ("rare", "3")]);
    let conformal = table(&folder, "conformal");
    // Two promises, each for all together and for three classes.
    assert_eq!(conformal.len(), 8);
    assert!(conformal.iter().filter(|row| row["class"].is_empty()).all(|row| row["groups"] == "90"));
    let agreement = table(&folder, "agreement");
    // Wrong are the multiples of 6 here (fifteen) and of 9 there (ten); the multiples of 18 (five) err alike.
    let all = &agreement[0];
    let counts = ["both_right", "only_teacher_right", "only_student_right", "same_error", "different_errors"];
    assert_eq!(counts.map(|count| all[count].as_str()), ["70", "10", "5", "5", "0"]);
    assert_eq!(table(&folder, "robustness").len(), 5);
    assert_eq!(table(&folder, "operating_points").len(), 6);
    for name in ["calibration", "tiers", "views", "teacher"] {
        assert!(!table(&folder, name).is_empty(), "{name}");
    }
    assert!(!folder.join("tables/efficiency.csv").exists(), "nothing was timed");

    let metrics: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("metrics.json")).unwrap()).unwrap();
    for key in [
        "calibration",
        "calibrated",
        "uncalibrated",
        "tiers",
        "sets",
        "operating_points",
        "subgroups",
        "confusion_pairs",
        "views",
        "robustness",
        "teacher",
    ] {
        assert!(!metrics[key].is_null(), "metrics.json lacks {key}");
    }
    assert!(metrics.get("efficiency").is_none());

    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    for title in [
        "Test metrics",
        "Classes",
        "Calibration",
        "Prediction sets",
        "Operating points",
        "Subgroups",
        "Views at test time",
        "Worse pictures",
        "Teacher and student",
        "What was measured",
    ] {
        assert!(html.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    // Each figure holds its table, and nothing is loaded from anywhere.
    for figure in html.split("<figure").skip(1) {
        let figure = figure.split("</figure>").next().unwrap();
        assert!(figure.contains("<svg") && figure.contains("<details") && figure.contains("<tbody>"));
    }
    for outside in ["http:", "https:", "=\"//", "<script", "<link", "@import", "url("] {
        assert!(!html.contains(outside), "the report holds `{outside}`");
    }
    // Written again, it is the same.
    let before = fs::read(folder.join("metrics.json")).unwrap();
    evaluation.write(&folder).unwrap();
    assert_eq!(fs::read(folder.join("metrics.json")).unwrap(), before);
}

#[test]
fn positive_classes_go_together_and_must_exist() {
    let named = |names: &[&str]| EvaluationRecipe {
        positive_classes: names.iter().map(|&name| name.to_owned()).collect(),
        operating_sensitivity: 1.0,
        ..settings()
    };
    let points = evaluate(&named(&["mel", "bcc"])).unwrap().breakdown.operating_points;
    assert_eq!(points.len(), 2);
    assert_eq!(points[0].positive, ["mel", "bcc"]);
    let OperatingChoice::Reached(point) = &points[0].choice else { panic!("{:?}", points[0]) };
    // On the rows that it was chosen on the sensitivity is what was asked for, and these are the test rows' twins.
    assert_eq!(point.chosen_rates().sensitivity, Some(1.0));
    assert_eq!(points[0].test.as_ref().unwrap().sensitivity.value, Some(1.0));
    assert!(matches!(evaluate(&named(&["scc"])), Err(Error::Metrics(_))));
    assert!(matches!(evaluate(&named(&["mel", "mel"])), Err(Error::Metrics(_))));
}

#[test]
fn teachers_of_other_rows_are_refused() {
    let student = predictions::<Test>(6);
    let compare =
        |teacher: &Predictions<Test>| TeacherComparison::new("t", teacher, &student, &settings(), 1);
    // Another order is the same table.
    let turned: Vec<usize> = (0..ROWS).rev().collect();
    let same = compare(&student.select(&turned).unwrap()).unwrap();
    assert_eq!(same.agreement.overall.agreement(), Some(1.0));
    assert_eq!((same.mcnemar.only_first, same.mcnemar.only_second, same.groups), (0, 0, ROWS));
    assert!(same.differences.iter().all(|of| of.difference == Some(0.0) && of.teacher == of.student));

    let fewer = student.select(&turned[1..]).unwrap();
    assert!(matches!(compare(&fewer), Err(Error::TeacherRows { what: "number of rows", .. })));
    let rebuilt = |change: &dyn Fn(&mut PredictionColumns, &mut PredictionMetadata)| {
        let mut columns = PredictionColumns {
            ids: student.ids().to_vec(),
            groups: student.groups().to_vec(),
            cases: student.cases().to_vec(),
            targets: student.targets().to_vec(),
            ..PredictionColumns::default()
        };
        let mut metadata = student.metadata().clone();
        change(&mut columns, &mut metadata);
        Predictions::<Test>::new(metadata, columns, student.scores().clone()).unwrap()
    };
    let other_id = rebuilt(&|columns, _| columns.ids[4] = "elsewhere".to_owned());
    let error = compare(&other_id).unwrap_err();
    assert!(matches!(error, Error::TeacherRows { what: "rows", .. }), "{error}");
    assert!(error.to_string().contains("test_04"), "{error}");
    let other_label = rebuilt(&|columns, _| columns.targets[4] = 0);
    assert!(matches!(compare(&other_label), Err(Error::TeacherRows { what: "true class of a row", .. })));
    let other_classes = rebuilt(&|_, metadata| metadata.labels = LabelMap::new(["a", "b", "c"]).unwrap());
    assert!(matches!(compare(&other_classes), Err(Error::TeacherRows { what: "classes", .. })));
}

#[test]
fn degradation_is_what_is_lost_against_clean() {
    let clean = predictions::<Test>(6);
    // Recall 0.5, 1, 1 clean; rows 0, 3, 6, … wrong leave the first class without a hit.
    let measured =
        Robustness::measure(&clean, &[CorruptionKind::Blur], &settings(), 1, |_| Ok(predictions::<Test>(3)));
    let measured = measured.unwrap();
    assert_eq!(measured.clean, Some(2.5 / 3.0));
    for result in &measured.results {
        assert_eq!(result.value, Some(2.0 / 3.0));
        assert!((result.difference.unwrap() + 0.5 / 3.0).abs() < 1e-12);
        assert!(result.interval.unwrap().high < 0.0, "fifteen rows more are wrong and none less");
    }
}

#[test]
fn a_place_that_cannot_be_written() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = evaluate(&settings()).unwrap().write(file.join("evaluation")).unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
}

#[test]
fn tables_that_nothing_can_be_measured_on() {
    // One class: nothing to tell apart.
    let one = |role: &str| {
        let names = || (0..6).map(|row| format!("{role}_{row}")).collect::<Vec<_>>();
        let columns = PredictionColumns {
            ids: names(),
            groups: names(),
            cases: names(),
            targets: vec![0; 6],
            ..PredictionColumns::default()
        };
        let metadata = PredictionMetadata {
            task: "diagnosis".to_owned(),
            view: View::Identity,
            labels: LabelMap::new(["mel"]).unwrap(),
            split_hash: "0f3a".to_owned(),
        };
        (metadata, columns, Scores { kind: ScoreKind::Logits, values: Array2::ones((6, 1)) })
    };
    let (metadata, columns, scores) = one("validation");
    let validation = Predictions::<Validation>::new(metadata, columns, scores).unwrap();
    let (metadata, columns, scores) = one("calibration");
    let calibration = Predictions::<Calibration>::new(metadata, columns, scores).unwrap();
    let (metadata, columns, scores) = one("test");
    let test = Predictions::<Test>::new(metadata, columns, scores).unwrap();
    let settings = EvaluationRecipe { calibration_bins: 3, ..settings() };
    let policy = AbstentionRecipe::default();
    let assessment =
        Assessment::new(&validation, &calibration, &test, &policy, &ConformalRecipe::default(), &settings, 1)
            .unwrap();
    let record = &assessment.calibration;
    let error = Breakdown::new(&validation, &calibration, &test, record, &settings, 1).unwrap_err();
    assert!(matches!(error, Error::Value { key: "number of classes", .. }), "{error}");

    // A table without a row is none: it cannot be loaded.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("test.csv");
    predictions::<Test>(6).save(&path).unwrap();
    let header = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    fs::write(&path, header + "\n").unwrap();
    assert!(Predictions::<Test>::load(&path).is_err());

    // Three lesions are too few for a subgroup, and the page says so in place of a number.
    let single = predictions::<Test>(6).select(&[0, 1, 2]).unwrap();
    let (validation, calibration) = (predictions::<Validation>(6), predictions::<Calibration>(6));
    let settings = EvaluationRecipe { bootstrap_replicates: 10, calibration_bins: 5, ..settings };
    let assessment = Assessment::new(
        &validation,
        &calibration,
        &single,
        &policy,
        &ConformalRecipe::default(),
        &settings,
        1,
    )
    .unwrap();
    let record = &assessment.calibration;
    let breakdown = Breakdown::new(&validation, &calibration, &single, record, &settings, 1).unwrap();
    assert!(breakdown.subgroups[0].table.rows.iter().all(|row| row.metrics.is_none()));
    let folder = place.path().join("three");
    ModelEvaluation::new("three", assessment, breakdown).write(&folder).unwrap();
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("too few") && !html.contains("NaN"));
}
