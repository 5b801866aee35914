use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// A floating-point format of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HalfPrecision {
    /// bfloat16: the range of f32, 8 bits of precision.
    Bf16,
    /// IEEE half: 11 bits of precision, nothing above 65504, and gradients below 6e-8 are lost.
    F16,
}

impl HalfPrecision {
    /// Burn's name of the format.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// Whether a device computes in it; ndarray has neither format.
    pub fn is_supported(self, device: &Device) -> bool {
        device.supports_dtype(self.dtype())
    }

    /// The network with its weights in this format, for the forward and backward pass of mixed precision. The weights
    /// of norms ([`BatchNorm2d`](crate::BatchNorm2d), Burn's `LayerNorm`, `ConvNeXt` V2's response norm) stay as they
    /// are: these layers compute in single precision and give back what they were given, where a network of one's own
    /// calls them through [`ForwardInF32`](crate::ForwardInF32).
    ///
    /// A copy begins a graph of its own. Its parameters keep their ids, so that `GradientsParams::from_grads` gives
    /// gradients by which an optimizer steps the weights in f32, once they are cast. What is frozen stays frozen, and
    /// running statistics are those of the original: a forward pass of the copy moves them.
    ///
    /// # Panics
    /// On a device without the format ([`HalfPrecision::is_supported`]).
    ///
    /// # Source
    /// Micikevicius et al. 2018, "Mixed precision training": f32 master weights; norms in f32 as in torch's `autocast`.
    pub fn copy_of<M: Module>(self, network: &M) -> M {
        network.clone().map(&mut Halve { format: self.dtype(), containers: Vec::new() })
    }
}

/// Layers whose weights stay in single precision, by the name under which Burn announces them.
const NORMS: [&str; 3] = ["Struct:BatchNorm2d", "Struct:Grn", "Struct:LayerNorm"];

struct Halve {
    format: FloatDType,
    containers: Vec<String>,
}

impl ModuleMapper for Halve {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.containers.push(container_type.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.containers.iter().any(|container| NORMS.contains(&container.as_str())) {
            return param;
        }
        param.map(|weight| {
            let (trains, autodiff) = (weight.is_require_grad(), weight.device().is_autodiff());
            let half = weight.without_autodiff().cast(self.format);
            if autodiff { Tensor::from_inner(half).set_require_grad(trains) } else { half }
        })
    }
}
