//! How many pictures a TIFF file holds.

/// Most directories that are looked at; a chain that bites its tail ends there.
const MOST: usize = 64;

/// The tag that says what a directory's picture is: bit 0 a thumbnail of another one, bit 2 a mask.
const NEW_SUBFILE_TYPE: u64 = 254;

/// Whether more than one directory holds a picture of its own. What cannot be followed is left to the decoder.
pub(super) fn has_several(bytes: &[u8]) -> bool {
    let file = Tiff {
        bytes,
        little: bytes.starts_with(b"II"),
        big: matches!(bytes.get(2..4), Some([43, 0] | [0, 43])),
    };
    pictures(&file).is_some_and(|pictures| pictures > 1)
}

fn pictures(file: &Tiff<'_>) -> Option<usize> {
    let mut pictures = 0;
    let mut directory = if file.big { file.number(8, 8)? } else { file.number(4, 4)? };
    for _ in 0..MOST {
        if directory == 0 {
            break;
        }
        let start = usize::try_from(directory).ok()?;
        let (count_bytes, entry_bytes, value_at) = if file.big { (8, 20, 12) } else { (2, 12, 8) };
        let Some(count) = file.number(start, count_bytes) else { break };
        let entries = start.checked_add(count_bytes)?;
        let end = entries.checked_add(usize::try_from(count).ok()?.checked_mul(entry_bytes)?)?;
        if end > file.bytes.len() {
            break;
        }
        let kind = (entries..end)
            .step_by(entry_bytes)
            .find(|&entry| file.number(entry, 2) == Some(NEW_SUBFILE_TYPE))
            .and_then(|entry| file.number(entry + value_at, 4))
            .unwrap_or(0);
        pictures += usize::from(kind & 0b101 == 0);
        directory = file.number(end, if file.big { 8 } else { 4 }).unwrap_or(0);
    }
    Some(pictures)
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

impl Tiff<'_> {
    /// The unsigned number of `len` bytes that stands at `at`.
    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    }
}
