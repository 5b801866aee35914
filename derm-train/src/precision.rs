//! Mixed precision: forward and backward pass in half precision, weights, losses, norms and optimizer in single.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};
use derm_backbones::ClassifierOutput;
use derm_core::Features;

/// The output of a network in half precision as losses want it.
pub(crate) fn output_in_f32(output: ClassifierOutput) -> ClassifierOutput {
    let ClassifierOutput { logits, head_logits, tasks, features } = output;
    let Features { pooled, maps, attention, distillation } = features;
    let named =
        |taps: Vec<(String, Tensor<4>)>| taps.into_iter().map(|(name, map)| (name, wide(map))).collect();
    ClassifierOutput {
        logits: wide(logits),
        head_logits: head_logits.map(|heads| heads.map(wide)),
        tasks: tasks.into_iter().map(|(name, logits)| (name, wide(logits))).collect(),
        features: Features {
            pooled: wide(pooled),
            maps: named(maps),
            attention: named(attention),
            distillation: distillation.map(wide),
        },
    }
}

/// The gradients in single precision, those of every micro-batch before they are added up.
pub(crate) fn gradients_in_f32<M: Module>(mut gradients: GradientsParams, module: &M) -> GradientsParams {
    module.visit(&mut Map { gradients: &mut gradients, factor: None });
    gradients
}

/// Every gradient times `factor`.
pub(crate) fn scale_gradients<M: Module>(gradients: &mut GradientsParams, module: &M, factor: f64) {
    module.visit(&mut Map { gradients, factor: Some(factor) });
}

/// Whether every gradient is finite.
pub(crate) fn all_finite<M: Module>(gradients: &GradientsParams, module: &M) -> bool {
    let mut sum = Sum { gradients, sum: None };
    module.visit(&mut sum);
    sum.sum.is_none_or(|sum| sum.into_scalar::<f32>().is_finite())
}

fn wide<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::F32)
}

struct Map<'a> {
    gradients: &'a mut GradientsParams,
    factor: Option<f64>,
}

impl ModuleVisitor for Map<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let gradient = wide(gradient);
            let gradient = match self.factor {
                None => gradient,
                Some(factor) => gradient.mul_scalar(factor),
            };
            self.gradients.register(param.id, gradient);
        }
    }
}

struct Sum<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Sum<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            // 0 for finite numbers, NaN for the others
            let zero = (gradient.clone() - gradient).abs().sum();
            self.sum = Some(match self.sum.take() {
                None => zero,
                Some(sum) => sum + zero,
            });
        }
    }
}
