use burn::module::{Initializer, Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Tensor};

use crate::module_path::ModulePath;

/// The module with every linear layer drawn anew: weights normal with this deviation, biases 0.
pub(crate) fn normal_linear_weights<M: Module>(module: M, std: f64) -> M {
    linear_weights(module, |_, _| Initializer::Normal { mean: 0.0, std })
}

/// The module with every linear layer drawn anew: weights as `weight` says for a path and a shape [in, out],
/// biases 0.
pub(crate) fn linear_weights<M: Module>(module: M, weight: impl Fn(&str, [usize; 2]) -> Initializer) -> M {
    module.map(&mut Drawing { path: ModulePath::default(), weight })
}

struct Drawing<F> {
    path: ModulePath,
    weight: F,
}

impl<F: Fn(&str, [usize; 2]) -> Initializer> ModuleMapper for Drawing<F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let initializer = match (self.path.in_linear(), &shape[..]) {
            (None, _) => return param,
            (Some(_), &[inputs, outputs]) => (self.weight)(&self.path.path(), [inputs, outputs]),
            (Some(_), _) => Initializer::Zeros,
        };
        initializer.init(shape, &param.lazy_device())
    }
}

/// Deviation of a standard normal variable that is cut off at ±2.
const CUT_STD: f64 = 0.879_625_661_034_239_8;
/// Redraws until what lies beyond the cut; one of 10¹² values is left then, and clamped.
const REDRAWS: usize = 8;

/// Normal values cut off at twice their deviation and scaled so that their variance is 1 / `fan_in`.
///
/// # Source
/// `LeCun` normal as in JAX, and in transformers' `lecun_normal_`.
pub(crate) fn lecun_normal<const D: usize>(shape: [usize; D], fan_in: usize, device: &Device) -> Tensor<D> {
    let draw = || Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let cut = (0..REDRAWS).fold(draw(), |values, _| {
        let beyond = values.clone().abs().greater_elem(2.0);
        values.mask_where(beyond, draw())
    });
    cut.clamp(-2.0, 2.0) * ((1.0 / fan_in as f64).sqrt() / CUT_STD)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::{CUT_STD, lecun_normal};

    #[test]
    fn lecun_normal_has_the_variance_of_its_fan_in_and_is_cut_off() {
        let device = Device::default();
        device.seed(9);
        let values: Vec<f64> = lecun_normal([100, 400], 25, &device).into_data().iter::<f64>().collect();
        let limit = 2.0 / 5.0 / CUT_STD;
        assert!(values.iter().all(|value| value.abs() <= limit * 1.000_001));
        assert!(values.iter().filter(|value| value.abs() > 0.95 * limit).count() > 100);
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        // five standard errors of a variance over 40,000 values
        assert!((variance - 0.04).abs() < 0.04 * 5.0 * (2.0 / 40_000.0_f64).sqrt(), "{variance}");
    }
}
