//! A bundle is measured again on the data of its run.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use burn::tensor::Device;
use derm_data::CorruptionKind;
use derm_metrics::{ClassSet, balanced_accuracy};
use derm_train::{BundleEvaluation, EfficiencyConfig, Error, Progress, Recipe, run};

const RECIPE: &str = "
name: tiny
dataset:
  synthetic: { num_lesions: 56, image_size: 16 }
  split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1], widths: [4], stem: conv3x3 } }
  image_size: 16
training: { epochs: 1, batch_size: 16 }
evaluation: { bootstrap_replicates: 10, calibration_bins: 3, report_images: 0, min_subgroup: 2 }
";

#[test]
fn a_bundle_gives_the_numbers_of_its_run() {
    let place = tempfile::tempdir().unwrap();
    let output = format!("output={}", place.path().join("tiny").display());
    let recipe = Recipe::parse(RECIPE, "tiny.yaml", &[output]).unwrap();
    let device = Device::default();
    let finished = run(&recipe, &device, Progress::Silent).unwrap();
    let bundle = finished.bundle();
    assert!(!finished.breakdown.subgroups.is_empty(), "the drawn records have subgroups");

    let measure = BundleEvaluation {
        corruptions: vec![CorruptionKind::GaussianNoise],
        efficiency: Some(EfficiencyConfig { batch_sizes: vec![1, 3], warmup: 1, repeats: 3, text_tokens: 4 }),
        // It teaches itself, so that both agree on every row.
        teacher: Some(bundle.clone()),
        compare_flips: true,
    };
    let again = measure.run(&bundle, &recipe, &device, Progress::Silent).unwrap();
    // Batch norms are folded in the bundle, which moves logits by rounding: the answers stay.
    assert_eq!(
        again.assessment.uncalibrated.value("accuracy"),
        finished.assessment.uncalibrated.value("accuracy")
    );
    assert_eq!(again.breakdown.confusion_pairs, finished.breakdown.confusion_pairs);
    let teacher = again.teacher.as_ref().unwrap();
    assert_eq!(teacher.agreement.overall.agreement(), Some(1.0));

    let efficiency = again.efficiency.as_ref().unwrap();
    assert_eq!(efficiency.parameters, finished.parameters.trainable);
    assert_eq!(
        efficiency.latency.iter().map(|of| (of.batch_size, of.repeats)).collect::<Vec<_>>(),
        [(1, 3), (3, 3)]
    );
    assert!(efficiency.macs_conv_and_linear > 0 && efficiency.macs_attention == 0);
    let weights = std::fs::metadata(bundle.join("model.safetensors")).unwrap().len();
    assert!(efficiency.weights_bytes == weights && efficiency.bundle_bytes > weights);
    let robustness = again.robustness.as_ref().unwrap();
    assert_eq!(robustness.results.len(), 5);
    let test = &finished.test;
    let clean = balanced_accuracy(&test.probabilities(), test.targets(), ClassSet::Present).unwrap();
    assert_eq!(robustness.clean, Some(clean));
    let views = &again.views.as_ref().unwrap().results;
    assert_eq!(views.len(), 14, "seven metrics of two views");
    assert!(views[..7].iter().all(|of| of.view == "identity" && of.difference == Some(0.0)));
    again.write(place.path().join("evaluation")).unwrap();
    let html = std::fs::read_to_string(place.path().join("evaluation/report.html")).unwrap();
    assert!(html.contains("What it costs") && html.contains("Images per second"));

    // Another split is not the bundle's, and other classes are not either.
    let mut other = recipe.clone();
    other.dataset.split.seed += 1;
    let measure = BundleEvaluation::default();
    let error = measure.run(&bundle, &other, &device, Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::Predictions(_)), "{error}");
    let mapping = place.path().join("two.json");
    std::fs::write(&mapping, two_classes(finished.prepared.dataset.labels().names())).unwrap();
    let mut other = recipe;
    other.dataset.label_mapping = Some(mapping.display().to_string());
    let error = measure.run(&bundle, &other, &device, Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::BundleLabels { .. }), "{error}");
    let positive = "evaluation.positive_classes=[scc]".to_owned();
    let unknown = Recipe::parse(RECIPE, "tiny.yaml", &[positive]).unwrap();
    let error = measure.run(&bundle, &unknown, &device, Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::Value { key: "evaluation.positive_classes", .. }), "{error}");
}

/// A mapping of the first class to one and of all others to another.
fn two_classes(names: &[String]) -> String {
    let map: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .enumerate()
        .map(|(class, name)| (name.clone(), if class == 0 { "first" } else { "rest" }.into()))
        .collect();
    serde_json::json!({
        "version": 1, "name": "two", "note": "for a test", "one_way": true, "unmapped": "refuse",
        "to": ["first", "rest"], "map": map,
    })
    .to_string()
}
