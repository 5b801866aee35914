//! Decoded pixels.

/// An 8-bit RGB image, rows from the top, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbPixels {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl RgbPixels {
    /// Wraps `data` of length `width * height * 3`; `None` where the length differs or a side is 0.
    ///
    /// ```
    /// use derm_data::RgbPixels;
    /// assert!(RgbPixels::new(2, 1, vec![0; 6]).is_some());
    /// assert!(RgbPixels::new(2, 2, vec![0; 6]).is_none());
    /// ```
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Option<Self> {
        let expected = width.checked_mul(height)?.checked_mul(3)?;
        (expected > 0 && data.len() == expected).then_some(Self { width, height, data })
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes: R, G, B of the first pixel of the first row, then the next pixel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// The same bytes, to be changed in place.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives it another size, for a buffer that is about to be written over; at least 1 by 1.
    pub(crate) fn reshape(&mut self, width: usize, height: usize) {
        self.width = width.max(1);
        self.height = height.max(1);
        self.data.resize(self.width * self.height * 3, 0);
    }

    /// Becomes a copy of another picture, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.width = other.width;
        self.height = other.height;
        self.data.clear();
        self.data.extend_from_slice(&other.data);
    }

    /// One black pixel: what a buffer is before it is used.
    pub(crate) fn empty() -> Self {
        Self { width: 1, height: 1, data: vec![0; 3] }
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }

    /// The R, G, B triples in order.
    pub fn iter(&self) -> impl Iterator<Item = [u8; 3]> + '_ {
        self.data.chunks_exact(3).map(|p| [p[0], p[1], p[2]])
    }
}
