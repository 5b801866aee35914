//! Memory that a worker uses again for every picture.

use crate::RgbPixels;
use crate::resize::ResizeBuffers;

/// What augmentation and test-time views work in. One a thread; after a few pictures nothing more is allocated.
#[derive(Debug)]
pub struct Scratch {
    /// For resizing.
    pub(crate) resize: ResizeBuffers,
    /// The picture as it is so far.
    pub(crate) picture: RgbPixels,
    /// Another one, for operations that cannot work in place.
    pub(crate) other: RgbPixels,
    /// Numbers of one pass of a filter, or the strength of a drawing at each pixel.
    pub(crate) numbers: Vec<f32>,
}

impl Scratch {
    /// Empty memory.
    pub fn new() -> Self {
        Self {
            resize: ResizeBuffers::default(),
            picture: RgbPixels::empty(),
            other: RgbPixels::empty(),
            numbers: Vec::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
