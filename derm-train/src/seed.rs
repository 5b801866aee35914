use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha8Rng;

/// What a derived seed is for. Streams with different purposes never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Initial weights.
    Weights = 1,
    /// Order of the samples and their augmentation.
    Data = 2,
    /// Dropout of one optimizer step.
    Step = 3,
    /// Bootstrap resamples.
    Bootstrap = 4,
    /// Initial projectors of a distillation.
    Projectors = 5,
    /// Randomised scores and clusters of conformal prediction.
    Conformal = 6,
    /// Folds by which a calibrator is chosen.
    Folds = 7,
    /// The point of a trial of a search.
    Trial = 8,
}

/// A seed for one purpose and position, derived from the run's seed.
///
/// The device's generator has a state that cannot be read, so it is reseeded with this before every step: a
/// resumed run draws the same dropout masks as one that was never interrupted.
pub(crate) fn derive(run_seed: u64, purpose: Purpose, position: u64) -> u64 {
    let mut generator = ChaCha8Rng::seed_from_u64(run_seed);
    generator.set_stream(purpose as u64);
    // Two 32-bit words a position; 2^67 words make a stream.
    generator.set_word_pos(u128::from(position) * 2);
    generator.next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_positions_give_different_seeds() {
        let mut seeds = vec![];
        for purpose in [
            Purpose::Weights,
            Purpose::Data,
            Purpose::Step,
            Purpose::Bootstrap,
            Purpose::Projectors,
            Purpose::Conformal,
            Purpose::Folds,
            Purpose::Trial,
        ] {
            for position in 0..50 {
                seeds.push(derive(7, purpose, position));
            }
        }
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 400);
        assert_eq!(derive(7, Purpose::Step, 3), derive(7, Purpose::Step, 3));
        assert_ne!(derive(7, Purpose::Step, 3), derive(8, Purpose::Step, 3));
    }
}
