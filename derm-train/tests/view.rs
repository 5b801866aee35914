//! Runs that look at averages of views, and the sets that a run's bundle carries.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use derm_core::{ScoreKind, View};
use derm_data::ImageSource;
use derm_train::{Assessment, Finished, Progress, Recipe, run};

/// One image alone and the same image in a batch go through matrix products of other shapes.
const BATCH_NOISE: f64 = 1e-4;

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finished(output: &Path, overrides: &[&str]) -> Finished {
    let text = "
dataset:
  synthetic: { num_lesions: 84, image_size: 16, min_views: 1, max_views: 2 }
  split: { fractions: { train: 0.3, validation: 0.2, calibration: 0.25, test: 0.25 } }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 } }
  image_size: 16
training: { epochs: 1, batch_size: 8 }
evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 1 }
";
    let output = format!("output={}", output.display());
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).chain([output]).collect();
    let recipe = Recipe::parse(text, "test.yaml", &overrides).unwrap();
    run(&recipe, &Device::default(), Progress::Silent).unwrap()
}

#[test]
fn a_run_with_flips_is_calibrated_on_them_and_its_bundle_serves_them() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let score = "conformal.score={ name: raps, randomization: per_row, lambda: 0.01, k_reg: 2 }";
    let overrides = ["evaluation.view=flips", "conformal.alpha=0.2", score];
    let run = finished(place.path(), &overrides);
    assert_eq!(run.test.metadata().view, View::Flips);
    assert_eq!(run.test.scores().kind, ScoreKind::LogProbabilities);
    assert_eq!(run.predictor.view(), &View::Flips);
    let record = &run.assessment.calibration;
    assert_eq!(record.abstain.fitted_on.view, View::Flips);
    assert_eq!(run.predictor.calibration(), record);
    let conformal = record.conformal().unwrap();
    assert_eq!((conformal.config().alpha, conformal.config().score.name()), (0.2, "raps"));
    // What the bundle serves is what was measured, row by row: scores, tiers and sets.
    let calibrated = record.calibrator.calibrate(&run.test).unwrap();
    let tiers = record.abstain.assign(&calibrated).unwrap();
    let sets = conformal.predict_sets(&run.test).unwrap();
    let records = run.prepared.dataset.records();
    let mut alike = 0;
    for (row, id) in run.test.ids().iter().enumerate() {
        let record = records.iter().find(|record| record.id == *id).unwrap();
        let ImageSource::Rgb(pixels) = &record.image else { panic!("not drawn") };
        let answers = derm_data::Answers::new();
        let scores = run.predictor.logits(pixels, &answers).unwrap();
        for (got, expected) in scores.view().row(0).iter().zip(run.test.scores().values.row(row)) {
            let expected = f64::from(*expected);
            assert!(
                (got - expected).abs() <= BATCH_NOISE * (1.0 + expected.abs()),
                "{id}: {got} and {expected}"
            );
        }
        let request = derm_predict::Request { id, ..derm_predict::Request::pixels(pixels, &answers) };
        let decision = run.predictor.decide(&request).unwrap();
        let labels = sets.classes(row).into_iter().map(|class| run.test.labels().names()[class].clone());
        let expected: Vec<String> = labels.collect();
        alike +=
            usize::from(decision.tier == tiers[row] && decision.conformal_set.unwrap().labels == expected);
    }
    // A row may lie on a threshold.
    assert!(alike + 1 >= run.test.len(), "{alike} of {}", run.test.len());
    let text = run.assessment.to_string();
    assert!(text.contains("conformal sets (raps), promised coverage 0.800"), "{text}");
    assert!(text.contains("calibrator") && !text.contains("temperature"), "{text}");
}

#[test]
fn the_view_changes_no_weight() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let weights = |run: &Finished| run.predictor.manifest().files["model.safetensors"].clone();
    let plain = finished(place.path(), &[]);
    let measured = |assessment: &Assessment| assessment.uncalibrated.metrics.clone();
    assert_eq!(plain.predictor.view(), &View::Identity);
    // The same folder: only measured and written again.
    let flips = finished(place.path(), &["evaluation.view=flips"]);
    assert_eq!(weights(&plain), weights(&flips));
    assert_ne!(measured(&plain.assessment), measured(&flips.assessment));
}
