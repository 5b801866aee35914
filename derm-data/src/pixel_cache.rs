//! Decoded and resized pixels in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::{Dataset, Error, ImageSource, Resize, RgbPixels, decode_file};

/// The pixels of a dataset's records at one size, by record index. Each is decoded and resized when first asked for
/// and then kept, until the byte budget is used up; later ones are decoded every time.
///
/// Shared by all loaders of a run, so that an image is decoded once whatever the number of epochs.
#[derive(Debug)]
pub struct PixelCache {
    ids: Vec<String>,
    sources: Vec<ImageSource>,
    kept: Vec<OnceLock<Arc<RgbPixels>>>,
    resize: Resize,
    budget: usize,
    used: AtomicUsize,
}

impl PixelCache {
    /// An empty cache over the dataset's records. Nothing is decoded yet; [`Dataset::load_pixels`] also fills it.
    pub fn new(dataset: &Dataset, resize: Resize, budget: usize) -> Self {
        let sources: Vec<ImageSource> = dataset.records().iter().map(|record| record.image.clone()).collect();
        let ids = dataset.records().iter().map(|record| record.id.clone()).collect();
        let kept = sources.iter().map(|_| OnceLock::new()).collect();
        Self { ids, sources, kept, resize, budget, used: AtomicUsize::new(0) }
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

    /// The pixels of a record.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`]; [`Error::File`] or [`Error::Decode`] naming the file.
    pub fn get(&self, index: usize) -> Result<Arc<RgbPixels>, Error> {
        let num_records = self.sources.len();
        let source = self.sources.get(index).ok_or(Error::RecordOutOfRange { index, num_records })?;
        let slot = &self.kept[index];
        if let Some(pixels) = slot.get() {
            return Ok(Arc::clone(pixels));
        }
        let pixels = match source {
            ImageSource::File(path) => {
                let resized = self.resize.apply(&decode_file(path)?);
                Arc::new(
                    resized
                        .map_err(|error| Error::Decode { path: path.clone(), reason: error.to_string() })?,
                )
            }
            ImageSource::Rgb(pixels)
                if (pixels.width(), pixels.height()) == (self.resize.size(), self.resize.size()) =>
            {
                // In memory already, at this size: keeping it again costs nothing.
                return Ok(Arc::clone(pixels));
            }
            ImageSource::Rgb(pixels) => Arc::new(self.resize.apply(pixels)?),
            ImageSource::Absent => return Err(Error::NoImage { id: self.ids[index].clone() }),
        };
        let bytes = pixels.as_bytes().len();
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.budget {
            if slot.set(Arc::clone(&pixels)).is_err() {
                // Another thread decoded it meanwhile.
                self.used.fetch_sub(bytes, Ordering::Relaxed);
            }
        } else {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(pixels)
    }

    /// The cache of the records whose flag is set.
    pub(crate) fn retain(self, keep: &[bool]) -> Self {
        let chosen = |index: &usize| keep.get(*index).copied().unwrap_or(false);
        let (sources, kept): (Vec<_>, Vec<_>) = self
            .sources
            .into_iter()
            .zip(self.kept)
            .enumerate()
            .filter(|(index, _)| chosen(index))
            .map(|(_, pair)| pair)
            .unzip();
        Self { sources, kept, ..self }
    }
}
