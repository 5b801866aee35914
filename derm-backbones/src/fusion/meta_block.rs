use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{FusionInput, FusionWidths};
use crate::error::check_count;
use crate::{BatchNorm2d, Error, Macs};

/// Configuration of [`MetaBlock`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `values` | 32 | image features that share a scale and a shift | ≥ 1, divides the image features |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetaBlockConfig {
    /// Image features that share a scale and a shift.
    pub values: usize,
}

impl Default for MetaBlockConfig {
    fn default() -> Self {
        Self { values: 32 }
    }
}

impl MetaBlockConfig {
    pub(super) fn validate(&self, widths: FusionWidths) -> Result<(), Error> {
        check_count("meta_block.values", self.values, 1, "at least 1")?;
        if widths.image.is_multiple_of(self.values) {
            Ok(())
        } else {
            Err(Error::Indivisible {
                parameter: "meta_block.values",
                value: self.values,
                width: widths.image,
            })
        }
    }

    pub(super) fn init(&self, widths: FusionWidths, device: &Device) -> MetaBlock {
        let maps = widths.image / self.values;
        let linear = || LinearConfig::new(widths.beside(), maps).init(device);
        MetaBlock {
            scale: linear(),
            scale_norm: BatchNorm2d::new(maps, device),
            shift: linear(),
            shift_norm: BatchNorm2d::new(maps, device),
            values: self.values,
        }
    }
}

/// Answers and text decide which image features count: `σ(tanh(V · f(u)) + g(u))`.
///
/// V are the image features in maps of a few values each, u the answers and the text side by side, f and g a
/// linear layer with batch norm, one number a map. A training batch of one row is normalised by the running
/// statistics (torch refuses it).
///
/// # Source
/// Pacheco and Krohling 2021, "An attention-based mechanism to combine images and metadata in deep learning models
/// applied to skin cancer classification", and the authors' code, which has 32 values a map.
#[derive(Module, Debug)]
pub struct MetaBlock {
    scale: Linear,
    scale_norm: BatchNorm2d,
    shift: Linear,
    shift_norm: BatchNorm2d,
    values: usize,
}

impl MetaBlock {
    pub(super) fn forward(&self, input: &FusionInput) -> Tensor<2> {
        let [batch, width] = input.image.dims();
        let maps = width / self.values;
        let beside = input.beside();
        let coefficient = |linear: &Linear, norm: &BatchNorm2d| -> Tensor<3> {
            let values = norm.forward(linear.forward(beside.clone()).reshape([batch, maps, 1, 1]));
            values.reshape([batch, maps, 1])
        };
        let features: Tensor<3> = input.image.clone().reshape([batch, maps, self.values]);
        let scaled = tanh(features * coefficient(&self.scale, &self.scale_norm));
        sigmoid(scaled + coefficient(&self.shift, &self.shift_norm)).reshape([batch, width])
    }

    /// Width of the fused vector: that of the image features.
    pub fn width(&self) -> usize {
        let [_, maps] = self.scale.weight.lazy_shape().dims();
        maps * self.values
    }

    pub(super) fn macs(&self) -> Macs {
        let weights =
            [&self.scale, &self.shift].map(|linear| linear.weight.lazy_shape().num_elements() as u64);
        Macs { conv_and_linear: weights.iter().sum(), attention: 0 }
    }
}
