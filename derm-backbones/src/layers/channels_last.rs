use burn::module::{Module, Param};
use burn::tensor::{Slice, Tensor};

use super::{Activation, Conv2d};

/// From this width on, shifted products cost less than a matrix of windows: they compute a column or two more a
/// row, and copy nothing.
const LEAST_SHIFTED_WIDTH: usize = 20;

/// Shifted products pay with this many numbers in a row of a window or more: not for RGB.
const LEAST_SHIFTED_RUN: usize = 32;

/// A folded convolution with an odd kernel for inference in the host's memory, as matrix products over maps whose
/// channels lie last in memory.
///
/// There the k columns of a window are one run of memory, and windows are strided views: no copy where the stride
/// is 1 and the map is wide, one product for each row of the kernel; else one copy of the windows and one product.
/// The maps that it takes and gives are [B, C, H, W] as everywhere, permuted views of that memory, so that
/// convolutions in a row convert nothing. What Burn's convolution does is convert the map there and back, re-order
/// the weights in each call, and copy every window.
#[derive(Module, Debug)]
pub(crate) struct ChannelsLastConv {
    /// [k, k · C, C'], kernel rows first, then kernel columns and channels.
    weight: Param<Tensor<3>>,
    folded_bias: Param<Tensor<1>>,
    stride: usize,
}

impl ChannelsLastConv {
    /// The convolution `conv`, whose groups must be 1 and whose padding half the odd kernel, with this bias.
    pub(crate) fn new(conv: &Conv2d, folded_bias: Param<Tensor<1>>) -> Self {
        let weight = conv.weight();
        let [out, channels, kernel, _] = weight.dims();
        let weight = weight.permute([2, 3, 1, 0]).reshape([kernel, kernel * channels, out]);
        let weight = Param::from_tensor(weight).set_require_grad(false);
        Self { weight, folded_bias, stride: conv.stride() }
    }

    /// [B, C, H, W] → [B, C', ⌈H / stride⌉, ⌈W / stride⌉], both views of channels-last memory.
    pub(crate) fn forward(&self, map: Tensor<4>, activation: Option<Activation>) -> Tensor<4> {
        let [batch, channels, height, width] = map.dims();
        // free for a view of channels-last memory, one tiled transposition for any other map
        let rows: Tensor<3> = map.permute([0, 2, 3, 1]).reshape([batch, height, width * channels]);
        let weight = self.weight.val();
        let [kernel, run, out] = weight.dims();
        let (map, width) = if kernel == 1 {
            self.pointwise(rows, channels, &weight)
        } else if self.stride == 1 && width >= LEAST_SHIFTED_WIDTH && run >= LEAST_SHIFTED_RUN {
            shifted(rows, channels, &weight)
        } else {
            gathered(rows, channels, &weight, self.stride)
        };
        // the sum writes what is left of a row without gaps
        let map = map.narrow(2, 0, width) + self.folded_bias.val().reshape([1, 1, 1, out]);
        let map = match activation {
            None => map,
            Some(activation) => activation.apply(map),
        };
        map.permute([0, 3, 1, 2])
    }

    /// Map [B, H', W', C'] and its width.
    fn pointwise(&self, rows: Tensor<3>, channels: usize, weight: &Tensor<3>) -> (Tensor<4>, usize) {
        let [batch, height, width] = rows.dims();
        let pixels: Tensor<4> = rows.reshape([batch, height, width / channels, channels]);
        let pixels = if self.stride == 1 {
            pixels
        } else {
            let every = Slice::new(0, None, self.stride as isize);
            pixels.slice([Slice::new(0, None, 1), every, every, Slice::new(0, None, 1)])
        };
        let [_, height, width, _] = pixels.dims();
        let [_, _, out] = weight.dims();
        let pixels: Tensor<2> = pixels.reshape([batch * height * width, channels]);
        let map = pixels.matmul(weight.clone().squeeze_dim(0));
        (map.reshape([batch, height, width, out]), width)
    }

    /// Multiply-accumulates of one image of [height, width] pixels, and the size after it.
    pub(crate) fn macs(&self, image: [usize; 2]) -> (u64, [usize; 2]) {
        let size = image.map(|side| side.div_ceil(self.stride));
        let weights: usize = self.weight.lazy_shape().num_elements();
        ((size[0] * size[1] * weights) as u64, size)
    }
}

/// Rows [B, H, W · C] with zeros around them: `padding` pixels on all sides and `below` rows more.
fn padded(rows: Tensor<3>, channels: usize, padding: usize, below: usize) -> Tensor<3> {
    let [batch, height, row] = rows.dims();
    let side = padding * channels;
    let shape = [batch, height + 2 * padding + below, row + 2 * side];
    let zeros = Tensor::zeros(shape, (&rows.device(), rows.dtype()));
    zeros.slice_assign([0..batch, padding..padding + height, side..side + row], rows)
}

/// One product for each row of the kernel, over all pixels of the padded rows: the windows at the end of a row run
/// into the next one and give pixels that are cut off. Map [B, H, W + k − 1, C'], and the width W that counts.
fn shifted(rows: Tensor<3>, channels: usize, weight: &Tensor<3>) -> (Tensor<4>, usize) {
    let [batch, height, row] = rows.dims();
    let [kernel, run, out] = weight.dims();
    let width = row / channels;
    // one row more below: the last windows of the last row read past its end
    let padded = padded(rows, channels, kernel / 2, 1);
    let [_, padded_height, padded_row] = padded.dims();
    let flat: Tensor<2> = padded.reshape([batch, padded_height * padded_row]);
    let windows = height * padded_row / channels;
    let product = |kernel_row: usize| -> Tensor<3> {
        let length = (windows + kernel - 1) * channels;
        let runs: Tensor<3> =
            flat.clone().narrow(1, kernel_row * padded_row, length).unfold(1, run, channels);
        runs.matmul(weight.clone().narrow(0, kernel_row, 1))
    };
    let map = (1..kernel).fold(product(0), |sum, kernel_row| sum + product(kernel_row));
    (map.reshape([batch, height, padded_row / channels, out]), width)
}

/// One copy of all windows and one product. Map [B, H', W', C'] and its width.
fn gathered(rows: Tensor<3>, channels: usize, weight: &Tensor<3>, stride: usize) -> (Tensor<4>, usize) {
    let [kernel, run, out] = weight.dims();
    let padded = padded(rows, channels, kernel / 2, 0);
    let runs: Tensor<4> = padded.unfold(2, run, stride * channels);
    let windows: Tensor<5> = runs.unfold(1, kernel, stride);
    let [batch, height, width, _, _] = windows.dims();
    let windows = windows.permute([0, 1, 2, 4, 3]).reshape([batch * height * width, kernel * run]);
    let map: Tensor<2> = windows.matmul(weight.clone().reshape([kernel * run, out]));
    (map.reshape([batch, height, width, out]), width)
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Device, Distribution, Tensor};

    use super::ChannelsLastConv;
    use crate::layers::{Activation, Conv2d};

    /// The same sums in another order.
    const F32_NOISE: f64 = 1e-4;

    /// Kernels, strides and sizes on both sides of the choice between shifted products and a matrix of windows.
    #[test]
    fn it_is_the_convolution() {
        let device = Device::default();
        for (channels, kernel, stride, height, width) in [
            (4, 1, 1, 5, 6),
            (4, 1, 2, 5, 6),
            (4, 1, 2, 6, 7),
            (4, 3, 1, 7, 9),
            (12, 3, 1, 4, 23),
            (12, 3, 1, 1, 20),
            (4, 3, 2, 7, 9),
            (12, 3, 2, 8, 24),
            (12, 5, 1, 6, 21),
            (4, 5, 1, 3, 3),
            (3, 3, 1, 5, 24),
            (3, 7, 2, 9, 12),
            (3, 7, 2, 8, 11),
        ] {
            device.seed(2);
            let conv = Conv2d::new(channels, 5, kernel, stride, &device);
            let bias = Tensor::<1>::random([5], Distribution::Default, &device);
            let map =
                Tensor::<4>::random([2, channels, height, width], Distribution::Normal(0.0, 1.0), &device);
            let expected = conv.forward_with_bias(map.clone(), Some(bias.clone()));
            let last = ChannelsLastConv::new(&conv, Param::from_tensor(bias));
            let memory = map.clone().permute([0, 2, 3, 1]).into_data();
            let view = Tensor::<4>::from_data(memory, &device).permute([0, 3, 1, 2]);
            for map in [map, view] {
                let got = last.forward(map.clone(), None);
                assert_eq!(got.dims(), expected.dims(), "{channels} {kernel} {stride} {height} {width}");
                let difference = (got - expected.clone()).abs().max().into_scalar::<f64>();
                assert!(
                    difference < F32_NOISE,
                    "{channels} {kernel} {stride} {height} {width}: {difference}"
                );
                let relu = last.forward(map, Some(Activation::Relu));
                let difference = (relu - expected.clone().clamp_min(0.0)).abs().max().into_scalar::<f64>();
                assert!(
                    difference < F32_NOISE,
                    "{channels} {kernel} {stride} {height} {width}: {difference}"
                );
            }
            assert_eq!(last.macs([height, width]), conv.macs([height, width]));
        }
    }
}
