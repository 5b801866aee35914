use burn::module::{Flag, Module, Param};
use burn::tensor::{Distribution, Tensor};

/// Stochastic depth by sample: in training the whole residual branch of an image is dropped with probability p,
/// the others are divided by 1 − p. Elsewhere, frozen, or with p = 0 it leaves the branch as it is.
///
/// # Source
/// Huang et al. 2016; torchvision `StochasticDepth(mode="row")`, timm `DropPath`.
#[derive(Module, Debug)]
pub(crate) struct DropPath {
    probability: f64,
    training: Param<Flag>,
}

impl DropPath {
    /// `probability` in [0, 1).
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability, training: Param::from_bool(true) }
    }

    /// The rate of block `index` of `count` where rates grow linearly from 0 at the first block to `rate` at the
    /// last, as timm and `ConvNeXt` have it.
    pub(crate) fn linear_rate(rate: f64, index: usize, count: usize) -> f64 {
        if count > 1 { rate * index as f64 / (count - 1) as f64 } else { 0.0 }
    }

    /// The residual branch [B, …] → [B, …].
    pub(crate) fn forward<const D: usize>(&self, branch: Tensor<D>) -> Tensor<D> {
        if self.probability == 0.0 || !branch.device().is_autodiff() || !self.training.is_enabled() {
            return branch;
        }
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let keep = 1.0 - self.probability;
        let device = branch.device();
        let kept = Tensor::<D>::random(shape, Distribution::Bernoulli(keep), (&device, branch.dtype()));
        branch * (kept / keep)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::{Device, Tensor};

    use super::DropPath;

    /// Each image is either dropped whole or scaled by 1 / (1 − p), about p of them, and only in training.
    #[test]
    fn drops_whole_images_in_training_only() {
        let device = Device::default();
        device.seed(5);
        let layer = DropPath::new(0.25);
        let ones = Tensor::<3>::ones([4000, 2, 3], &device.clone().autodiff());
        let rows: Vec<f32> = layer.forward(ones.clone()).into_data().iter::<f32>().collect();
        let mut dropped = 0;
        for row in rows.chunks(6) {
            assert!(row.iter().all(|x| *x == row[0]), "{row:?}");
            assert!(row[0] == 0.0 || (row[0] - 4.0 / 3.0).abs() < 1e-6, "{row:?}");
            dropped += usize::from(row[0] == 0.0);
        }
        // ± 5 standard deviations of a binomial of 4000 and 0.25
        assert!((863..=1137).contains(&dropped), "{dropped} of 4000");
        let still =
            |layer: &DropPath, x: Tensor<3>| layer.forward(x).into_data().iter::<f32>().all(|x| x == 1.0);
        assert!(still(&layer, Tensor::ones([4000, 2, 3], &device)));
        assert!(still(&layer.freeze(), ones));
    }

    #[test]
    fn rates_grow_linearly_to_the_last_block() {
        let rates: Vec<f64> = (0..3).map(|i| DropPath::linear_rate(0.2, i, 3)).collect();
        assert_eq!(rates, [0.0, 0.1, 0.2]);
        assert_eq!(DropPath::linear_rate(0.2, 0, 1), 0.0);
    }
}
