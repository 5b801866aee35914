use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;
use derm_backbones::Classifier;
use derm_core::Backbone;

use crate::EmaRecipe;

/// The exponential moving average of a network's weights and of its batch norms' running statistics.
///
/// It starts as the network itself; after optimizer step t (from 1), with weights w:
///
/// ```text
/// d_t = decay                             without warm-up
/// d_t = min(decay, (1 + t) / (10 + t))    with it
/// ema ← d_t · ema + (1 − d_t) · w
/// ```
///
/// # Source
/// Polyak and Juditsky 1992; the warm-up is that of TensorFlow's `ExponentialMovingAverage` (`num_updates`). Running
/// statistics are averaged too, as in timm's `ModelEmaV2`, so that weights and statistics are of one age.
#[derive(Debug, Clone)]
pub(crate) struct Ema<B: Backbone> {
    /// In inference mode, on the device without autodiff.
    pub model: Classifier<B>,
    recipe: EmaRecipe,
}

impl<B: Backbone> Ema<B> {
    /// The average before the first step.
    pub(crate) fn new(recipe: EmaRecipe, model: &Classifier<B>) -> Self {
        Self { model: model.valid(), recipe }
    }

    /// The same with its network replaced: read from a file, say.
    pub(crate) fn try_map<E>(
        self,
        read: impl FnOnce(Classifier<B>) -> Result<Classifier<B>, E>,
    ) -> Result<Self, E> {
        Ok(Self { model: read(self.model)?, recipe: self.recipe })
    }

    /// Takes in the weights after optimizer step `step`, from 1.
    pub(crate) fn update(&mut self, model: &Classifier<B>, step: usize) {
        let decay = self.recipe.decay_after(step);
        let mut latest = Weights(TensorContainer::new());
        // The snapshot brings pending running statistics in, and leaves the graph behind.
        model.valid().visit(&mut latest);
        self.model = self.model.clone().map(&mut Average { latest: latest.0, decay });
    }
}

/// The float tensors of a network by their ids.
struct Weights(TensorContainer<ParamId>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Average {
    latest: TensorContainer<ParamId>,
    decay: f64,
}

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.latest.remove::<Tensor<D>>(&param.id) {
            Some(latest) => param.map(|average| average * self.decay + latest * (1.0 - self.decay)),
            None => param,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;
    use derm_backbones::{BlockKind, HeadConfig, ResNet, ResNetConfig, Stem};
    use derm_core::Taps;

    use super::*;

    /// Rounding of a few f32 operations, as a share of the value.
    const TOLERANCE: f64 = 1e-5;

    /// Every float tensor, running statistics included.
    fn values(model: &Classifier<ResNet>) -> Vec<Vec<f64>> {
        struct Values(Vec<Vec<f64>>);
        impl ModuleVisitor for Values {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.val().into_data().iter::<f64>().collect());
            }
        }
        let mut values = Values(Vec::new());
        model.valid().visit(&mut values);
        values.0
    }

    struct Shift(f64);
    impl ModuleMapper for Shift {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value + self.0)
        }
    }

    #[test]
    fn it_is_the_recursion_over_weights_and_statistics() {
        let device = Device::default().autodiff();
        let config =
            ResNetConfig { block: BlockKind::Basic, depths: vec![1], widths: vec![3], stem: Stem::Conv3x3 };
        for (recipe, decays) in [
            (EmaRecipe { decay: 0.75, warmup: false }, [0.75, 0.75, 0.75]),
            // (1 + t) / (10 + t), until it passes the decay.
            (EmaRecipe { decay: 0.3, warmup: true }, [2.0 / 11.0, 3.0 / 12.0, 0.3]),
        ] {
            let model = config.init(&device).unwrap();
            let mut model = HeadConfig::new(2).init(model, &device).unwrap().train();
            let mut ema = Ema::new(recipe, &model);
            let mut expected = values(&model);
            let start = expected.clone();
            for (step, decay) in (1..).zip(decays) {
                // New weights, and a forward pass that moves the running statistics.
                model = model.map(&mut Shift(0.5));
                let images = Tensor::<4>::ones([2, 3, 8, 8], &device) * step as f64;
                let _ = model.forward(images, None, &Taps::none());
                let latest = values(&model);
                ema.update(&model, step);
                assert_eq!(values(&model), latest, "the network itself was changed");
                for (average, latest) in expected.iter_mut().flatten().zip(latest.iter().flatten()) {
                    *average = decay * *average + (1.0 - decay) * latest;
                }
                let got = values(&ema.model);
                for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
                    let tolerance = TOLERANCE * expected.abs().max(1.0);
                    assert!((got - expected).abs() < tolerance, "{got} {expected}");
                }
            }
            // Every tensor has moved: none was passed over.
            assert!(start.iter().zip(values(&ema.model)).all(|(start, end)| *start != end));
        }
    }
}
