use std::ops::{Add, AddAssign};

/// Multiply-accumulates of one forward pass of one image (or one text).
///
/// Counted are convolutions, linear layers and the two matrix products of attention, as fvcore and ptflops do;
/// not biases, norms, activations, pooling, embeddings and interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Macs {
    /// Of convolutions and linear layers, the projections of attention among them.
    pub conv_and_linear: u64,
    /// Of the products of queries with keys, and of attention weights with values.
    pub attention: u64,
}

impl Macs {
    /// Both together.
    pub fn total(self) -> u64 {
        self.conv_and_linear + self.attention
    }
}

impl Add for Macs {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            conv_and_linear: self.conv_and_linear + other.conv_and_linear,
            attention: self.attention + other.attention,
        }
    }
}

impl AddAssign for Macs {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A network that knows its cost.
pub trait CountMacs {
    /// Multiply-accumulates of one image of [height, width] pixels, without a classifier's head.
    fn macs(&self, image: [usize; 2]) -> Macs;
}
