//! Batches of an epoch, prepared ahead of time by threads.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::{Augmentation, Error, HostBatch, Orientation, Sampler, Samples};

/// What happens to the records that do not fill the last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// They make a smaller batch.
    #[default]
    Keep,
    /// They are left out of this epoch (an epoch of less than one batch has none).
    Drop,
}

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Records a batch, at least 1.
    pub batch_size: usize,
    /// Threads that prepare batches; 0 prepares each when it is asked for.
    pub workers: usize,
    /// Batches that each thread may have ready, at least 1.
    pub prefetch: usize,
    /// What happens to the rest.
    pub last_batch: LastBatch,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 64, workers: 1, prefetch: 2, last_batch: LastBatch::Keep }
    }
}

/// Gives the batches of any epoch, from any batch on. The batches are the same for any number of workers.
///
/// ```
/// use std::sync::Arc;
/// use derm_core::{Interpolation, Normalization};
/// use derm_data::*;
/// let mut dataset = SyntheticConfig { num_lesions: 56, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let resize = Resize::new(16, ResizeRule::Squash, Interpolation::Bilinear)?;
/// let cache = Arc::new(dataset.load_pixels(resize, UnreadablePolicy::Fail, 1 << 20)?);
/// let samples = Samples::new(&dataset, cache, Normalization::IMAGENET, Questionnaire::Encode)?;
/// let indices: Vec<usize> = (0..dataset.records().len()).collect();
/// let sampler = Sampler::new(indices.clone(), &dataset.classes(&indices)?, SampleOrder::Shuffled, 1)?;
/// let config = LoaderConfig { batch_size: 8, ..LoaderConfig::default() };
/// let loader = Loader::new(samples, sampler, Some(Augmentation::default()), config)?;
/// let whole: Result<Vec<HostBatch>, Error> = loader.epoch(3).collect();
/// let rest: Result<Vec<HostBatch>, Error> = loader.resume(3, 2).collect();
/// assert_eq!(whole?[2..], rest?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Loader {
    samples: Samples,
    sampler: Sampler,
    augmentation: Option<Augmentation>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader of the sampler's records.
    ///
    /// # Errors
    /// [`Error::Setting`] for a batch size or prefetch of 0, or an impossible augmentation.
    pub fn new(
        samples: Samples,
        sampler: Sampler,
        augmentation: Option<Augmentation>,
        config: LoaderConfig,
    ) -> Result<Self, Error> {
        if config.batch_size == 0 {
            return Err(setting("batch_size", 0, "at least 1"));
        }
        if config.prefetch == 0 {
            return Err(setting("prefetch", 0, "at least 1"));
        }
        if let Some(augmentation) = &augmentation {
            augmentation.validate()?;
        }
        Ok(Self { samples, sampler, augmentation, config })
    }

    /// What it loads.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Which records it shows.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Batches an epoch.
    pub fn num_batches(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.sampler.len().div_ceil(self.config.batch_size),
            LastBatch::Drop => self.sampler.len() / self.config.batch_size,
        }
    }

    /// All batches of an epoch.
    pub fn epoch(&self, epoch: u64) -> EpochBatches {
        self.resume(epoch, 0)
    }

    /// The batches of an epoch from number `batch` on (none where it has ended by then).
    pub fn resume(&self, epoch: u64, batch: usize) -> EpochBatches {
        let plan = Arc::new(Plan {
            samples: self.samples.clone(),
            order: self.sampler.epoch(epoch),
            augmentation: self.augmentation,
            seed: self.sampler.seed(),
            epoch,
            batch_size: self.config.batch_size,
        });
        let end = self.num_batches();
        let workers = self.config.workers.min(end.saturating_sub(batch));
        let threads = (0..workers).map(|worker| {
            let (sender, receiver) = sync_channel(self.config.prefetch);
            let plan = Arc::clone(&plan);
            let thread = std::thread::spawn(move || work(&plan, batch + worker, end, workers, &sender));
            Worker { receiver: Some(receiver), thread: Some(thread) }
        });
        EpochBatches { workers: threads.collect(), plan, first: batch, next: batch, end }
    }
}

/// One epoch's order and how to make its batches.
#[derive(Debug)]
struct Plan {
    samples: Samples,
    order: Vec<usize>,
    augmentation: Option<Augmentation>,
    seed: u64,
    epoch: u64,
    batch_size: usize,
}

impl Plan {
    fn batch(&self, number: usize) -> Result<HostBatch, Error> {
        let start = (number * self.batch_size).min(self.order.len());
        let end = (start + self.batch_size).min(self.order.len());
        self.samples.batch(&self.order[start..end], |index| match &self.augmentation {
            Some(augmentation) => augmentation.orientation(self.seed, self.epoch, index),
            None => Orientation::UPRIGHT,
        })
    }
}

/// Makes every `step`-th batch; ends early where the receiver is gone or a batch failed.
fn work(plan: &Plan, first: usize, end: usize, step: usize, sender: &SyncSender<Result<HostBatch, Error>>) {
    for number in (first..end).step_by(step) {
        let batch = plan.batch(number);
        let failed = batch.is_err();
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

#[derive(Debug)]
struct Worker {
    receiver: Option<Receiver<Result<HostBatch, Error>>>,
    thread: Option<JoinHandle<()>>,
}

/// The batches of an epoch, in order. After an error there are no more. Dropped in the middle, it stops its threads.
#[derive(Debug)]
pub struct EpochBatches {
    workers: Vec<Worker>,
    plan: Arc<Plan>,
    first: usize,
    next: usize,
    end: usize,
}

impl EpochBatches {
    /// Number of the batch that comes next, from the epoch's start: where to resume.
    pub fn position(&self) -> usize {
        self.next
    }
}

impl Iterator for EpochBatches {
    type Item = Result<HostBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let number = self.next;
        let batch = if self.workers.is_empty() {
            self.plan.batch(number)
        } else {
            // Batch k comes from worker k mod N, so the order is that of the epoch.
            let worker = &self.workers[(number - self.first) % self.workers.len()];
            let received = worker.receiver.as_ref().and_then(|receiver| receiver.recv().ok());
            received.unwrap_or(Err(Error::WorkerLost { batch: number }))
        };
        self.next = if batch.is_ok() { number + 1 } else { self.end };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the epoch early.
        (usize::from(self.next < self.end), Some(self.end.saturating_sub(self.next)))
    }
}

impl Drop for EpochBatches {
    fn drop(&mut self) {
        // Without a receiver a worker's next send fails and it returns.
        for worker in &mut self.workers {
            worker.receiver = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked was reported as lost; there is nothing more to say.
                let _ = thread.join();
            }
        }
    }
}
