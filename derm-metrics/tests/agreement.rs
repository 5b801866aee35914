//! Confusions by frequency, and two models side by side.
#![allow(clippy::unwrap_used, missing_docs)]

use derm_core::Probabilities;
use derm_metrics::{AgreementCounts, ConfusionMatrix, Error, mcnemar, model_agreement};
use ndarray::Array2;
use proptest::prelude::*;

/// Certain predictions of the classes.
fn saying(classes: &[usize], num_classes: usize) -> Probabilities {
    let value = |(row, class)| if classes[row] == class { 1.0 } else { 0.0 };
    Probabilities::new(Array2::from_shape_fn((classes.len(), num_classes), value)).unwrap()
}

#[test]
fn confusions_by_hand() {
    let targets = [0, 0, 0, 0, 1, 1, 2, 2, 2];
    let said = [0, 1, 1, 2, 1, 2, 0, 2, 0];
    let pairs = ConfusionMatrix::new(&saying(&said, 3), &targets).unwrap().confusion_pairs();
    let found: Vec<_> = pairs.iter().map(|pair| (pair.truth, pair.predicted, pair.count)).collect();
    // Of equal counts the one of the lower true class, then of the lower predicted class.
    assert_eq!(found, [(0, 1, 2), (2, 0, 2), (0, 2, 1), (1, 2, 1)]);
    assert_eq!((pairs[0].share_of_class, pairs[0].share_of_errors), (2.0 / 4.0, 2.0 / 6.0));
    assert_eq!((pairs[3].share_of_class, pairs[3].share_of_errors), (1.0 / 2.0, 1.0 / 6.0));
    let right = ConfusionMatrix::new(&saying(&targets, 3), &targets).unwrap();
    assert!(right.confusion_pairs().is_empty());
}

#[test]
fn agreement_by_hand() {
    let targets = [0, 0, 1, 1, 2, 2];
    let teacher = saying(&[0, 0, 1, 2, 0, 1], 3);
    let student = saying(&[0, 1, 0, 1, 0, 0], 3);
    let agreement = model_agreement(&teacher, &student, &targets).unwrap();
    let expected = AgreementCounts {
        both_right: 1,
        only_first_right: 2,
        only_second_right: 1,
        same_error: 1,
        different_errors: 1,
    };
    assert_eq!(agreement.overall, expected);
    assert_eq!((agreement.overall.rows(), agreement.overall.differ()), (6, 4));
    assert_eq!(agreement.overall.agreement(), Some(2.0 / 6.0));
    assert_eq!(agreement.by_class[2].same_error + agreement.by_class[2].different_errors, 2);
    assert_eq!(AgreementCounts::default().agreement(), None);
}

#[test]
fn models_that_cannot_be_compared() {
    let two = saying(&[0, 1], 2);
    let error = model_agreement(&two, &saying(&[0, 1], 3), &[0, 1]).unwrap_err();
    assert!(matches!(error, Error::Classes { got: 3, expected: 2 }), "{error}");
    assert!(matches!(model_agreement(&two, &saying(&[0], 2), &[0, 1]), Err(Error::Value(_))));
    assert!(matches!(model_agreement(&two, &two, &[0]), Err(Error::Value(_))));
    assert!(matches!(model_agreement(&two, &two, &[0, 2]), Err(Error::Value(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_add_up(rows in prop::collection::vec((0_usize..4, 0_usize..4, 0_usize..4), 1..60)) {
        let column = |of: fn(&(usize, usize, usize)) -> usize| rows.iter().map(of).collect::<Vec<_>>();
        let (first, second, targets) = (column(|r| r.0), column(|r| r.1), column(|r| r.2));
        let (p, q) = (saying(&first, 4), saying(&second, 4));
        let agreement = model_agreement(&p, &q, &targets).unwrap();
        let turned = model_agreement(&q, &p, &targets).unwrap();
        prop_assert_eq!(agreement.overall.rows(), rows.len() as u64);
        prop_assert_eq!(agreement.by_class.iter().map(AgreementCounts::rows).sum::<u64>(), rows.len() as u64);
        prop_assert_eq!(agreement.overall.only_first_right, turned.overall.only_second_right);
        prop_assert_eq!(agreement.overall.agreement(), turned.overall.agreement());
        let right = |said: &[usize]| said.iter().zip(&targets).map(|(a, b)| a == b).collect::<Vec<_>>();
        let test = mcnemar(&right(&first), &right(&second)).unwrap();
        prop_assert_eq!(
            (test.only_first, test.only_second),
            (agreement.overall.only_first_right, agreement.overall.only_second_right)
        );
        let matrix = ConfusionMatrix::new(&p, &targets).unwrap();
        let pairs = matrix.confusion_pairs();
        let errors = first.iter().zip(&targets).filter(|(a, b)| a != b).count() as u64;
        prop_assert_eq!(pairs.iter().map(|pair| pair.count).sum::<u64>(), errors);
        prop_assert!(pairs.is_sorted_by(|a, b| a.count >= b.count));
    }
}
