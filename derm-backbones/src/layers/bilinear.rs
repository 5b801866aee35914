use burn::tensor::{Device, Tensor, TensorData};

/// A feature map at another size: [B, C, H, W] → [B, C, `height`, `width`], bilinear between pixel centres, edge
/// pixels repeated, without low-pass when it shrinks.
///
/// Each axis is one matrix product, so that every backend has its gradient; Burn's own interpolation has none on
/// ndarray.
///
/// # Source
/// torch `interpolate(mode="bilinear", align_corners=False)`.
pub(crate) fn bilinear(map: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, channels, rows, columns] = map.dims();
    let device = map.device();
    let weights = |from, to| weights(from, to, &device).cast(map.dtype());
    let vertical = weights(rows, height).unsqueeze::<3>();
    let horizontal = weights(columns, width).transpose();
    let lines: Tensor<2> = map.reshape([batch * channels * rows, columns]);
    let lines: Tensor<3> = lines.matmul(horizontal).reshape([batch * channels, rows, width]);
    let vertical = vertical.expand([batch * channels, height, rows]);
    vertical.matmul(lines).reshape([batch, channels, height, width])
}

/// The weights [`to`, `from`] of the old pixels in each new one.
fn weights(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut weights = vec![0.0_f32; from * to];
    for pixel in 0..to {
        let centre = (pixel as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let position = centre.clamp(0.0, (from - 1) as f64);
        let (before, fraction) = (position.floor() as usize, position.fract());
        weights[pixel * from + before] += (1.0 - fraction) as f32;
        weights[pixel * from + (before + 1).min(from - 1)] += fraction as f32;
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, Int, Tensor};

    use super::bilinear;

    /// The numbers are multiples of an eighth.
    const F32_NOISE: f64 = 1e-6;

    fn map(device: &Device) -> Tensor<4> {
        Tensor::<1, Int>::arange(0..6, device).float().reshape([1, 1, 2, 3])
    }

    fn close(got: &Tensor<4>, expected: &[f64]) {
        let got: Vec<f64> = got.clone().into_data().iter::<f64>().collect();
        assert_eq!(got.len(), expected.len());
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < F32_NOISE), "{got:?}");
    }

    /// torch 2.15, `interpolate(arange(6).view(1, 1, 2, 3), size, mode="bilinear", align_corners=False)`.
    #[test]
    fn sizes_change_as_in_torch() {
        let device = Device::default();
        let larger = [
            0.0, 0.625, 1.375, 2.0, 0.75, 1.375, 2.125, 2.75, 2.25, 2.875, 3.625, 4.25, 3.0, 3.625, 4.375,
            5.0,
        ];
        close(&bilinear(map(&device), [4, 4]), &larger);
        close(&bilinear(map(&device), [1, 2]), &[1.75, 3.25]);
        close(&bilinear(map(&device), [2, 3]), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    /// The gradient of a sum is how much of each old pixel the new ones hold.
    #[test]
    fn gradients_are_the_weights() {
        let device = Device::default().autodiff();
        let map = map(&device).require_grad();
        let gradients = bilinear(map.clone(), [2, 2]).sum().backward();
        let gradient = map.grad(&gradients).unwrap();
        close(&gradient.reshape([1, 1, 2, 3]), &[0.75, 0.5, 0.75, 0.75, 0.5, 0.75]);
    }
}
