//! The scores by which rows may be refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod tables;

use derm_calibration::{Calibrator, Error, SelectiveScore, energy, margin, negative_entropy};
use derm_core::{Logits, Probabilities, Test};
use ndarray::array;
use tables::usual;

#[test]
fn selective_scores_by_hand() {
    let p = Probabilities::new(array![[0.5, 0.3, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
        .unwrap();
    let close = |got: &[f64], want: &[f64]| {
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} and {want:?}");
    };
    close(&margin(&p), &[0.2, 0.0, 1.0]);
    let first = 0.5 * 0.5_f64.ln() + 0.3 * 0.3_f64.ln() + 0.2 * 0.1_f64.ln();
    close(&negative_entropy(&p), &[first, 0.25_f64.ln(), 0.0]);
    let logits = Logits::new(array![[1.0, 3.0], [-2.0, -2.0]]).unwrap();
    close(&energy(&logits, 1.0).unwrap(), &[(1.0_f64.exp() + 3.0_f64.exp()).ln(), -2.0 + 2.0_f64.ln()]);
    let halved = 2.0 * (0.5_f64.exp() + 1.5_f64.exp()).ln();
    close(&energy(&logits, 2.0).unwrap()[..1], &[halved]);
}

#[test]
fn selective_scores_of_predictions_are_those_of_their_probabilities() {
    let test = usual::<Test>(40, 3);
    let p = test.probabilities();
    let of = |score: SelectiveScore| score.scores(&test, &Calibrator::Identity).unwrap();
    assert_eq!(of(SelectiveScore::MaxProbability), p.confidence());
    assert_eq!(of(SelectiveScore::Margin), margin(&p));
    assert_eq!(of(SelectiveScore::NegativeEntropy), negative_entropy(&p));
    assert!(of(SelectiveScore::Top3Mass).iter().zip(p.confidence()).all(|(mass, top)| *mass > top));
    let temperature = 1.5;
    let logits = test.logits().unwrap();
    assert_eq!(of(SelectiveScore::Energy { temperature }), energy(&logits, temperature).unwrap());
    let mean = test.mean_over(derm_core::MeanOver::Group).unwrap();
    let refused = SelectiveScore::Energy { temperature }.scores(&mean, &Calibrator::Identity);
    assert!(matches!(refused, Err(Error::NoLogits { .. })));
}

#[test]
fn an_energy_without_a_positive_temperature_is_refused() {
    let logits = Logits::new(array![[0.0, 1.0]]).unwrap();
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(energy(&logits, temperature), Err(Error::Range { argument: "temperature", .. })));
    }
}
