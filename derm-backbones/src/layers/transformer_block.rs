use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};

use super::{Activation, Attention, DropPath, ForwardInF32, Mlp};
use crate::Macs;

/// Configuration of a [`TransformerBlock`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransformerBlockConfig {
    /// Width D of a token, a multiple of `heads`.
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// Width of the layer between the two linear layers.
    pub(crate) hidden: usize,
    pub(crate) activation: Activation,
    /// Of both layer norms.
    pub(crate) epsilon: f64,
    pub(crate) attention_dropout: f64,
    pub(crate) dropout: f64,
    /// Probability that a branch is dropped in training.
    pub(crate) drop_path: f64,
}

/// A block with the norms before its branches: `x ← x + attention(norm₁ x)`, `x ← x + mlp(norm₂ x)`.
#[derive(Module, Debug)]
pub(crate) struct TransformerBlock {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    drop_path: DropPath,
}

impl TransformerBlockConfig {
    pub(crate) fn init(self, device: &Device) -> TransformerBlock {
        let norm = || LayerNormConfig::new(self.width).with_epsilon(self.epsilon).init(device);
        TransformerBlock {
            norm1: norm(),
            attention: Attention::new(self.width, self.heads, self.attention_dropout, self.dropout, device),
            norm2: norm(),
            mlp: Mlp::new(self.width, self.hidden, self.activation, self.dropout, device),
            drop_path: DropPath::new(self.drop_path),
        }
    }
}

impl TransformerBlock {
    /// With dropout behind its branches only, not between the two linear layers.
    pub(crate) fn without_hidden_dropout(self) -> Self {
        Self { mlp: self.mlp.without_hidden_dropout(), ..self }
    }

    /// Tokens [B, T, D] → [B, T, D].
    pub(crate) fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let branch = self.attention.forward(self.norm1.forward_in_f32(tokens.clone()), None);
        let tokens = tokens + self.drop_path.forward(branch);
        let branch = self.mlp.forward(self.norm2.forward_in_f32(tokens.clone()));
        tokens + self.drop_path.forward(branch)
    }

    /// The attention weights [B, heads, T, T] for the tokens that the block is given.
    pub(crate) fn attention_weights(&self, tokens: Tensor<3>) -> Tensor<4> {
        self.attention.weights(self.norm1.forward_in_f32(tokens), None)
    }

    /// Multiply-accumulates for `count` tokens.
    pub(crate) fn macs(&self, count: usize) -> Macs {
        self.attention.macs(count) + Macs { conv_and_linear: self.mlp.macs(count), attention: 0 }
    }
}
