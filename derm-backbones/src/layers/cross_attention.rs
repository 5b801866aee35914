use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};

use super::dot_product::{heads_of, mask_of, mix};
use crate::Macs;

/// Multi-head attention of one sequence to another of the same width.
#[derive(Module, Debug)]
pub(crate) struct CrossAttention {
    query: Linear,
    /// [D, 2D]: keys, values.
    key_value: Linear,
    proj: Linear,
    weight_dropout: Dropout,
    heads: usize,
}

impl CrossAttention {
    /// `width` must be a multiple of `heads`.
    pub(crate) fn new(width: usize, heads: usize, dropout: f64, device: &Device) -> Self {
        Self {
            query: LinearConfig::new(width, width).init(device),
            key_value: LinearConfig::new(width, 2 * width).init(device),
            proj: LinearConfig::new(width, width).init(device),
            weight_dropout: DropoutConfig::new(dropout).init(),
            heads,
        }
    }

    /// Tokens [B, T, D] look at `context` [B, S, D] → [B, T, D]. Where `masked` [B, S] is true, a context token is
    /// hidden.
    pub(crate) fn forward(
        &self,
        tokens: Tensor<3>,
        context: Tensor<3>,
        masked: Option<&Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let query = heads_of(self.query.forward(tokens), self.heads);
        let key_value = self.key_value.forward(context);
        let key = heads_of(key_value.clone().narrow(2, 0, width), self.heads);
        let value = heads_of(key_value.narrow(2, width, width), self.heads);
        let mask = masked.map(|masked| mask_of(masked, self.heads, count));
        let mixed = mix(query, key, value, mask, &self.weight_dropout);
        self.proj.forward(mixed.swap_dims(1, 2).reshape([batch, count, width]))
    }

    /// Multiply-accumulates for `count` tokens and `context` context tokens.
    pub(crate) fn macs(&self, count: usize, context: usize) -> Macs {
        let [width, _] = self.query.weight.lazy_shape().dims();
        Macs {
            conv_and_linear: 2 * ((count + context) * width * width) as u64,
            attention: 2 * (count * context * width) as u64,
        }
    }
}
