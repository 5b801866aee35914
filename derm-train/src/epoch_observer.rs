use std::fmt;
use std::ops::ControlFlow;

use crate::{EpochLog, Error};

/// Watches a training and may end it: told of each epoch, it answers whether the training goes on.
///
/// It is told once the epoch's checkpoint is written. A training that is taken up from a checkpoint tells the epochs that
/// lie before it first, in their order, so that an observer without a memory of its own knows what it would have known:
/// where the answers depend on the logs alone, a training that was killed ends at the same epoch as one that was not.
///
/// Every function or closure of this form is one.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use derm_train::{EpochLog, EpochObserver, Error};
///
/// let patient = |log: &EpochLog| -> Result<ControlFlow<()>, Error> {
///     let hopeless = log.epoch >= 3 && log.validation.get("macro_f1").is_some_and(|&value| value < 0.1);
///     Ok(if hopeless { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
/// };
/// let observer: &dyn EpochObserver = &patient;
/// // Trainer { observer: Some(observer), .. }
/// # let _ = observer;
/// ```
pub trait EpochObserver {
    /// Takes in an epoch. On [`ControlFlow::Break`] the training ends as if it had been its last one.
    ///
    /// # Errors
    /// Ends the training with this error; its last checkpoint stays.
    fn epoch(&self, log: &EpochLog) -> Result<ControlFlow<()>, Error>;
}

impl<F: Fn(&EpochLog) -> Result<ControlFlow<()>, Error>> EpochObserver for F {
    fn epoch(&self, log: &EpochLog) -> Result<ControlFlow<()>, Error> {
        self(log)
    }
}

impl fmt::Debug for dyn EpochObserver + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochObserver")
    }
}
