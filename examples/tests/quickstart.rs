//! The quickstart at a tiny size: what it promises to write is there, holds together, and stays in its folder.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use derm_backbones::count_parameters;
use derm_data::{CorruptionKind, ImageSource, schema};
use derm_metrics::{ClassSet, balanced_accuracy};
use derm_predict::Predictor;
use derm_train::{Architecture as _, Named, Progress, Recipe};
use examples::quickstart::{Options, Summary, run_all, student, teacher};
use examples::robustness;

/// Tells the child that it is one.
const CHILD: &str = "DERM_QUICKSTART_CHILD";

/// One image alone and the same image in a batch go through matrix products of other shapes, whose sums are taken
/// in another order.
const BATCH_TOLERANCE: f64 = 1e-5;

/// A folder for each thing that a program might write to without being asked.
const PLACES: [(&str, &str); 5] = [
    ("HOME", "home"),
    ("TMPDIR", "tmp"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_DATA_HOME", "share"),
];

#[test]
#[ignore = "the process that the other test starts in a folder of its own"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        println!("{CHILD} is not set: this test is only the other one's child");
        return;
    }
    let device = examples::device().unwrap();
    let options = Options { output: PathBuf::from("run"), seed: 0, tiny: true };
    let summary = run_all(&options, &device, Progress::Terminal).unwrap();
    assert_eq!(summary.report, Path::new("run/report.html"));
    decisions_are_those_of_the_test_predictions(&summary);
    the_bundle_decides_alike(&summary, &Predictor::load(summary.student.bundle(), &device).unwrap());

    a_finished_run_is_studied_again(&summary, &device);

    let table = summary.to_string();
    let parts =
        ["balanced_accuracy", "parameters", "run/student/bundle", "run/report.html", "answer", "refer"];
    for part in parts {
        assert!(table.contains(part), "the table lacks {part}:\n{table}");
    }
}

/// `robustness` on the student's folder: its own number comes out again, and every kind has its five levels.
fn a_finished_run_is_studied_again(summary: &Summary, device: &Device) {
    let kinds = vec![CorruptionKind::JpegQ, CorruptionKind::GaussianNoise];
    let options = robustness::Options { kinds, seed: 0 };
    let text = robustness::run(Path::new("run/student"), &[], &options, device).unwrap();
    let test = &summary.student.test;
    let own = balanced_accuracy(&test.probabilities(), test.targets(), ClassSet::Present).unwrap();
    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("identity").contains(&format!("{own:.3} [")), "{own}\n{text}");
    line("mean of four flips");
    line("mean of five crops");
    for kind in ["jpeg_q", "gaussian_noise"] {
        assert_eq!(line(kind).matches(": 0.").count(), 5, "{text}");
    }
    assert!(text.contains("answers are taken away"), "{text}");

    // A folder without a bundle.
    let elsewhere = Path::new("run/elsewhere");
    fs::create_dir(elsewhere).unwrap();
    for file in ["config.yaml", "split.json"] {
        fs::copy(Path::new("run/student").join(file), elsewhere.join(file)).unwrap();
    }
    let error = robustness::run(elsewhere, &[], &options, device).unwrap_err().to_string();
    assert!(error.contains("run/elsewhere/bundle"), "{error}");
    fs::remove_dir_all(elsewhere).unwrap();
}

/// The three decisions say of their images what the run's own test predictions give.
fn decisions_are_those_of_the_test_predictions(summary: &Summary) {
    let test = &summary.student.test;
    let calibration = &summary.student.assessment.calibration;
    let (probabilities, tiers) = calibration.decide(&test.logits().unwrap()).unwrap();
    assert_eq!(summary.decisions.len(), 3);
    for (id, truth, decision) in &summary.decisions {
        let row = test.ids().iter().position(|other| other == id).unwrap();
        assert_eq!(decision.tier, tiers[row], "{id}");
        assert_eq!(*truth, test.labels().names()[test.targets()[row]], "{id}");
        assert_eq!(decision.ranking.len(), test.num_classes());
        for class in &decision.ranking {
            let index = test.labels().names().iter().position(|name| *name == class.label).unwrap();
            let expected = probabilities.row(row)[index];
            let difference = (class.probability - expected).abs();
            assert!(
                difference < BATCH_TOLERANCE,
                "{id}, {}: {} and {expected}",
                class.label,
                class.probability
            );
        }
    }
}

/// The bundle, loaded by itself, gives the logits of the whole test split.
fn the_bundle_decides_alike(summary: &Summary, predictor: &Predictor) {
    let test = &summary.student.test;
    let logits = test.logits().unwrap();
    let mut compared = 0;
    for (row, id) in test.ids().iter().enumerate() {
        let records = summary.student.prepared.dataset.records();
        let record = records.iter().find(|record| record.id == *id).unwrap();
        let ImageSource::Rgb(pixels) = &record.image else { panic!("{id} is not in memory") };
        let again = predictor.logits(pixels, &record.answers).unwrap();
        for (a, b) in again.view().row(0).iter().zip(logits.view().row(row)) {
            assert!((a - b).abs() < BATCH_TOLERANCE * b.abs().max(1.0), "{id}: {a} and {b}");
            compared += 1;
        }
    }
    assert_eq!(compared, test.len() * test.num_classes());
}

#[test]
fn one_command_from_images_to_decisions() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path().join("here");
    fs::create_dir(&here).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture"]).current_dir(&here).env(CHILD, "1");
    for (variable, folder) in PLACES {
        fs::create_dir(place.path().join(folder)).unwrap();
        child.env(variable, place.path().join(folder));
    }
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    for part in ["training teacher", "teacher epoch 2/2", "training student", "student epoch 2/2"] {
        assert!(told.contains(part), "progress does not tell `{part}`:\n{told}");
    }

    assert_eq!(names(&here), ["run"], "something was written beside the run folder");
    for (variable, folder) in PLACES {
        assert!(names(&place.path().join(folder)).is_empty(), "something was written to {variable}");
    }
    let run = here.join("run");
    assert_eq!(names(&run), ["report.html", "student", "teacher"]);
    for model in ["teacher", "student"] {
        for file in ["config.yaml", "split.json", "history.jsonl", "metrics.json", "report.html"] {
            assert!(run.join(model).join(file).is_file(), "{model} has no {file}");
        }
    }
    // The resolved recipes read back.
    Recipe::read(run.join("student/config.yaml"), &[]).unwrap();
    the_report_shows_everything(&fs::read_to_string(run.join("report.html")).unwrap());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn the_report_shows_everything(html: &str) {
    for outside in ["http:", "https:", "=\"//", "<script", "<link", "<iframe", "@import", "url("] {
        assert!(!html.contains(outside), "the report holds `{outside}`");
    }
    assert!(html.contains("default-src 'none'"), "a browser may load things from elsewhere");
    let figures = [
        ("Reliability diagram", vec!["uncalibrated", "calibrated"]),
        ("Confusion matrix", vec!["melanoma"]),
        ("Recall of each class", vec!["teacher", "student", "melanoma"]),
        ("Risk-coverage curve", vec!["teacher", "student"]),
        ("Loss against the epoch", vec!["teacher", "student"]),
        ("balanced accuracy against the epoch", vec!["teacher", "student"]),
    ];
    for (label, words) in figures {
        let figure = figure(html, label);
        assert!(figure.contains("<svg"), "{label} has no drawing");
        for word in words {
            assert!(figure.contains(word), "the figure `{label}` lacks {word}");
        }
    }
    let images = html.matches("src=\"data:image/png;base64,").count();
    assert_eq!(images, html.matches("<img").count(), "an image is not in the file");
    assert_eq!(images, Recipe::default().evaluation.report_images, "the gallery");
}

/// The `<figure>` whose drawing is labelled so.
fn figure<'a>(html: &'a str, label: &str) -> &'a str {
    let mut figures =
        html.split("<figure").skip(1).map(|rest| rest.split("</figure>").next().unwrap_or_default());
    let labelled = |figure: &&str| {
        figure.match_indices("aria-label=\"").any(|(at, start)| {
            figure[at + start.len()..].split('"').next().is_some_and(|text| text.contains(label))
        })
    };
    figures.find(labelled).unwrap_or_else(|| panic!("no figure is labelled `{label}`"))
}

#[test]
fn the_student_is_a_quarter_of_the_teacher_or_less() {
    let device = examples::device().unwrap();
    let options = Options { output: PathBuf::from("run"), seed: 0, tiny: false };
    let schema = schema::synthetic().unwrap();
    let size = |recipe: &Recipe| {
        recipe.validate().unwrap();
        let config = Named::config(&recipe.model, recipe.model.head(7, Some(&schema), Vec::new()));
        count_parameters(&Named::init(&config, &device).unwrap()).trainable
    };
    let (teacher, student) = (size(&teacher(&options)), size(&student(&options)));
    println!("teacher {teacher}, student {student}: {:.3}", student as f64 / teacher as f64);
    assert!(student * 4 <= teacher, "{student} parameters are more than a quarter of {teacher}");
}

#[test]
fn the_dataset_is_of_the_promised_size() {
    let recipe = teacher(&Options { output: PathBuf::from("run"), seed: 0, tiny: false });
    assert!(recipe.dataset.synthetic.image_size >= 48 && recipe.model.image_size >= 48);
    let records = recipe.dataset.synthetic.generate().unwrap().records().len();
    assert!(records >= 2000, "{records} images");
}
