//! What a JPEG file says about itself before it is decoded.

/// What stands in a JPEG file.
pub(super) struct Segments {
    /// Whether the end-of-image marker is there (or the file is no JPEG by its markers, which the decoder then says).
    /// Without it the decoder would fill what is missing with grey and say nothing.
    pub(super) ends: bool,
    /// Whether it has an EXIF segment, in which an orientation may stand.
    pub(super) exif: bool,
    /// Whether it has a colour profile.
    pub(super) profile: bool,
}

/// Walks from marker to marker. Thumbnails, which have end markers of their own, lie within segments.
pub(super) fn scan(bytes: &[u8]) -> Segments {
    let mut found = Segments { ends: true, exif: false, profile: false };
    let mut in_scans = false;
    let mut at = 2;
    loop {
        match bytes.get(at..at + 2) {
            // Fill bytes before a marker.
            Some([0xFF, 0xFF]) => at += 1,
            Some([0xFF, 0xD9]) => return found,
            // Stuffed bytes and restarts among coded data; markers without a length.
            Some([0xFF, 0x00 | 0x01 | 0xD0..=0xD7]) => at += 2,
            Some(&[0xFF, kind]) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { break };
                let content = &bytes[at + 4..];
                found.exif |= kind == 0xE1 && content.starts_with(b"Exif\0");
                found.profile |= kind == 0xE2 && content.starts_with(b"ICC_PROFILE\0");
                in_scans |= kind == 0xDA;
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            // Coded data: on to the next marker.
            Some(_) if in_scans => match bytes[at..].iter().position(|&byte| byte == 0xFF) {
                Some(further) => at += further,
                None => break,
            },
            // Not a marker where one must stand: the decoder says what is wrong.
            Some(_) => return found,
            None => break,
        }
    }
    found.ends = false;
    found
}
