//! Who watches a training and ends it.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use derm_train::{EpochLog, Error};

use crate::tiny::{LosesIts, Start, alone, bytes, contents, recipe, supervised};

#[test]
fn an_observer_ends_a_training_at_the_same_epoch_whether_it_was_interrupted_or_not() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let start = Start::new(recipe(&place.path().join("unused"), &["training.epochs=5"]));
    let told = RefCell::new(Vec::new());
    let after_three = |log: &EpochLog| -> Result<ControlFlow<()>, Error> {
        told.borrow_mut().push(log.epoch);
        Ok(if log.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let whole = start.fit_observed(&place.path().join("whole"), &supervised(), &after_three).unwrap();
    assert_eq!((whole.history.len(), told.take()), (3, vec![1, 2, 3]));

    // Interrupted in its third epoch: the two before it are told again.
    let folder = place.path().join("interrupted");
    let steps = start.prepared.training_loader(&start.recipe).unwrap().num_batches();
    let objective = LosesIts { objective: supervised(), at: 2 * steps + 1, calls: Cell::new(0) };
    assert!(start.fit_observed(&folder, &objective, &after_three).is_err());
    assert_eq!(told.take(), [1, 2]);
    let resumed = start.fit_observed(&folder, &supervised(), &after_three).unwrap();
    assert_eq!(told.take(), [1, 2, 3]);
    assert!(bytes(&resumed, place.path()) == bytes(&whole, place.path()));
    // Ended is ended.
    let before = contents(&folder.join("checkpoints"));
    assert_eq!(start.fit_observed(&folder, &supervised(), &after_three).unwrap().history.len(), 3);
    assert_eq!((told.take(), contents(&folder.join("checkpoints"))), (vec![1, 2, 3], before));
    // Without the observer the training goes on to its end.
    assert_eq!(start.fit(&folder, &supervised()).unwrap().history.len(), 5);
}

#[test]
fn an_observers_error_ends_the_training() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let start = Start::new(recipe(place.path(), &[]));
    let refuses = |log: &EpochLog| Err(Error::UnknownRecord { id: log.epoch.to_string() });
    let error = start.fit_observed(place.path(), &supervised(), &refuses).unwrap_err();
    assert!(matches!(&error, Error::UnknownRecord { id } if id == "1"), "{error}");
    assert!(place.path().join("checkpoints/latest").is_file());
}
