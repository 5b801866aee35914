use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{FusionInput, FusionWidths};
use crate::error::check_count;
use crate::{Error, Macs};

/// Configuration of [`GatedFusion`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `width` | required | width F of the fused vector | ≥ 1 |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatedFusionConfig {
    /// Width F of the fused vector.
    pub width: usize,
}

impl GatedFusionConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        check_count("gated.width", self.width, 1, "at least 1")
    }

    pub(super) fn init(&self, widths: FusionWidths, device: &Device) -> GatedFusion {
        let modalities = [Some(widths.image), widths.answers, widths.text];
        let modalities: Vec<usize> = modalities.into_iter().flatten().collect();
        let all = modalities.iter().sum();
        // two modalities share one gate, z and 1 − z
        let gates = if modalities.len() == 2 { 1 } else { modalities.len() };
        let linear =
            |width: usize, bias: bool| LinearConfig::new(width, self.width).with_bias(bias).init(device);
        GatedFusion {
            content: modalities.iter().map(|width| linear(*width, true)).collect(),
            gates: (0..gates).map(|_| linear(all, true)).collect(),
        }
    }
}

/// The gated multimodal unit: each modality x gives `h = tanh(W x + b)`, and gates that look at all of them weigh
/// it, `z = σ(W [x₁, x₂, …] + b)` (the paper has no biases). For two modalities the fused vector is `z h₁ + (1 − z) h₂`, for three `Σ zᵢ hᵢ`.
///
/// # Source
/// Arevalo et al. 2017, "Gated multimodal units for information fusion".
#[derive(Module, Debug)]
pub struct GatedFusion {
    content: Vec<Linear>,
    gates: Vec<Linear>,
}

impl GatedFusion {
    pub(super) fn forward(&self, input: &FusionInput) -> Tensor<2> {
        let text = input.text.as_ref().map(|text| text.pooled.clone());
        let modalities: Vec<Tensor<2>> =
            std::iter::once(input.image.clone()).chain(input.answers.clone()).chain(text).collect();
        let all = Tensor::cat(modalities.clone(), 1);
        let mut gates: Vec<Tensor<2>> =
            self.gates.iter().map(|gate| sigmoid(gate.forward(all.clone()))).collect();
        if let [gate] = gates.as_slice() {
            let other = gate.ones_like() - gate.clone();
            gates.push(other);
        }
        let content = self.content.iter().zip(modalities).map(|(layer, x)| tanh(layer.forward(x)));
        let mut weighed = content.zip(gates).map(|(content, gate)| content * gate);
        let first = weighed.next();
        // `init` always makes a layer for the image
        first.map_or_else(|| input.image.clone(), |first| weighed.fold(first, |sum, next| sum + next))
    }

    /// Width of the fused vector.
    pub fn width(&self) -> usize {
        self.content.first().map_or(0, |layer| {
            let [_, width] = layer.weight.lazy_shape().dims();
            width
        })
    }

    pub(super) fn macs(&self) -> Macs {
        let layers = self.content.iter().chain(&self.gates);
        let linear = layers.map(|layer| layer.weight.lazy_shape().num_elements() as u64).sum();
        Macs { conv_and_linear: linear, attention: 0 }
    }
}
