use burn::module::{Initializer, Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::module_path::ModulePath;

/// The module with every linear layer drawn anew: weights normal with this deviation, biases 0.
pub(crate) fn normal_linear_weights<M: Module>(module: M, std: f64) -> M {
    module.map(&mut Normal { path: ModulePath::default(), std })
}

struct Normal {
    path: ModulePath,
    std: f64,
}

impl ModuleMapper for Normal {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.path.in_linear() else { return param };
        let initializer = match name {
            "bias" => Initializer::Zeros,
            _ => Initializer::Normal { mean: 0.0, std: self.std },
        };
        initializer.init(param.lazy_shape(), &param.lazy_device())
    }
}
