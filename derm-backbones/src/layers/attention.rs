use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};

use super::dot_product::{mask_of, mix, weights};
use crate::Macs;

/// Multi-head self-attention with one projection for queries, keys and values: `softmax(q kᵀ / √d) v` for each
/// head of width d.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    /// [D, 3D]: queries, keys, values, each split into heads.
    qkv: Linear,
    proj: Linear,
    /// Of the attention weights.
    weight_dropout: Dropout,
    dropout: Dropout,
    heads: usize,
}

impl Attention {
    /// `width` must be a multiple of `heads`. `attention_dropout` is of the attention weights, `dropout` of the
    /// output.
    pub(crate) fn new(
        width: usize,
        heads: usize,
        attention_dropout: f64,
        dropout: f64,
        device: &Device,
    ) -> Self {
        Self {
            qkv: LinearConfig::new(width, 3 * width).init(device),
            proj: LinearConfig::new(width, width).init(device),
            weight_dropout: DropoutConfig::new(attention_dropout).init(),
            dropout: DropoutConfig::new(dropout).init(),
            heads,
        }
    }

    /// Tokens [B, T, D] → [B, T, D]. Where `masked` [B, T] is true, a token is hidden from all.
    pub(crate) fn forward(&self, tokens: Tensor<3>, masked: Option<&Tensor<2, Bool>>) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let [query, key, value] = self.project(tokens);
        let mask = masked.map(|masked| mask_of(masked, self.heads, count));
        let mixed = mix(query, key, value, mask, &self.weight_dropout);
        let mixed: Tensor<3> = mixed.swap_dims(1, 2).reshape([batch, count, width]);
        self.dropout.forward(self.proj.forward(mixed))
    }

    /// The attention weights [B, heads, T, T] that [`Attention::forward`] mixes values by, without dropout.
    pub(crate) fn weights(&self, tokens: Tensor<3>, masked: Option<&Tensor<2, Bool>>) -> Tensor<4> {
        let [_, count, _] = tokens.dims();
        let [query, key, _] = self.project(tokens);
        weights(query, key, masked.map(|masked| mask_of(masked, self.heads, count)))
    }

    /// Queries, keys and values, each [B, heads, T, d].
    fn project(&self, tokens: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, count, width] = tokens.dims();
        let heads = self.heads;
        let qkv = self.qkv.forward(tokens).reshape([batch, count, 3 * heads, width / heads]).swap_dims(1, 2);
        [0, 1, 2].map(|part| qkv.clone().narrow(1, part * heads, heads))
    }

    /// Multiply-accumulates for `count` tokens.
    pub(crate) fn macs(&self, count: usize) -> Macs {
        let [width, _] = self.qkv.weight.lazy_shape().dims();
        Macs {
            conv_and_linear: 4 * (count * width * width) as u64,
            attention: 2 * (count * count * width) as u64,
        }
    }
}
