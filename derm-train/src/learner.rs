use burn::module::Module;
use derm_backbones::Classifier;
use derm_core::Backbone;
use derm_distill::Projectors;

/// All that a training step changes.
#[derive(Module, Debug)]
pub(crate) struct Learner<B> {
    /// The network.
    pub model: Classifier<B>,
    /// What learns beside it and goes when training is done; empty but for some distillations.
    pub projectors: Projectors,
}

impl<B: Backbone> Learner<B> {
    /// In training mode, on the device with autodiff.
    pub(crate) fn new(model: Classifier<B>, projectors: Projectors) -> Self {
        Self { model, projectors }.train()
    }
}
