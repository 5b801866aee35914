use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, TpeOptimizerBuilder};

use super::space::fault;
use super::{Dimension, Parameters, SearchSpace, Trial, TrialEnd};
use crate::Error;
use crate::recipe::check::check;
use crate::seed::{Purpose, derive};

/// How the next point of a search is drawn: at random at first, then by tree-structured Parzen estimators (TPE).
///
/// The trials are ranked, the best share γ of them is told from the rest, and for each key by itself the value is taken
/// that is likeliest among the good ones in comparison with the rest, out of some that the good ones suggest. Numbers
/// have a Parzen window of normal densities, in the logarithm where the dimension says so, integers by their cell;
/// choices have a histogram.
///
/// Complete trials rank by their value; pruned ones follow, those that came further and then the better ones first, as
/// in Optuna; failed ones come last, so that the search keeps away from a learning rate at which the loss is lost (Optuna
/// leaves those out). A point that was tried is not tried again, since a training repeats.
///
/// Each trial has a generator of its own, derived from the seed and its number: the next point depends on the trials
/// before it and on nothing else.
///
/// # Source
/// Bergstra et al. 2011, Algorithms for hyper-parameter optimization, section 4, in the crate `tpe`; the defaults are
/// those of that crate and of Optuna's `TPESampler`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Everything random derives from it. Default 0.
    pub seed: u64,
    /// Trials that are drawn at random. Default 10.
    pub startup_trials: usize,
    /// Share of the trials that count as good, in (0, 1), rounded up. Default 0.1.
    pub gamma: f64,
    /// Values that are drawn from the good ones, of which the best is taken. Default 24.
    pub candidates: usize,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self { seed: 0, startup_trials: 10, gamma: 0.1, candidates: 24 }
    }
}

/// How often a point that was tried is drawn again before it is drawn at random, and then counted off.
const ATTEMPTS: usize = 24;

impl SamplerConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, the value and the allowed range.
    pub fn validate(&self) -> Result<(), Error> {
        check("sampler.gamma", &self.gamma, "between 0 and 1", |v| *v > 0.0 && *v < 1.0)?;
        check("sampler.candidates", &self.candidates, "1 to 100000", |v| (1..=100_000).contains(v))
    }

    /// The point of the trial that follows `trials`, all of which have ended; `None` where every point was tried.
    ///
    /// # Errors
    /// [`Error::SearchSpace`] for a space that holds nothing, or trials of another space.
    ///
    /// ```
    /// use derm_train::{Dimension, SamplerConfig, SearchSpace, Trial, TrialEnd};
    ///
    /// let rate = Dimension::LogUniform([1e-5, 1e-1]);
    /// let space = SearchSpace { dimensions: [("training.learning_rate".to_owned(), rate)].into() };
    /// let sampler = SamplerConfig { startup_trials: 5, ..SamplerConfig::default() };
    /// let mut trials = Vec::new();
    /// for number in 0..20 {
    ///     let Some(parameters) = sampler.suggest(&space, &trials, false)? else { break };
    ///     let rate = parameters["training.learning_rate"].as_f64().unwrap_or(f64::NAN);
    ///     let end = Some(TrialEnd::Complete((rate.ln() - 1e-3_f64.ln()).powi(2)));
    ///     trials.push(Trial { number, parameters, epochs: vec![], end });
    /// }
    /// assert_eq!(trials.len(), 20);
    /// # Ok::<(), derm_train::Error>(())
    /// ```
    pub fn suggest(
        &self,
        space: &SearchSpace,
        trials: &[Trial],
        higher_is_better: bool,
    ) -> Result<Option<Parameters>, Error> {
        self.validate()?;
        space.validate()?;
        if let Some(strange) = trials.iter().find(|trial| !space.holds(&trial.parameters)) {
            return Err(fault("", &format!("trial {} lies outside", strange.number)));
        }
        let tried = |point: &Parameters| trials.iter().any(|trial| trial.parameters == *point);
        let mut generator = ChaCha8Rng::seed_from_u64(derive(self.seed, Purpose::Trial, trials.len() as u64));
        let mut optimizers = if trials.len() < self.startup_trials {
            Vec::new()
        } else {
            self.optimizers(space, &ranked(trials, higher_is_better))?
        };
        for attempt in 0..2 * ATTEMPTS {
            let by_tpe = attempt < ATTEMPTS && !optimizers.is_empty();
            let mut optimizers = optimizers.iter_mut();
            let point = space.point(|_, dimension| match optimizers.next().filter(|_| by_tpe) {
                Some(optimizer) => {
                    let Ok(asked) = optimizer.ask(&mut generator);
                    if is_categorical(dimension) { middle(asked, dimension) } else { asked }
                }
                None => unit(&mut generator),
            });
            if !tried(&point) {
                return Ok(Some(point));
            }
        }
        // Of so many points plus one, one was not tried.
        let size = space.size().unwrap_or(0).min(trials.len() as u64 + 1);
        Ok((0..size).map(|index| space.nth(index)).find(|point| !tried(point)))
    }

    /// One optimizer a key, in the order of the keys, told of the trials from the best to the worst.
    fn optimizers(&self, space: &SearchSpace, ranked: &[&Trial]) -> Result<Vec<TpeOptimizer>, Error> {
        let mut builder = TpeOptimizerBuilder::new();
        builder.gamma(self.gamma).candidates(self.candidates);
        let mut optimizers = Vec::new();
        for (key, dimension) in &space.dimensions {
            let (estimator, range) = if is_categorical(dimension) {
                let cells = dimension.size().unwrap_or(1) as usize;
                (tpe::histogram_estimator(), tpe::categorical_range(cells))
            } else {
                (tpe::parzen_estimator(), tpe::range(0.0, 1.0))
            };
            let range = range.map_err(|error| fault(key, &error.to_string()))?;
            let optimizer = builder.build(estimator, range);
            let mut optimizer = optimizer.map_err(|error| fault(key, &error.to_string()))?;
            for (rank, trial) in ranked.iter().enumerate() {
                let place = trial.parameters.get(key).and_then(|value| dimension.place(value));
                let place = place.unwrap_or(f64::NAN);
                let told = if is_categorical(dimension) { cell(place, dimension) } else { place };
                optimizer.tell(told, rank as f64).map_err(|error| fault(key, &error.to_string()))?;
            }
            optimizers.push(optimizer);
        }
        Ok(optimizers)
    }
}

fn is_categorical(dimension: &Dimension) -> bool {
    matches!(dimension, Dimension::Choices(_))
}

/// The number of a choice by its place.
fn cell(place: f64, dimension: &Dimension) -> f64 {
    (place * dimension.size().unwrap_or(1) as f64).floor()
}

/// The place of a choice by its number.
fn middle(cell: f64, dimension: &Dimension) -> f64 {
    (cell + 0.5) / dimension.size().unwrap_or(1) as f64
}

/// A number in [0, 1), of 53 bits.
fn unit(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// From the best to the worst; of equal ones the earlier one first.
fn ranked(trials: &[Trial], higher_is_better: bool) -> Vec<&Trial> {
    let cost = |value: f64| if higher_is_better { -value } else { value };
    // Class, then epochs of the pruned ones with the most first, then value.
    let key = |trial: &Trial| match &trial.end {
        Some(TrialEnd::Complete(value)) => (0, 0, cost(*value)),
        Some(TrialEnd::Pruned) | None => {
            let last = trial.epochs.last().copied().flatten();
            (1, usize::MAX - trial.epochs.len(), last.map_or(f64::INFINITY, cost))
        }
        Some(TrialEnd::Failed(_)) => (2, 0, 0.0),
    };
    let mut ranked: Vec<&Trial> = trials.iter().collect();
    ranked.sort_by(|a, b| {
        let ((class, epochs, value), (other_class, other_epochs, other_value)) = (key(a), key(b));
        class.cmp(&other_class).then(epochs.cmp(&other_epochs)).then(value.total_cmp(&other_value))
    });
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: usize, epochs: &[Option<f64>], end: TrialEnd) -> Trial {
        Trial { number, parameters: Parameters::new(), epochs: epochs.to_vec(), end: Some(end) }
    }

    #[test]
    fn complete_before_pruned_before_failed() {
        use TrialEnd::{Complete, Failed, Pruned};
        let trials = [
            trial(0, &[], Failed("lost".to_owned())),
            trial(1, &[Some(0.9)], Pruned),
            trial(2, &[Some(0.1), Some(0.2)], Pruned),
            trial(3, &[Some(0.1), Some(0.3)], Pruned),
            trial(4, &[Some(0.1), None], Pruned),
            trial(5, &[], Complete(0.5)),
            trial(6, &[], Complete(0.7)),
            trial(7, &[], Complete(0.5)),
        ];
        let order = |higher| -> Vec<usize> {
            ranked(&trials, higher).into_iter().map(|trial| trial.number).collect()
        };
        assert_eq!(order(true), [6, 5, 7, 3, 2, 4, 1, 0]);
        assert_eq!(order(false), [5, 7, 6, 2, 3, 4, 1, 0]);
    }
}
