use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The path of the first parameter that holds a NaN or an infinity.
pub(crate) fn first_not_finite<M: Module>(module: &M) -> Option<String> {
    let mut search = Search::default();
    module.visit(&mut search);
    search.found
}

#[derive(Default)]
struct Search {
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for Search {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_none() && !param.val().is_finite().all().into_scalar::<bool>() {
            self.found = Some(self.path.join("."));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_parameter_is_named() {
        let mut layer = LinearConfig::new(2, 2).init(&Device::default());
        assert_eq!(first_not_finite(&layer), None);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.zeros_like().add_scalar(value)));
            assert_eq!(first_not_finite(&layer).as_deref(), Some("bias"));
        }
    }
}
