//! Targets on a device.
#![cfg(feature = "burn")]
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor};
use derm_core::{Probabilities, Targets, ValueError};
use ndarray::array;

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn hard_targets_become_one_hot_rows() {
    let device = Device::default();
    let targets = Targets::from_indices(&[2, 0], 3, &device).unwrap();
    assert_eq!(targets.num_samples(), 2);
    let rows = values(targets.to_distributions(3));
    assert_eq!(rows, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn soft_targets_keep_their_rows() {
    let device = Device::default();
    let probabilities = Probabilities::new(array![[0.25, 0.75], [1.0, 0.0]]).unwrap();
    let targets = Targets::from_probabilities(&probabilities, &device);
    assert_eq!(targets.num_samples(), 2);
    let rows = values(targets.to_distributions(2));
    assert_eq!(rows, [0.25, 0.75, 1.0, 0.0]);
}

#[test]
fn labels_are_checked_where_they_enter() {
    let device = Device::default();
    let error = Targets::from_indices(&[0, 3], 3, &device).unwrap_err();
    assert_eq!(error, ValueError::ClassOutOfRange { row: 1, target: 3, num_classes: 3 });
    let error = Targets::from_indices(&[], 3, &device).unwrap_err();
    assert_eq!(error, ValueError::Empty { argument: "targets" });
}
