use burn::module::Module;

use super::FusionWidths;

/// `[image, answers, text]`, side by side.
#[derive(Module, Debug)]
pub struct Concatenation {
    width: usize,
}

impl Concatenation {
    pub(super) fn new(widths: FusionWidths) -> Self {
        Self { width: widths.image + widths.beside() }
    }

    /// Width of the fused vector.
    pub fn width(&self) -> usize {
        self.width
    }
}
