use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::TrainingRecipe;

/// `AdamW` with decoupled weight decay on matrices and kernels only: biases and the scales of norms (the
/// parameters of rank 1) have none, as timm and torchvision's recipes do it.
pub(crate) fn adamw<M: Module>(recipe: &TrainingRecipe, module: &M) -> ModuleOptimizer {
    let config = AdamWConfig::new().with_epsilon(recipe.adam_epsilon as f32);
    let decayed = config.clone().with_weight_decay(recipe.weight_decay as f32).build();
    let plain = config.with_weight_decay(0.0).build();
    let mut vectors = Vectors(Vec::new());
    module.visit(&mut vectors);
    ModuleOptimizer::from(decayed).with_group(ParamGroup::from_ids(vectors.0), plain, None)
}

struct Vectors(Vec<ParamId>);

impl ModuleVisitor for Vectors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.0.push(param.id);
        }
    }
}
