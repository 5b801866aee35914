use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients so that their global L2 norm `√Σ‖g‖²` is at most `max_norm`, as torch's
/// `clip_grad_norm_` does it; Burn's own clipping looks at one tensor at a time.
///
/// The factor is `min(1, max_norm / (norm + 1e-6))`, computed on the device. The norm before the cut is
/// given back, `[1]`; none where there is no gradient.
///
/// # Source
/// Pascanu et al. 2013; `torch.nn.utils.clip_grad_norm_`.
pub(crate) fn clip_global_norm<M: Module>(
    gradients: &mut GradientsParams,
    module: &M,
    max_norm: f64,
) -> Option<Tensor<1>> {
    let mut squares = SumOfSquares { gradients, sum: None };
    module.visit(&mut squares);
    let norm = squares.sum?.sqrt();
    let factor = (norm.clone() + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    module.visit(&mut Scale { gradients, factor });
    Some(norm)
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                None => square,
                Some(sum) => sum + square,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.gradients.register(param.id, gradient * factor);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn the_norm_over_all_tensors_is_cut() {
        let device = Device::default().autodiff();
        let layer = LinearConfig::new(2, 2).init(&device);
        let gradients = |max_norm| {
            // d/dw of Σ (x w + b): x in each column, and ones; the squares sum to 2 · (9 + 16) + 2 = 52.
            let x = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
            let mut gradients = GradientsParams::from_grads(layer.forward(x).sum().backward(), &layer);
            let norm = clip_global_norm(&mut gradients, &layer, max_norm).unwrap().into_scalar::<f32>();
            assert!((norm - 52.0_f32.sqrt()).abs() < 1e-5, "{norm}");
            let weight =
                gradients.get::<2>(layer.weight.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
            let bias = gradients.get::<1>(layer.bias.as_ref().unwrap().id).unwrap();
            (weight, bias.into_data().try_to_vec::<f32>().unwrap())
        };
        let (weight, bias) = gradients(100.0);
        assert_eq!((weight, bias), (vec![3.0, 3.0, 4.0, 4.0], vec![1.0, 1.0]));
        let (weight, bias) = gradients(52.0_f64.sqrt() / 2.0);
        // Half of each, within the 1e-6 in the denominator and rounding.
        for (got, expected) in weight.iter().chain(&bias).zip([1.5, 1.5, 2.0, 2.0, 0.5, 0.5]) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
    }
}
