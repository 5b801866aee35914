use burn::tensor::activation::relu;
use burn::tensor::{Slice, Tensor};

/// 3×3 max pooling of stride 2 and padding 1 for a map without negative values in channels-last memory:
/// [B, C, H, W] → [B, C, ⌈H / 2⌉, ⌈W / 2⌉], both permuted views of that memory.
///
/// Burn's pooling also gives the places of the maxima, and on a CPU takes twenty times as long as these passes, rows
/// before columns. Zeros around the map change nothing, and `max(a, b) = relu(a − b) + b` is exact but for the last
/// bit where a > b ≥ 0.
pub(crate) fn max_pool_of_relu(map: Tensor<4>) -> Tensor<4> {
    let map = map.permute([0, 2, 3, 1]);
    halved(halved(map, 1), 2).permute([0, 3, 1, 2])
}

/// The maximum of positions 2i − 1, 2i and 2i + 1 along `axis`.
fn halved(map: Tensor<4>, axis: usize) -> Tensor<4> {
    let shape = map.dims();
    let size = shape[axis];
    if size == 1 {
        return map;
    }
    let half = size.div_ceil(2);
    let even = map.clone().slice_dim(axis, Slice::new(0, None, 2));
    let odd = map.slice_dim(axis, Slice::new(1, None, 2));
    let mut ranges = odd.dims().map(|size| 0..size);
    ranges[axis] = 1..1 + size / 2;
    let mut shape = shape;
    shape[axis] = half + 1;
    let odd = Tensor::zeros(shape, (&odd.device(), odd.dtype())).slice_assign(ranges, odd);
    larger(larger(even, odd.clone().narrow(axis, 0, half)), odd.narrow(axis, 1, half))
}

fn larger(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    relu(a - b.clone()) + b
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::nn::pool::MaxPool2dConfig;
    use burn::tensor::activation::relu;
    use burn::tensor::{Device, Distribution, Tensor};

    use super::max_pool_of_relu;

    /// The last bit of values up to 8.
    const F32_NOISE: f64 = 1e-6;

    #[test]
    fn it_is_burns_pooling() {
        let device = Device::default();
        device.seed(4);
        let pool = MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init();
        for (batch, height, width) in [(2, 8, 6), (2, 7, 9), (1, 1, 5), (3, 2, 1), (1, 1, 1), (2, 3, 2)] {
            let map = Tensor::<4>::random([batch, 3, height, width], Distribution::Normal(0.0, 1.0), &device);
            let map = relu(map);
            let expected = pool.forward(map.clone());
            let memory = map.clone().permute([0, 2, 3, 1]).into_data();
            let view = Tensor::<4>::from_data(memory, &device).permute([0, 3, 1, 2]);
            for map in [map, view] {
                let got = max_pool_of_relu(map);
                assert_eq!(got.dims(), expected.dims());
                let difference = (got - expected.clone()).abs().max().into_scalar::<f64>();
                assert!(difference < F32_NOISE, "{height} {width}: {difference}");
            }
        }
    }
}
