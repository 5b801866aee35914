//! A network from elsewhere is trained, written as a bundle and served, and its bundle is not taken for another.
#![allow(clippy::unwrap_used)]

use derm_predict::Predictor;
use derm_train::Progress;
use examples::own_network::{recipe, train_and_serve};

#[test]
fn a_network_from_elsewhere_goes_from_training_to_a_served_bundle() {
    let place = tempfile::tempdir().unwrap();
    let device = examples::device().unwrap();
    let (finished, decision) =
        train_and_serve(&recipe(place.path().join("run"), true), &device, Progress::Silent).unwrap();
    let decision = decision.unwrap();
    let (probabilities, tiers) =
        finished.assessment.calibration.decide(&finished.test.logits().unwrap()).unwrap();
    assert_eq!(decision.tier, tiers[0]);
    // one image alone and in a batch: the same sums in another order
    let best = probabilities.view().row(0).iter().copied().fold(0.0, f64::max);
    let got = decision.ranking.first().unwrap().probability;
    assert!((got - best).abs() < 1e-5, "{got} and {best}");
    let weights = std::fs::read(finished.bundle().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&weights).unwrap();
    assert!(file.names().contains(&"convolutions.2.weight"), "{:?}", file.names());
    let error = Predictor::load(finished.bundle(), &device).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
}
