use burn::tensor::{Device, Tensor, TensorData};

/// How a table of position embeddings is brought to another grid. Both are bicubic and align no corners; they
/// differ in the kernel, in shrinking and at the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionResampling {
    /// Antialiased: a = −0.5, the kernel widened by the scale when shrinking, taps outside the grid dropped and
    /// the others normalised. timm's `resample_abs_pos_embed`.
    Timm,
    /// Plain: a = −0.75, four taps, the border repeated. transformers' `interpolate_pos_encoding`.
    Siglip,
}

/// What a table of position embeddings holds: rows of extra tokens, then those of a grid of patches, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionTable {
    /// Rows before the grid: class token, distillation token. Resampling leaves them as they are.
    pub extra_tokens: usize,
    /// Patches [down, across].
    pub grid: [usize; 2],
    /// How it is brought to another grid.
    pub resampling: PositionResampling,
}

impl PositionTable {
    /// Rows of the table.
    pub fn rows(&self) -> usize {
        self.extra_tokens + self.grid[0] * self.grid[1]
    }
}

/// The table `table`, [rows, `width`] row by row, for another grid [down, across] of patches. Computed in f64.
///
/// ```
/// use derm_backbones::{PositionResampling, PositionTable, resample_positions};
///
/// // a class token and 2 × 2 patches of width 1
/// let from = PositionTable { extra_tokens: 1, grid: [2, 2], resampling: PositionResampling::Timm };
/// let wide = resample_positions(&[9.0, 1.0, 1.0, 1.0, 1.0], 1, &from, [2, 3]);
/// assert_eq!(wide[0], 9.0);
/// assert!(wide[1..].iter().all(|x| (x - 1.0).abs() < 1e-6) && wide.len() == 7);
/// // the same grid changes nothing
/// assert_eq!(resample_positions(&wide, 1, &PositionTable { grid: [2, 3], ..from }, [2, 3]), wide);
/// ```
///
/// # Panics
/// When `table` does not hold `from.rows()` rows of `width`, and for a grid without patches.
///
/// # Source
/// timm `layers/pos_embed.py`, transformers `modeling_siglip.py`, and torch's `interpolate`, which both call.
pub fn resample_positions(table: &[f32], width: usize, from: &PositionTable, grid: [usize; 2]) -> Vec<f32> {
    assert_eq!(table.len(), from.rows() * width, "a table of {} rows of width {width}", from.rows());
    let (extra, patches) = table.split_at(from.extra_tokens * width);
    let rows = axis_weights(from.resampling, from.grid[0], grid[0]);
    let columns = axis_weights(from.resampling, from.grid[1], grid[1]);
    let across = from.grid[1];
    // along the rows first: [down', across, width]
    let mut between = vec![0.0; grid[0] * across * width];
    for (row, out) in rows.chunks_exact(from.grid[0]).zip(between.chunks_exact_mut(across * width)) {
        for (&weight, line) in row.iter().zip(patches.chunks_exact(across * width)) {
            add_weighted(out, weight, line.iter().map(|&value| f64::from(value)));
        }
    }
    let mut resampled = extra.to_vec();
    resampled.reserve(grid[0] * grid[1] * width);
    for line in between.chunks_exact(across * width) {
        for column in columns.chunks_exact(across) {
            let mut out = vec![0.0; width];
            for (&weight, patch) in column.iter().zip(line.chunks_exact(width)) {
                add_weighted(&mut out, weight, patch.iter().copied());
            }
            resampled.extend(out.into_iter().map(|value| value as f32));
        }
    }
    resampled
}

/// As [`resample_positions`] on the device and differentiable: [1, rows, D] → [1, rows', D].
pub(crate) fn resample_position_tensor(
    table: Tensor<3>,
    from: &PositionTable,
    grid: [usize; 2],
) -> Tensor<3> {
    if grid == from.grid {
        return table;
    }
    let [_, rows, width] = table.dims();
    let device = table.device();
    let axis = |index: usize| {
        weight_tensor(from.resampling, from.grid[index], grid[index], &device).cast(table.dtype())
    };
    let patches = table.clone().narrow(1, from.extra_tokens, rows - from.extra_tokens);
    let lines = axis(0).matmul(patches.reshape([from.grid[0], from.grid[1] * width]));
    let lines = lines.reshape([grid[0], from.grid[1], width]);
    let columns = axis(1).unsqueeze_dim::<3>(0).expand([grid[0], grid[1], from.grid[1]]);
    let patches = columns.matmul(lines).reshape([1, grid[0] * grid[1], width]);
    match from.extra_tokens {
        0 => patches,
        extra => Tensor::cat(vec![table.narrow(1, 0, extra), patches], 1),
    }
}

fn weight_tensor(resampling: PositionResampling, from: usize, to: usize, device: &Device) -> Tensor<2> {
    let weights = axis_weights(resampling, from, to).into_iter().map(|weight| weight as f32);
    Tensor::from_data(TensorData::new(weights.collect::<Vec<_>>(), [to, from]), device)
}

fn add_weighted(out: &mut [f64], weight: f64, values: impl Iterator<Item = f64>) {
    if weight != 0.0 {
        out.iter_mut().zip(values).for_each(|(out, value)| *out += weight * value);
    }
}

/// The share [to, from] of every old position in every new one along one axis.
fn axis_weights(resampling: PositionResampling, from: usize, to: usize) -> Vec<f64> {
    assert!(from > 0 && to > 0, "a grid of {from} positions cannot become one of {to}");
    let scale = from as f64 / to as f64;
    let mut weights = vec![0.0; to * from];
    for (index, row) in weights.chunks_exact_mut(from).enumerate() {
        let centre = scale * (index as f64 + 0.5);
        match resampling {
            PositionResampling::Timm => {
                let stretch = scale.max(1.0);
                for (position, weight) in row.iter_mut().enumerate() {
                    *weight = cubic((position as f64 + 0.5 - centre) / stretch, -0.5);
                }
                let sum: f64 = row.iter().sum();
                for weight in row.iter_mut() {
                    *weight /= sum;
                }
            }
            PositionResampling::Siglip => {
                let first = (centre - 0.5).floor();
                for tap in -1..=2 {
                    let position = first + f64::from(tap);
                    let inside = position.clamp(0.0, (from - 1) as f64) as usize;
                    row[inside] += cubic(centre - 0.5 - position, -0.75);
                }
            }
        }
    }
    weights
}

/// Keys' cubic convolution kernel, 0 from distance 2 on.
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        a * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::{PositionResampling, PositionTable, resample_position_tensor, resample_positions};

    /// Sums of 16 products in f32.
    const F32_NOISE: f32 = 1e-6;

    #[test]
    fn the_device_gives_what_the_host_gives() {
        let device = Device::default();
        for resampling in [PositionResampling::Timm, PositionResampling::Siglip] {
            for (extra_tokens, grid, to) in [(2, [3, 4], [5, 2]), (0, [4, 4], [6, 6]), (1, [2, 3], [2, 3])] {
                let from = PositionTable { extra_tokens, grid, resampling };
                let table: Vec<f32> = (0..from.rows() * 2).map(|i| ((i * i) % 17) as f32 / 17.0).collect();
                let expected = resample_positions(&table, 2, &from, to);
                let tensor = Tensor::from_data(TensorData::new(table, [1, from.rows(), 2]), &device);
                let got: Vec<f32> =
                    resample_position_tensor(tensor, &from, to).into_data().iter::<f32>().collect();
                assert_eq!(got.len(), expected.len());
                for (got, expected) in got.iter().zip(&expected) {
                    assert!((got - expected).abs() < F32_NOISE, "{from:?} to {to:?}: {got}, {expected}");
                }
            }
        }
    }
}
