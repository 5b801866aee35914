//! What a user of the programs can get wrong gives one error that names the file, row or key and what was expected,
//! and leaves nothing half-written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use derm_predict::Predictor;
use derm_train::{Error, Finished, Progress, Recipe, run};
use image::{Rgb, RgbImage};

const LABELS: [&str; 7] = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"];

/// Lesions of each class: enough that each of the four roles has some.
const LESIONS: usize = 8;

/// A small network for one epoch; data and run folder are set over it, as on the command line.
const CONFIG: &str = "
name: small
dataset:
  source: ham10000
  workers: 1
  split:
    fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 }
model:
  backbone:
    resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 }
  image_size: 16
  use_answers: true
training:
  epochs: 1
  batch_size: 8
evaluation:
  bootstrap_replicates: 20
  calibration_bins: 5
  report_images: 3
";

/// A folder as HAM10000 is published, in small: a metadata file and JPEG and PNG images, one class after the other.
struct Ham {
    place: tempfile::TempDir,
    /// The metadata file's lines, the header first.
    lines: Vec<String>,
}

impl Ham {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let ham = Self { place, lines: Self::lines() };
        fs::create_dir_all(ham.root().join("images")).unwrap();
        for number in 0..LABELS.len() * LESIONS {
            let (class, shade) = ((number / LESIONS) as u8, (number % LESIONS) as u8);
            let image = RgbImage::from_fn(20, 20, |x, y| {
                let lesion = (6..14).contains(&x) && (6..14).contains(&y);
                if lesion { Rgb([30 * class, 90, 5 * shade]) } else { Rgb([220, 180, 150 + shade]) }
            });
            let path = if number == 0 { ham.image(number).with_extension("png") } else { ham.image(number) };
            image.save(path).unwrap();
        }
        ham.write();
        ham
    }

    fn lines() -> Vec<String> {
        let mut lines = vec!["lesion_id,image_id,dx,dx_type,age,sex,localization".to_owned()];
        for number in 0..LABELS.len() * LESIONS {
            let (dx, age) = (LABELS[number / LESIONS], 20 + number);
            let sex = ["male", "female", "unknown"][number % 3];
            lines.push(format!("HAM_{number:07},ISIC_{number:07},{dx},histo,{age}.0,{sex},back"));
        }
        lines
    }

    /// Writes the metadata file anew.
    fn write(&self) {
        fs::write(self.metadata(), self.lines.join("\n") + "\n").unwrap();
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn metadata(&self) -> PathBuf {
        self.root().join("HAM10000_metadata.csv")
    }

    fn image(&self, number: usize) -> PathBuf {
        self.root().join(format!("images/ISIC_{number:07}.jpg"))
    }

    /// Cuts an image file in two.
    fn truncate(&self, number: usize) {
        let bytes = fs::read(self.image(number)).unwrap();
        fs::write(self.image(number), &bytes[..bytes.len() / 2]).unwrap();
    }

    fn output(&self) -> PathBuf {
        self.place.path().join("run")
    }

    /// What stands after the program's name.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let config = self.place.path().join("config.yaml");
        fs::write(&config, CONFIG).unwrap();
        let mut arguments = vec![config.display().to_string()];
        arguments.push(format!("dataset.root={}", self.root().display()));
        arguments.push(format!("output={}", self.output().display()));
        arguments.extend(more.iter().map(|&text| text.to_owned()));
        arguments
    }

    fn run(&self, overrides: &[&str]) -> Result<Finished, Error> {
        let arguments = self.arguments(overrides);
        let recipe = Recipe::read(&arguments[0], &arguments[1..])?;
        run(&recipe, &examples::device().unwrap(), Progress::Silent)
    }

    /// Runs, and checks that there is one error that says all of `expected` and that nothing was written.
    fn fails(&self, overrides: &[&str], expected: &[&str]) {
        let error = self.run(overrides).expect_err("the run was accepted").to_string();
        says(&error, expected);
        assert!(!self.output().exists(), "{error}\nleft {:?}", files(&self.output()));
    }
}

/// Checks that an error is one line that says all of `expected`.
fn says(error: &str, expected: &[&str]) {
    for text in expected {
        assert!(error.contains(text), "expected `{text}` in: {error}");
    }
    assert_eq!(error.trim_end().lines().count(), 1, "more than one line: {error}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_config_that_cannot_be_right_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("study.yaml");
    // What stands in the file, and what the error must name.
    let cases: [(&str, &[&str]); 19] = [
        ("training: { lerning_rate: 0.1 }", &["study.yaml", "training.lerning_rate", "`learning_rate`"]),
        ("trainning: { epochs: 3 }", &["study.yaml", "`trainning`", "`training`"]),
        ("model: { backbone: { resnet: { depth: [1] } } }", &["study.yaml", "depth", "`depths`"]),
        ("dataset: { split: { fractions: { train: 1, tset: 0 } } }", &["study.yaml", "tset", "`test`"]),
        ("training: { epochs: many }", &["study.yaml", "training.epochs", "many"]),
        ("training: { epochs: -1 }", &["study.yaml", "training.epochs", "-1"]),
        ("training: { epochs: 2.5 }", &["study.yaml", "training.epochs", "2.5"]),
        ("model: { use_answers: 3 }", &["study.yaml", "model.use_answers", "boolean"]),
        ("model: { answers_widths: 64 }", &["study.yaml", "model.answers_widths", "64"]),
        ("dataset: { source: isic }", &["study.yaml", "dataset.source", "`isic`", "did you mean `isic20"]),
        ("dataset: { source: pictures }", &["study.yaml", "dataset.source", "synthetic, ham10000, isic2019"]),
        ("dataset: { source: ham10000 }", &["dataset.root", "expected"]),
        ("training: { learning_rate: 2 }", &["training.learning_rate", "2", "at most 1"]),
        ("training: { learning_rate: .nan }", &["training.learning_rate", "NaN"]),
        ("model: { dropout: 1.0 }", &["model.dropout", "1", "below 1"]),
        ("abstention: { delta: 0 }", &["abstention.delta", "0", "between 0 and 1"]),
        ("evaluation: { bootstrap_replicates: 1 }", &["evaluation.bootstrap_replicates", "1", "2 to"]),
        ("- training", &["study.yaml", "mapping"]),
        ("training: [", &["study.yaml"]),
    ];
    for (text, expected) in cases {
        fs::write(&path, text).unwrap();
        let error = Recipe::read(&path, &[]).expect_err(text).to_string();
        // A parser may show the place in the file below its message.
        says(error.lines().next().unwrap(), expected);
    }

    fs::write(&path, "name: fine").unwrap();
    Recipe::read(&path, &[]).unwrap();
    for (text, expected) in [
        ("training.epochs", ["training.epochs", "key.path=value"]),
        ("training.epoch=3", ["training.epoch", "`epochs`"]),
        ("training.epochs=0", ["training.epochs", "expected 1 to"]),
    ] {
        says(&Recipe::read(&path, &[text.to_owned()]).expect_err(text).to_string(), &expected);
    }
    let absent = place.path().join("absent.yaml");
    says(&Recipe::read(&absent, &[]).unwrap_err().to_string(), &["absent.yaml", "cannot read"]);
}

#[test]
fn fractions_that_do_not_sum_to_one_are_refused() {
    let ham = Ham::new();
    ham.fails(&["dataset.split.fractions.train=0.9"], &["fractions", "1.5"]);
}

#[test]
fn a_missing_folder_is_named() {
    let ham = Ham::new();
    fs::remove_dir_all(ham.root()).unwrap();
    ham.fails(&[], &["cannot read", "HAM10000_metadata.csv"]);
}

#[test]
fn a_row_without_image_is_named() {
    let ham = Ham::new();
    fs::remove_file(ham.image(9)).unwrap();
    // Image 9 stands after the header and nine others.
    ham.fails(&[], &["HAM10000_metadata.csv", "line 11", "ISIC_0000009", "missing"]);
}

#[test]
fn an_image_that_is_cut_short_is_named() {
    let ham = Ham::new();
    ham.truncate(12);
    ham.fails(&[], &["ISIC_0000012.jpg", "not a readable image"]);
}

#[test]
fn a_file_that_is_no_image_is_named() {
    let ham = Ham::new();
    fs::write(ham.image(13), "<html>not found</html>").unwrap();
    ham.fails(&[], &["ISIC_0000013.jpg", "not a readable image"]);
}

#[test]
fn an_empty_file_is_named() {
    let ham = Ham::new();
    fs::write(ham.image(14), "").unwrap();
    ham.fails(&[], &["ISIC_0000014.jpg", "empty"]);
}

#[test]
fn a_label_outside_the_map_is_named() {
    let mut ham = Ham::new();
    ham.lines[5] = ham.lines[5].replace(",akiec,", ",melanoma,");
    ham.write();
    ham.fails(&[], &["HAM10000_metadata.csv", "line 6", "`dx`", "melanoma", "\"mel\""]);
}

#[test]
fn an_answer_outside_the_questionnaire_is_named() {
    let mut ham = Ham::new();
    ham.lines[4] = ham.lines[4].replace(",back", ",left ear");
    ham.write();
    ham.fails(&[], &["HAM10000_metadata.csv", "line 5", "localization", "left ear", "back"]);
}

#[test]
fn a_column_that_is_missing_is_named() {
    let mut ham = Ham::new();
    ham.lines[0] = ham.lines[0].replace("dx_type", "kind");
    ham.write();
    ham.fails(&[], &["HAM10000_metadata.csv", "`dx_type`", "kind"]);
}

#[test]
fn a_class_that_would_be_empty_in_a_split_is_named() {
    let mut ham = Ham::new();
    // Three lesions of dermatofibroma for four roles.
    let mut kept = 0;
    ham.lines.retain(|line| {
        kept += usize::from(line.contains(",df,"));
        !line.contains(",df,") || kept <= 3
    });
    ham.write();
    ham.fails(&[], &["`df`", "3", "at least 4"]);
    // Told that it may be so, the run goes through.
    ham.run(&["dataset.split.empty_class=allow"]).unwrap();
}

#[test]
fn a_class_without_any_image_is_named() {
    let mut ham = Ham::new();
    ham.lines.retain(|line| !line.contains(",vasc,"));
    ham.write();
    ham.fails(&[], &["`vasc`", "0", "at least 4"]);
}

#[test]
fn a_training_split_below_one_batch_is_named() {
    let ham = Ham::new();
    let error = ham.run(&["training.batch_size=64"]).expect_err("there is no batch").to_string();
    says(&error, &["training split", "64"]);
    assert!(!ham.output().join("bundle").exists() && !ham.output().join("report.html").exists());
}

#[test]
fn more_calibration_bins_than_validation_images_are_refused_before_training() {
    let ham = Ham::new();
    ham.fails(
        &["evaluation.calibration_bins=1000"],
        &["evaluation.calibration_bins", "1000", "validation rows"],
    );
    assert!(!ham.output().exists());
}

#[test]
fn unreadable_images_are_skipped_counted_and_named_when_told_so() {
    let ham = Ham::new();
    fs::remove_file(ham.image(9)).unwrap();
    ham.truncate(20);
    fs::write(ham.image(30), "not an image").unwrap();
    // The folder of the run that failed serves the run that skips.
    ham.fails(&[], &["ISIC_0000009"]);
    let finished = ham.run(&["dataset.unreadable=skip"]).unwrap();

    let dataset = &finished.prepared.dataset;
    assert_eq!(dataset.records().len(), LABELS.len() * LESIONS - 3);
    let mut skipped: Vec<&str> = dataset.skipped().iter().map(|skipped| skipped.key.as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, ["ISIC_0000009", "ISIC_0000020", "ISIC_0000030"]);

    let report = fs::read_to_string(finished.folder.join("report.html")).unwrap();
    assert!(report.contains("3 images were skipped"), "the report does not count them");
    for id in skipped {
        assert!(report.contains(id), "the report does not name {id}");
        for role in ["validation", "calibration", "test"] {
            let table = fs::read_to_string(finished.folder.join(format!("predictions/{role}.csv"))).unwrap();
            assert!(!table.contains(id), "{id} was predicted");
        }
    }
    Predictor::load(finished.bundle(), &examples::device().unwrap()).unwrap();
    let left: Vec<PathBuf> = files(&finished.folder)
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".tmp-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// An example program as `cargo test` builds it, beside the folder of this test's own executable.
fn program(name: &str) -> Option<Command> {
    let tests = std::env::current_exe().unwrap();
    let path =
        tests.parent()?.parent()?.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if path.is_file() {
        println!("runs {}", path.display());
        return Some(Command::new(path));
    }
    println!(
        "not run, because it is not built: {} (`cargo test` builds it, `--test` alone does not)",
        path.display()
    );
    None
}

/// Checks that a program ended with status 1, nothing on standard output and one error, which says `expected`.
fn failed(output: &Output, expected: &[&str]) {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{told}");
    says(errors[0], expected);
    assert!(!told.contains("panicked"), "{told}");
}

/// The programs say the same as the functions above, and end with another status than 0.
#[test]
fn the_programs_end_with_an_error() {
    let ham = Ham::new();
    if let Some(mut train) = program("train") {
        let output = train.args(ham.arguments(&["training.epoch=3"])).output().unwrap();
        failed(&output, &["training.epoch", "`epochs`"]);
        assert!(output.stderr.starts_with(b"error: "), "something came before the error");
        assert!(!ham.output().exists());

        ham.truncate(12);
        let output = program("train").unwrap().args(ham.arguments(&[])).output().unwrap();
        failed(&output, &["ISIC_0000012.jpg", "not a readable image"]);
        assert!(!ham.output().exists());

        let output =
            program("train").unwrap().args(ham.arguments(&["dataset.unreadable=skip"])).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    } else {
        ham.truncate(12);
        ham.run(&["dataset.unreadable=skip"]).unwrap();
    }
    let bundle = ham.output().join("bundle");

    if let Some(mut predict) = program("predict") {
        let decide = |predict: &mut Command, bundle: &Path, more: &[&str]| {
            predict.arg("--bundle").arg(bundle).args(more).output().unwrap()
        };
        let image = ham.image(3).display().to_string();
        let cut = ham.image(12).display().to_string();
        let output = decide(&mut predict, &bundle, &[&image, "--answer", "age=55"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("ISIC_0000003.jpg"));

        failed(&decide(&mut program("predict").unwrap(), &bundle, &[&cut]), &["ISIC_0000012.jpg"]);
        let answers = [image.as_str(), "--answer", "agee=55"];
        failed(&decide(&mut program("predict").unwrap(), &bundle, &answers), &["agee", "age"]);
        let answers = [image.as_str(), "--answer", "sex=5"];
        failed(&decide(&mut program("predict").unwrap(), &bundle, &answers), &["sex", "5"]);

        let changed = ham.place.path().join("changed");
        copy(&bundle, &changed);
        let weights = changed.join("model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&weights, &bytes).unwrap();
        failed(&decide(&mut program("predict").unwrap(), &changed, &[&image]), &["model.safetensors"]);
        fs::write(&weights, &bytes[..middle]).unwrap();
        failed(&decide(&mut program("predict").unwrap(), &changed, &[&image]), &["model.safetensors"]);
        let absent = ham.place.path().join("absent");
        failed(&decide(&mut program("predict").unwrap(), &absent, &[&image]), &["absent"]);
    }

    if let Some(mut evaluate) = program("evaluate") {
        let predictions = ham.output().join("predictions");
        let few = ["--set", "evaluation.calibration_bins=5", "--set", "evaluation.bootstrap_replicates=20"];
        let output = evaluate.arg(&predictions).args(few).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(predictions.join("evaluation/report.html").is_file());
        fs::remove_dir_all(predictions.join("evaluation")).unwrap();
        let output = program("evaluate").unwrap().arg(&predictions).output().unwrap();
        failed(&output, &["calibration_bins", "15", "validation"]);
        let output = program("evaluate").unwrap().arg(&predictions).args(["--corruptions", "all"]).output();
        failed(&output.unwrap(), &["corruptions", "no network"]);

        let broken = ham.place.path().join("predictions");
        copy(&predictions, &broken);
        // The test table in the place of the calibration table.
        for extension in ["csv", "json"] {
            let of = |role: &str| find(&broken, role, extension);
            fs::copy(of("test"), of("calibration")).unwrap();
        }
        for (name, flag) in [("evaluate", "--output"), ("calibrate", "--json")] {
            let output = program(name).unwrap().arg(&broken).output().unwrap();
            failed(&output, &["calibration", "test"]);
            let target = ham.place.path().join("absent.json");
            let output = program(name).unwrap().arg(ham.root()).arg(flag).arg(&target).output().unwrap();
            failed(&output, &["validation.csv"]);
            assert!(!target.exists());
        }
    }
}

fn find(folder: &Path, role: &str, extension: &str) -> PathBuf {
    let matches = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(role) && name.ends_with(extension)
    };
    files(folder)
        .into_iter()
        .find(matches)
        .unwrap_or_else(|| panic!("no {extension} of {role}: {:?}", files(folder)))
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}
