//! `TensorBoard`'s event files: protocol buffers in the framing of `TFRecord`.
//!
//! # Source
//! `tensorboard/compat/proto/{event,summary}.proto`; `tensorflow/core/lib/io/record_writer.cc` for the framing:
//! the length (u64, little endian), its masked CRC-32C, the message, its masked CRC-32C.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use derm_core::FileError;
use prost::{Enumeration, Message, Oneof};

use crate::Error;

#[derive(Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Message)]
struct SessionLog {
    #[prost(enumeration = "Status", tag = "1")]
    status: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
enum Status {
    Unspecified = 0,
    Start = 1,
}

/// The event file of one process, in the folder `tensorboard` of the run.
#[derive(Debug)]
pub(crate) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new file beside those of the processes before. It says that a session starts after `steps` optimizer steps,
    /// and `TensorBoard` drops what a killed process wrote beyond them.
    pub(crate) fn open(folder: &Path, steps: usize) -> Result<Self, Error> {
        let folder = folder.join("tensorboard");
        std::fs::create_dir_all(&folder).map_err(FileError::at(&folder, "create"))?;
        // TensorBoard reads the files of a folder in the order of their names.
        let mut seconds = now() as u64;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.derm"));
            match File::create_new(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
                Err(error) => return Err(FileError::new(path, "create", error).into()),
            }
        };
        let mut board = Self { path, file };
        board.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
        board.write(steps + 1, What::SessionLog(SessionLog { status: Status::Start as i32 }))?;
        Ok(board)
    }

    /// Numbers after `step` optimizer steps, by their tags.
    pub(crate) fn scalars(
        &mut self,
        step: usize,
        scalars: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<(), Error> {
        let scalar = |(tag, value): (String, f64)| Scalar { tag, simple_value: Some(value as f32) };
        let value = scalars.into_iter().map(scalar).collect();
        self.write(step, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: usize, what: What) -> Result<(), Error> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        let record = framed(&event.encode_to_vec());
        Ok(self.file.write_all(&record).map_err(FileError::at(&self.path, "write"))?)
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let (of_length, of_message) = (masked_crc(&length), masked_crc(message));
    [&length[..], &of_length.to_le_bytes(), message, &of_message.to_le_bytes()].concat()
}

/// CRC-32C, rotated and shifted, so that a checksum of data that holds checksums is no accident.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    /// The events of a file, each checked against its two checksums.
    fn events(bytes: &[u8]) -> Vec<Event> {
        let (mut rest, mut events) = (bytes, Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(crc(8), masked_crc(&rest[..8]));
            let message = &rest[12..12 + length];
            assert_eq!(crc(12 + length), masked_crc(message));
            events.push(Event::decode(message).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    #[test]
    fn the_framing_is_that_of_tensorflow() {
        // The first event of every file, its wall time set to 1 s.
        let event =
            Event { wall_time: 1.0, step: 0, what: Some(What::FileVersion("brain.Event:2".to_owned())) };
        let message = event.encode_to_vec();
        let expected = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x0dbrain.Event:2";
        assert_eq!(message, expected);
        // CRC-32C of RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let record = framed(&message);
        assert_eq!(&record[..8], &[24, 0, 0, 0, 0, 0, 0, 0]);
        // The head of every event file that TensorFlow writes, whose first message has 24 bytes.
        assert_eq!(&record[8..12], &[0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn what_was_written_reads_back() {
        let place = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::open(place.path(), 4).unwrap();
        board.scalars(5, [("train/loss".to_owned(), 0.5), ("validation/nll".to_owned(), -0.25)]).unwrap();
        let read = events(&std::fs::read(&board.path).unwrap());
        assert_eq!(read.len(), 3);
        assert!(read.iter().all(|event| event.wall_time > 1.7e9));
        assert!(matches!(&read[0].what, Some(What::FileVersion(version)) if version == "brain.Event:2"));
        assert!(matches!(&read[1].what, Some(What::SessionLog(log)) if log.status == 1));
        assert_eq!((read[1].step, read[2].step), (5, 5));
        let Some(What::Summary(summary)) = &read[2].what else { panic!("no summary") };
        let scalars: Vec<_> =
            summary.value.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!(scalars, [("train/loss", Some(0.5)), ("validation/nll", Some(-0.25))]);
        // A second process in the same second has a file of its own.
        let other = TensorBoard::open(place.path(), 5).unwrap();
        assert_ne!(other.path, board.path);
    }
}
