use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The last parts of the paths of a batch norm's running statistics.
pub(crate) const RUNNING_MEAN: &str = "running_mean";
pub(crate) const RUNNING_VAR: &str = "running_var";

/// How many numbers a module holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParameterCount {
    /// Numbers that an optimizer changes, frozen or not: what the literature counts.
    pub trainable: usize,
    /// Running statistics of batch norms, which Burn's `num_params` counts too.
    pub buffers: usize,
}

/// Counts parameters and buffers, without drawing weights that were not drawn yet.
///
/// Running statistics are known by their names, `running_mean` and `running_var`.
///
/// ```
/// use burn::tensor::Device;
/// use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig, count_parameters};
///
/// let config = ClassifierConfig { backbone: BackboneConfig::Resnet18, head: HeadConfig::new(7) };
/// let count = count_parameters(&config.init(&Device::default())?);
/// assert_eq!(count.trainable, 11_180_103);
/// assert_eq!(count.buffers, 9_600);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
pub fn count_parameters<M: Module>(module: &M) -> ParameterCount {
    let mut counter = Counter::default();
    module.visit(&mut counter);
    counter.count
}

#[derive(Default)]
struct Counter {
    path: Vec<String>,
    count: ParameterCount,
}

impl ModuleVisitor for Counter {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        match self.path.last().map(String::as_str) {
            Some(RUNNING_MEAN | RUNNING_VAR) => self.count.buffers += elements,
            _ => self.count.trainable += elements,
        }
    }
}
