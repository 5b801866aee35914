use burn::module::{Initializer, Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Up to this many output pixels an image, a training step gathers windows into a matrix.
const FEW_PIXELS: usize = 4;
/// Up to this many input channels, a training step unfolds windows into a matrix.
const FEW_CHANNELS: usize = 4;
/// No more numbers than this (256 MiB of f32) in a matrix of windows.
const MOST_NUMBERS: usize = 1 << 26;

/// A convolution with a square kernel: zero padding of half the kernel, or none for patches.
///
/// What it computes is `burn::tensor::module::conv2d`. In training some shapes are computed as one matrix
/// product over windows instead, because Burn gets the gradient of the weights by another convolution whose
/// kernel is the whole output, and that is slow where channels or pixels are few. For a batch of 64 on two busy
/// CPU cores (flex, forward and backward, best of five): 512 channels of 2×2 pixels 155 → 100 ms, 7×7 over RGB at
/// 64 pixels 149 → 87 ms, the strided 1×1 shortcut at 16 pixels 34 → 9 ms.
#[derive(Module, Debug)]
pub(crate) struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
    groups: usize,
}

impl Conv2d {
    /// A convolution without bias that keeps ⌈size / stride⌉, with torchvision's initial weights:
    /// Kaiming-normal over the fan out with gain √2.
    pub(crate) fn new(
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        Self::grouped(channels_in, channels_out, kernel, stride, 1, device)
    }

    /// Every channel convolved by itself; else as [`Conv2d::new`].
    pub(crate) fn depthwise(channels: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        Self::grouped(channels, channels, kernel, stride, channels, device)
    }

    /// Patches side by side, each a linear map: the stride is the kernel, no padding, with bias.
    pub(crate) fn patches(channels_in: usize, channels_out: usize, kernel: usize, device: &Device) -> Self {
        let conv = Self::grouped(channels_in, channels_out, kernel, kernel, 1, device).with_bias(device);
        Self { padding: 0, ..conv }
    }

    fn grouped(
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Self {
        let initializer = Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true };
        let area = kernel * kernel;
        let shape = [channels_out, channels_in / groups, kernel, kernel];
        let fan_in = channels_in / groups * area;
        let weight = initializer.init_with(shape, Some(fan_in), Some(channels_out / groups * area), device);
        Self { weight, bias: None, stride, padding: kernel / 2, groups }
    }

    /// With a bias, 0 at the start.
    pub(crate) fn with_bias(self, device: &Device) -> Self {
        let bias = Initializer::Zeros.init([self.channels_out()], device);
        Self { bias: Some(bias), ..self }
    }

    /// With other initial weights: normal with this deviation.
    pub(crate) fn with_normal_weights(self, std: f64, device: &Device) -> Self {
        let initializer = Initializer::Normal { mean: 0.0, std };
        Self { weight: initializer.init(self.weight.lazy_shape(), device), ..self }
    }

    /// [B, C, H, W] → [B, C', ⌈H / stride⌉, ⌈W / stride⌉], for patches ⌊H / stride⌋.
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_with_bias(images, self.bias.as_ref().map(Param::val))
    }

    /// As [`Conv2d::forward`] with another bias [C'] or none.
    pub(crate) fn forward_with_bias(&self, images: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, kernel, _] = weight.dims();
        if self.groups > 1 || self.padding != kernel / 2 {
            let padding = [self.padding, self.padding];
            let options = ConvOptions::new([self.stride, self.stride], padding, [1, 1], self.groups);
            conv2d(images, weight, bias, options)
        } else {
            convolve(images, weight, bias, self.stride)
        }
    }

    /// The same convolution with every output channel times `scale` [C'], not for training.
    pub(crate) fn scaled(self, scale: Tensor<1>) -> Self {
        let channels = self.channels_out();
        let weight = self.weight.val() * scale.reshape([channels, 1, 1, 1]);
        Self { weight: Param::from_tensor(weight).set_require_grad(false), ..self }
    }

    /// The weights [C', C / groups, k, k].
    pub(crate) fn weight(&self) -> Tensor<4> {
        self.weight.val()
    }

    /// Input pixels an output pixel, along one axis.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Output channels C'.
    pub(crate) fn channels_out(&self) -> usize {
        let [channels, _, _, _] = self.weight.lazy_shape().dims();
        channels
    }

    /// Multiply-accumulates of one image of [height, width] pixels, and the size after it.
    pub(crate) fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        let [out, channels, kernel, _] = self.weight.lazy_shape().dims();
        // an image smaller than the kernel has no output
        let size = image.map(|side| {
            (side + 2 * self.padding).checked_sub(kernel).map_or(0, |room| room / self.stride + 1)
        });
        ((size[0] * size[1] * out * channels * kernel * kernel) as u64, size)
    }
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    /// Burn's convolution.
    Direct,
    /// A 1×1 kernel: a matrix product over the pixels that the stride leaves.
    Pointwise,
    /// Windows gathered by index.
    Gathered,
    /// Windows as strided views.
    Unfolded,
}

impl Path {
    fn of(images: &Tensor<4>, weight: &Tensor<4>, stride: usize) -> Self {
        let [batch, channels, height, width] = images.dims();
        let [_, _, kernel, _] = weight.dims();
        let pixels = height.div_ceil(stride) * width.div_ceil(stride);
        let numbers = batch * pixels * channels * kernel * kernel;
        let even = height.is_multiple_of(stride) && width.is_multiple_of(stride);
        if !images.device().is_autodiff() || numbers > MOST_NUMBERS {
            Self::Direct
        } else if kernel == 1 && stride > 1 && even {
            Self::Pointwise
        } else if pixels <= FEW_PIXELS {
            Self::Gathered
        } else if channels <= FEW_CHANNELS {
            Self::Unfolded
        } else {
            Self::Direct
        }
    }
}

fn convolve(images: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    let output = match Path::of(&images, &weight, stride) {
        Path::Direct => return direct(images, weight, bias, stride),
        Path::Pointwise => pointwise(images, weight, stride),
        Path::Gathered => gathered(images, weight, stride),
        Path::Unfolded => unfolded(images, weight, stride),
    };
    match bias {
        None => output,
        Some(bias) => {
            let [channels] = bias.dims();
            output + bias.reshape([1, channels, 1, 1])
        }
    }
}

fn direct(images: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    let [_, _, kernel, _] = weight.dims();
    let padding = kernel / 2;
    conv2d(images, weight, bias, ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1))
}

/// Height and width must be multiples of the stride.
fn pointwise(images: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    let [channels_out, ..] = weight.dims();
    let [rows, columns] = [height / stride, width / stride];
    let pixels: Tensor<6> = images.reshape([batch, channels, rows, stride, columns, stride]).slice([
        0..batch,
        0..channels,
        0..rows,
        0..1,
        0..columns,
        0..1,
    ]);
    let pixels: Tensor<3> = pixels.reshape([batch, channels, rows * columns]).swap_dims(1, 2);
    let pixels: Tensor<2> = pixels.reshape([batch * rows * columns, channels]);
    let weight: Tensor<2> = weight.reshape([channels_out, channels]).transpose();
    images_of(pixels.matmul(weight), [batch, rows, columns])
}

fn gathered(images: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    let [channels_out, _, kernel, _] = weight.dims();
    let [rows, columns] = [height.div_ceil(stride), width.div_ceil(stride)];
    let device = images.device();
    let indices = window_indices([height, width], [rows, columns], kernel, stride);
    let count = indices.len();
    let indices =
        Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &device.clone().without_autodiff());
    let pixels: Tensor<3> = images.reshape([batch, channels, height * width]).swap_dims(1, 2);
    let outside = Tensor::zeros([batch, 1, channels], (&device, pixels.dtype()));
    let windows = Tensor::cat(vec![pixels, outside], 1).select(1, indices);
    let size = kernel * kernel * channels;
    let windows: Tensor<2> = windows.reshape([batch * rows * columns, size]);
    let weight: Tensor<2> = weight.permute([2, 3, 1, 0]).reshape([size, channels_out]);
    images_of(windows.matmul(weight), [batch, rows, columns])
}

/// For every output pixel, the input pixels of its window in row-major order; `height · width` stands for a
/// pixel outside of the image.
fn window_indices(
    [height, width]: [usize; 2],
    [rows, columns]: [usize; 2],
    kernel: usize,
    stride: usize,
) -> Vec<i32> {
    let padding = kernel / 2;
    let inside = |output: usize, offset: usize, size: usize| {
        (output * stride + offset).checked_sub(padding).filter(|&position| position < size)
    };
    let mut indices = Vec::with_capacity(rows * columns * kernel * kernel);
    for row in 0..rows {
        for column in 0..columns {
            for y in 0..kernel {
                for x in 0..kernel {
                    let pixel = inside(row, y, height).zip(inside(column, x, width));
                    indices.push(pixel.map_or(height * width, |(y, x)| y * width + x) as i32);
                }
            }
        }
    }
    indices
}

fn unfolded(images: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    let [channels_out, _, kernel, _] = weight.dims();
    let [rows, columns] = [height.div_ceil(stride), width.div_ceil(stride)];
    let padding = kernel / 2;
    let padded = images.pad((padding, padding, padding, padding), 0.0);
    let lines: Tensor<5> = padded.unfold(2, kernel, stride);
    let windows: Tensor<6> = lines.unfold(3, kernel, stride);
    let size = channels * kernel * kernel;
    let windows: Tensor<2> = windows.permute([0, 2, 3, 1, 4, 5]).reshape([batch * rows * columns, size]);
    let weight: Tensor<2> = weight.reshape([channels_out, size]).transpose();
    images_of(windows.matmul(weight), [batch, rows, columns])
}

/// Pixels [B·H·W, C] → images [B, C, H, W].
fn images_of(pixels: Tensor<2>, [batch, rows, columns]: [usize; 3]) -> Tensor<4> {
    let [_, channels] = pixels.dims();
    let pixels: Tensor<3> = pixels.reshape([batch, rows * columns, channels]).swap_dims(1, 2);
    pixels.reshape([batch, channels, rows, columns])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The same sums in another order.
    const F32_NOISE: f64 = 1e-4;

    fn values(shape: [usize; 4], factor: usize, device: &Device) -> Tensor<4> {
        let n = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..n).map(|i| ((i * factor + 11) % 211) as f32 / 105.5 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn close(got: &Tensor<4>, expected: &Tensor<4>) {
        assert_eq!(got.dims(), expected.dims());
        let (got, expected) = (got.to_data(), expected.to_data());
        for (got, expected) in got.iter::<f64>().zip(expected.iter::<f64>()) {
            assert!((got - expected).abs() <= F32_NOISE * (1.0 + expected.abs()), "{got} and {expected}");
        }
    }

    #[test]
    fn every_path_is_the_convolution_in_value_and_gradients() {
        let device = Device::default().autodiff();
        let cases = [
            (Path::Pointwise, [2, 5, 4, 6], 7, 1, 2),
            (Path::Gathered, [2, 5, 2, 2], 7, 3, 1),
            (Path::Gathered, [2, 5, 3, 4], 7, 3, 2),
            (Path::Gathered, [2, 5, 1, 1], 7, 3, 2),
            (Path::Gathered, [2, 5, 1, 3], 7, 1, 2),
            (Path::Unfolded, [2, 3, 9, 8], 5, 7, 2),
            (Path::Unfolded, [2, 3, 6, 7], 5, 3, 1),
            (Path::Direct, [2, 5, 6, 5], 7, 3, 2),
        ];
        for (path, shape, channels_out, kernel, stride) in cases {
            let images = values(shape, 37, &device).require_grad();
            let weight = values([channels_out, shape[1], kernel, kernel], 53, &device).require_grad();
            assert_eq!(Path::of(&images, &weight, stride), path, "{shape:?} {kernel} {stride}");
            let bias = Tensor::<1, Int>::arange(0..channels_out as i64, &device).float();
            let run = |convolve: fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, usize) -> Tensor<4>| {
                let output = convolve(images.clone(), weight.clone(), Some(bias.clone()), stride);
                let factors = values(output.dims(), 29, &device);
                let gradients = (output.clone() * factors).sum().backward();
                (output, images.grad(&gradients), weight.grad(&gradients))
            };
            let (expected, expected_images, expected_weight) = run(direct);
            let (got, got_images, got_weight) = run(convolve);
            close(&got, &expected);
            for (got, expected) in [(got_images, expected_images), (got_weight, expected_weight)] {
                close(&got.unwrap(), &expected.unwrap());
            }
        }
    }

    #[test]
    fn inference_and_large_batches_take_burns_convolution() {
        let device = Device::default();
        let weight = values([4, 3, 3, 3], 53, &device);
        assert_eq!(Path::of(&values([1, 3, 2, 2], 37, &device), &weight, 1), Path::Direct);
        let large = Tensor::<4>::zeros([1, 3, 1600, 1600], &device.autodiff());
        assert_eq!(Path::of(&large, &weight.autodiff(), 1), Path::Direct);
    }
}
