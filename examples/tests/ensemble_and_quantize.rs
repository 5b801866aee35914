//! Ensembles and smaller weights of finished runs, at a tiny size.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_core::{Predictions, Test, View};
use derm_data::ImageSource;
use derm_predict::{Ensemble, ImageLimits, Predictor, Request, WeightFormat, load};
use derm_train::{Finished, Progress, Recipe, run};
use examples::{ensemble, quantize};

/// One image alone and the same image in a batch go through matrix products of other shapes.
const BATCH_NOISE: f64 = 1e-4;

fn finished(output: &Path, seed: u64) -> Finished {
    let text = "
dataset:
  synthetic: { num_lesions: 84, image_size: 16, min_views: 1, max_views: 1 }
  split: { fractions: { train: 0.3, validation: 0.2, calibration: 0.25, test: 0.25 } }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 } }
  image_size: 16
training: { epochs: 1, batch_size: 8 }
evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 1 }
";
    let overrides = [format!("output={}", output.display()), format!("seed={seed}")];
    let recipe = Recipe::parse(text, "test.yaml", &overrides).unwrap();
    run(&recipe, &Device::default(), Progress::Silent).unwrap()
}

#[test]
fn runs_become_an_ensemble_and_a_run_smaller_weights() {
    let place = tempfile::tempdir().unwrap();
    let runs: Vec<PathBuf> = (0..2).map(|seed| place.path().join(format!("seed_{seed}"))).collect();
    let finished: Vec<Finished> = runs.iter().zip(0..).map(|(folder, seed)| finished(folder, seed)).collect();
    an_ensemble_of_runs(&runs, &finished, &place.path().join("ensemble"));
    smaller_weights(&runs[0], &finished[0], place.path());
}

fn an_ensemble_of_runs(runs: &[PathBuf], finished: &[Finished], output: &Path) {
    let summary = ensemble::run(runs, output, &["conformal.alpha=0.2".to_owned()]).unwrap();
    let device = Device::default();
    let served = Ensemble::load(&summary.bundle, &device).unwrap();
    let names: Vec<&str> = served.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["seed_0", "seed_1"]);
    assert_eq!(served.calibration(), &summary.assessment.calibration);
    assert_eq!(served.calibration().conformal().unwrap().config().alpha, 0.2);

    // What was measured is the mean of the members' test predictions, and what is served is what was measured.
    let tables: Vec<Predictions<Test>> = finished.iter().map(|run| run.test.clone()).collect();
    let mean = Predictions::mean_of(&tables, View::Mean).unwrap();
    let written: Predictions<Test> = examples::load_predictions(&output.join("predictions")).unwrap();
    assert_eq!(written, mean);
    let calibrated = served.calibration().calibrator.calibrate(&mean).unwrap();
    let records = finished[0].prepared.dataset.records();
    let answers = derm_data::Answers::new();
    let any = load(&summary.bundle, &device, ImageLimits::default()).unwrap();
    for (row, id) in mean.ids().iter().enumerate() {
        let record = records.iter().find(|record| record.id == *id).unwrap();
        let ImageSource::Rgb(pixels) = &record.image else { panic!("not drawn") };
        let decision = served.predict(pixels, &answers).unwrap();
        let expected = calibrated.confidence()[row];
        assert!((decision.ranking[0].probability - expected).abs() <= BATCH_NOISE, "{id}");
        let again = any.predict_batch(&[Request::pixels(pixels, &answers)]).pop().unwrap().unwrap();
        assert_eq!(again, decision);
    }
    let text = summary.to_string();
    assert!(["seed_0", "seed_1", "ensemble", "NLL"].iter().all(|word| text.contains(word)), "{text}");

    // Nothing is written over, and what is no run is named.
    assert!(ensemble::run(runs, output, &[]).is_err());
    let error = ensemble::run(&[runs[0].join("nowhere")], &output.with_extension("other"), &[]).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

fn smaller_weights(folder: &Path, run: &Finished, place: &Path) {
    let device = Device::default();
    for format in [WeightFormat::F16, WeightFormat::Int8] {
        let output = place.join(format.name());
        let options = quantize::Options { format, half: format == WeightFormat::F16 };
        let table = quantize::run(folder, &[], &output, &options, &device).unwrap();
        assert_eq!(table.rows.len(), if options.half { 3 } else { 2 });
        assert_eq!(table.test_rows, run.test.len());
        let (whole, small) = (&table.rows[0], &table.rows[1]);
        assert_eq!((whole.weights, small.weights), (WeightFormat::F32, format));
        assert!(small.bytes < whole.bytes && whole.agreement == 1.0, "{table}");
        // f32's accuracy is the run's own.
        let accuracy = run.assessment.uncalibrated.metrics.iter().find(|metric| metric.name == "accuracy");
        assert!((accuracy.unwrap().value.unwrap() - whole.accuracy).abs() < 1e-9);
        assert!(table.rows.iter().all(|row| row.median_latency > 0.0 && row.agreement > 0.5), "{table}");
        let predictor = Predictor::load(&output, &device).unwrap();
        assert_ne!(predictor.calibration(), run.predictor.calibration());
        let path = place.join("table.json");
        table.write(&path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("\"{}\"", format.name())), "{text}");
        assert!(quantize::run(folder, &[], &output, &options, &device).is_err());
    }
}
