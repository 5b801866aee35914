//! The learning rate at every step of a training.
#![allow(missing_docs)]

use derm_train::WarmupCosine;

/// Sums of a few roundings in f64, relative to the peak.
const ROUNDING: f64 = 1e-12;

const RATE: WarmupCosine = WarmupCosine { peak: 0.4, final_share: 0.25, warmup_steps: 4, total_steps: 12 };

fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= ROUNDING, "{got}, expected {expected}");
}

#[test]
fn it_rises_linearly_then_falls_by_half_a_cosine() {
    for (step, expected) in [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4), (4, 0.4)] {
        close(RATE.at(step), expected);
    }
    // Half-way down: the middle between the peak 0.4 and the end 0.1. A quarter: cos(π/4) = 1/√2.
    close(RATE.at(8), 0.25);
    close(RATE.at(6), 0.25 + 0.15 / 2.0_f64.sqrt());
    close(RATE.at(10), 0.25 - 0.15 / 2.0_f64.sqrt());
}

#[test]
fn it_stays_at_its_end_past_the_last_step() {
    for step in [12, 13, 20, 1_000_000] {
        close(RATE.at(step), 0.1);
    }
}

#[test]
fn it_never_leaves_its_range() {
    for warmup_steps in [0, 1, 5, 12, 30] {
        let rate = WarmupCosine { warmup_steps, ..RATE };
        let rates: Vec<f64> = (0..40).map(|step| rate.at(step)).collect();
        assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= 0.4 + ROUNDING), "{rates:?}");
        assert!(rates[..warmup_steps].is_sorted(), "{rates:?}");
        assert!(rates[warmup_steps..].iter().rev().is_sorted(), "{rates:?}");
    }
    close(WarmupCosine { warmup_steps: 0, ..RATE }.at(0), 0.4);
}
