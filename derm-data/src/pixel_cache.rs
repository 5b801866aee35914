//! Decoded and resized pixels in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, ImageSource, Resize, RgbPixels, decode_file};

/// What a cache keeps of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredPixels {
    /// The picture at the network's size: least memory and time, where augmentation does not crop.
    #[default]
    Resized,
    /// The picture as decoded: what crops are cut from at full resolution.
    Decoded,
}

/// The pixels of a dataset's records, by record index. Each is decoded (and resized, where that is stored) when first
/// asked for and then kept, until the byte budget is used up; later ones are decoded every time.
///
/// Shared by all loaders of a run, so that an image is decoded once whatever the number of epochs.
#[derive(Debug)]
pub struct PixelCache {
    ids: Vec<String>,
    sources: Vec<ImageSource>,
    kept: Vec<OnceLock<Arc<RgbPixels>>>,
    resize: Resize,
    stored: StoredPixels,
    budget: usize,
    used: AtomicUsize,
}

impl PixelCache {
    /// An empty cache over the dataset's records, of at most `budget` bytes. Nothing is decoded yet;
    /// [`Dataset::load_pixels`] also fills it.
    pub fn new(dataset: &Dataset, resize: Resize, stored: StoredPixels, budget: usize) -> Self {
        let sources: Vec<ImageSource> = dataset.records().iter().map(|record| record.image.clone()).collect();
        let ids = dataset.records().iter().map(|record| record.id.clone()).collect();
        let kept = sources.iter().map(|_| OnceLock::new()).collect();
        Self { ids, sources, kept, resize, stored, budget, used: AtomicUsize::new(0) }
    }

    /// Whether its pictures are those of the dataset's records, in the order of these.
    pub(crate) fn is_of(&self, dataset: &Dataset) -> bool {
        self.ids.iter().eq(dataset.records().iter().map(|record| &record.id))
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How images are resized.
    pub fn resize(&self) -> Resize {
        self.resize
    }

    /// Bytes of pixels that are kept.
    pub fn bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// What is kept of a picture.
    pub fn stored(&self) -> StoredPixels {
        self.stored
    }

    /// The pixels of a record, as they are stored.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`]; [`Error::NoImage`] for a record without a picture; [`Error::File`] or
    /// [`Error::Decode`] naming the file; [`Error::Record`] naming a record whose picture cannot be resized.
    pub fn get(&self, index: usize) -> Result<Arc<RgbPixels>, Error> {
        let num_records = self.sources.len();
        let source = self.sources.get(index).ok_or(Error::RecordOutOfRange { index, num_records })?;
        let slot = &self.kept[index];
        if let Some(pixels) = slot.get() {
            return Ok(Arc::clone(pixels));
        }
        let pixels = match source {
            ImageSource::File(path) => {
                let decoded = decode_file(path)?;
                match self.stored {
                    StoredPixels::Decoded => Arc::new(decoded),
                    StoredPixels::Resized => Arc::new(self.named(index, self.resize.apply(&decoded))?),
                }
            }
            // In memory already: keeping it again costs nothing.
            ImageSource::Rgb(pixels)
                if self.stored == StoredPixels::Decoded
                    || (pixels.width(), pixels.height()) == (self.resize.size(), self.resize.size()) =>
            {
                return Ok(Arc::clone(pixels));
            }
            ImageSource::Rgb(pixels) => Arc::new(self.named(index, self.resize.apply(pixels))?),
            ImageSource::Absent => return Err(Error::NoImage { id: self.ids[index].clone() }),
        };
        let bytes = pixels.as_bytes().len();
        let with = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.budget);
        let fits = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok();
        if fits && slot.set(Arc::clone(&pixels)).is_err() {
            // Another thread decoded it meanwhile.
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(pixels)
    }

    /// Whether a record's picture can be decoded and resized; keeps what [`PixelCache::get`] keeps.
    pub(crate) fn check(&self, index: usize) -> Result<(), Error> {
        let pixels = self.get(index)?;
        match self.stored {
            StoredPixels::Resized => Ok(()),
            StoredPixels::Decoded => self.named(index, Resize::check(&pixels)),
        }
    }

    /// The result of an operation on a record's picture, its error naming the record.
    pub(crate) fn named<T>(&self, index: usize, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|source| Error::Record { id: self.ids[index].clone(), source: Box::new(source) })
    }

    /// The cache of the records whose flag is set.
    pub(crate) fn retain(mut self, keep: &[bool]) -> Self {
        let chosen = |index: usize| keep.get(index).copied().unwrap_or(false);
        let mut index = 0..;
        self.ids.retain(|_| index.next().is_some_and(chosen));
        let mut index = 0..;
        self.sources.retain(|_| index.next().is_some_and(chosen));
        let mut index = 0..;
        self.kept.retain(|_| index.next().is_some_and(chosen));
        // A picture that decodes and cannot be resized was kept as decoded, and goes now.
        let kept = self.kept.iter().filter_map(OnceLock::get);
        self.used = AtomicUsize::new(kept.map(|pixels| pixels.as_bytes().len()).sum());
        self
    }
}
