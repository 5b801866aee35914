use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

/// RGB patches side by side, each a linear map to one token: a convolution whose stride is its kernel, computed
/// as one matrix product. Pixels at the right and lower border that fill no patch are left out, as such a
/// convolution does.
#[derive(Module, Debug)]
pub(crate) struct PatchEmbedding {
    /// [D, 3, P, P], as a convolution has it.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl PatchEmbedding {
    /// Patches of `patch` × `patch` pixels to tokens of `width`. Weights and bias start uniform within
    /// ±1/√(3P²), torch's default for convolutions.
    pub(crate) fn new(patch: usize, width: usize, device: &Device) -> Self {
        let bound = 1.0 / ((3 * patch * patch) as f64).sqrt();
        let uniform = Initializer::Uniform { min: -bound, max: bound };
        Self { weight: uniform.init([width, 3, patch, patch], device), bias: uniform.init([width], device) }
    }

    /// Starting from these weights [D, 3, P, P] and a bias of 0.
    pub(crate) fn with_weight(self, weight: Tensor<4>) -> Self {
        let bias = Initializer::Zeros.init(self.bias.lazy_shape(), &self.bias.lazy_device());
        Self { weight: Param::from_tensor(weight), bias }
    }

    /// Patches [down, across] in an image of [height, width] pixels.
    pub(crate) fn grid(&self, image: [usize; 2]) -> [usize; 2] {
        let [_, _, patch, _] = self.weight.lazy_shape().dims();
        image.map(|side| side / patch)
    }

    /// [B, 3, H, W] → tokens [B, N, D], row by row.
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let weight = self.weight.val();
        let [width, channels, patch, _] = weight.dims();
        let [batch, _, height, across] = images.dims();
        let [rows, columns] = self.grid([height, across]);
        let area = channels * patch * patch;
        let images = images.narrow(2, 0, rows * patch).narrow(3, 0, columns * patch);
        let patches: Tensor<6> = images.reshape([batch, channels, rows, patch, columns, patch]);
        let patches = patches.permute([0, 2, 4, 1, 3, 5]).reshape([batch * rows * columns, area]);
        let tokens = patches.matmul(weight.reshape([width, area]).transpose());
        (tokens + self.bias.val().unsqueeze()).reshape([batch, rows * columns, width])
    }

    /// Multiply-accumulates of one image of [height, width] pixels.
    pub(crate) fn macs(&self, image: [usize; 2]) -> u64 {
        let [rows, columns] = self.grid(image);
        (rows * columns * self.weight.lazy_shape().num_elements()) as u64
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution, Tensor};

    use super::PatchEmbedding;

    /// Sums of 27 products in another order.
    const F32_NOISE: f32 = 1e-5;

    #[test]
    fn is_the_convolution_whose_stride_is_its_kernel() {
        let device = Device::default();
        device.seed(3);
        let layer = PatchEmbedding::new(3, 5, &device);
        let images = Tensor::random([2, 3, 7, 11], Distribution::Normal(0.0, 1.0), &device);
        let options = ConvOptions::new([3, 3], [0, 0], [1, 1], 1);
        let expected = conv2d(images.clone(), layer.weight.val(), Some(layer.bias.val()), options);
        assert_eq!(expected.dims(), [2, 5, 2, 3]);
        let expected = expected.reshape([2, 5, 6]).swap_dims(1, 2);
        let difference = (layer.forward(images) - expected).abs().max().into_scalar::<f32>();
        assert!(difference < F32_NOISE, "{difference}");
    }
}
