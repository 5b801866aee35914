use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};
use derm_losses::{HintLoss, HintLossConfig, HintReduction};

use crate::Error;

/// The projectors of a distillation: 1×1 convolutions (linear maps, on pooled features) from the student's width to
/// the teacher's, one for each pair of layers of a `hint`, and of a `cosine_feature` where it asks for them.
///
/// They learn with the student, so they belong to what the optimizer steps and to the training's checkpoint; the
/// student alone is what is kept in the end. Empty where no term needs one.
#[derive(Module, Debug, Default)]
pub struct Projectors {
    pub(crate) hints: Vec<HintLoss>,
    pub(crate) convolutions: Vec<Conv2d>,
}

impl Projectors {
    /// Whether there is nothing to learn.
    pub fn is_empty(&self) -> bool {
        self.hints.is_empty() && self.convolutions.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hints.len() + self.convolutions.len()
    }

    pub(crate) fn add_hint(
        &mut self,
        student_channels: usize,
        teacher_channels: usize,
        reduction: HintReduction,
        device: &Device,
    ) -> Result<usize, Error> {
        let config = HintLossConfig { student_channels, teacher_channels, reduction };
        self.hints.push(drawn(config.init(device)?));
        Ok(self.hints.len() - 1)
    }

    pub(crate) fn add_convolution(&mut self, student: usize, teacher: usize, device: &Device) -> usize {
        self.convolutions.push(drawn(Conv2dConfig::new([student, teacher], [1, 1]).init(device)));
        self.convolutions.len() - 1
    }
}

/// The module with its weights drawn now: Burn draws a weight when it is first used, and what was drawn before then
/// would decide it.
fn drawn<M: Module>(module: M) -> M {
    module.visit(&mut Draw);
    module
}

struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let _ = param.val();
    }
}
