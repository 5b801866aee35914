//! Round trips, roles and refusals of `Predictions`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use derm_core::*;
use ndarray::{Array2, array};
use proptest::prelude::*;

fn metadata(num_classes: usize) -> PredictionMetadata {
    PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new((0..num_classes).map(|class| format!("class, \"{class}\""))).unwrap(),
        split_hash: "abc".into(),
    }
}

fn columns(targets: Vec<usize>) -> PredictionColumns {
    let n = targets.len();
    PredictionColumns {
        ids: (0..n).map(|row| format!("image {row}")).collect(),
        groups: (0..n).map(|row| format!("lesion {}", row / 2)).collect(),
        cases: (0..n).map(|row| format!("case {}", row / 2)).collect(),
        targets,
        ..PredictionColumns::default()
    }
}

fn logits(values: Array2<f32>) -> Scores {
    Scores { kind: ScoreKind::Logits, values }
}

fn sample() -> Predictions<Test> {
    let values = array![[1.5, -0.25, 3.0e-8], [0.1, 0.2, 0.3], [-1.0, 7.0, f32::MIN_POSITIVE]];
    Predictions::new(metadata(3), columns(vec![0, 0, 2]), logits(values)).unwrap()
}

proptest! {
    #[test]
    fn both_forms_keep_every_bit(
        rows in prop::collection::vec((prop::array::uniform3(-60.0_f32..60.0), 0_usize..3, ".*", ".*"), 1..12),
        soft in any::<bool>(),
    ) {
        let n = rows.len();
        let values = Array2::from_shape_fn((n, 3), |(row, class)| rows[row].0[class]);
        let mut columns = columns(rows.iter().map(|row| row.1).collect());
        for (row, (_, _, group, sex)) in rows.iter().enumerate() {
            // Any text, line breaks and quotes included, must survive.
            columns.groups[row].clone_from(group);
            columns.subgroups.entry("sex, or \"gender\"".into()).or_default().push(sex.clone());
        }
        if soft {
            columns.soft_targets = Some(Array2::from_shape_fn((n, 3), |(_, class)| [0.25, 0.5, 0.25][class]));
        }
        let predictions = Predictions::<Calibration>::new(metadata(3), columns, logits(values)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for name in ["table.csv", "table.safetensors"] {
            let path = folder.path().join(name);
            predictions.save(&path).unwrap();
            let read = Predictions::<Calibration>::load(&path).unwrap();
            prop_assert_eq!(&read, &predictions);
            for (a, b) in read.scores().values.iter().zip(&predictions.scores().values) {
                prop_assert_eq!(a.to_bits(), b.to_bits());
            }
        }
    }
}

#[test]
fn a_file_of_another_role_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["test.csv", "test.safetensors"] {
        let path = folder.path().join(name);
        sample().save(&path).unwrap();
        let error = Predictions::<Calibration>::load(&path).unwrap_err();
        let PredictionsError::Role { got, expected, .. } = error else { panic!("{error}") };
        assert_eq!((got, expected), (SplitRole::Test, SplitRole::Calibration));
    }
    let error = sample().check_split("another").unwrap_err();
    assert!(matches!(error, PredictionsError::SplitHash { .. }), "{error}");
    sample().check_split("abc").unwrap();
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.csv");
    sample().save(&path).unwrap();
    let sidecar = folder.path().join("test.csv.json");
    let text = fs::read_to_string(&sidecar).unwrap();
    // A later version may have fields that this one does not know: the version is what must be named.
    let later = text.replace("\"format_version\": 1", "\"format_version\": 2, \"unheard_of\": 0");
    fs::write(&sidecar, later).unwrap();
    let error = Predictions::<Test>::load(&path).unwrap_err();
    assert!(matches!(error, PredictionsError::Version { got: 2, expected: 1, .. }), "{error}");
}

#[test]
fn a_wrong_cell_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.csv");
    sample().save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("-0.25", "much")).unwrap();
    let error = Predictions::<Test>::load(&path).unwrap_err();
    let PredictionsError::Cell { line: 2, column, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(column, "score:class, \"1\"");
    assert!(reason.contains("much"), "{reason}");

    fs::write(&path, text.replacen("id,group", "id,lesion", 1)).unwrap();
    let error = Predictions::<Test>::load(&path).unwrap_err();
    assert!(error.to_string().contains("columns are"), "{error}");

    let bytes_path = folder.path().join("test.safetensors");
    sample().save(&bytes_path).unwrap();
    let bytes = fs::read(&bytes_path).unwrap();
    for length in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&bytes_path, &bytes[..length]).unwrap();
        let error = Predictions::<Test>::load(&bytes_path).unwrap_err();
        assert!(matches!(error, PredictionsError::Format { .. }), "{length} bytes: {error}");
    }
    let error = Predictions::<Test>::load(folder.path().join("absent.csv")).unwrap_err();
    assert!(error.to_string().contains("absent.csv"), "{error}");
}

#[test]
fn wrong_tables_are_refused() {
    let new = |metadata, columns, scores| Predictions::<Test>::new(metadata, columns, scores).unwrap_err();
    let values = array![[0.0, 1.0], [1.0, 0.0]];

    let error = new(metadata(2), columns(vec![]), logits(Array2::zeros((0, 2))));
    assert!(matches!(error, PredictionsError::Value(ValueError::Empty { .. })), "{error}");
    let error = new(metadata(3), columns(vec![0, 1]), logits(values.clone()));
    assert!(matches!(error, PredictionsError::ClassCount { got: 2, expected: 3, .. }), "{error}");
    let error = new(metadata(2), columns(vec![0, 2]), logits(values.clone()));
    let expected = ValueError::ClassOutOfRange { row: 1, target: 2, num_classes: 2 };
    assert!(matches!(error, PredictionsError::Value(ref got) if *got == expected), "{error}");
    let error = new(metadata(2), columns(vec![0]), logits(values.clone()));
    assert!(matches!(error, PredictionsError::ColumnLength { got: 1, expected: 2, .. }), "{error}");
    let error = new(metadata(2), columns(vec![0, 1]), logits(array![[0.0, 1.0], [f32::NAN, 0.0]]));
    assert!(error.to_string().contains("row 1, class 0"), "{error}");

    let mut twice = columns(vec![0, 1]);
    twice.ids = vec!["a".into(), "a".into()];
    let error = new(metadata(2), twice, logits(values.clone()));
    assert!(matches!(error, PredictionsError::DuplicateId { first: 0, second: 1, .. }), "{error}");

    let log_probabilities = |values| Scores { kind: ScoreKind::LogProbabilities, values };
    let error = new(metadata(2), columns(vec![0, 1]), log_probabilities(values.clone()));
    assert!(matches!(error, PredictionsError::LogProbabilities { row: 0, .. }), "{error}");
    let mut mean = metadata(2);
    mean.view = View::Mean;
    let error = new(mean, columns(vec![0, 1]), logits(values));
    assert!(matches!(error, PredictionsError::AveragedLogits { .. }), "{error}");
}

#[test]
fn one_row_per_group_takes_the_first_id() {
    let mut columns = columns(vec![0, 0, 2, 2]);
    columns.ids = ["b", "a", "d", "c"].map(String::from).to_vec();
    let values = Array2::from_shape_fn((4, 3), |(row, _)| row as f32);
    let one =
        Predictions::<Calibration>::new(metadata(3), columns, logits(values)).unwrap().one_row_per_group();
    assert_eq!(one.ids(), ["a", "c"]);
    assert_eq!(one.targets(), [0, 2]);
    assert_eq!(one.scores().values.column(0).to_vec(), [1.0, 3.0]);
    assert_eq!(one.num_groups(), 2);
}

#[test]
fn means_average_probabilities_and_lose_their_logits() {
    let mut columns = columns(vec![1, 1, 0]);
    columns.subgroups =
        BTreeMap::from([("site".to_owned(), ["back", "arm", "leg"].map(String::from).to_vec())]);
    let values = array![[0.0, 3.0_f32.ln()], [0.0, 0.0], [1000.0, 0.0]];
    let table = Predictions::<Test>::new(metadata(2), columns, logits(values)).unwrap();
    let mean = table.mean_over(MeanOver::Group).unwrap();
    assert_eq!(mean.ids(), ["lesion 0", "lesion 1"]);
    assert!(mean.logits().is_none());
    assert_eq!(mean.metadata().view, View::Mean);
    assert_eq!(mean.subgroups()["site"], ["", "leg"]);
    // (3/4 + 1/2) / 2, and a probability of zero, in single precision.
    assert!((mean.probabilities().view()[[0, 1]] - 0.625).abs() < 1e-7);
    assert_eq!(mean.probabilities().view()[[1, 1]], 0.0);

    let mut mixed = self::columns(vec![1, 0]);
    mixed.cases = vec!["one".into(), "one".into()];
    let table = Predictions::<Test>::new(metadata(2), mixed, logits(array![[0.0, 1.0], [1.0, 0.0]])).unwrap();
    let error = table.mean_over(MeanOver::Case).unwrap_err();
    assert!(matches!(error, PredictionsError::MixedTargets { unit: "case", .. }), "{error}");
}

#[test]
fn members_average_by_id_and_are_of_the_same_rows() {
    let table = |order: [usize; 3], values: Array2<f32>| {
        let mut columns = columns(vec![1, 0, 1]);
        columns.ids = order.map(|row| format!("image {row}")).to_vec();
        columns.targets = order.map(|row| [1, 0, 1][row]).to_vec();
        Predictions::<Test>::new(metadata(2), columns, logits(values)).unwrap()
    };
    let one = table([0, 1, 2], array![[0.0, 3.0_f32.ln()], [0.0, 0.0], [1000.0, 0.0]]);
    // the same rows in another order
    let other = table([2, 0, 1], array![[1000.0, 0.0], [0.0, 0.0], [2.0, 0.0]]);
    let mean = Predictions::mean_of(&[one.clone(), other], View::Mean).unwrap();
    assert_eq!((mean.ids(), mean.targets()), (one.ids(), one.targets()));
    assert!(mean.logits().is_none());
    let probabilities = mean.probabilities();
    assert!((probabilities.view()[[0, 1]] - 0.625).abs() < 1e-7);
    let expected = f64::midpoint(0.5, 1.0 / (1.0 + (-2.0_f64).exp()));
    assert!((probabilities.view()[[1, 0]] - expected).abs() < 1e-7);
    assert_eq!(probabilities.view()[[2, 1]], 0.0);
    // a table alone keeps its probabilities
    let alone = Predictions::mean_of(std::slice::from_ref(&one), View::Flips).unwrap();
    let difference = &alone.probabilities().view() - &one.probabilities().view();
    assert!(difference.iter().all(|value| value.abs() < 1e-7));
    assert_eq!(alone.metadata().view, View::Flips);

    let values = array![[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]];
    let refused = |other: Predictions<Test>, words: &str| {
        let error = Predictions::mean_of(&[one.clone(), other], View::Mean).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(table([0, 1, 2], values.clone()).select(&[0, 1]).unwrap(), "number of rows: 2, expected 3");
    let with = |change: &dyn Fn(&mut PredictionMetadata, &mut PredictionColumns)| {
        let (mut metadata, mut columns) = (metadata(2), columns(vec![1, 0, 1]));
        columns.ids = [0, 1, 2].map(|row| format!("image {row}")).to_vec();
        change(&mut metadata, &mut columns);
        Predictions::<Test>::new(metadata, columns, logits(values.clone())).unwrap()
    };
    refused(with(&|metadata, _| metadata.task = "site".into()), "task: site");
    refused(with(&|metadata, _| metadata.labels = LabelMap::new(["x", "y"]).unwrap()), "classes: x, y");
    refused(with(&|metadata, _| metadata.split_hash = "ffff".into()), "split ffff");
    refused(with(&|_, columns| columns.ids[1] = "image 7".into()), "none of id \"image 1\"");
    refused(with(&|_, columns| columns.targets[1] = 1), "id \"image 1\" has rows of class 0 and of class 1");
    let none = Predictions::<Test>::mean_of(&[], View::Mean).unwrap_err();
    assert!(matches!(none, PredictionsError::Value(ValueError::Empty { .. })), "{none}");
}
