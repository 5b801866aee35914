use std::num::NonZeroUsize;
use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Gradients, Tensor};
use derm_core::{Features, Taps};

use crate::blocks::{Walked, walk};
use crate::{Blocks, Classifier, ClassifierInput, ClassifierOutput};

/// A training step that keeps the image encoder's activations at a few places only and computes the others again
/// in its backward pass.
///
/// The blocks of the encoder's chain ([`Blocks`]) are cut into segments of `every` blocks. The forward pass keeps
/// what goes into each segment and no graph. The backward pass runs pooling, fusion, heads and loss as always,
/// then each segment once more, from the last to the first, now with a graph, which takes the gradient of the
/// segment's output to its weights and its input. Instead of the activations of n blocks, n / `every` block inputs
/// and the activations of `every` blocks are held; the price is a second forward pass of the encoder.
///
/// # What is equal to the ordinary step
/// - Loss and gradients are those of `loss(model.forward_input(input, taps)).backward()`. The operations are the
///   same, so on a device whose arithmetic repeats (flex) the bits are the same too, but for sums whose order changes,
///   which differ by single roundings: where gradients of taps meet others, and in `ConvNeXt` V2, whose gradients lie
///   otherwise in memory.
/// - Running statistics follow the batch once, as in the ordinary step.
/// - Frozen weights have no gradient, and segments before the first weight that trains are not computed again.
///
/// # Random numbers
/// Dropout and stochastic depth must fall the same way both times. The device's generator cannot be read, so it
/// is seeded: before each segment, before pooling and heads, and at the end, with numbers that follow from `seed`
/// and the place. With the same `seed` a step therefore repeats; its masks have the distribution of an ordinary
/// step's but are not those that an ordinary step would draw. Give each step of a training a `seed` of its own.
/// Nothing else may draw from the device's generator meanwhile, so one thread trains on it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{BackboneConfig, ClassifierConfig, ClassifierInput, HeadConfig, Recompute};
/// use derm_core::Taps;
///
/// let device = Device::default().autodiff();
/// device.seed(1);
/// let config = ClassifierConfig { backbone: BackboneConfig::Resnet18_28, head: HeadConfig::new(7) };
/// let model = config.init(&device)?;
/// let images = Tensor::ones([2, 3, 8, 8], &device);
/// let input = ClassifierInput { images, answers: None, text: None };
///
/// let recompute = Recompute::each_block(42);
/// let step = recompute.backward(&model, input, &Taps::none(), |output| output.logits.powi_scalar(2).mean());
/// assert!(step.loss.into_scalar::<f32>().is_finite());
/// assert!(!step.gradients.is_empty());
/// // optimizer.step(rate, model, step.gradients)
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Chen et al. 2016, "Training deep nets with sublinear memory cost"; torch `checkpoint_sequential`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recompute {
    /// Blocks of a segment. 1 holds least where the activations inside of a block outweigh its input, as in residual
    /// networks and transformers; where they are c times its input, n blocks hold least in segments of √(n / c). The
    /// time hardly differs.
    pub every: NonZeroUsize,
    /// What the random numbers of this step follow from.
    pub seed: u64,
}

/// What a training step gives.
#[derive(Debug)]
pub struct RecomputedStep {
    /// The loss `[1]`, without its graph.
    pub loss: Tensor<1>,
    /// The gradient of every parameter that trains, for Burn's optimizers.
    pub gradients: GradientsParams,
}

impl Recompute {
    /// Every block by itself.
    pub fn each_block(seed: u64) -> Self {
        Self { every: NonZeroUsize::MIN, seed }
    }

    /// Forward and backward pass of `model`, which must be on an autodiff device, in its training form. `loss` is
    /// given what [`Classifier::forward_input`] gives for `input` and `taps`.
    ///
    /// The images take no gradient.
    ///
    /// # Panics
    /// As [`Classifier::forward_input`], when images or model are not on an autodiff device, and, as Burn's
    /// `backward`, when the loss depends on no weight that trains.
    pub fn backward<B: Blocks>(
        &self,
        model: &Classifier<B>,
        input: ClassifierInput,
        taps: &Taps,
        loss: impl FnOnce(ClassifierOutput) -> Tensor<1>,
    ) -> RecomputedStep {
        self.backward_by(model, input, taps, loss, |_| ())
    }

    /// [`Recompute::backward`] with the gradients of a module that the loss reads beside the model, such as the
    /// projectors of a distillation.
    ///
    /// # Panics
    /// As [`Recompute::backward`].
    pub fn backward_beside<B: Blocks, M: Module>(
        &self,
        model: &Classifier<B>,
        beside: &M,
        input: ClassifierInput,
        taps: &Taps,
        loss: impl FnOnce(ClassifierOutput) -> Tensor<1>,
    ) -> (RecomputedStep, GradientsParams) {
        let mut gradients = GradientsParams::new();
        let take = |above: &mut Gradients| gradients = GradientsParams::from_module(above, beside);
        let step = self.backward_by(model, input, taps, loss, take);
        (step, gradients)
    }

    fn backward_by<B: Blocks>(
        &self,
        model: &Classifier<B>,
        input: ClassifierInput,
        taps: &Taps,
        loss: impl FnOnce(ClassifierOutput) -> Tensor<1>,
        take_beside: impl FnOnce(&mut Gradients),
    ) -> RecomputedStep {
        let device = input.images.device();
        assert!(
            device.is_autodiff() && model.devices().iter().any(Device::is_autodiff),
            "a training step needs images and a model on an autodiff device"
        );
        let mut tape = None;
        let output = model.forward_encoded(input, taps, |images, taps| {
            let (recorded, features) = Tape::record(*self, model.backbone(), images, taps);
            tape = Some(recorded);
            features
        });
        let loss = loss(output);
        let mut above = loss.backward();
        take_beside(&mut above);
        let mut accumulator = GradientsAccumulator::new();
        accumulator.accumulate(model, GradientsParams::from_module(&mut above, model));
        if let Some(tape) = tape {
            tape.play_back(above, |gradients| accumulator.accumulate(model, gradients));
        }
        RecomputedStep { loss: loss.without_autodiff(), gradients: accumulator.grads() }
    }

    /// The seed of a place in the step: splitmix64's sequence from the step's seed.
    fn seed_at(self, place: usize) -> u64 {
        let mut mixed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(place as u64 + 1));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// What the encoder's forward pass leaves for its backward pass.
struct Tape<B> {
    /// The encoder, the same weights with running statistics of their own: those of the model have followed the
    /// batch already.
    network: B,
    device: Device,
    image: [usize; 2],
    /// From the first one with a weight that trains.
    segments: Vec<Segment>,
    /// Behind the last segment; a leaf of the graph above where the encoder trains.
    state: Tensor<4>,
    /// For what is drawn behind the step.
    last_seed: u64,
}

/// Blocks that are computed again together.
struct Segment {
    blocks: Range<usize>,
    seed: u64,
    /// What goes into the first block.
    input: Tensor<4>,
    /// Tapped maps, leaves of the graph above.
    maps: Vec<(String, Tensor<4>)>,
    /// Tapped attention, leaves of the graph above.
    attention: Vec<(String, Tensor<4>)>,
}

impl<B: Blocks> Tape<B> {
    /// The encoder's forward pass.
    fn record(recompute: Recompute, network: &B, images: Tensor<4>, taps: &Taps) -> (Self, Features) {
        let device = images.device();
        let [_, _, height, width] = images.dims();
        let image = [height, width];
        // Burn keeps a graph that nobody goes back through until a later backward pass: none may come up here.
        let without_graph = network.clone().no_grad();
        let again = network.clone().train();
        let (mut maps, mut attention, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        let mut state = images.set_require_grad(false);
        let (every, count) = (recompute.every.get(), network.num_blocks());
        for start in (0..count).step_by(every) {
            let blocks = start..count.min(start.saturating_add(every));
            let seed = recompute.seed_at(start);
            let trains = !segments.is_empty() || takes_gradient(&again, blocks.clone(), &state, image);
            let input = state.clone();
            device.seed(seed);
            let mut walked = walk(&without_graph, blocks.clone(), state, image, taps);
            state = walked.state;
            if trains {
                walked.maps = leaves(walked.maps);
                walked.attention = leaves(walked.attention);
                let (maps, attention) = (walked.maps.clone(), walked.attention.clone());
                segments.push(Segment { blocks, seed, input, maps, attention });
            }
            maps.extend(walked.maps);
            attention.extend(walked.attention);
        }
        if !segments.is_empty() {
            state = leaf(state);
        }
        device.seed(recompute.seed_at(count));
        let features = Features { maps, attention, ..network.pool(state.clone()) };
        let last_seed = recompute.seed_at(count + 1);
        (Self { network: again, device, image, segments, state, last_seed }, features)
    }

    /// The encoder's backward pass: takes the gradients of its leaves from `above`, those of the graph above, and
    /// gives its weights' to `give`, segment by segment.
    fn play_back(mut self, mut above: Gradients, mut give: impl FnMut(GradientsParams)) {
        let mut incoming = self.state.grad_remove(&mut above);
        drop(self.state);
        let mut gradients_of = |leaves: Vec<(String, Tensor<4>)>| -> Vec<(String, Tensor<4>)> {
            let gradient = |(name, leaf): (String, Tensor<4>)| Some((name, leaf.grad_remove(&mut above)?));
            leaves.into_iter().filter_map(gradient).collect()
        };
        for segment in &mut self.segments {
            segment.maps = gradients_of(std::mem::take(&mut segment.maps));
            segment.attention = gradients_of(std::mem::take(&mut segment.attention));
        }
        drop(above);
        while let Some(segment) = self.segments.pop() {
            let Segment { blocks, seed, input, maps, attention } = segment;
            if incoming.is_none() && maps.is_empty() && attention.is_empty() {
                continue;
            }
            let input = if self.segments.is_empty() { input } else { leaf(input) };
            let names =
                |taps: &[(String, Tensor<4>)]| taps.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            let taps = Taps::stages(names(&maps)).with_attention(names(&attention));
            self.device.seed(seed);
            let Walked { state, maps: tapped, attention: weights } =
                walk(&self.network, blocks, input.clone(), self.image, &taps);
            // the gradient of Σ output · g is g, bit for bit
            let outputs = tapped.into_iter().chain(weights).map(|(_, output)| output);
            let gradients = maps.into_iter().chain(attention).map(|(_, gradient)| gradient);
            let outputs = outputs.zip(gradients).chain(incoming.take().map(|gradient| (state, gradient)));
            let products = outputs.map(|(output, gradient)| (output * gradient).sum());
            let Some(sum) = products.reduce(|sum, product| sum + product).filter(Tensor::is_tracked) else {
                continue;
            };
            let mut gradients = sum.backward();
            incoming = input.grad_remove(&mut gradients);
            give(GradientsParams::from_grads(gradients, &self.network));
        }
        self.device.seed(self.last_seed);
    }
}

/// Whether the state behind these blocks depends on a weight that trains: asked with one image, which leaves a
/// small graph.
fn takes_gradient(network: &impl Blocks, blocks: Range<usize>, state: &Tensor<4>, image: [usize; 2]) -> bool {
    walk(network, blocks, state.clone().narrow(0, 0, 1), image, &Taps::none()).state.is_tracked()
}

/// The tensor as the start of a graph of its own.
fn leaf(tensor: Tensor<4>) -> Tensor<4> {
    tensor.detach().require_grad()
}

fn leaves(taps: Vec<(String, Tensor<4>)>) -> Vec<(String, Tensor<4>)> {
    taps.into_iter().map(|(name, tensor)| (name, leaf(tensor))).collect()
}
