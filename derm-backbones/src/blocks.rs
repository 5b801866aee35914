use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread::{available_parallelism, scope};

use burn::tensor::Tensor;
use derm_core::{Backbone, Features, Taps};

use crate::host_memory::computes_in_host_memory;

/// An image encoder as a chain: each block takes what the one before gave, and stage maps, attention and pooled
/// features are read off between them. Every encoder of this crate is one; forward passes and activation
/// recomputation walk the same chain.
///
/// A state is what flows between two blocks: a feature map [B, C, H, W] in a convolutional network, tokens
/// [B, 1, T, D] in a transformer.
pub trait Blocks: Backbone {
    /// Number of blocks; the first is the stem.
    fn num_blocks(&self) -> usize;

    /// Block `index` < [`Blocks::num_blocks`]. The first takes the images [B, 3, H, W].
    fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4>;

    /// The block behind which the map of stage `stage` of the spec lies.
    fn stage_block(&self, stage: usize) -> usize;

    /// The feature map [B, C, H, W] in a state behind [`Blocks::stage_block`], for images of [height, width].
    fn stage_map(&self, state: Tensor<4>, image: [usize; 2]) -> Tensor<4> {
        let _ = image;
        state
    }

    /// The block whose attention is entry `attention` of the spec.
    fn attention_block(&self, attention: usize) -> usize {
        attention
    }

    /// Attention weights [B, heads, T, T] of block `index` for the state that it is given; none where the block
    /// has no attention.
    fn attention(&self, index: usize, state: Tensor<4>) -> Option<Tensor<4>> {
        let _ = (index, state);
        None
    }

    /// What lies behind the last block: final norm and pooling.
    fn pool(&self, state: Tensor<4>) -> Features;
}

/// Inference in the host's memory takes about this many pixels at a time: then the maps of a large image stay in
/// the cache between two blocks, and small images still share a product. Each core takes its own part of the batch:
/// a backend shares a product among cores, but most passes over a map it makes on one.
const PIXELS_AT_ONCE: usize = 1 << 16;

/// The forward pass of a chain of blocks.
///
/// # Panics
/// For a batch without images, images without pixels or of other than three channels.
pub(crate) fn forward_blocks(network: &(impl Blocks + Sync), images: Tensor<4>, taps: &Taps) -> Features {
    let [batch, channels, height, width] = images.dims();
    // backends do not check this, and some read beyond an empty tensor
    assert!(
        batch > 0 && channels == 3 && height > 0 && width > 0,
        "images of {height} × {width} pixels and {channels} channels in a batch of {batch}; expected [B, 3, H, W], each at \
         least 1"
    );
    let at_once = (PIXELS_AT_ONCE / (height * width).max(1)).max(1);
    let device = images.device();
    if batch <= at_once || device.is_autodiff() || !computes_in_host_memory(&device) {
        return forward_chain(network, images, taps);
    }
    let parts = images.split(at_once, 0);
    let cores = available_parallelism().map_or(1, NonZero::get);
    let share = parts.len().div_ceil(cores);
    let forward_share = |parts: &[Tensor<4>]| -> Vec<Features> {
        parts.iter().map(|images| forward_chain(network, images.clone(), taps)).collect()
    };
    let forward_share = &forward_share;
    let (own, others) = parts.split_at(share);
    let features = scope(|scope| {
        let others: Vec<_> =
            others.chunks(share).map(|parts| scope.spawn(move || forward_share(parts))).collect();
        let mut features = forward_share(own);
        for thread in others {
            features.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        features
    });
    concatenated(&features)
}

/// The features of the images of all parts.
fn concatenated(parts: &[Features]) -> Features {
    let named = |of: fn(&Features) -> &Vec<(String, Tensor<4>)>| -> Vec<(String, Tensor<4>)> {
        let names = parts.first().map(of).into_iter().flatten().map(|(name, _)| name.clone());
        let concatenate = |(index, name): (usize, String)| {
            let maps = parts.iter().filter_map(|part| of(part).get(index));
            (name, Tensor::cat(maps.map(|(_, map)| map.clone()).collect(), 0))
        };
        names.enumerate().map(concatenate).collect()
    };
    let (maps, attention) = (named(|part| &part.maps), named(|part| &part.attention));
    let distillation: Option<Vec<Tensor<2>>> = parts.iter().map(|part| part.distillation.clone()).collect();
    Features {
        pooled: Tensor::cat(parts.iter().map(|part| part.pooled.clone()).collect(), 0),
        maps,
        attention,
        distillation: distillation.map(|tokens| Tensor::cat(tokens, 0)),
    }
}

fn forward_chain(network: &impl Blocks, images: Tensor<4>, taps: &Taps) -> Features {
    let [_, _, height, width] = images.dims();
    let Walked { state, maps, attention } =
        walk(network, 0..network.num_blocks(), images, [height, width], taps);
    Features { maps, attention, ..network.pool(state) }
}

/// What a walk over some blocks gives.
pub(crate) struct Walked {
    /// The state behind the last of them.
    pub(crate) state: Tensor<4>,
    /// Name and map of each tapped stage that lies behind one of them.
    pub(crate) maps: Vec<(String, Tensor<4>)>,
    /// Name and attention of each tapped block among them.
    pub(crate) attention: Vec<(String, Tensor<4>)>,
}

/// Blocks `blocks` of the chain, from the state before the first of them; `image` is the images' [height, width].
pub(crate) fn walk(
    network: &impl Blocks,
    blocks: Range<usize>,
    state: Tensor<4>,
    image: [usize; 2],
    taps: &Taps,
) -> Walked {
    let spec = network.spec();
    let wanted = |names: &mut dyn Iterator<Item = (usize, bool)>| -> Vec<usize> {
        names.filter(|(_, wanted)| *wanted).map(|(index, _)| index).collect()
    };
    let stages = wanted(&mut spec.stages.iter().map(|stage| taps.contains(&stage.name)).enumerate());
    let attention =
        wanted(&mut spec.attention.iter().map(|block| taps.contains_attention(&block.name)).enumerate());
    let mut walked = Walked { state, maps: Vec::new(), attention: Vec::new() };
    for index in blocks {
        let mut state = walked.state;
        for &entry in attention.iter().filter(|entry| network.attention_block(**entry) == index) {
            if let Some(map) = network.attention(index, state.clone()) {
                walked.attention.push((spec.attention[entry].name.clone(), map));
            }
        }
        state = network.block(index, state);
        for &stage in stages.iter().filter(|stage| network.stage_block(**stage) == index) {
            walked.maps.push((spec.stages[stage].name.clone(), network.stage_map(state.clone(), image)));
        }
        walked.state = state;
    }
    walked
}

/// Global average pooling: [B, C, H, W] → [B, C].
pub(crate) fn average_pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = map.dims();
    // Shares that are added up, not a sum that is divided: f16 ends at 65504. And exporters know sums better than means.
    let shares = map.reshape([batch, channels, height * width]) / (height * width) as f64;
    shares.sum_dim(2).squeeze_dim(2)
}

/// What flows between the blocks of a transformer: tokens [B, T, D] → [B, 1, T, D].
pub(crate) fn state_of_tokens(tokens: Tensor<3>) -> Tensor<4> {
    tokens.unsqueeze_dim(1)
}

/// The tokens [B, T, D] of a state [B, 1, T, D].
pub(crate) fn tokens_of_state(state: Tensor<4>) -> Tensor<3> {
    state.squeeze_dim(1)
}

/// The last tokens of a state [B, 1, T, D], those of the patches, as a map [B, D, H, W].
pub(crate) fn map_of_tokens(state: Tensor<4>, grid: [usize; 2]) -> Tensor<4> {
    let [batch, _, tokens, width] = state.dims();
    let [rows, columns] = grid;
    let patches = tokens_of_state(state).narrow(1, tokens - rows * columns, rows * columns);
    patches.swap_dims(1, 2).reshape([batch, width, rows, columns])
}
