use burn::tensor::{Tensor, TensorData};
use derm_core::Normalization;

/// From pixels standardised for one network to pixels standardised for another.
///
/// With `x = (v − μ) / σ` for the first network and `x' = (v − μ') / σ'` for the second, channel by channel:
/// `x' = x · σ/σ' + (μ − μ')/σ'`. The factors are computed in f64; the result is within f32 rounding of pixels that
/// were standardised for the second network from the start.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_core::Normalization;
/// use derm_distill::NormalizationMap;
///
/// let device = Device::default();
/// let black = Tensor::<4>::zeros([1, 3, 1, 1], &device) - 1.0; // of the pixel value 0, by one half
/// let map = NormalizationMap::new(Normalization::HALF, Normalization::IMAGENET);
/// let mapped: Vec<f32> = map.apply(black).into_data().iter().collect();
/// assert!((mapped[0] + 0.485 / 0.229).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizationMap {
    scale: [f32; 3],
    shift: [f32; 3],
    same: bool,
}

impl NormalizationMap {
    /// The map of pixels standardised by `from` to pixels standardised by `to`.
    pub fn new(from: Normalization, to: Normalization) -> Self {
        let channel = |values: [f32; 3], channel: usize| f64::from(values[channel]);
        let scale = [0, 1, 2].map(|at| (channel(from.std, at) / channel(to.std, at)) as f32);
        let shift = [0, 1, 2]
            .map(|at| ((channel(from.mean, at) - channel(to.mean, at)) / channel(to.std, at)) as f32);
        Self { scale, shift, same: from == to }
    }

    /// Images [B, 3, H, W] standardised by the one → by the other. Where both are the same, nothing is computed.
    ///
    /// # Panics
    /// When there are not three channels.
    pub fn apply(&self, images: Tensor<4>) -> Tensor<4> {
        if self.same {
            return images;
        }
        let (device, dtype) = (images.device().without_autodiff(), images.dtype());
        let channels = |values: [f32; 3]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device).cast(dtype)
        };
        images * channels(self.scale) + channels(self.shift)
    }
}
