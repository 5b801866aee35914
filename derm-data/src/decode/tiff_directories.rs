//! What a TIFF file says about itself before it is decoded.

/// Most directories that are looked at; a chain that bites its tail ends there.
const MOST: usize = 64;

/// The tag that says what a directory's picture is: bit 0 a thumbnail of another one, bit 2 a mask.
const NEW_SUBFILE_TYPE: u64 = 254;

/// The tag of the colour profile.
const PROFILE: u64 = 34675;

/// Whether it is a TIFF of either size of offsets: the second is not recognised by `image`.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    matches!(bytes, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// Whether more than one directory holds a picture of its own. What cannot be followed is left to the decoder.
pub(super) fn has_several(bytes: &[u8]) -> bool {
    let file = Tiff::new(bytes);
    let mut pictures = 0;
    let mut next = file.first();
    for _ in 0..MOST {
        let Some(directory) = next.and_then(|at| file.directory(at)) else { break };
        let kind =
            file.tag(&directory, NEW_SUBFILE_TYPE).and_then(|entry| file.number(file.value_at(entry), 4));
        pictures += usize::from(kind.unwrap_or(0) & 0b101 == 0);
        next = file.offset(directory.end);
    }
    pictures > 1
}

/// The colour profile of the first picture. `image` reads it only where it is declared as bytes, which it seldom is.
pub(super) fn profile(bytes: &[u8]) -> Option<&[u8]> {
    let file = Tiff::new(bytes);
    let entry = file.tag(&file.directory(file.first()?)?, PROFILE)?;
    let len = file.number(entry + 4, file.offset_bytes())?;
    let start = usize::try_from(file.offset(file.value_at(entry))?).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
    /// Whether offsets have 8 bytes.
    big: bool,
}

/// Where a directory's entries lie.
struct Directory {
    start: usize,
    end: usize,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            little: bytes.starts_with(b"II"),
            big: matches!(bytes.get(2..4), Some([43, 0] | [0, 43])),
        }
    }

    fn offset_bytes(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn entry_bytes(&self) -> usize {
        if self.big { 20 } else { 12 }
    }

    /// Where an entry's value, or the offset of it, stands.
    fn value_at(&self, entry: usize) -> usize {
        entry + 4 + self.offset_bytes()
    }

    /// The offset that stands at a place.
    fn offset(&self, at: usize) -> Option<u64> {
        self.number(at, self.offset_bytes())
    }

    /// Offset of the first directory.
    fn first(&self) -> Option<u64> {
        self.offset(self.offset_bytes())
    }

    fn directory(&self, at: u64) -> Option<Directory> {
        let at = usize::try_from(at).ok().filter(|&at| at > 0)?;
        let count_bytes = if self.big { 8 } else { 2 };
        let count = usize::try_from(self.number(at, count_bytes)?).ok()?;
        let start = at + count_bytes;
        let end = start.checked_add(count.checked_mul(self.entry_bytes())?)?;
        (end <= self.bytes.len()).then_some(Directory { start, end })
    }

    /// The entry of a tag.
    fn tag(&self, directory: &Directory, tag: u64) -> Option<usize> {
        (directory.start..directory.end)
            .step_by(self.entry_bytes())
            .find(|&entry| self.number(entry, 2) == Some(tag))
    }

    /// The unsigned number of `len` bytes that stands at `at`.
    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    }
}
