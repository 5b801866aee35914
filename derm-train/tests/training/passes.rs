//! Forward and backward passes in half precision and with activations that are computed again; weights from a file.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use derm_backbones::ClassifierOutput;
use derm_core::Backbone;
use derm_data::Batch;
use derm_train::{Error, Objective, OptimizerStep, Progress, Supervised, Trained, run};
use safetensors::{Dtype, SafeTensors};

use crate::tiny::{LosesIts, Start, alone, bytes, device, latest, recipe, supervised, values, weights};

/// A step of 3e-3 in a loss of about 2 is what bf16's three digits leave of it; f16 has one more.
const BF16_LOSS: f64 = 0.03;
const F16_LOSS: f64 = 0.004;

fn losses(overrides: &[&str]) -> (Vec<f64>, Vec<u8>) {
    let place = tempfile::tempdir().unwrap();
    let overrides = [&["training.epochs=6", "model.dropout=0"], overrides].concat();
    let finished = run(&recipe(place.path(), &overrides), &device(), Progress::Silent).unwrap();
    (finished.history.iter().map(|log| log.train_loss).collect(), weights(&finished.folder))
}

#[test]
fn half_precision_learns_as_single_precision_does() {
    let _alone = alone();
    let (single, single_weights) = losses(&[]);
    assert!(single[5] < single[0] - 0.05, "{single:?}");
    let mut farthest = Vec::new();
    for (format, tolerance) in [("bf16", BF16_LOSS), ("f16", F16_LOSS)] {
        let (half, half_weights) = losses(&[&format!("training.amp_dtype={format}")]);
        let differences = half.iter().zip(&single).map(|(half, single)| (half - single).abs() / single);
        let worst = differences.fold(0.0_f64, f64::max);
        assert!(worst < tolerance, "{format}: {half:?} and {single:?}");
        farthest.push(worst);
        assert_ne!(half_weights, single_weights, "{format} was computed in f32");
        let file = SafeTensors::deserialize(&half_weights).unwrap();
        assert!(
            file.tensors().iter().all(|(_, tensor)| !matches!(tensor.dtype(), Dtype::BF16 | Dtype::F16)),
            "{format}"
        );
    }
    assert!(farthest[1] < farthest[0], "f16 has more digits than bf16: {farthest:?}");
}

/// Trains, loses its loss at step 4, and trains on from the last checkpoint.
#[test]
fn an_interrupted_training_in_half_precision_ends_with_the_same_bytes() {
    let _alone = alone();
    for format in ["bf16", "f16"] {
        let place = tempfile::tempdir().unwrap();
        let amp = format!("training.amp_dtype={format}");
        let start = Start::new(recipe(place.path(), &[&amp, "training.ema={ decay: 0.9 }"]));
        let whole = start.fit(&place.path().join("whole"), &supervised()).unwrap();
        let folder = place.path().join("interrupted");
        let loses = LosesIts { objective: supervised(), at: 4, calls: Cell::new(0) };
        let error = start.fit(&folder, &loses).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 4, .. }), "{error}");
        assert_eq!(latest(&folder), "step-00000004");
        let resumed = start.fit(&folder, &supervised()).unwrap();
        assert_eq!(bytes(&resumed, place.path()), bytes(&whole, place.path()), "{format}");
    }
}

/// Blows its loss up by this factor from the first call of `from` on, `count` times.
struct BlowsUp {
    objective: Supervised<derm_losses::CrossEntropyLoss>,
    factor: f64,
    from: usize,
    count: usize,
    calls: Cell<usize>,
}

impl<B: Backbone> Objective<B> for BlowsUp {
    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let loss = Objective::<B>::loss(&self.objective, output, batch, step);
        let call = self.calls.replace(self.calls.get() + 1);
        if (self.from..self.from.saturating_add(self.count)).contains(&call) {
            loss * self.factor
        } else {
            loss
        }
    }
}

fn loss_scale(folder: &Path) -> serde_json::Value {
    let path = folder.join("checkpoints").join(latest(folder)).join("state.json");
    let state: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    state["loss_scale"].clone()
}

#[test]
fn a_step_that_f16_cannot_hold_is_left_out() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let start = Start::new(recipe(place.path(), &["training.amp_dtype=f16", "training.epochs=1"]));
    let blows_up =
        |factor, from, count| BlowsUp { objective: supervised(), factor, from, count, calls: Cell::new(0) };
    let folder = place.path().join("once");
    start.fit(&folder, &blows_up(1e6, 1, 1)).unwrap();
    let scale = loss_scale(&folder);
    assert_eq!(
        (scale["factor"].as_f64(), scale["skipped_steps"].as_u64()),
        (Some(32768.0), Some(1)),
        "{scale}"
    );

    // Every step is left out: the weights are those of the start.
    let folder = place.path().join("always");
    let still = start.fit(&folder, &blows_up(1e6, 0, usize::MAX)).unwrap();
    assert_eq!(loss_scale(&folder)["skipped_steps"].as_u64(), Some(still.history[0].step as u64));
    let of = |trained: &Trained<_>, path: &str| values(&trained.model)[path].clone();
    assert_eq!(of(&still, "head.weight"), values(&start.model())["head.weight"]);

    let start = Start::new(recipe(place.path(), &["training.amp_dtype=f16", "training.epochs=9"]));
    let error = start.fit(&place.path().join("hopeless"), &blows_up(1e30, 0, usize::MAX)).unwrap_err();
    assert!(matches!(error, Error::GradientNotFinite { step: 16, .. }), "{error}");
}

/// Sums of gradients in another order.
const F32_NOISE: f32 = 1e-4;

#[test]
fn activations_that_are_computed_again_give_the_same_training() {
    let _alone = alone();
    for precision in ["training.epochs=2", "training.amp_dtype=bf16"] {
        let place = tempfile::tempdir().unwrap();
        let train = |name: &str, overrides: &[&str]| {
            let overrides =
                [&["model.dropout=0", "training.gradient_accumulation_steps=2", precision], overrides]
                    .concat();
            let finished =
                run(&recipe(&place.path().join(name), &overrides), &device(), Progress::Silent).unwrap();
            finished.history.iter().map(|log| log.train_loss as f32).collect::<Vec<_>>()
        };
        let plain = train("plain", &[]);
        for blocks in ["1", "2"] {
            let blocks = format!("model.gradient_checkpointing_blocks={blocks}");
            let again = train(&blocks, &["model.gradient_checkpointing=true", &blocks]);
            for (again, plain) in again.iter().zip(&plain) {
                assert!((again - plain).abs() <= F32_NOISE * plain, "{precision} {blocks}: {again} {plain}");
            }
        }
    }
}

#[test]
fn a_training_begins_with_the_weights_of_a_file() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let first = run(&recipe(&place.path().join("first"), &[]), &device(), Progress::Silent).unwrap();
    let file = place.path().join("published.safetensors");
    fs::copy(first.bundle().join("model.safetensors"), &file).unwrap();
    let given = format!("model.weights={}", file.display());
    // A learning rate at which nothing moves but the norms' statistics.
    let overrides = [given.as_str(), "training.epochs=1", "training.learning_rate=1e-30", "seed=5"];
    let second = place.path().join("second");
    let finished = run(&recipe(&second, &overrides), &device(), Progress::Silent).unwrap();
    let (before, after) = (fs::read(&file).unwrap(), weights(&finished.folder));
    let (before, after) =
        (SafeTensors::deserialize(&before).unwrap(), SafeTensors::deserialize(&after).unwrap());
    let mut compared = 0;
    for (name, tensor) in before.tensors().iter().filter(|(name, _)| !name.contains("running")) {
        assert_eq!(tensor.data(), after.tensor(name).unwrap().data(), "{name}");
        compared += 1;
    }
    assert!(compared > 10);

    // Another file under the same name is another training.
    fs::copy(finished.bundle().join("model.safetensors"), &file).unwrap();
    let error = run(&recipe(&second, &overrides), &device(), Progress::Silent).unwrap_err();
    assert!(
        matches!(&error, Error::OtherRun { .. }) && error.to_string().contains("model.weights"),
        "{error}"
    );

    let missing = place.path().join("missing.safetensors");
    let missing = format!("model.weights={}", missing.display());
    let error =
        run(&recipe(&place.path().join("third"), &[&missing]), &device(), Progress::Silent).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
    assert!(!place.path().join("third").exists());
}

#[test]
#[expect(deprecated, reason = "the one processor backend without the formats")]
fn a_device_without_the_format_is_told_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    for format in ["bf16", "f16"] {
        let recipe = recipe(&place.path().join(format), &[&format!("training.amp_dtype={format}")]);
        let error = run(&recipe, &Device::ndarray(), Progress::Silent).unwrap_err();
        assert!(matches!(error, Error::Precision { .. }), "{error}");
        assert!(!place.path().join(format).exists());
    }
}
