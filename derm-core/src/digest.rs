use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::FileError;

/// SHA-256 of `bytes` in lower-case hexadecimal.
///
/// ```
/// let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(derm_core::sha256_hex(b""), empty);
/// ```
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file in lower-case hexadecimal, and its size in bytes. The file is read piece by piece.
///
/// # Errors
/// [`FileError`] where the file cannot be read.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<(String, u64), FileError> {
    let path = path.as_ref();
    let read = || -> io::Result<(String, u64)> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0_u8; 1 << 16];
        let mut size = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok((hex(&hasher.finalize()), size));
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
        }
    };
    read().map_err(FileError::at(path, "read"))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
