use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use derm_core::Targets;

/// Class weights `[C]` as a constant on the device, without a gradient graph.
pub(crate) fn constant_weights(weights: &[f32], device: &Device) -> Tensor<1> {
    let data = TensorData::new(weights.to_vec(), [weights.len()]);
    Tensor::from_data(data, &device.clone().without_autodiff())
}

/// Where class c is the one of sample n, [N, C]: without the wait for the device that Burn's `one_hot` costs.
pub(crate) fn class_mask(indices: Tensor<1, Int>, num_classes: usize) -> Tensor<2, Bool> {
    let num_samples = indices.dims()[0];
    let classes = Tensor::<1, Int>::arange(0..num_classes as i64, &indices.device());
    let classes = classes.reshape([1, num_classes]).expand([num_samples, num_classes]);
    classes.cast(indices.dtype()).equal(indices.reshape([num_samples, 1]).expand([num_samples, num_classes]))
}

/// The targets as a matrix [N, C]; a hard one is a one-hot row.
pub(crate) fn distributions(targets: &Targets, num_classes: usize) -> Tensor<2> {
    match targets {
        Targets::Hard(indices) => class_mask(indices.clone(), num_classes).float(),
        Targets::Soft(distributions) => distributions.clone(),
    }
}

/// The targets as a matrix [N, C] beside class terms of that shape and type.
pub(crate) fn target_matrix(targets: &Targets, terms: &Tensor<2>) -> Tensor<2> {
    let [num_samples, num_classes] = terms.dims();
    check_shape([num_samples, num_classes], targets);
    distributions(targets, num_classes).cast(terms.dtype())
}

/// Broadcasting would take targets of one sample or one class for those of all.
fn check_shape(logits: [usize; 2], targets: &Targets) {
    match targets {
        Targets::Hard(indices) => {
            let [given] = indices.dims();
            assert_eq!(logits[0], given, "logits hold {} samples, targets {given}", logits[0]);
        }
        Targets::Soft(distributions) => {
            assert_eq!(logits, distributions.dims(), "logits and soft targets differ in shape");
        }
    }
}

/// `Σ_c q_c t_c` for class terms t [N, C], where `q = (1 − ε) target + ε / C`: the expectation of the terms
/// under the smoothed target. Result `[N]`.
pub(crate) fn expectation(terms: Tensor<2>, targets: &Targets, smoothing: f64) -> Tensor<1> {
    let [num_samples, num_classes] = terms.dims();
    check_shape([num_samples, num_classes], targets);
    let uniform = (smoothing > 0.0).then(|| terms.clone().sum_dim(1));
    let picked = match targets {
        Targets::Hard(indices) => terms.gather(1, indices.clone().reshape([num_samples, 1])),
        Targets::Soft(distributions) => {
            (terms.clone() * distributions.clone().cast(terms.dtype())).sum_dim(1)
        }
    };
    let expected = match uniform {
        None => picked,
        Some(sum) => picked * (1.0 - smoothing) + sum * (smoothing / num_classes as f64),
    };
    expected.squeeze_dim(1)
}

/// The class weight of each target, shape `[N]`: `w_y`, or `Σ_c q_c w_c` for a soft target.
pub(crate) fn target_weights(weights: &Tensor<1>, targets: &Targets) -> Tensor<1> {
    match targets {
        Targets::Hard(indices) => weights.clone().select(0, indices.clone()),
        Targets::Soft(distributions) => {
            let weighted = distributions.clone().cast(weights.dtype()) * weights.clone().unsqueeze();
            weighted.sum_dim(1).squeeze_dim(1)
        }
    }
}

/// Class terms [N, C] times class weights `[C]`.
pub(crate) fn weighted(terms: Tensor<2>, weights: Option<&Tensor<1>>) -> Tensor<2> {
    match weights {
        None => terms,
        Some(weights) => {
            let weights = class_row(weights, &terms);
            terms * weights
        }
    }
}

/// One value a class `[C]` as a row [1, C] beside class terms [N, C].
pub(crate) fn class_row(values: &Tensor<1>, terms: &Tensor<2>) -> Tensor<2> {
    let [given] = values.dims();
    let num_classes = terms.dims()[1];
    assert_eq!(num_classes, given, "logits hold {num_classes} classes, the loss was made for {given}");
    values.clone().cast(terms.dtype()).unsqueeze()
}
