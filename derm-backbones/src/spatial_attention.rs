use burn::tensor::Tensor;

/// Attention as maps over the image: how much each patch is looked at, by head.
///
/// With extra tokens it is what the first of them, the class token, takes from the patches; without, the mean over
/// all queries. A pooling head has one query, its probe, whose attention this then is. What extra tokens take from
/// each other is left out, so with them a map sums to less than 1.
///
/// # Shapes
/// weights [B, heads, Q, T] as a tap gives them (see `Features::attention`), T being `extra_tokens` and the
/// patches of `grid` [H, W] row by row → [B, heads, H, W].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::spatial_attention;
///
/// let device = Device::default();
/// // a class token and 1 × 2 patches; the class token looks at itself by half
/// let rows = [[0.5, 0.2, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// let weights: Tensor<4> = Tensor::<2>::from_data(rows, &device).reshape([1, 1, 3, 3]);
/// let map = spatial_attention(weights, 1, [1, 2]);
/// assert_eq!(map.dims(), [1, 1, 1, 2]);
/// assert_eq!(map.into_data().iter::<f32>().collect::<Vec<_>>(), [0.2, 0.3]);
/// ```
///
/// # Panics
/// When T is not `extra_tokens` + H · W.
///
/// # Source
/// The class token's attention as Caron et al. 2021 (DINO) show it.
pub fn spatial_attention(weights: Tensor<4>, extra_tokens: usize, grid: [usize; 2]) -> Tensor<4> {
    let [batch, heads, _, tokens] = weights.dims();
    let [rows, columns] = grid;
    assert_eq!(
        tokens,
        extra_tokens + rows * columns,
        "{extra_tokens} extra tokens and {rows} × {columns} patches"
    );
    let looking = if extra_tokens > 0 { weights.narrow(2, 0, 1) } else { weights.mean_dim(2) };
    looking.narrow(3, extra_tokens, rows * columns).reshape([batch, heads, rows, columns])
}
