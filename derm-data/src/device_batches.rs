//! Batches of an epoch on a device, moved there ahead of time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use burn::tensor::Device;

use crate::{Batch, EpochBatches, Error};

/// The batches of an epoch on a device, in order, by [`Loader::device_batches`](crate::Loader::device_batches). After an
/// error there are no more. Dropped in the middle, it stops its thread.
#[derive(Debug)]
pub struct DeviceBatches {
    mover: Mover,
    /// Number of the batch that comes next.
    next: usize,
    ended: bool,
}

/// Who moves batches to the device.
#[derive(Debug)]
enum Mover {
    /// The caller, when it asks.
    Caller { batches: Box<EpochBatches>, device: Device },
    /// A thread, ahead of the caller.
    Thread { receiver: Option<Receiver<Result<Batch, Error>>>, thread: Option<JoinHandle<()>> },
}

impl DeviceBatches {
    pub(crate) fn new(batches: EpochBatches, device: &Device, ahead: usize) -> Self {
        let next = batches.position();
        let device = device.clone();
        let mover = if ahead == 0 {
            Mover::Caller { batches: Box::new(batches), device }
        } else {
            let (sender, receiver) = sync_channel(ahead);
            let thread = std::thread::spawn(move || push(batches, &device, &sender));
            Mover::Thread { receiver: Some(receiver), thread: Some(thread) }
        };
        Self { mover, next, ended: false }
    }

    /// Number of the batch that comes next, from the epoch's start: where to resume.
    pub fn position(&self) -> usize {
        self.next
    }
}

/// Moves every batch; ends early where the receiver is gone.
fn push(batches: EpochBatches, device: &Device, sender: &SyncSender<Result<Batch, Error>>) {
    for host in batches {
        if sender.send(host.and_then(|host| Batch::to_device(host, device))).is_err() {
            return;
        }
    }
}

impl Iterator for DeviceBatches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = match &mut self.mover {
            Mover::Caller { batches, device } => {
                batches.next().map(|host| host.and_then(|host| Batch::to_device(host, device)))
            }
            Mover::Thread { receiver, thread } => {
                let received = receiver.as_ref().and_then(|receiver| receiver.recv().ok());
                // A channel that closed is the epoch's end, unless the thread panicked.
                received.or_else(|| {
                    let lost = thread.take().is_some_and(|thread| thread.join().is_err());
                    lost.then_some(Err(Error::WorkerLost { batch: self.next }))
                })
            }
        };
        match &batch {
            Some(Ok(_)) => self.next += 1,
            Some(Err(_)) | None => self.ended = true,
        }
        batch
    }
}

impl Drop for DeviceBatches {
    fn drop(&mut self) {
        if let Mover::Thread { receiver, thread } = &mut self.mover {
            // Without a receiver the thread's next send fails and it returns.
            *receiver = None;
            if let Some(thread) = thread.take() {
                // A thread that panicked was reported as lost; there is nothing more to say.
                let _ = thread.join();
            }
        }
    }
}
