//! The micro-batches of a step shared among devices: several times the same processor stands for them.

use std::path::Path;

use derm_train::{Devices, Error, Named, Progress, Recipe, Reduction, run, run_on};
use safetensors::SafeTensors;

use crate::tiny::{alone, device, recipe, weights};

/// Layer norms only, and nothing drawn while training: a batch norm's statistics follow the first device's rows, and
/// masks go to who draws first.
const NETWORK: &str = "model.backbone={convnextv2: {depths: [1, 1], widths: [4, 6], stochastic_depth: 0, pointwise_layers: linear}}";

/// Sums of gradients in another order.
const F32_NOISE: f32 = 1e-4;

fn still(folder: &Path, overrides: &[&str]) -> Recipe {
    let quiet = ["model.dropout=0", "training.batch_size=3"];
    recipe(folder, &[&[NETWORK, "training.epochs=2"], &quiet[..], overrides].concat())
}

fn devices(count: usize) -> Devices {
    Devices { first: device(), others: vec![device(); count - 1], reduction: Reduction::FirstDevice }
}

fn trained_on(count: usize, recipe: &Recipe) -> Vec<u8> {
    weights(&run_on::<Named>(recipe, &devices(count), Progress::Silent).unwrap().folder)
}

fn largest_difference(left: &[u8], right: &[u8]) -> f32 {
    let numbers = |file: &[u8]| -> Vec<f32> {
        let tensors = SafeTensors::deserialize(file).unwrap();
        let names = tensors.names().into_iter();
        let mut names: Vec<_> = names.filter(|name| !name.ends_with("num_batches_tracked")).collect();
        names.sort_unstable();
        let of = |name: &str| {
            let data = tensors.tensor(name).unwrap().data().to_vec();
            data.chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect::<Vec<_>>()
        };
        names.into_iter().flat_map(of).collect()
    };
    let (left, right) = (numbers(left), numbers(right));
    assert_eq!(left.len(), right.len());
    left.iter().zip(&right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

#[test]
fn several_devices_train_as_one_does() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| place.path().join(name);
    for (number, overrides) in [
        vec!["training.gradient_accumulation_steps=3"],
        vec!["training.gradient_accumulation_steps=3", "training.amp_dtype=bf16"],
        vec![
            "training.gradient_accumulation_steps=3",
            "training.loss=focal",
            "training.class_weights=inverse_frequency",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let of = |name: &str| still(&folder(&format!("{name}-{number}")), &overrides);
        let alone = weights(&run(&of("one"), &device(), Progress::Silent).unwrap().folder);
        // One micro-batch a device: the gradients are added in the same order.
        assert!(alone == trained_on(3, &of("three")), "{overrides:?}");
        let two = trained_on(2, &of("two"));
        let difference = largest_difference(&alone, &two);
        assert!(difference < F32_NOISE, "{overrides:?}: {difference}");
    }
}

#[test]
fn a_distillation_on_several_devices_is_that_of_one() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| place.path().join(name);
    let teacher = run(&still(&folder("teacher"), &[]), &device(), Progress::Silent).unwrap();
    let teacher = format!("distillation.teacher={}", teacher.bundle().display());
    let overrides =
        [teacher.as_str(), "distillation.attention.weight=10", "training.gradient_accumulation_steps=3"];
    let alone =
        weights(&run(&still(&folder("one"), &overrides), &device(), Progress::Silent).unwrap().folder);
    assert!(alone == trained_on(3, &still(&folder("three"), &overrides)));
}

#[test]
fn running_statistics_are_those_of_the_first_devices_rows() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let train = |name: &str, count: usize| {
        let overrides = ["model.dropout=0", "training.gradient_accumulation_steps=2"];
        let recipe = recipe(&place.path().join(name), &overrides);
        trained_on(count, &recipe)
    };
    let (one, two) = (train("one", 1), train("two", 2));
    assert!(one != two);
    // again the same: no device's rows get in by the order of threads
    assert!(two == train("again", 2));
}

#[test]
fn each_device_needs_a_micro_batch() {
    let place = tempfile::tempdir().unwrap();
    let recipe = still(&place.path().join("run"), &["training.gradient_accumulation_steps=2"]);
    let error = run_on::<Named>(&recipe, &devices(3), Progress::Silent).unwrap_err();
    let key = "training.gradient_accumulation_steps";
    assert!(matches!(&error, Error::Value { key: of, .. } if *of == key), "{error}");
    assert!(!place.path().join("run").exists());
}
