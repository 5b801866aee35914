//! Batches of an epoch, prepared ahead of time by threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use burn::tensor::Device;
use derm_core::View;
use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::samples::Treatment;
use crate::{
    Augmentation, BatchMix, Corruption, DeviceBatches, Error, HostBatch, HostTargets, Sampler, Samples,
    Scratch, TestView,
};

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
/// let cache = Arc::new(dataset.load_pixels(resize, StoredPixels::Resized, UnreadablePolicy::Fail, 1 << 20)?);
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
    pictures: Pictures,
    mix: Option<BatchMix>,
    /// Probability that a text is hidden.
    text_dropout: f64,
    config: LoaderConfig,
}

/// What happens to the pictures.
#[derive(Clone, Debug)]
enum Pictures {
    /// The same for all: evaluation.
    Seen(TestView),
    /// Made worse, by the record and a seed.
    Corrupted(Corruption, u64),
    /// Something else for each draw: training.
    Augmented(Box<Augmentation>),
}

impl Loader {
    /// A loader of the sampler's records, augmented or as they are.
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
        let pictures = match augmentation {
            Some(augmentation) => {
                augmentation.validate()?;
                Pictures::Augmented(Box::new(augmentation))
            }
            None => Pictures::Seen(TestView::Identity),
        };
        Ok(Self { samples, sampler, pictures, mix: None, text_dropout: 0.0, config })
    }

    /// The same loader, mixing pictures and labels of a batch: its targets are then distributions. A mixed picture is
    /// labelled for a further task where both of its pictures are.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`BatchMix::validate`].
    pub fn with_mix(self, mix: BatchMix) -> Result<Self, Error> {
        mix.validate()?;
        Ok(Self { mix: mix.is_on().then_some(mix), ..self })
    }

    /// The same loader, hiding each text with a probability: it is then the empty one, as if there were none. Whether it is
    /// hidden follows from seed, epoch, record and how often the epoch has shown it before.
    ///
    /// # Errors
    /// [`Error::Setting`] outside [0, 1].
    pub fn with_text_dropout(self, probability: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(setting("text_dropout", probability, "a probability from 0 to 1"));
        }
        Ok(Self { text_dropout: probability, ..self })
    }

    /// The same records, as a view shows them, without augmentation, mixing or hidden texts: for predictions averaged over views.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`TestView::validate`].
    pub fn with_view(self, view: TestView) -> Result<Self, Error> {
        view.validate()?;
        Ok(Self { pictures: Pictures::Seen(view), mix: None, text_dropout: 0.0, ..self })
    }

    /// The same records with every picture corrupted, at the network's size, without augmentation or mixing: for how a
    /// model holds when pictures are worse than those it learned from. What is drawn for a record follows from `seed`
    /// and its index, whatever the order.
    pub fn with_corruption(self, corruption: Corruption, seed: u64) -> Self {
        Self { pictures: Pictures::Corrupted(corruption, seed), mix: None, text_dropout: 0.0, ..self }
    }

    /// What predictions on these batches are called: the view, `corrupted <kind>:<level>`, or `augmented`.
    pub fn view(&self) -> View {
        match &self.pictures {
            Pictures::Seen(view) => view.view(),
            Pictures::Corrupted(corruption, _) => View::Member(format!("corrupted {corruption}")),
            Pictures::Augmented(_) => View::Member("augmented".to_owned()),
        }
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
        let order = self.sampler.epoch(epoch);
        let plan = Arc::new(Plan {
            samples: self.samples.clone(),
            keys: occurrences(&order),
            order,
            pictures: self.pictures.clone(),
            mix: self.mix,
            text_dropout: self.text_dropout,
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
        EpochBatches {
            workers: threads.collect(),
            plan,
            scratch: Scratch::new(),
            first: batch,
            next: batch,
            end,
        }
    }

    /// The batches of an epoch from number `batch` on, on a device: a thread moves up to `ahead` of them there before
    /// they are asked for, so that the device does not wait for a copy. With 0 each is moved when it is asked for.
    ///
    /// Of batches as large as [`HostBatch::images`] there are at most `workers · (prefetch + 1)` in host memory, and one
    /// more while it is moved; on the device there are at most `ahead + 1` beside those that the caller holds. The size of
    /// the dataset is in neither.
    pub fn device_batches(&self, epoch: u64, batch: usize, device: &Device, ahead: usize) -> DeviceBatches {
        DeviceBatches::new(self.resume(epoch, batch), device, ahead)
    }
}

/// One epoch's order and how to make its batches.
#[derive(Debug)]
struct Plan {
    samples: Samples,
    order: Vec<usize>,
    /// What stands for each draw in the seed of its augmentation.
    keys: Vec<u64>,
    pictures: Pictures,
    mix: Option<BatchMix>,
    text_dropout: f64,
    seed: u64,
    epoch: u64,
    batch_size: usize,
}

/// The record of every draw and, above the record's 32 bits, how often the epoch has drawn it before: a record of a
/// rare class that a balanced sampler draws ten times is augmented in ten ways.
fn occurrences(order: &[usize]) -> Vec<u64> {
    let mut drawn: BTreeMap<usize, u64> = BTreeMap::new();
    let key = |&index: &usize| {
        let before = drawn.entry(index).or_insert(0);
        let key = index as u64 | (*before << 32);
        *before += 1;
        key
    };
    order.iter().map(key).collect()
}

impl Plan {
    fn batch(&self, number: usize, scratch: &mut Scratch) -> Result<HostBatch, Error> {
        let start = (number * self.batch_size).min(self.order.len());
        let end = (start + self.batch_size).min(self.order.len());
        let treatment = |row: usize| match &self.pictures {
            Pictures::Seen(view) => Treatment::View(*view),
            Pictures::Corrupted(corruption, seed) => Treatment::Corrupted(*corruption, *seed),
            Pictures::Augmented(augmentation) => {
                Treatment::Drawn(Box::new(augmentation.draw(self.seed, self.epoch, self.keys[start + row])))
            }
        };
        let hidden = |row: usize| {
            let key = self.keys[start + row];
            self.text_dropout > 0.0
                && PortableRng::new(self.seed, Purpose::TextDropout, self.epoch, key)
                    .chance(self.text_dropout)
        };
        let mut batch = self.samples.batch_with(&self.order[start..end], scratch, treatment, hidden)?;
        if let Some(mix) = &self.mix {
            let (size, num_classes) = (batch.image_size, batch.num_classes);
            let mut rows = batch.targets.into_distributions(num_classes);
            let key = (self.seed, self.epoch, number as u64);
            let lambda = mix.apply(&mut batch.images, &mut rows, end - start, size, key)?;
            batch.targets = HostTargets::Distributions(rows);
            batch.tasks.iter_mut().for_each(|task| task.mix(end - start, lambda));
        }
        Ok(batch)
    }
}

/// Makes every `step`-th batch; ends early where the receiver is gone or a batch failed.
fn work(plan: &Plan, first: usize, end: usize, step: usize, sender: &SyncSender<Result<HostBatch, Error>>) {
    let mut scratch = Scratch::new();
    for number in (first..end).step_by(step) {
        let batch = plan.batch(number, &mut scratch);
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
    scratch: Scratch,
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
            self.plan.batch(number, &mut self.scratch)
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
