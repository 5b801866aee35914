use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The module with every weight drawn now, in the order of its fields.
///
/// Burn draws a weight when it is first used, so that weights that a file replaces cost nothing. Drawn here, they
/// depend on the seed alone, and not on what else draws, or in which order they are used. Classifiers do this in
/// their `init`; encoders by themselves, and [`ClassifierConfig::init_undrawn`](crate::ClassifierConfig::init_undrawn),
/// do not.
///
/// ```
/// use burn::tensor::Device;
/// use derm_backbones::{BackboneConfig, drawn, weights};
///
/// let device = Device::default();
/// let config = BackboneConfig::Resnet18_28;
/// device.seed(7);
/// let encoder = drawn(config.init(&device)?);
/// device.seed(8);
/// let bytes = weights::to_safetensors(&encoder)?;
/// device.seed(7);
/// assert_eq!(bytes, weights::to_safetensors(&config.init(&device)?)?);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
pub fn drawn<M: Module>(module: M) -> M {
    module.visit(&mut Draw);
    module
}

struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let _ = param.val();
    }
}
