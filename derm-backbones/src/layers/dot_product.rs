//! Scaled dot-product attention over heads.

use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor};

/// `softmax(q kᵀ / √d) v` with [B, heads, T, d] each; where `mask` [B, heads, T, S] is true, a key is hidden.
/// Without dropout, or outside of training, Burn's fused form, which does not keep the weights.
pub(crate) fn mix(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
    dropout: &Dropout,
) -> Tensor<4> {
    if dropout.prob > 0.0 && query.device().is_autodiff() {
        dropout.forward(weights(query, key, mask)).matmul(value)
    } else {
        attention(query, key, value, mask, None, AttentionModuleOptions::default())
    }
}

/// `softmax(q kᵀ / √d)` [B, heads, T, S].
pub(crate) fn weights(query: Tensor<4>, key: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let [_, _, _, width] = query.dims();
    let scores = (query / (width as f64).sqrt()).matmul(key.swap_dims(2, 3));
    let scores = match mask {
        None => scores,
        Some(mask) => scores.mask_fill(mask, f32::NEG_INFINITY),
    };
    softmax(scores, 3)
}

/// Tokens [B, T, heads · d] → [B, heads, T, d].
pub(crate) fn heads_of(tokens: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, count, width] = tokens.dims();
    tokens.reshape([batch, count, heads, width / heads]).swap_dims(1, 2)
}

/// The mean [B, D] over the tokens [B, T, D] that are no padding [B, T]; 0 where all are.
pub(crate) fn mean_of_kept(tokens: Tensor<3>, padding: &Tensor<2, Bool>) -> Tensor<2> {
    let kept = padding.clone().bool_not().float().cast(tokens.dtype()).unsqueeze_dim::<3>(2);
    let sum: Tensor<2> = (tokens * kept.clone()).sum_dim(1).squeeze_dim(1);
    sum / kept.sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0)
}

/// Hidden keys [B, S] → [B, heads, T, S] for T queries. Where all keys of a row are hidden, none is: a softmax over
/// nothing would be NaN, in the gradients of the whole batch too.
pub(crate) fn mask_of(masked: &Tensor<2, Bool>, heads: usize, queries: usize) -> Tensor<4, Bool> {
    let [batch, keys] = masked.dims();
    let some_seen = masked.clone().all_dim(1).bool_not().expand([batch, keys]);
    masked.clone().bool_and(some_seen).reshape([batch, 1, 1, keys]).expand([batch, heads, queries, keys])
}
