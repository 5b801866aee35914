//! Datasets as they lie on a disk, through a recipe to trained weights and predictions.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use derm_backbones::{BlockKind, HeadConfig, ResNetConfig, Stem};
use derm_core::{MeanOver, Predictions, SplitRole, Test};
use derm_data::schema::{self, FeatureKind};
use derm_data::{FeatureSchema, Record, Split};
use derm_train::{DatasetSource, Error, Prepared, Progress, Recipe, predict, run};

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How close an average of 32-bit weights is to them.
const TOLERANCE: f32 = 1e-6;

/// Writes a picture of noise, which no other number gives.
fn picture(path: &Path, number: u64) {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let image = image::RgbImage::from_fn(20, 16, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [red, green, blue, ..] = (state >> 16).to_le_bytes();
        image::Rgb([red, green, blue])
    });
    image.save(path).unwrap();
}

/// 80 photographs of 40 patients; the published part of a row is its patient's.
fn clinic(root: &Path) {
    fs::create_dir_all(root.join("photos")).unwrap();
    let mut table = "\u{feff}file;dx;who;part;age;sex;device\r\n".to_owned();
    for number in 0..80 {
        let patient = number / 2;
        let part = ["a", "a", "a", "b", "c"][patient / 2 % 5];
        let (dx, sex) = (["nv", "mel"][patient % 2], ["female", "male"][patient / 3 % 2]);
        picture(&root.join(format!("photos/{number}.png")), number as u64);
        write!(table, "{number};{dx};P{patient};{part};{};{sex};d{}\r\n", 20 + patient, number % 3).unwrap();
    }
    fs::write(root.join("clinic.csv"), table).unwrap();
}

fn recipe(text: &str, root: &Path, output: &Path, overrides: &[&str]) -> Result<Recipe, Error> {
    let model = "
model:
  backbone: { resnet: { block: basic, depths: [1], widths: [4], stem: conv3x3 } }
  image_size: 16
  answers_widths: [4]
training: { epochs: 1, batch_size: 8 }
evaluation: { bootstrap_replicates: 10, calibration_bins: 3, report_images: 1 }
";
    let places = [format!("dataset.root={}", root.display()), format!("output={}", output.display())];
    let overrides: Vec<String> =
        places.into_iter().chain(overrides.iter().map(|text| (*text).to_owned())).collect();
    Recipe::parse(&format!("{text}{model}"), "test.yaml", &overrides)
}

const CLINIC: &str = "
dataset:
  source:
    csv:
      table: clinic.csv
      delimiter: ';'
      images: { folder: photos, column: file, extension: png }
      label: { column: dx }
      labels: [nv, mel]
      patient: who
      split: { column: part, train: [a], validation: [b], test: [c] }
      schema: { ready: isic }
      answers: { age_approx: age, sex: sex }
      subgroups: { camera: device }
  published_split: { calibration: 0.3 }
";

#[test]
fn a_table_of_ones_own_trains_on_its_published_split() {
    let _alone = alone();
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    clinic(data.path());
    let read = |name: &str, overrides: &[&str]| {
        recipe(CLINIC, data.path(), &place.path().join(name), overrides).unwrap()
    };
    let first = read("first", &["model.use_answers=true"]);
    assert!(matches!(first.dataset.source, DatasetSource::Read(_)));
    let device = Device::default();
    let finished = run(&first, &device, Progress::Silent).unwrap();
    assert_eq!(finished.prepared.dataset.labels().names(), ["nv", "mel"]);
    assert_eq!(finished.predictor.labels().names(), ["nv", "mel"]);
    assert_eq!(finished.predictor.schema().map(FeatureSchema::name), Some(schema::isic().unwrap().name()));

    // The written split is the published one, with the calibration part taken from the training part.
    let split = Split::read(finished.folder.join("split.json")).unwrap();
    assert_eq!(split.hash(), finished.prepared.split.hash());
    let roles = split.roles_by_id();
    for record in finished.prepared.dataset.records() {
        let (published, role) = (record.published_role.unwrap(), roles[record.id.as_str()]);
        let taken = (published, role) == (SplitRole::Train, SplitRole::Calibration);
        assert!(published == role || taken, "{}: {published} became {role}", record.id);
    }
    assert!(!split.ids(SplitRole::Calibration).is_empty());
    let table = fs::read_to_string(finished.folder.join("predictions/test.csv")).unwrap();
    assert!(table.contains("camera") && table.contains("P8"), "{table}");

    // The recipe that the folder keeps is the same recipe, and the run goes on from its folder.
    let kept = Recipe::read(finished.folder.join("config.yaml"), &[]).unwrap();
    assert_eq!(kept.dataset, first.dataset);
    let weights = |folder: &Path| fs::read(folder.join("bundle/model.safetensors")).unwrap();
    let bytes = weights(&finished.folder);
    fs::remove_dir_all(finished.bundle()).unwrap();
    run(&first, &device, Progress::Silent).unwrap();
    assert_eq!(weights(&finished.folder), bytes);

    // The split's file in the place of the column gives the same weights.
    let path = format!("dataset.split_path={}", finished.folder.join("split.json").display());
    let by_file = read("by_file", &["model.use_answers=true", "dataset.published_split=", &path]);
    assert_eq!(weights(&run(&by_file, &device, Progress::Silent).unwrap().folder), bytes);

    // A label that was corrected since is another dataset, though the same rows are in the same parts.
    let text = fs::read_to_string(data.path().join("clinic.csv")).unwrap();
    let corrected = text.replace("\n16;nv;", "\n16;mel;");
    assert_ne!(text, corrected);
    fs::write(data.path().join("clinic.csv"), corrected).unwrap();
    let error = run(&first, &device, Progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::OtherRun { key, .. } if key.contains("the records' labels")), "{error}");
}

#[test]
fn a_picture_of_two_patients_is_reported_or_makes_them_one() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    clinic(data.path());
    // Patient 0 is in the published training part, patient 8 in the test part.
    fs::copy(data.path().join("photos/0.png"), data.path().join("photos/16.png")).unwrap();
    let prepare = |overrides: &[&str]| {
        let recipe = recipe(CLINIC, data.path(), &place.path().join("run"), overrides).unwrap();
        Prepared::new(&recipe, Progress::Silent)
    };
    let group = |prepared: &Prepared, id: &str| {
        let record = prepared.dataset.records().iter().find(|record| record.id == id).unwrap();
        record.group().to_owned()
    };
    let reported = prepare(&["dataset.near_duplicates=report"]).unwrap();
    assert_eq!((group(&reported, "0"), group(&reported, "16")), ("P0".to_owned(), "P8".to_owned()));
    let error = prepare(&["dataset.near_duplicates=merge"]).unwrap_err();
    assert!(error.to_string().contains("P0"), "a published split that leaks: {error}");
    let shares = "dataset.split.fractions={train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2}";
    let merged = prepare(&["dataset.near_duplicates=merge", "dataset.published_split=", shares]).unwrap();
    let roles = merged.split.roles_by_id();
    for id in ["0", "1", "16", "17"] {
        assert_eq!((group(&merged, id).as_str(), roles[id]), ("P0", roles["0"]));
    }
}

#[test]
fn a_layout_that_is_wrong_is_named_by_its_key() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    clinic(data.path());
    for (change, words) in [
        ("dataset.source.csv.lable=dx", "lable"),
        ("dataset.source.csv.label={columns: dx}", "columns"),
        ("dataset.source={cvs: {table: clinic.csv}}", "cvs"),
        ("dataset.source=csv", "`csv: {table: …, label: …}`"),
    ] {
        let error = recipe(CLINIC, data.path(), place.path(), &[change]).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("dataset.source"), "{change}: {error}");
    }
    let recipe = recipe(CLINIC, data.path(), place.path(), &["dataset.source.csv.patient=nobody"]).unwrap();
    let error = Prepared::new(&recipe, Progress::Silent).unwrap_err().to_string();
    assert!(error.contains("nobody") && error.contains("clinic.csv"), "{error}");
}

/// 30 cases with three photographs each, and a weighted differential of two conditions.
fn scin(root: &Path) {
    fs::create_dir_all(root.join("dataset/images")).unwrap();
    let mut columns = vec!["case_id".to_owned()];
    for feature in schema::scin().unwrap().features() {
        match &feature.kind {
            FeatureKind::MultipleChoice { values, .. } => {
                columns.extend(values.iter().map(|value| format!("{}_{value}", feature.name)));
            }
            _ => columns.push(feature.name.clone()),
        }
    }
    let answered = columns.len() - 1;
    for number in 1..=3 {
        columns.extend([format!("image_{number}_path"), format!("image_{number}_shot_type")]);
    }
    let mut cases = columns.join(",") + "\n";
    let mut labels =
        "case_id,dermatologist_skin_condition_on_label_name,dermatologist_skin_condition_confidence,\
        weighted_skin_condition_label,dermatologist_fitzpatrick_skin_type_label_1,\
        dermatologist_fitzpatrick_skin_type_label_2,dermatologist_fitzpatrick_skin_type_label_3,\
        monk_skin_tone_label_india,monk_skin_tone_label_us\n"
            .to_owned();
    for case in 0..30 {
        write!(cases, "c{case}{}", ",".repeat(answered)).unwrap();
        for image in 0..3 {
            let path = format!("dataset/images/{case}_{image}.png");
            picture(&root.join(&path), 3 * case + image);
            write!(cases, ",{path},CLOSE_UP").unwrap();
        }
        cases.push('\n');
        let (first, second) = if case % 2 == 0 { ("Eczema", "Psoriasis") } else { ("Psoriasis", "Eczema") };
        writeln!(labels, "c{case},,,\"{{'{first}': 0.75, '{second}': 0.25}}\",,,,,").unwrap();
    }
    fs::write(root.join("dataset/scin_cases.csv"), cases).unwrap();
    fs::write(root.join("dataset/scin_labels.csv"), labels).unwrap();
}

#[test]
fn a_case_of_several_images_is_one_row_of_the_mean_with_its_soft_label() {
    let _alone = alone();
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    scin(data.path());
    let text = "
dataset:
  source: scin
  split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
";
    let recipe = recipe(text, data.path(), &place.path().join("run"), &[]).unwrap();
    let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
    let device = Device::default();
    let backbone =
        ResNetConfig { block: BlockKind::Basic, depths: vec![1], widths: vec![4], stem: Stem::Conv3x3 };
    let model = HeadConfig::new(2).init(backbone.init(&device).unwrap(), &device).unwrap();
    let Prepared { dataset, split, .. } = &prepared;
    let loader = prepared.loader(SplitRole::Test).unwrap();
    let images: Predictions<Test> = predict(&model, dataset, split, &loader, &device).unwrap();
    let by_case = images.mean_over(MeanOver::Case).unwrap();

    let test = split.indices(dataset, SplitRole::Test).unwrap();
    let mut cases: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for &index in &test {
        let record = &dataset.records()[index];
        cases.entry(&record.case).or_default().push(record);
    }
    assert!(cases.len() > 2 && cases.values().all(|images| images.len() == 3), "cases stay whole");
    assert_eq!(images.targets().len(), 3 * cases.len());
    assert!(by_case.ids().iter().eq(cases.keys()));
    assert_eq!((by_case.cases(), by_case.groups()), (by_case.ids(), by_case.ids()));
    let soft = by_case.soft_targets().unwrap();
    let of_images = images.probabilities();
    let of_cases = by_case.probabilities();
    for (row, (case, records)) in cases.iter().enumerate() {
        assert_eq!(by_case.targets()[row], records[0].class.get());
        for (class, &weight) in records[0].soft_label.as_ref().unwrap().iter().enumerate() {
            assert!((soft[[row, class]] - weight).abs() < TOLERANCE, "{case}");
            let of_case = (0..images.cases().len()).filter(|&image| images.cases()[image] == *case);
            let mean = of_case.map(|image| of_images.view()[[image, class]]).sum::<f64>() / 3.0;
            assert!((of_cases.view()[[row, class]] - mean).abs() < f64::from(TOLERANCE), "{case}");
        }
    }
    // Saved and read, they are the same.
    let path: PathBuf = place.path().join("test.csv");
    by_case.save(&path).unwrap();
    let read = Predictions::<Test>::load(&path).unwrap();
    assert_eq!(read.soft_targets(), by_case.soft_targets());
}
