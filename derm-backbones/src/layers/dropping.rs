use burn::module::{Flag, Module, Param};
use burn::tensor::{Distribution, Tensor};

/// Draws what is dropped in training, one entry at a time.
#[derive(Module, Debug)]
pub(crate) struct Dropping {
    probability: f64,
    training: Param<Flag>,
}

impl Dropping {
    /// `probability` in [0, 1).
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability, training: Param::from_bool(true) }
    }

    /// 1 where an entry is dropped, of the shape of `like`; none outside of training, frozen or with probability 0.
    pub(crate) fn draw<const D: usize>(&self, like: &Tensor<D>) -> Option<Tensor<D>> {
        let training = like.device().is_autodiff() && self.training.is_enabled();
        (training && self.probability > 0.0)
            .then(|| like.random_like(Distribution::Bernoulli(self.probability)))
    }
}
