//! Numbers from predictions alone, and tables that cannot be of one model.
#![allow(clippy::unwrap_used, missing_docs)]

use derm_core::{
    Calibration, LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Test,
    Validation, View,
};
use derm_train::{AbstentionRecipe, Assessment, ConformalRecipe, Error, EvaluationRecipe};
use ndarray::Array2;

const CLASSES: [&str; 4] = ["mel", "nv", "bcc", "bkl"];

fn metadata() -> PredictionMetadata {
    PredictionMetadata {
        task: "diagnosis".to_owned(),
        view: View::Identity,
        labels: LabelMap::new(CLASSES).unwrap(),
        split_hash: "0f3a".to_owned(),
    }
}

/// 120 lesions, five in six of them right with a margin of 3.
fn predictions<R: Role>(metadata: PredictionMetadata) -> Predictions<R> {
    predictions_of(metadata, R::ROLE.name())
}

fn predictions_of<R: Role>(metadata: PredictionMetadata, prefix: &str) -> Predictions<R> {
    let names = || (0..120).map(|i| format!("{prefix}_{i}")).collect::<Vec<_>>();
    let targets: Vec<usize> = (0..120).map(|i| (i / 3) % 4).collect();
    let values = Array2::from_shape_fn((120, 4), |(i, class)| {
        let said = (targets[i] + usize::from(i % 6 == 0)) % 4;
        if class == said { 3.0 } else { (class as f32 + i as f32 % 7.0) / 20.0 }
    });
    let columns = PredictionColumns {
        ids: names(),
        groups: names(),
        cases: names(),
        targets,
        ..PredictionColumns::default()
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

fn assess(calibration: PredictionMetadata, test: PredictionMetadata) -> Result<Assessment, Error> {
    let evaluation = EvaluationRecipe { bootstrap_replicates: 50, ..EvaluationRecipe::default() };
    Assessment::new(
        &predictions::<Validation>(metadata()),
        &predictions::<Calibration>(calibration),
        &predictions::<Test>(test),
        &AbstentionRecipe::default(),
        &ConformalRecipe::default(),
        &evaluation,
        3,
    )
}

#[test]
fn the_table_says_what_was_measured() {
    let assessment = assess(metadata(), metadata()).unwrap();
    let accuracy = assessment.calibrated.metrics.iter().find(|metric| metric.name == "accuracy").unwrap();
    assert_eq!(accuracy.value, Some(100.0 / 120.0));
    let text = assessment.to_string();
    assert!(assessment.suspicions.is_empty());
    assert!(text.starts_with("test: 120 images of 120 lesions or patients"), "{text}");
    assert!(CLASSES.iter().all(|class| text.contains(class)), "{text}");
    // The seed decides the intervals, so the same call gives the same bytes.
    let again = assess(metadata(), metadata()).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&assessment).unwrap());
}

#[test]
fn a_lesion_in_two_splits_is_told() {
    let evaluation = EvaluationRecipe { bootstrap_replicates: 50, ..EvaluationRecipe::default() };
    let assessment = Assessment::new(
        &predictions_of::<Validation>(metadata(), "lesion"),
        &predictions::<Calibration>(metadata()),
        &predictions_of::<Test>(metadata(), "lesion"),
        &AbstentionRecipe::default(),
        &ConformalRecipe::default(),
        &evaluation,
        3,
    )
    .unwrap();
    assert_eq!(assessment.suspicions.len(), 120);
    let text = assessment.to_string();
    assert!(text.starts_with("warning: `lesion_0` has rows in validation and in test"), "{text}");
    assert!(text.contains("\nwarning: and 115 more"), "{text}");
}

#[test]
fn tables_of_different_splits_are_refused() {
    let other = || PredictionMetadata { split_hash: "ffff".to_owned(), ..metadata() };
    for result in [assess(other(), metadata()), assess(metadata(), other())] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Predictions(_)) && error.to_string().contains("ffff"), "{error}");
    }
}

#[test]
fn tables_of_different_models_are_refused() {
    let labels = LabelMap::new(["nv", "mel", "bcc", "bkl"]).unwrap();
    for (other, aspect) in [
        (PredictionMetadata { labels, ..metadata() }, "classes"),
        (PredictionMetadata { task: "triage".to_owned(), ..metadata() }, "task"),
        (PredictionMetadata { view: View::HorizontalFlip, ..metadata() }, "view"),
    ] {
        for result in [assess(other.clone(), metadata()), assess(metadata(), other.clone())] {
            let error = result.unwrap_err();
            assert!(matches!(&error, Error::Tables { what, .. } if *what == aspect), "{error}");
        }
    }
}
